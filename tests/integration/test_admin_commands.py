"""``kmipkit admin`` against a server in a process of its own, and on the files that it leaves."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from kmipkit_certs.authority import Purpose
from kmipkit_certs.directory import Directory
from kmipkit_client import Client, OperationFailed
from servers import RunningServer

from kmipkit.cli import main
from kmipkit.spec.enums import CryptographicAlgorithm

AES = CryptographicAlgorithm.AES


class Administrator:
    """Runs commands with the options for a server."""

    def __init__(self, server: RunningServer) -> None:
        self.server = server

    def options(self, account: str = "admin") -> list[str]:
        files = self.server.credentials(account)
        address = f"127.0.0.1:{self.server.port}"
        return ["--server", address, *(f"--{name}={path}" for name, path in files.items())]

    def run(self, *command: str, account: str = "admin") -> Result:
        return CliRunner().invoke(main, ["admin", *command, *self.options(account)])

    def output(self, *command: str) -> str:
        result = self.run(*command)
        assert result.exit_code == 0, result.output
        return result.output

    def json(self, *command: str) -> list[Any]:
        return [json.loads(line) for line in self.output(*command, "--json").splitlines()]

    def offline(self, *command: str) -> Result:
        folder = str(self.server.folder)
        return CliRunner().invoke(main, ["admin", *command, "--data-dir", folder])


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with objects of two accounts."""
    server = RunningServer(tmp_path_factory.mktemp("admin") / "data").start()
    with server.client("db01") as client:
        client.activate(client.create(AES, 256, name="db-1"))
        client.create(AES, 128, name="db-2")
    with server.client("web01") as client:
        client.create(AES, 256, name="web-1")
    yield server
    server.end()


@pytest.fixture
def admin(shared: RunningServer) -> Administrator:
    return Administrator(shared)


def names(objects: list[Any]) -> list[str]:
    return [name for each in objects for name in each["names"]]


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ([], ["web-1", "db-2", "db-1"]),
        (["--owner", "db01"], ["db-2", "db-1"]),
        (["--state", "active"], ["db-1"]),
        (["--name", "db-?"], ["db-2", "db-1"]),
        (["--type", "symmetric-key", "--sort", "created"], ["db-1", "db-2", "web-1"]),
        (["--sort", "name"], ["db-1", "db-2", "web-1"]),
        (["--sort", "-length", "--owner", "db01"], ["db-1", "db-2"]),
        (["--attribute", "Cryptographic Length=128"], ["db-2"]),
        (["--created-after", "1h"], ["web-1", "db-2", "db-1"]),
        (["--created-before", "1h"], []),
        (["--limit", "1"], ["web-1"]),
        (["--owner", "nobody"], []),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_a_list_has_the_objects_that_meet_all_conditions(
    admin: Administrator, options: list[str], found: list[str]
) -> None:
    assert names(admin.json("objects", "list", *options)) == found


def test_tables_are_for_people(admin: Administrator) -> None:
    header, *rows = admin.output("objects", "list", "--columns", "owner,name,state").splitlines()
    assert header.split() == ["OWNER", "NAME", "STATE"]
    assert rows[0].split() == ["web01", "web-1", "Pre-Active"]
    totals = admin.output("objects", "totals")
    assert ["owner", "db01", "2"] in [row.split() for row in totals.splitlines()]
    accounts = admin.output("accounts", "list")
    assert any(row.split()[:2] == ["db01", "2"] for row in accounts.splitlines())
    sessions = admin.output("sessions", "list")
    assert "TLSv1.3" in sessions


def test_an_object_is_shown_with_its_state_and_owner(admin: Administrator) -> None:
    [listed] = admin.json("objects", "list", "--name", "db-1")
    shown = admin.output("objects", "show", listed["id"])
    assert "State              Active (activated 2" in shown
    assert "Owner              db01" in shown
    [details] = admin.json("objects", "show", listed["id"])
    assert details["may_use"] == ["db01"]


@pytest.mark.parametrize(
    ("command", "code", "message"),
    [
        (["objects", "show", "missing"], 1, "there is no object 'missing'"),
        (["objects", "list", "--state", "gone"], 1, "state must be one of: pre-active, active"),
        (["objects", "list", "--columns", "gone"], 2, "'gone' is not one of id, type"),
        (["objects", "list", "--sort", "gone"], 2, "'gone' is not one of id, type"),
        (["objects", "list", "--created-after", "gone"], 2, "is not a time such as"),
        (["accounts", "show", "missing"], 1, "there is no account 'missing'"),
        (["accounts", "transfer", "a", "a"], 1, "both names are the same"),
        (["users", "show", "missing"], 1, "there is no user 'missing'"),
        (["users", "add", "bob"], 1, "no terminal to ask for it; give a file with --password-file"),
        (["groups", "members", "missing", "--add", "x"], 1, "there is no group 'missing'"),
        (["sessions", "close", "4711"], 1, "there is no connection 4711"),
        (["accounts", "block", "\udcff"], 1, "an argument is not valid UTF-8"),
        (["objects", "list", "--name", "\udcff"], 1, "an argument is not valid UTF-8"),
        (["groups", "add", "\udcff"], 1, "an argument is not valid UTF-8"),
        (["objects", "list", "--limit", "9" * 25], 2, "is not in the range"),
        (["audit", "query", "--limit", "9" * 25], 2, "is not in the range"),
        (["policy", "revert", "9" * 25], 1, "the parameter number"),
        (["clock", "advance", "30d"], 1, "the server is not in test mode"),
        (
            ["accounts", "block", "db02", "--reason", "x" * 2_000_000],
            1,
            "and a server takes 1048576",
        ),
        (["sessions", "close"], 2, "give either numbers of connections, or --account"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_an_error_is_one_line_that_says_what_to_do(
    admin: Administrator, command: list[str], code: int, message: str
) -> None:
    result = admin.run(*command)
    assert result.exit_code == code
    assert message in result.output
    assert "Traceback" not in result.output
    if code == 1:
        assert len(result.output.splitlines()) == 1


def test_what_prevents_a_connection_is_said(admin: Administrator, tmp_path: Path) -> None:
    not_permitted = admin.run("objects", "list", account="db01")
    assert "'db01' is not an administrator; the setting identity.administrators" in (
        not_permitted.output
    )
    command, own = ["admin", "objects", "list"], admin.options()
    nobody = CliRunner().invoke(main, [*command, *own, "--server=127.0.0.1:1"])
    assert "is a key server running there? --server HOST:PORT" in nobody.output
    several = CliRunner().invoke(main, [*command, *own, "--server=kms1,kms2"])
    assert (several.exit_code, "asks one server" in several.output) == (2, True)
    other = Directory(tmp_path / "other")
    other.init("other", "ecdsa-p256", datetime.now(UTC))
    wrong_ca = CliRunner().invoke(main, [*command, *own, f"--ca={other.ca}"])
    assert "--ca names the certificate authorities" in wrong_ca.output
    other.issue("admin", Purpose.CLIENT, datetime.now(UTC))
    files = other.files("admin")
    foreign = [f"--cert={files.cert}", f"--key={files.key}"]
    wrong_cert = CliRunner().invoke(main, [*command, *own, *foreign])
    assert "--cert" in wrong_cert.output
    missing = CliRunner().invoke(main, ["admin", "objects", "list"], env={"KMIPKIT_CERT": ""})
    assert missing.exit_code == 2
    assert "--cert and --key, or KMIPKIT_CERT and KMIPKIT_KEY" in missing.output
    for result in (not_permitted, nobody, wrong_ca, wrong_cert):
        assert (result.exit_code, len(result.output.splitlines())) == (1, 1)


def test_the_audit_and_the_configuration_are_there_online_too(admin: Administrator) -> None:
    [create, *_] = admin.json("audit", "query", "--account", "db01", "--operation", "create")
    assert create["client"]["account"] == "db01"
    assert "Create" in admin.output("audit", "tail", "--lines", "1000")
    assert "limits.connections" in admin.output("config", "show")
    failed = admin.run("audit", "query", "--outcome", "failed", "--json")
    records = [json.loads(line) for line in failed.output.splitlines()]
    assert all(each["outcome"] == "failed" for each in records)


def test_closing_a_session_ends_the_connection(admin: Administrator) -> None:
    with admin.server.raw("web02") as stream:
        [session] = admin.json("sessions", "list", "--account", "web02")
        assert session["account"] == "web02"
        assert "closed: connection" in admin.output("sessions", "close", str(session["number"]))
        assert stream.recv(1) == b""
    with admin.server.raw("web02") as stream:
        admin.output("sessions", "close", "--account", "web02")
        assert stream.recv(1) == b""


def test_what_was_acknowledged_survives_a_kill(own_server: RunningServer, tmp_path: Path) -> None:
    """A blocked thief would be back after a crash, and a renamed client without its keys."""
    server = own_server.start()
    admin = Administrator(server)
    with server.client("old") as client:
        client.create(AES, 256, name="k")
    file = tmp_path / "password"
    file.write_text("correct horse\n")
    admin.output("accounts", "block", "thief", "--reason", "stolen")
    admin.output("accounts", "transfer", "old", "new")
    admin.output("users", "add", "bob", "--password-file", str(file))
    admin.output("groups", "add", "operators")
    admin.output("groups", "members", "operators", "--add", "bob")
    in_use = admin.offline("objects", "list")
    assert in_use.exit_code == 1
    assert "is in use by a server (process" in in_use.output
    assert "with --server HOST:PORT" in in_use.output
    server.kill()

    assert "k" in admin.offline("objects", "list", "--owner", "new").output.split()
    assert "bob" in admin.offline("users", "list").output
    assert "Members            bob" in admin.offline("groups", "show", "operators").output
    shown = admin.offline("accounts", "show", "thief").output
    assert "by admin: stolen" in shown
    missing = admin.offline("objects", "show", "missing")
    assert (missing.exit_code, missing.output) == (1, "Error: there is no object 'missing'\n")

    server.port = 0
    server.start()
    with server.client("new") as client:
        assert len(client.locate(name="k").ids) == 1
    thief = server.client("thief")
    with thief, pytest.raises(OperationFailed, match="has blocked the account"):
        thief.locate()
    assert "0 objects transferred" in admin.output("accounts", "transfer", "old", "new")
    assert "may send requests again" in admin.output("accounts", "unblock", "thief")
    verified = CliRunner().invoke(
        main, ["admin", "audit", "verify", "--data-dir", str(server.folder)]
    )
    assert "intact" in verified.output


def test_certificates_are_listed_with_their_ends(admin: Administrator) -> None:
    found = admin.json("certificates")
    assert {"server", "client-authority", "client"} == {each["role"] for each in found}
    assert {"db01", "web01"} <= {each["name"] for each in found}
    assert [each["expires"] for each in found] == sorted(each["expires"] for each in found)
    assert "client-authority" in admin.output("certificates")
    assert admin.run("certificates", "--days", "30").output == "no certificate ends in this time\n"


def test_a_client_is_enrolled_while_the_server_runs(
    shared: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    password = tmp_path / "password"
    password.write_text("secret\n")
    monkeypatch.chdir(tmp_path)
    arguments = [
        "admin", "enrol", "mongodb", "--data-dir", str(shared.folder),
        "--pkcs12-password-file", str(password), "--jks",
    ]  # fmt: skip
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert "mongodb.p12" in result.output
    assert "mongodb.jks" in result.output
    folder = tmp_path / "mongodb"
    with Client(
        "127.0.0.1", shared.port, ca=folder / "ca.crt", cert=folder / "mongodb.pem"
    ) as client:
        client.create(AES, 256, name="of mongodb")
    certs = shared.folder / "certs"
    assert (certs / "mongodb.crt").exists()
    assert not (certs / "mongodb.key").exists(), "the server needs no key of a client"

    again = CliRunner().invoke(main, arguments)
    assert again.exit_code == 1
    assert "kmipkit certs renew" in again.output
    for name in ("user:bob", "../up", ""):
        refused = CliRunner().invoke(main, [*arguments[:2], name, *arguments[3:]])
        assert refused.exit_code == 1, refused.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mongodb", "password"]


def test_a_client_whose_bundle_cannot_be_written_is_not_enrolled(
    shared: RunningServer, tmp_path: Path
) -> None:
    password = tmp_path / "password"
    password.write_text("secret\n")
    result = CliRunner().invoke(
        main,
        ["admin", "enrol", "array9", "--data-dir", str(shared.folder), "--out", str(tmp_path),
         "--pkcs12-password-file", str(password)],
    )  # fmt: skip
    assert result.exit_code == 1
    assert not (shared.folder / "certs/array9.crt").exists()
    config = tmp_path / "kms.toml"
    config.write_text('[tls]\ncert = "a"\nca = "b"\n')
    result = CliRunner().invoke(main, ["admin", "enrol", "array9", "--config", str(config)])
    assert "certificates of its own" in result.output
    missing = str(tmp_path / "none")
    result = CliRunner().invoke(main, ["admin", "enrol", "array9", "--data-dir", missing])
    assert "the first start of the server makes it" in result.output
