"""Every command prints through kmipkit.terminal, which escapes what others have sent.

This is held for the source of all commands, so that a new command cannot forget it: no other module
may print, or write to the standard streams. What has been printed is tested in test_terminal.py.
"""

import ast
import io
import logging
from collections.abc import Iterator
from pathlib import Path

import click
import kmipkit_certs
import kmipkit_client
import kmipkit_conformance
import kmipkit_load
import kmipkit_server
import kmipkit_vsphere
import pytest
from click.testing import CliRunner
from kmipkit_vsphere import cli
from kmipkit_vsphere.roles import logs
from kmipkit_vsphere.vcenter.command_line import text

import kmipkit
from kmipkit.cli import main

PACKAGES = (
    kmipkit,
    kmipkit_certs,
    kmipkit_client,
    kmipkit_conformance,
    kmipkit_load,
    kmipkit_server,
    kmipkit_vsphere,
)
FILES = sorted(
    path
    for package in PACKAGES
    for folder in package.__path__
    for path in Path(folder).rglob("*.py")
)

PERMITTED = {
    "kmipkit/terminal.py": "it is the one place",
    "kmipkit/cli.py": "closes a stream that cannot be written",
    "kmipkit_server/logs.py": "its formatter escapes",
    "kmipkit_vsphere/roles/logs.py": "its formatter escapes",
    "kmipkit_server/process/background.py": "the traceback of a defect, in a process without terminal",
    "kmipkit_vsphere/nbd/export.py": "gives the error stream to nbdkit",
}
"""Files with a way to a standard stream, and why."""

PRINTING = frozenset({"print", "pprint", "breakpoint", "input"})
CLICK = frozenset({"echo", "secho", "echo_via_pager", "progressbar", "prompt", "confirm", "pause"})
STREAMS = frozenset({"stdout", "stderr", "__stdout__", "__stderr__"})
LOGGING = frozenset({"basicConfig", "StreamHandler"})
TRACEBACK = frozenset({"print_exc", "print_exception", "print_stack"})


def names(path: Path) -> str:
    """Package and file, as PERMITTED has them."""
    for package in PACKAGES:
        for folder in package.__path__:
            if path.is_relative_to(folder):
                return f"{package.__name__}/{path.relative_to(folder)}"
    raise AssertionError(path)


def ways_to_the_terminal(source: str) -> Iterator[str]:
    """What in a source could print, with its line."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in PRINTING:
                yield f"{node.lineno}: {name}()"
            case ast.Attribute(value=ast.Name(id="click"), attr=name) if name in CLICK:
                yield f"{node.lineno}: click.{name}"
            case ast.ImportFrom(module="click", names=imported):
                yield from (
                    f"{node.lineno}: from click import {each.name}"
                    for each in imported
                    if each.name in CLICK
                )
            case ast.Attribute(value=ast.Name(id="sys"), attr=name) if name in STREAMS:
                yield f"{node.lineno}: sys.{name}"
            case ast.Attribute(value=ast.Name(id="logging"), attr=name) if name in LOGGING:
                yield f"{node.lineno}: logging.{name}"
            case ast.Attribute(value=ast.Name(id="traceback"), attr=name) if name in TRACEBACK:
                yield f"{node.lineno}: traceback.{name}"


HARMLESS = frozenset(
    {"sys.stderr.isatty", "sys.stdout.flush", "sys.stdout.fileno", "sys.stdout.isatty"}
)


def without_harmless(source: str) -> str:
    """The source without what only flushes, redirects or asks about a stream."""
    for expression in HARMLESS:
        source = source.replace(expression, "harmless")
    return source


def test_only_the_terminal_module_prints() -> None:
    """One forgotten call of click.echo() would let a peer write to the operator's screen."""
    found = {
        names(path): ways
        for path in FILES
        if (ways := list(ways_to_the_terminal(without_harmless(path.read_text()))))
    }
    assert {name: ways for name, ways in found.items() if name not in PERMITTED} == {}
    assert found.keys() == PERMITTED.keys(), "an exception that is not needed hides a later mistake"


@pytest.mark.parametrize(
    "source",
    [
        "print(x)",
        "click.echo(x)",
        "from click import secho",
        "run(announce=click.echo)",
        "sys.stdout.write(x)",
        "sys.stderr.buffer.write(x)",
        "logging.basicConfig()",
        "traceback.print_exc()",
    ],
)
def test_each_way_is_found(source: str) -> None:
    assert list(ways_to_the_terminal(without_harmless(source)))


# --- what the vSphere commands print -------------------------------------------------------------

HOSTILE = "name \x1b[2J\x9b2J\u202e\u2028\nstatus: forged größe"


def require_printable(output: str) -> None:
    assert not {char for line in output.split("\n") for char in line if not char.isprintable()}
    assert "\nstatus: forged" not in output


ANSWERS = {
    "text": HOSTILE.replace("\n", " "),
    "members": {"name": HOSTILE, HOSTILE: 7, "machines": [{"name": HOSTILE}, {"name": "b"}]},
    "list": [HOSTILE, HOSTILE],
}


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "JSON"])
@pytest.mark.parametrize("kind", ANSWERS)
def test_answers_of_vcenter(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    kind: str,
    as_json: bool,
) -> None:
    """A tenant names a machine, and an administrator lists it."""
    from kmipkit_vsphere.model import encoding

    class _Row:
        request = dict
        lines = None

    monkeypatch.setattr(cli, "_send", lambda *_: ANSWERS[kind])
    monkeypatch.setattr(encoding, "to_builtins", lambda answer: answer)
    monkeypatch.setattr(encoding, "convert", lambda parameters, _: parameters)
    context = click.Context(click.Command("call"), obj=("", "", None, as_json))
    cli._call(context, _Row, {})  # type: ignore[arg-type]  # all that the function reads of a row
    output = capsys.readouterr().out
    assert "größe" in output
    require_printable(output)


def test_a_value_is_one_line() -> None:
    """Line ends in a name would look like further members."""
    assert text({"name": "a\nstatus: forged"}) == "name: a\\nstatus: forged"


@pytest.mark.parametrize(
    "arguments",
    [
        ("vcenter", "call", HOSTILE),
        ("host", "serve", "--name", HOSTILE),
        ("demo", HOSTILE),
        ("trust-authority", "serve", "--port", HOSTILE),
        ("certs", "show", HOSTILE),
        ("serve", "--config", HOSTILE),
        ("conformance", "run", "--target", HOSTILE),
        ("decode", HOSTILE),
        ("client", "--server", HOSTILE, "discover"),
        (HOSTILE,),
    ],
    ids=lambda arguments: " ".join(arguments[:2])[:12],
)
def test_errors_of_every_command(arguments: tuple[str, ...]) -> None:
    """A name that somebody else has chosen is an argument, and the error repeats it."""
    output = CliRunner().invoke(main, list(arguments)).output
    assert output
    require_printable(output)


def test_the_log_of_a_role_has_one_line_for_each_event(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host logs the names of machines and the errors of its peers."""
    stream = io.StringIO()
    root = logging.Logger("root of this test")
    monkeypatch.setattr(logging, "getLogger", lambda *_: root)
    logs.log_to_stderr(stream)
    root.warning("%s", HOSTILE)
    root.error("failed", exc_info=ValueError(HOSTILE))
    output = stream.getvalue()
    assert output.count("größe") == 2
    require_printable(output)
