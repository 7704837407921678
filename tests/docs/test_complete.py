"""The pages name every option, command and operation that exists, and none that does not."""

import re
from pathlib import Path

import click
import pytest
from kmipkit_client import Client
from kmipkit_client.cli import client
from kmipkit_conformance.cli import conformance
from kmipkit_load.cli import bench
from kmipkit_server.admin.audit_commands import audit
from kmipkit_server.admin.cli import SUBCOMMANDS, admin
from kmipkit_server.admin.policy_commands import policy
from kmipkit_server.cli import serve
from servers import RunningServer

from kmipkit.spec.enums import QueryFunction
from kmipkit.spec.versions import V3_0

DOCS = Path(__file__).resolve().parents[2] / "docs"
_CURL = re.compile(r"^ +curl .*?\n\n", re.MULTILINE | re.DOTALL)


def page(name: str) -> str:
    return _CURL.sub("", (DOCS / name).read_text(encoding="utf-8"))


def named(text: str) -> set[str]:
    return set(re.findall(r"--[a-z][a-z0-9-]*", text)) - {"--help"}


def options(command: click.Command) -> set[str]:
    names = [[name for name in each.opts if name.startswith("--")] for each in command.params]
    own = {same[0] for same in names if same}  # the others are the same by another name
    if not isinstance(command, click.Group):
        return own
    context = click.Context(command)
    inner = (command.get_command(context, name) for name in command.list_commands(context))
    return own.union(*(options(each) for each in inner if each is not None))


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("server.md", serve),
        ("conformance.md", conformance),
        ("audit.md", audit),
        ("policy.md", policy),
    ],
)
def test_a_page_names_the_options_of_its_command(name: str, command: click.Command) -> None:
    assert named(page(name)) == options(command)


PAGES_OF_ADMINISTRATORS = {
    "accounts": "administration.md", "audit": "audit.md", "backup": "backup.md",
    "certificates": "administration.md", "clock": "testing.md", "compare": "migration.md",
    "config": "configuration.md", "enrol": "administration.md", "groups": "administration.md",
    "keys": "root-keys.md", "migrate": "migration.md", "objects": "administration.md",
    "policy": "policy.md", "restore": "backup.md", "sessions": "administration.md",
    "store": "postgresql.md",
    "tenants": "tenants.md", "users": "administration.md",
}  # fmt: skip
"""The page of each command of ``kmipkit admin``."""

OF_ALL_ADMINISTRATORS = {
    "--server", "--ca", "--cert", "--key", "--key-password-file", "--data-dir", "--config", "--json",
}  # fmt: skip
"""What the page for administrators says of the options of all commands."""


def test_each_command_of_administrators_has_a_page() -> None:
    assert PAGES_OF_ADMINISTRATORS.keys() == SUBCOMMANDS.keys()
    assert named(page("administration.md")) >= OF_ALL_ADMINISTRATORS


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_the_page_of_a_command_of_administrators_names_it_and_its_options(name: str) -> None:
    command = admin.get_command(click.Context(admin), name)
    assert command is not None
    text = page(PAGES_OF_ADMINISTRATORS[name])
    assert f"kmipkit admin {name}" in text
    assert options(command) - OF_ALL_ADMINISTRATORS <= named(text)


def test_the_pages_for_administrators_name_no_options_that_do_not_exist() -> None:
    exist = options(admin) | options(serve)
    for name in ("administration.md", "tenants.md", "approvals.md", "algorithms.md"):
        text = re.sub(r"^curl (?:.*\\\n)+.*", "", page(name), flags=re.MULTILINE)
        assert named(text) <= exist | {"--name", "--san"}, name


def test_the_page_of_the_load_generator_names_its_options() -> None:
    """Beside those of the server that it starts."""
    assert named(page("load.md")) - (options(serve) - options(bench)) == options(bench)
    assert {"--data-dir", "--detach", "--stop"} <= named(page("load.md"))


def test_the_page_of_the_client_names_its_commands_and_the_options_of_all() -> None:
    text = page("client.md")
    [listed] = re.findall(r"of their own: (.*?)\. The others", text, re.DOTALL)
    assert set(re.findall(r"`([a-z-]+)`", listed)) == set(client.commands)
    of_all = {option for entry in client.params for option in entry.opts}
    assert named(text) == of_all | {"--json", "--show-secrets"}


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
