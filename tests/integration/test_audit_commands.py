"""The audit log from outside: a server, its clients, and the commands of its administrator."""

import json
import resource
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from kmipkit_client import OperationFailed
from servers import RunningServer

from kmipkit.cli import main


def admin(server: RunningServer, *arguments: str, status: int = 0) -> str:
    """The output of ``kmipkit admin audit``."""
    command = ["admin", "audit", *arguments]
    if "--public-key" not in arguments:
        command += ["--data-dir", str(server.folder)]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == status, result.output
    return str(result.output)


def records(server: RunningServer, *arguments: str) -> list[dict[str, Any]]:
    """The records that a query finds."""
    return [json.loads(line) for line in admin(server, "query", "--json", *arguments).splitlines()]


def refused(server: RunningServer, identity: str, key: str) -> None:
    with server.client(identity) as client, pytest.raises(OperationFailed):
        client.get(key)


def test_who_has_fetched_a_key(own_server: RunningServer, tmp_path: Path) -> None:
    """The administrator asks about one key, while the server runs; then tampers, and is found out."""
    server = own_server.start()
    with server.client("db 01") as client:
        key, other = client.create(name="Gehälter"), client.create(name="other")
        client.get(key)
        client.get(other)
        client.locate(name="Gehälter")
    refused(server, "eve", key)

    rows = records(server, "--object", key, "--operation", "get")
    assert [(row["client"]["account"], row["outcome"]) for row in rows] == [
        ("db 01", "success"), ("eve", "failed"),
    ]  # fmt: skip
    granted, denied = rows
    assert granted["time"].endswith("Z")
    assert granted["client"]["address"] == "127.0.0.1"
    serial = granted["client"]["certificate"]
    assert serial
    assert serial != denied["client"]["certificate"]
    assert denied["reason"] == "Permission Denied"

    table = admin(server, "query", "--object", key)
    assert [line.split()[-1] for line in table.splitlines()[1:4]] == ["success"] * 3
    assert "Permission Denied" in table
    assert other not in table
    assert [row["n"] for row in records(server, "--certificate", serial, "--object", key)] == [
        row["n"] for row in records(server, "--account", "db 01", "--object", key)
    ]
    assert not records(server, "--address", "10.0.0.0/8")
    assert len(records(server, "--address", "127.0.0.0/8", "--since", "1h", "--limit", "2")) == 2
    assert not records(server, "--until", "2026-01-01")
    assert len(records(server, "--reason", "permission-denied", "--outcome", "failed")) == 1

    misspelled = admin(server, "query", "--json", "--operation", "Gett")
    assert "there is no operation 'Gett'; did you mean Get?" in misspelled, (
        "nobody has fetched keys?"
    )
    assert "did you mean Permission Denied?" in admin(
        server, "query", "--reason", "Permision Denied"
    )
    assert "eve" in admin(server, "tail", "--lines", "3")
    exported = tmp_path / "export.jsonl"
    admin(server, "export", "--object", key, "--out", str(exported))
    assert len(exported.read_text().splitlines()) == len(records(server, "--object", key))
    cef = admin(server, "export", "--format", "cef", "--account", "eve", "--operation", "Get")
    [line] = cef.splitlines()
    assert line.startswith("CEF:0|kmipkit|kmipkit|")
    assert "suser=eve src=127.0.0.1" in line
    assert f"cs1={key}" in line

    assert "intact" in admin(server, "verify")
    public_key = tmp_path / "audit.pem"
    public_key.write_text(admin(server, "public-key"))
    log = server.folder / "audit"
    elsewhere = ("verify", str(log), "--public-key", str(public_key))
    server.stop()
    assert "intact" in admin(server, *elsewhere)
    [file] = [each for each in log.rglob("*.jsonl") if b'"account":"eve"' in each.read_bytes()]
    assert "intact" in admin(server, "verify", str(file), "--public-key", str(public_key))
    report = json.loads(admin(server, "verify", "--json"))
    assert report["problems"] == []
    file.write_bytes(file.read_bytes().replace(b'"account":"eve"', b'"account":"bob"'))
    for arguments in (("verify",), elsewhere):
        output = admin(server, *arguments, status=1)
        assert f"{file.name}:{denied['n']}: record {denied['n']} (" in output
        assert "not intact" in output


def test_records_survive_a_kill(own_server: RunningServer) -> None:
    server = own_server.start()
    with server.client() as client:
        key = client.create()
        client.get(key)
        client.get(key)
        server.kill()
    assert len(records(server, "--object", key, "--operation", "get")) == 2
    assert "intact" in admin(server, "verify")
    server.start().stop()
    assert "intact" in admin(server, "verify")
    assert not records(server, "--outcome", "not-committed")


def test_nothing_is_served_while_the_disk_of_the_log_is_full(own_server: RunningServer) -> None:
    own_server.arguments = ("--workers", "1")  # which then has one log
    with own_server.start().client() as client:
        key = client.create()
        client.get(key)
        limit_log(own_server)
        for call in (lambda: client.get(key), client.create):
            with pytest.raises(OperationFailed, match="audit log") as error:
                call()
            assert error.value.reason is not None
            assert error.value.reason.name == "GENERAL_FAILURE"
        limit_log(own_server, is_full=False)
        client.get(key)
        assert client.create()
    lines = [line for line in own_server.lines() if "audit log" in line]
    assert len(lines) == 2
    assert "refuses all requests" in lines[0]
    assert "is written again" in lines[1]
    assert "requests were refused" in admin(own_server, "verify")


def limit_log(server: RunningServer, *, is_full: bool = True) -> None:
    """No file of the server can grow beyond the size of its audit log."""
    assert server.process is not None
    [file] = (server.folder / "audit").iterdir()
    _, hard = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
    limit = file.stat().st_size if is_full else hard
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (limit, hard))


def test_wrong_arguments_are_explained(own_server: RunningServer, tmp_path: Path) -> None:
    assert "--since" in admin(own_server, "query", "--since", "yesterday", status=2)
    assert "--address" in admin(own_server, "query", "--address", "db.example", status=2)
    assert "--data-dir" in admin(own_server, "tail", status=1)
    no_key = tmp_path / "no key.pem"
    no_key.write_text("nothing")
    assert "public key in PEM" in admin(
        own_server, "verify", str(tmp_path), "--public-key", str(no_key), status=1
    )
    assert "--data-dir or --config says where" in admin(own_server, "verify", status=1)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ('sync = "never"', "audit.sync must be interval or answer"),
        ('on_failure = "panic"', "audit.on_failure must be refuse or serve"),
        ('syslog = "logs:514"', "audit.syslog must be tls://HOST:PORT"),
        ('syslog = "tls://logs"\nsyslog_ca = "none.crt"', "none.crt"),
        ("keep_days = 0", "audit.keep_days must be more than 0"),
        ("file_bytes = 10", "audit.file_bytes must be at least"),
        ('directory = "a file"', "is not a directory"),
        ("retention = 3", "unknown key 'retention'"),
    ],
)
def test_a_configuration_that_is_not_valid_is_refused(
    tmp_path: Path, lines: str, message: str
) -> None:
    (tmp_path / "a file").touch()
    config = tmp_path / "kms.toml"
    config.write_text(f"[store]\ndirectory = 'data'\n[audit]\n{lines}\n")
    result = CliRunner().invoke(main, ["serve", "--config", str(config), "--check-config"])
    assert result.exit_code == 1
    assert message in result.output
