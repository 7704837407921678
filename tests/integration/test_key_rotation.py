"""Rotations of keys of a running server: under load, killed, from the command line, and into a token."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from kmipkit_client import ClientError, material
from servers import ANSWER_TIMEOUT, RunningServer
from tokens import Token, needs_softhsm

from kmipkit.cli import main

CLIENTS = 4


class Load:
    """Clients that create keys and get them, and all of the older ones again and again."""

    def __init__(self, server: RunningServer) -> None:
        self.server = server
        self.keys: dict[str, bytes] = {}
        self.faults: list[str] = []
        self.rounds = 0
        self._stop = threading.Event()
        self._progress = threading.Condition()

    def work(self) -> None:
        with self.server.client("writer") as client:
            try:
                while not self._stop.is_set():
                    identifier = client.create()
                    self.keys[identifier] = material(client.get(identifier))
                    for known, value in list(self.keys.items())[-20:]:
                        if material(client.get(known)) != value:
                            self.faults.append(f"{known} has changed")
                    with self._progress:
                        self.rounds += 1
                        self._progress.notify_all()
            except ClientError as error:
                if not self._stop.is_set():
                    self.faults.append(str(error))

    def wait(self, rounds: int) -> None:
        """Until the clients have done so much more."""
        with self._progress:
            goal = self.rounds + rounds
            assert self._progress.wait_for(
                lambda: self.rounds >= goal or self.faults, ANSWER_TIMEOUT
            )

    @contextmanager
    def running(self) -> Iterator["Load"]:
        threads = [threading.Thread(target=self.work) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            for thread in threads:
                thread.join(ANSWER_TIMEOUT)

    def check(self) -> None:
        """Each key is as it was."""
        assert not self.faults
        with self.server.client("writer") as client:
            for identifier, value in self.keys.items():
                assert material(client.get(identifier)) == value


def kmipkit(server: RunningServer, *arguments: str, fails: bool = False, **variables: str) -> str:
    """What a command of an administrator prints."""
    files = server.credentials()
    environment = {
        "KMIPKIT_SERVER": f"127.0.0.1:{server.port}",
        **{f"KMIPKIT_{name.upper()}": str(path) for name, path in files.items()},
        **variables,
    }
    done = CliRunner().invoke(main, list(arguments), env=environment)
    assert done.exit_code == int(fails), done.output
    return done.output if fails else done.stdout


def keys_of(server: RunningServer) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(kmipkit(server, "admin", "keys", "list", "--json"))
    return answer


def configure(server: RunningServer, root_key: str, **more: Any) -> None:
    """Another root key for the next start."""
    path = server.folder.parent / "kms.toml"
    values = {"root_key": root_key, **more}
    lines = "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items())
    path.write_text(f"[store]\n{lines}")
    server.arguments = ["--config", str(path)]


def test_root_and_data_keys_are_rotated_under_load(own_server: RunningServer) -> None:
    """No client notices, and nothing is lost; afterwards only the new root key opens the store."""
    server = own_server.start()
    server.credentials("writer")
    new = server.folder.parent / "new.key"
    with Load(server).running() as load:
        load.wait(8)
        [before] = keys_of(server)["root_keys"]
        printed = kmipkit(server, "admin", "keys", "rotate-root", "--to", f"file:{new}")
        assert f'set root_key = "file:{new}"' in printed
        load.wait(4)
        lines = kmipkit(server, "admin", "keys", "rotate-data", "--json").splitlines()
        load.wait(4)
    load.check()
    end = json.loads(lines[-1])
    assert end["rotation"] is None
    [after] = end["root_keys"]
    assert after["identifier"] != before["identifier"]
    assert after["place"] == f"file:{new}"
    server.stop()
    with pytest.raises(AssertionError, match="needs root key") as caught:
        server.start()
    assert after["identifier"] in str(caught.value)
    (
        server.folder / "root.key"
    ).unlink()  # it is of no use any more, but the configuration names it
    with pytest.raises(AssertionError, match=r"root key .* is missing") as caught:
        server.start()
    assert f"which was last at file:{new}" in str(caught.value)
    configure(server, str(new))
    server.start()
    load.check()
    # Of the clients there may be more records than a server returns.
    events = kmipkit(
        server, "admin", "audit", "query", "--account", "admin",
        "--server", f"127.0.0.1:{server.port}",
    )  # fmt: skip
    for event in ("keys rotate-root", "keys rotate-root ended", "keys rotate-data ended"):
        assert event in events


@pytest.mark.parametrize(
    "times", [1, pytest.param(8, marks=pytest.mark.long)], ids=["once", "many times"]
)
def test_a_server_that_is_killed_while_it_rotates_goes_on(
    own_server: RunningServer, times: int
) -> None:
    """At whatever place; with the old root key in the configuration, or with the new one."""
    server = own_server.start()
    server.credentials("writer")
    old = server.folder / "root.key"
    load = Load(server)
    with load.running():
        load.wait(20)
    for number in range(times):
        new = server.folder.parent / f"root-{number}.key"
        kmipkit(server, "admin", "keys", "rotate-root", "--to", str(new), "--no-wait")
        server.cut_power()
        needed = needed_root_keys(server, old, new)
        assert f"file:{new}" in needed
        configure(server, needed[number % len(needed)])
        server.start()
        with Load(server).running() as more:
            more.wait(1)
        wait_for_the_end(server)
        kmipkit(server, "admin", "keys", "rotate-data", "--no-wait")
        server.cut_power()
        configure(server, f"file:{new}")
        server.start()
        wait_for_the_end(server)
        load.check()
        more.check()
        old = new


def needed_root_keys(server: RunningServer, *candidates: Path) -> list[str]:
    """Where the root keys are that a server which does not run needs: each of them opens the store."""
    command = ["admin", "keys", "list", "--json", "--data-dir", str(server.folder)]
    runner = CliRunner()
    for path in candidates:
        done = runner.invoke(main, command, env={"KMIPKIT_STORE_ROOT_KEY": str(path)})
        if not done.exit_code:
            return [each["place"] for each in json.loads(done.stdout)["root_keys"]]
    raise AssertionError(done.output)


def wait_for_the_end(server: RunningServer) -> None:
    """Follow the rotation that an earlier run has left."""
    while keys_of(server)["rotation"] is not None:
        pass


@needs_softhsm
def test_the_root_key_moves_into_a_token_and_back(own_server: RunningServer, token: Token) -> None:
    """The same command for every kind; from the network, only modules that the configuration names."""
    server = own_server.start()
    server.credentials("writer")
    with Load(server).running() as load:
        load.wait(2)
    kmipkit(server, "admin", "keys", "create", token.uri())
    refused = kmipkit(server, "admin", "keys", "rotate-root", "--to", token.uri(), fails=True)
    assert "store.pkcs11_modules" in refused
    server.stop()
    module = token.uri().rpartition("module-path=")[2]
    configure(server, f"file:{server.folder / 'root.key'}", pkcs11_modules=[module])
    server.start()
    with load.running():
        kmipkit(server, "admin", "keys", "rotate-root", "--to", token.uri())
    load.check()
    server.stop()
    configure(server, token.uri())
    server.start()
    load.check()
    shown = kmipkit(server, "admin", "config", "show", "--server", f"127.0.0.1:{server.port}")
    assert "pkcs11:token=" in shown
    server.stop()
    back = server.folder.parent / "back.key"
    printed = kmipkit(
        server, "admin", "keys", "rotate-root", "--to", str(back), "--json",
        "--config", str(server.folder.parent / "kms.toml"), "--data-dir", str(server.folder),
    )  # fmt: skip
    progress = [json.loads(line) for line in printed.splitlines()]
    assert progress[0]["rotation"]["kind"] == "root"
    configure(server, str(back))
    server.start()
    load.check()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_passphrase_from_a_file_descriptor_of_a_daemon(tmp_path: Path, workers: int) -> None:
    """What starts the daemon has the passphrase; no file and no variable does."""
    (tmp_path / "kms.toml").write_text(
        '[store]\ndirectory = "kms"\nroot_key = "passphrase:fd=3?memory=1&passes=1&lanes=1"\n'
        "[listen]\nport = 0\n"
    )
    command = f'"{sys.executable}" -m kmipkit serve --config kms.toml --workers {workers}'

    def run(arguments: str, passphrase: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", "-c", f"echo '{passphrase}' > p; {command} {arguments} 3< p; rm p"],
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip

    try:
        started = run("--detach", "correct horse battery")
        assert "ready: listening" in started.stdout, started.stderr
    finally:
        run("--stop", "")
    wrong = run("--detach", "correct horse bakery")
    assert "the passphrase from fd 3 is not the one of this database" in wrong.stderr
    checked = run("--check-config", "correct horse battery")
    assert "the configuration is valid" in checked.stdout, checked.stderr


USAGE = (
    (["rotate-root"], "Missing option '--to'"),
    (["rotate-root", "--to", "vault:x"], "unknown scheme 'vault'"),
    (["rotate-root", "--to", "pkcs11:object=a?pin-value=1"], "pin-source=file:PATH"),
    (["create", "file:"], "has no path"),
)


@pytest.mark.parametrize(("arguments", "message"), USAGE, ids=[" ".join(row[0]) for row in USAGE])
def test_what_is_not_understood(arguments: list[str], message: str) -> None:
    done = CliRunner().invoke(main, ["admin", "keys", *arguments])
    assert done.exit_code == 2
    assert message in done.output
