"""Policies of a server in a process of its own: applied, explained, tested, taken back, reloaded."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from kmipkit_client import OperationFailed
from kmipkit_server.cli import serve
from servers import RunningServer

from kmipkit.cli import main
from kmipkit.spec.enums import CryptographicAlgorithm, ResultReason

AES = CryptographicAlgorithm.AES
READ_ONLY = '[rules."only reads"]\nwho = "db01"\ndeny = ["destroy objects", "change"]\n'
SHARE = (
    '[rules.share]\nwho = "web01"\nallow = "Get"\nobjects = { owners = "db01", names = "shared" }\n'
)


class Administrator:
    """Runs ``kmipkit admin policy``."""

    def __init__(self, server: RunningServer) -> None:
        self.server = server

    def run(self, *command: str, account: str = "admin") -> Result:
        files = self.server.credentials(account)
        options = [f"--{name}={path}" for name, path in files.items()]
        address = f"--server=127.0.0.1:{self.server.port}"
        return CliRunner().invoke(main, ["admin", "policy", *command, address, *options])

    def output(self, *command: str) -> str:
        result = self.run(*command)
        assert result.exit_code == 0, result.output
        return result.output

    def offline(self, *command: str) -> Result:
        arguments = ["admin", "policy", *command, "--data-dir", str(self.server.folder)]
        return CliRunner().invoke(main, arguments)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    server = RunningServer(tmp_path / "data")
    yield server
    server.end()


@pytest.fixture
def admin(server: RunningServer) -> Administrator:
    return Administrator(server)


def write(folder: Path, text: str, name: str = "policy.toml") -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def refusal(server: RunningServer, account: str, key: str) -> str:
    """ "" if an account gets a key, else what it is told."""
    with server.client(account) as client:
        try:
            client.get(key)
        except OperationFailed as failure:
            return str(failure) if failure.reason is ResultReason.PERMISSION_DENIED else "?"
    return ""


def test_a_policy_from_its_file_to_its_end(
    server: RunningServer, admin: Administrator, tmp_path: Path
) -> None:
    """What an administrator does with a policy, over TLS, and after the server has stopped."""
    server.start()
    with server.client("db01") as client:
        key = client.create(AES, 256, name="shared")
        assert "belongs to another account" in refusal(server, "web01", key)

        # Nobody but an administrator changes policies.
        file = write(tmp_path, SHARE)
        assert "not an administrator" in admin.run("apply", file, account="db01").output
        assert (
            admin.output("apply", file, "--comment", "for the cache") == "version 1 is in force\n"
        )
        assert refusal(server, "web01", key) == ""
        explained = admin.output("explain", "--account=web01", "--operation=get", "--object", key)
        assert explained.startswith("allowed by the rule 'share'\n")
        explained = admin.output("explain", "--account=x", "--operation=get", "--object", key)
        assert "denied: the object belongs to another account" in explained
        assert "no: who.accounts" in explained
        explained = admin.output(
            "explain", "--account=web01", "--operation=destroy", "--object", key
        )
        assert "no: another operation" in explained

        # The connection that is open already sees the change.
        admin.output("apply", write(tmp_path, READ_ONLY, "second.toml"))
        with pytest.raises(OperationFailed, match="denied by the rule 'only reads'"):
            client.destroy(key)
        assert "belongs to another account" in refusal(server, "web01", key)

    lines = admin.output("history").splitlines()
    assert [line.split()[0] for line in lines] == ["VERSION", "2*", "1"]
    assert "for the cache" in lines[2]
    assert READ_ONLY.splitlines()[0] in admin.output("show")
    assert "+[rules.share]" in admin.output("diff", "2", "1")
    assert "-[rules.share]" in admin.output("diff", "1")
    assert admin.output("revert", "1") == "version 1 is in force again\n"
    assert refusal(server, "web01", key) == ""
    assert "the policy has no version 7" in admin.run("revert", "7").output

    # Faults are said, and change nothing.
    faulty = write(tmp_path, "[rules.x]\nallow = 'Gett'\n", "faulty.toml")
    result = admin.run("apply", faulty)
    assert result.exit_code == 1
    assert "faulty.toml:2: rules.x.allow has 'Gett'" in result.output
    assert refusal(server, "web01", key) == ""

    # The directory is in use.
    assert "in use" in admin.offline("revert", "2").output
    server.stop()
    assert admin.offline("revert", "2").output == "version 2 is in force again\n"
    assert "only reads" in admin.offline("show").output
    history = admin.offline("history", "--json").output.splitlines()
    assert [json.loads(line)["active"] for line in history] == [True, False]
    server.start()
    assert "belongs to another account" in refusal(server, "web01", key)
    server.stop()
    check_audit(server)


def check_audit(server: RunningServer) -> None:
    """Each change is in the audit log, with its version and author, and the log is intact."""
    directory = ["--data-dir", str(server.folder)]
    log = CliRunner().invoke(main, ["admin", "audit", "query", "--json", *directory])
    records = [json.loads(line) for line in log.output.splitlines()]
    changes = [
        (each["operation"], each["subject"].split()[1], each["change"])
        for each in records
        if each.get("operation") in ("policy apply", "policy revert")
        and each["outcome"] == "success"
    ]
    assert changes == [
        ("policy apply", "1", True), ("policy apply", "2", True), ("policy revert", "1", True),
        ("policy revert", "2", True),
    ]  # fmt: skip
    assert any("denied by the rule" in each.get("message", "") for each in records)
    verified = CliRunner().invoke(main, ["admin", "audit", "verify", *directory])
    assert verified.exit_code == 0, verified.output


EXPECTATIONS = """
[[expect]]
account = "web01"
operation = "Get"
object = { owner = "db01", names = "shared", attributes = { "Cryptographic Length" = 256 } }
is = "allowed"
by = "share"

[[expect]]
account = "web01"
operation = "Destroy"
object = { owner = "db01", names = "shared" }
is = "denied"
"""


def test_expectations_are_tested_with_a_file_and_with_a_server(
    server: RunningServer, admin: Administrator, tmp_path: Path
) -> None:
    expected, policy = write(tmp_path, EXPECTATIONS, "expected.toml"), write(tmp_path, SHARE)
    server.start()
    result = admin.run("test", expected)
    assert result.exit_code == 1
    assert "line 2: web01: Get of shared of db01: must be allowed, but is denied" in result.output
    assert "1 of 2 expectations are not met" in result.output
    assert admin.output("test", expected, "--policy", policy) == "2 expectations are met\n"
    admin.output("apply", policy)
    assert admin.output("test", expected) == "2 expectations are met\n"
    lines = admin.output("test", expected, "--json").splitlines()
    assert [json.loads(line)["met"] for line in lines] == [True, True]


def reload(server: RunningServer, end: str = "reloaded") -> list[str]:
    """The lines of the log of a reload."""
    before = len(server.lines())
    server.signal(signal.SIGHUP)
    return server.wait_for_line(end, before)


def test_a_file_is_applied_when_it_changes_and_not_again(
    server: RunningServer, admin: Administrator, tmp_path: Path
) -> None:
    """A version that was taken back stays so until the file changes."""
    file = write(tmp_path, SHARE)
    config = write(tmp_path, f'[policy]\nfile = "{file}"\n', "server.toml")
    server.arguments = ("--config", config)
    server.start()
    assert any("policy: version 1 applied after version 0" in line for line in server.lines())
    with server.client("db01") as client:
        key = client.create(AES, 256, name="shared")
    assert refusal(server, "web01", key) == ""
    assert any("as it was applied last; version 1 stays" in line for line in reload(server))

    write(tmp_path, READ_ONLY)
    assert any("version 2 applied after version 1" in line for line in reload(server))
    assert "belongs to another account" in refusal(server, "web01", key)
    admin.output("revert", "1")
    assert any("version 1 stays in force" in line for line in reload(server))
    server.stop()
    server.start()
    assert refusal(server, "web01", key) == ""

    write(tmp_path, "[rules.x]\n")
    [line] = [line for line in reload(server) if "not reloaded" in line]
    assert "policy.toml:1: rules.x needs one of the keys" in line
    assert refusal(server, "web01", key) == ""
    server.stop()
    checked = CliRunner().invoke(serve, ["--check-config", *server.arguments, "--port", "0"])
    assert checked.exit_code == 1
    assert "policy.toml:1: rules.x needs one of the keys" in checked.output


def test_the_commands_need_no_server_for_a_file(tmp_path: Path) -> None:
    def run(*command: str) -> Any:
        return CliRunner().invoke(main, ["admin", "policy", *command])

    policy = write(tmp_path, SHARE)
    assert run("check", policy).output == f"{policy}: 1 rule, no faults\n"
    asked = ("--account=web01", "--operation=get", "--owner=db01", "--policy", policy)
    assert run("explain", *asked, "--name=shared").output.startswith("allowed by the rule 'share'")
    [answer] = [json.loads(run("explain", *asked, "--name=x", "--json").output)]
    assert (answer["allowed"], answer["by"]) == (False, "default")
    assert answer["rules"] == [{"name": "share", "effect": "allow", "unmet": "objects.names"}]
    result = run("explain", "--account=a", "--operation=get", "--policy", policy)
    assert "Get needs an object: name it, or describe it" in result.output, "and not: allowed"
    result = run("explain", "--account=a", "--operation=fly", "--policy", policy)
    assert (result.exit_code, result.output) == (1, "Error: there is no operation 'fly'\n")
    result = run("explain", *asked, "--object=1")
    assert result.exit_code == 2
    assert run("check", str(tmp_path / "missing")).exit_code == 1
    faulty = write(tmp_path, "[rules.x]\nallow = 'Gett'\n", "faulty.toml")
    result = run("check", faulty)
    assert result.exit_code == 1
    assert result.output.count("Error: ") == 2
