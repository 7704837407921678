"""Every operation of every version has a method in both clients and a command."""

import inspect
import json
import shlex
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from kmipkit_client import AsyncClient, Client, OperationFailed, calls, crypto_calls, payload_calls
from kmipkit_client.cli import client
from kmipkit_client.json_values import from_json, from_text
from kmipkit_client.payload_command_table import COMMANDS
from kmipkit_server.operations import table as served
from servers import RunningServer

from kmipkit.cli import main
from kmipkit.errors import LocalProtocolError
from kmipkit.model import operations
from kmipkit.model.credentials import Credential, UsernameAndPassword
from kmipkit.model.objects import ManagedObject, SecretData
from kmipkit.model.operations import STANDARD
from kmipkit.model.payloads.accounts import PasswordCredential
from kmipkit.model.payloads.limits import Rights
from kmipkit.model.structure import Structure
from kmipkit.spec.enums import CredentialType, ObjectType, Operation, SplitKeyMethod
from kmipkit.spec.operation_spec import Side
from kmipkit.spec.versions import V2_1, V3_0, Version

OF_CLIENTS = [row.operation for row in STANDARD if Side.FROM_CLIENT in row.sides]

OTHER_COMMANDS = {
    Operation.GET_ATTRIBUTES: "attributes",
    Operation.DISCOVER_VERSIONS: "discover",
}


@pytest.mark.parametrize("operation", OF_CLIENTS, ids=lambda operation: operation.name)
def test_an_operation_has_a_method_a_call_and_a_command(operation: Operation) -> None:
    """Who needs an operation of the standard need not write its payload."""
    name = operation.name.lower()
    name = "import_" if name == "import" else name
    for cls in (Client, AsyncClient):
        method = getattr(cls, name)
        assert inspect.getdoc(method), name
        assert inspect.iscoroutinefunction(method) == (cls is AsyncClient)
    function = "digest" if name == "hash" else name
    assert any(hasattr(module, function) for module in (calls, crypto_calls, payload_calls))
    command = OTHER_COMMANDS.get(operation, operation.name.lower().replace("_", "-"))
    context = click.Context(client)
    assert command in client.list_commands(context)
    assert client.get_command(context, command) is not None


def test_what_the_client_repeats_writes_nothing_in_the_server() -> None:
    """A second attempt after a broken connection must find what the first one found."""
    writing = {row.operation for row in served.STANDARD if row.writes}
    repeated = {row.operation for row in STANDARD if row.may_be_repeated}
    assert not writing & repeated
    assert {Operation.PING, Operation.EXPORT, Operation.GET_CONSTRAINTS} <= repeated


def test_defaults_of_methods_and_calls_are_the_same() -> None:
    """A call in a batch does what the method does."""
    for module in (calls, crypto_calls, payload_calls):
        for name, function in inspect.getmembers(module, inspect.isfunction):
            method = getattr(Client, {"digest": "hash"}.get(name, name), None)
            if method is None or name.startswith("_") or function.__module__ != module.__name__:
                continue
            ours = inspect.signature(function).parameters.values()
            theirs = [
                each
                for each in inspect.signature(method).parameters.values()
                if each.name != "self"
            ]
            without = {(), inspect.Parameter.empty}  # of what methods take as *arguments
            defaults = {each.default for each in ours} - without
            assert defaults == {each.default for each in theirs} - without, name


# --- on the command line -------------------------------------------------------------------------

FILES = {
    "object.json": {
        "SecretData": {
            "secret_data_type": "PASSWORD",
            "key_block": {
                "key_format_type": "OPAQUE",
                "key_value": {"KeyValue": {"key_material": "00"}},
            },
        }
    },
    "parameters.json": {"derivation_data": ["abcd"]},
    "sha256.json": {"hashing_algorithm": "SHA_256"},
    "ticket.json": {"ticket_type": "LOGIN", "ticket_value": "abcd"},
    "rights.json": {"rights": [{"operations": {"operations": ["GET", "LOCATE"]}}]},
    "request.json": {"certificate_request_type": "PEM", "certificate_request_value": "00"},
    "defaults.json": {
        "object_defaults": [
            {"object_type": "SYMMETRIC_KEY", "attributes": {"Cryptographic Length": 256}}
        ]
    },
    "constraints.json": {"constraints": [{"attributes": {"Cryptographic Algorithm": "AES"}}]},
    "credential.json": {"PasswordCredential": {"password": "s3cret"}},
}


@pytest.fixture
def examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with the files that the examples name."""
    for name, data in FILES.items():
        (tmp_path / name).write_text(json.dumps(data))
    for name in ("seed.bin", "message.bin", "message.sig", "message.mac"):
        (tmp_path / name).write_bytes(bytes(32))
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("examples")
@pytest.mark.parametrize("name", COMMANDS)
def test_the_example_of_a_command_makes_a_request(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the help shows can be typed like that."""
    made: list[Any] = []

    def request(_self: Client, operation: Operation, payload: Structure) -> None:
        made.append(calls.raw(operation, payload).build(V3_0))

    monkeypatch.setattr(Client, "request", request)
    monkeypatch.setattr(Client, "version", lambda _self: V3_0)
    arguments = [name, *shlex.split(COMMANDS[name].example)]
    result = CliRunner().invoke(client, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert len(made) == 1
    shown = CliRunner().invoke(client, [name, "--help"], catch_exceptions=False).output
    assert "Example" in shown
    assert "--json" in shown


def run(server: RunningServer, *arguments: str, version: str = "2.1") -> Any:
    files = server.credentials("commands")
    options = [f"--{name}={path}" for name, path in files.items()]
    options += [f"--server=127.0.0.1:{server.port}", f"--kmip={version}"]
    return CliRunner().invoke(client, [*options, *arguments], catch_exceptions=False)


@pytest.mark.usefixtures("examples")
@pytest.mark.parametrize("version", ["1.0", "2.1", "3.0"])
def test_a_command_says_what_prevents_it(server: RunningServer, version: str) -> None:
    """An operation of 3.0 in an ordinary connection ended with a traceback."""
    files = server.credentials("commands")
    options = [f"--{name}={path}" for name, path in files.items()]
    options += [f"--server=127.0.0.1:{server.port}", f"--kmip={version}"]
    number = Version(*map(int, version.split(".")))
    for name, row in COMMANDS.items():
        result = CliRunner().invoke(main, ["client", *options, name, *shlex.split(row.example)])
        assert result.exception is None or isinstance(result.exception, SystemExit), (name, result)
        known = operations.row(Operation[row.operation])
        assert known is not None
        if number < known.since:
            assert result.exit_code == 1, name
            assert f"needs KMIP {known.since} or later" in result.output, name
            assert ("--kmip 3.0" in result.output) == (known.since == V3_0), name


def test_nothing_is_not_registered(server: RunningServer) -> None:
    """With an unset variable, an empty password was stored, without a word."""
    for kind in ("secret", "opaque", "key", "certificate"):
        result = run(server, "register", kind, "-")
        assert (result.exit_code, "is empty" in result.output) == (1, True)


def test_methods_and_batches_say_which_version_an_operation_needs(server: RunningServer) -> None:
    with server.client("versions", version=V2_1) as kms:
        with pytest.raises(LocalProtocolError, match="Obliterate needs KMIP 3"):
            kms.obliterate("key")
        before = kms.locate().ids
        with (
            pytest.raises(LocalProtocolError, match="Deactivate needs KMIP 3"),
            kms.batch() as batch,
        ):
            batch.deactivate(batch.create())
        assert kms.locate().ids == before, "nothing was sent"


def test_commands_from_the_table_work(server: RunningServer, tmp_path: Path) -> None:
    key = run(server, "create", "--name", "to archive").output.strip()
    assert key in run(server, "archive", key).output
    assert key in run(server, "recover", key, "--json").output
    assert run(server, "ping").output == ""
    secret = "5ec2e7"
    password = tmp_path / "password"
    password.write_bytes(bytes.fromhex(secret))
    registered = run(server, "register", "secret", str(password)).output.strip()
    exported = run(server, "export", registered).output
    assert "<redacted>" in exported
    assert secret not in exported
    assert secret in run(server, "export", registered, "--show-secrets").output
    assert "ObjectType" in run(server, "export", registered, "--json").output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["login", "--lease-time", "soon"], "--lease-time: 'soon' is not valid"),
        (["logout", "@missing.json"], "missing.json: No such file"),
        (["logout", "{"], "TICKET: not JSON"),
        (["logout", '{"ticket_kind": "LOGIN"}'], "no field 'ticket_kind'"),
        (["logout", '{"ticket_type": "LOGIN"}'], "'ticket_value' is missing"),
        (["poll", "xyz"], "'xyz' is not valid"),
        (["set-endpoint-role", "GUEST"], "'GUEST' is not one of CLIENT, SERVER"),
        (["create-user", "--attribute", "Name"], "'Name' is not NAME=VALUE"),
        (["import", "1", "--object-type", "SECRET_DATA", "--object", "{}"], "one key of"),
    ],
)
def test_what_is_not_valid_is_named(
    server: RunningServer, arguments: list[str], message: str
) -> None:
    files = server.credentials("commands")
    options = [f"--{name}={path}" for name, path in files.items()]
    result = CliRunner().invoke(client, [*options, *arguments], catch_exceptions=False)
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())


def test_json_becomes_structures() -> None:
    value = from_json("object", ManagedObject, FILES["object.json"])
    assert isinstance(value, SecretData)
    rights = from_text("rights", Rights, json.dumps(FILES["rights.json"]))
    assert rights.rights[0].operations.operations == (Operation.GET, Operation.LOCATE)
    assert from_json("credential", PasswordCredential, {"password": "x"}).password == "x"


# --- methods -------------------------------------------------------------------------------------


def test_a_key_is_split_and_joined(server: RunningServer) -> None:
    with server.client("split", version=V2_1) as kms:
        key = kms.create(name="whole")
        parts = kms.create_split_key(
            object_type=ObjectType.SPLIT_KEY,
            unique_identifier=key,
            split_key_parts=3,
            split_key_threshold=3,
            split_key_method=SplitKeyMethod.XOR,
        )
        assert len(parts) == 3
        joined = kms.join_split_key(object_type=ObjectType.SYMMETRIC_KEY, unique_identifiers=parts)
        assert kms.get(joined).key_block.key_value == kms.get(key).key_block.key_value  # type: ignore[union-attr]  # keys


def test_a_ticket_is_obtained_and_given_back(server: RunningServer) -> None:
    with server.client("tickets", version=V2_1) as kms:
        ticket = kms.login(lease_time=60)
        kms.logout(ticket)
        with pytest.raises(OperationFailed):
            kms.logout(ticket)


def test_users_of_3_0(server: RunningServer) -> None:
    with server.client(version=V3_0) as kms:
        credential = kms.create_credential(
            credential_type=CredentialType.PASSWORD,
            credential=PasswordCredential(password="s3cret"),
            attributes={"Name": "password of eve"},
        )
        user = kms.create_user(attributes={"Name": "eve", "Credential Link": credential})
        assert user != credential
    login = Credential(
        credential_type=CredentialType.USERNAME_AND_PASSWORD,
        credential_value=UsernameAndPassword(username="eve", password="s3cret"),
    )
    with server.client("eve", version=V3_0, credential=login) as kms:
        kms.ping()
