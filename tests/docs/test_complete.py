"""The pages name every option, command and operation that exists, and none that does not."""

import re
from pathlib import Path

import click
import pytest
from kmipkit_client import Client
from kmipkit_client.cli import client
from kmipkit_conformance.cli import conformance
from kmipkit_server.admin.audit_commands import audit
from kmipkit_server.cli import serve
from servers import RunningServer

from kmipkit.spec.enums import QueryFunction
from kmipkit.spec.versions import V3_0

DOCS = Path(__file__).resolve().parents[2] / "docs"
_CURL = re.compile(r"^ +curl .*?\n\n", re.MULTILINE | re.DOTALL)


def page(name: str) -> str:
    return _CURL.sub("", (DOCS / name).read_text(encoding="utf-8"))


def named(text: str) -> set[str]:
    return set(re.findall(r"--[a-z][a-z-]*", text)) - {"--help"}


def options(command: click.Command) -> set[str]:
    own = {option for entry in command.params for option in entry.opts if option.startswith("--")}
    inner = command.commands.values() if isinstance(command, click.Group) else ()
    return own.union(*map(options, inner))


@pytest.mark.parametrize(
    ("name", "command"),
    [("server.md", serve), ("conformance.md", conformance), ("audit.md", audit)],
)
def test_a_page_names_the_options_of_its_command(name: str, command: click.Command) -> None:
    assert named(page(name)) == options(command)


def test_the_page_of_the_client_names_its_commands_and_the_options_of_all() -> None:
    text = page("client.md")
    [listed] = re.findall(r"common operations: (.*?)\. `kmipkit", text, re.DOTALL)
    assert set(re.findall(r"`([a-z-]+)`", listed)) == set(client.commands)
    assert named(text) == {option for entry in client.params for option in entry.opts}


def test_the_page_of_the_server_names_the_operations_that_it_offers(server: RunningServer) -> None:
    with Client("127.0.0.1", server.port, version=V3_0, **server.credentials()) as kms:
        offered = kms.query(QueryFunction.QUERY_OPERATIONS).operations
    [table] = re.findall(r"^\| group \|.*?\n\n", page("server.md"), re.MULTILINE | re.DOTALL)
    cells = " ".join(row.split("|")[2] for row in table.strip().splitlines()[2:])
    names = {re.sub(r"\W", "", name).upper() for name in re.split(r"[,;:]| {2}", cells)}
    assert names - {"", "INKMIP30"} == {entry.name.replace("_", "") for entry in offered}


def test_the_page_of_the_architecture_shows_the_rooms_that_there_are() -> None:
    """A newcomer finds each part where the page says that it is."""
    text = page("architecture.md")
    server = DOCS.parent / "server" / "kmipkit_server"
    rooms = {path.parent.name for path in server.glob("*/__init__.py")}
    modules = re.findall(rf"`((?:{'|'.join(rooms)})/[\w/]*)(?:\.[a-z_.]+)?`", text)
    assert {module.split("/")[0] for module in modules} == rooms
    missing = [m for m in modules if not ((server / m).is_dir() or (server / f"{m}.py").exists())]
    assert not missing


def test_the_page_of_the_architecture_shows_the_layers_of_the_vsphere_roles() -> None:
    text = page("architecture.md").split("## The vSphere roles")[1]
    roles = DOCS.parent / "client" / "kmipkit_vsphere"
    layers = [path.parent.name for path in roles.glob("*/__init__.py")]
    shown = re.findall(r"^\| `(?:cli|(\w+)/)` \|", text, re.MULTILINE)
    assert sorted(filter(None, shown)) == sorted(layers)
