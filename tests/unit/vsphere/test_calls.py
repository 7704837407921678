"""The rows of vCenter's calls: each has a handler, and the command line can make its request."""

import inspect
import re
import typing
from typing import Any

import click
import pytest
from click.testing import CliRunner
from kmipkit_vsphere.cli import vcenter_call
from kmipkit_vsphere.model.encoding import convert
from kmipkit_vsphere.vcenter import handlers
from kmipkit_vsphere.vcenter.calls import ROWS
from kmipkit_vsphere.vcenter.command import HANDLERS, Row, VCenterQuery, VCenterRequest
from kmipkit_vsphere.vcenter.command_line import (
    KEY_ID,
    PAIR,
    Many,
    parameters,
    shown,
    subcommand,
    text,
)

assert handlers


def name_of(row: Row) -> str:
    return row.request.method()


def declared() -> set[type[VCenterRequest[Any]]]:
    """All requests, also those that a row was forgotten for."""
    found: set[type[VCenterRequest[Any]]] = set()
    new = set(VCenterRequest.__subclasses__())
    while new:
        found |= new
        new = {kind for known in new for kind in known.__subclasses__()} - found
    return found


def test_every_method_has_one_row_and_one_handler() -> None:
    methods = [name_of(row) for row in ROWS]
    assert len(methods) == len(set(methods))
    assert set(HANDLERS) == set(methods)
    assert declared() - {VCenterQuery} == {row.request for row in ROWS}


def test_no_two_rows_are_the_same_command() -> None:
    commands = [row.command for row in ROWS if row.command]
    assert len(commands) == len(set(commands))


@pytest.mark.parametrize("row", ROWS, ids=name_of)
def test_a_handler_takes_the_request_and_returns_its_answer(row: Row) -> None:
    hints = typing.get_type_hints(HANDLERS[name_of(row)])
    assert hints["return"] == (row.request.answer() or type(None))
    *_, request = inspect.signature(HANDLERS[name_of(row)]).parameters
    assert issubclass(row.request, hints[request])


@pytest.mark.parametrize("row", ROWS, ids=name_of)
def test_a_row_is_complete(row: Row) -> None:
    fields = set(row.request.__struct_fields__)
    assert set(re.findall(r"{(\w+)}", row.entity)) <= fields, "the entity is in the request"
    assert row.help.endswith(".")
    assert "\n" not in row.help
    assert (row.example or row.command).split()[:1] == [row.command][: len(row.command)]


VALUES: dict[Any, Any] = {
    KEY_ID: "KMS/1b2c",
    PAIR: "name=value",
    bool: None,
    int: "30",
    click.BOOL: "yes",
    click.UUID: "4b9d1d2c-6a0e-4f0e-9c53-0d5a3d8a9e11",
}


def value_of(kind: Any, folder: Any) -> str | None:
    """Something that an argument takes."""
    if isinstance(kind, click.Choice):
        return str(kind.choices[0])
    if isinstance(kind, click.IntRange):
        return str(kind.min or 1)
    if getattr(kind, "name", "") == "file":
        file = folder / "file"
        file.write_text("content")
        return str(file)
    return typing.cast("str | None", VALUES.get(kind, "text"))


@pytest.mark.parametrize("row", [row for row in ROWS if row.command], ids=name_of)
def test_the_command_line_makes_the_request(row: Row, tmp_path: Any) -> None:
    requests = []

    def call(_context: Any, row: Row, values: dict[str, Any]) -> None:
        requests.append(convert(values, row.request))

    words = []
    for argument in row.arguments:
        kind = argument.type.type if isinstance(argument.type, Many) else argument.type
        value = value_of(kind, tmp_path)
        words += [argument.declaration] if argument.is_option else []
        words += [] if value is None else [value]
    options = [word for word in words if word.startswith("--")]
    result = CliRunner().invoke(subcommand(row, "x", call), words, obj=())
    assert result.exit_code == 0, result.output
    [request] = requests
    assert isinstance(request, row.request)
    defaults = {field for field in request.__struct_fields__ if getattr(request, field) is None}
    assert not defaults or len(options) <= len(request.__struct_fields__)


def test_values_that_were_not_given_are_not_sent() -> None:
    [row] = [row for row in ROWS if row.command == "encrypt-vm"]
    values = {"name": "db1", "provider": None, "part": (), "require_policy": None}
    assert parameters(row, values) == {"name": "db1"}


def test_the_group_has_all_commands_and_the_help_of_each() -> None:
    context = click.Context(vcenter_call)
    commands = vcenter_call.list_commands(context)
    assert set(commands) == {row.command for row in ROWS if row.command} | {
        "export-provider",
        "set-password",
    }
    for name in commands:
        command = vcenter_call.get_command(context, name)
        assert command is not None
        assert "Example:" in command.get_help(click.Context(command))


EVENT = {
    "key": 7,
    "createdTime": "2026-11-24T12:00:00.000+00:00",
    "userName": "Zoë",
    "eventTypeId": "com.vmware.vc.vm.Crypto.VMLocked.KeyMissingOnKMS",
    "severity": "error",
    "entity": {"type": "machine", "name": "täglich\n2", "uuid": ""},
    "message": "it is locked",
}


def shown_by(command: str, answer: Any, *options: str) -> str:
    """What a command prints for an answer."""
    printed: list[str] = []

    def call(context: Any, row: Row, _values: dict[str, Any]) -> None:
        printed.append(shown(context, row, answer))

    [row] = [row for row in ROWS if row.command == command]
    result = CliRunner().invoke(subcommand(row, "x", call), options, obj=())
    assert result.exit_code == 0, result.output
    return printed[0]


def test_an_event_is_one_line_unless_all_of_it_is_wanted() -> None:
    short = {**EVENT, "entity": None, "severity": "info", "userName": "vCenter"}
    first, second = shown_by("events", [EVENT, short]).split("\n")
    assert first.split("  ")[0] == EVENT["createdTime"]
    assert first.endswith("vm.Crypto.VMLocked.KeyMissingOnKMS  it is locked")
    assert "machine/täglich\\n2" in first
    assert second.split()[1:4] == ["info", "vCenter", "-"]
    assert first.index("vm.Crypto") == second.index("vm.Crypto"), "they are in columns"
    assert shown_by("events", []) == ""
    assert "key: 7" in shown_by("events", [EVENT], "--verbose")


def test_a_line_says_what_became_of_each_machine() -> None:
    results = [
        {"machine": "db1", "unlocked": True},
        {"machine": "db2", "unlocked": False, "outcome": "locked", "reason": "no key"},
        {"machine": "täglich 3", "unlocked": True, "outcome": "notLocked"},
        {"machine": "web", "unlocked": True, "outcome": "notEncrypted"},
    ]
    assert shown_by("reconnect-host", results, "esx01").split("\n") == [
        "db1        unlocked",
        "db2        locked: no key",
        "täglich 3  unlocked already",
        "web        not encrypted",
    ]
    assert shown_by("unlock-vm", results[0], "db1") == "db1  unlocked"
    assert "no virtual machines" in shown_by("reconnect-host", [], "esx01")


def test_an_answer_is_a_line_for_each_value() -> None:
    answer = [{"name": "db1", "keyIds": [{"keyId": "k"}], "disks": [], "locked": True}]
    assert text(answer) == "name: db1\nkeyIds:\n  keyId: k\ndisks: none\nlocked: yes"
