"""The running server: signals, certificates that change, limits, and whom a certificate names."""

import signal
import socket
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from kmipkit_certs import files
from kmipkit_certs.authority import Purpose
from kmipkit_client import ConnectionFailed, OperationFailed, calls, messages
from kmipkit_server.config import Config, ConfigError, load, with_options
from servers import ANSWER_TIMEOUT, RunningServer, exchange

from kmipkit.model.codec import encode
from kmipkit.model.envelope import decode_response
from kmipkit.spec.enums import ResultStatus
from kmipkit.spec.versions import V1_4

QUERY = encode(messages.request(V1_4, [calls.query(())]), V1_4)


def serve(*arguments: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "kmipkit", "serve", *arguments]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=ANSWER_TIMEOUT
    )


def test_sighup_changes_the_certificate_without_dropping_anybody(
    own_server: RunningServer,
) -> None:
    server = own_server.start()
    with server.raw() as before:
        old = before.getpeercert(binary_form=True)
        written = server.pki.files("server")
        issued = server.pki.authority().issue(
            "server", Purpose.SERVER, datetime.now(UTC), alternative=["127.0.0.1"]
        )
        for path in (written.key, written.cert):
            path.unlink()
        files.write_key(written.key, issued.key)
        files.write_certificate(written.cert, issued.certificate)
        server.signal(signal.SIGHUP)
        new = old
        while new == old:  # the signal is handled between two requests
            with server.raw() as after:
                new = after.getpeercert(binary_form=True)
        assert exchange(before, QUERY), "who was connected stays so"
    server.wait_for_line("certificates reloaded")


def test_a_bad_certificate_at_sighup_changes_nothing(own_server: RunningServer) -> None:
    server = own_server.start()
    cert = server.pki.files("server").cert
    good = cert.read_bytes()
    cert.write_text("not a certificate")
    server.signal(signal.SIGHUP)
    server.wait_for_line("certificates not reloaded")
    cert.write_bytes(good)
    with server.raw() as stream:
        assert exchange(stream, QUERY)


def test_sigterm_lets_begun_requests_finish_and_sends_idle_clients_away(
    own_server: RunningServer,
) -> None:
    server = own_server.start()
    with server.raw() as idle, server.raw() as busy:
        busy.sendall(QUERY[:40])
        exchange(idle, QUERY)
        server.signal(signal.SIGTERM)
        assert idle.recv(1) == b"", "an idle connection ends at once"
        busy.sendall(QUERY[40:])
        answer, _ = decode_response(busy.recv(65536))
        assert answer.batch_items[0].result_status is ResultStatus.SUCCESS
        assert busy.recv(1) == b""
    with pytest.raises(ConnectionFailed):
        server.client().query()
    assert server.reap() == 0


def test_more_connections_than_allowed_are_refused_and_the_rest_served(
    own_server: RunningServer, tmp_path: Path
) -> None:
    config = tmp_path / "kms.toml"
    config.write_text("[limits]\nconnections = 4\n")  # of these, three from one address
    own_server.arguments = ("--config", str(config))
    server = own_server.start()
    with server.raw() as one, server.raw() as two, server.raw() as three:
        for stream in (one, two, three):  # who has been silent for a second would make room
            assert exchange(stream, QUERY)
        with socket.create_connection(("127.0.0.1", server.port), ANSWER_TIMEOUT) as fourth:
            assert fourth.recv(100) == bytes.fromhex("15030300020250"), "a TLS alert"
            assert fourth.recv(1) == b""
        for stream in (one, two, three):
            assert exchange(stream, QUERY)


def test_a_handshake_that_takes_its_time_does_not_keep_others_waiting(
    server: RunningServer,
) -> None:
    slow = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(20)]
    with server.raw() as stream:
        assert exchange(stream, QUERY)
    for plain in slow:
        plain.close()


def test_requests_that_come_at_once_are_answered_in_their_order(server: RunningServer) -> None:
    pipelined = [
        encode(messages.request(V1_4, [calls.activate(f"none-{number}")]), V1_4)
        for number in range(5)
    ]
    with server.raw() as stream:
        stream.sendall(b"".join(pipelined))
        data = b""
        while data.count(b"none-") < 5:
            data += stream.recv(65536)
    assert [data.index(f"none-{number}".encode()) for number in range(5)] == sorted(
        data.index(f"none-{number}".encode()) for number in range(5)
    )


@pytest.mark.parametrize(("source", "expected"), [("cn", "gerät 7"), ("san", "device7.example")])
def test_the_identity_is_what_the_configuration_says(
    own_server: RunningServer, tmp_path: Path, source: str, expected: str
) -> None:
    """Two certificates of one account see the same objects, whichever part names it."""
    config = tmp_path / "kms.toml"
    config.write_text(
        f'[identity]\nsource = "{source}"\naccounts = {{ "renewed" = "{expected}",'
        f' "renewed.example" = "{expected}" }}\n',
        encoding="utf-8",
    )
    own_server.arguments = ("--config", str(config))
    server = own_server.start()
    now = datetime.now(UTC)
    for name, alternative in (("gerät 7", "device7.example"), ("renewed", "renewed.example")):
        server.pki.issue(name, Purpose.CLIENT, now, alternative=[alternative])
    with server.client("gerät 7") as first, server.client("renewed") as second:
        key = first.create()
        assert second.get_attributes(key, "State").items
    server.pki.issue("other", Purpose.CLIENT, now, alternative=["other.example"])
    with server.client("other") as other, pytest.raises(OperationFailed):
        other.get(key)


def test_a_certificate_without_the_name_that_counts_gets_no_service(
    own_server: RunningServer, tmp_path: Path
) -> None:
    config = tmp_path / "kms.toml"
    config.write_text('[identity]\nsource = "san"\n')
    own_server.arguments = ("--config", str(config))
    server = own_server.start()
    with pytest.raises(OperationFailed, match="AUTHENTICATION"), server.client("admin") as client:
        client.query()
    server.stop()
    assert any("client refused" in line and "Alternative" in line for line in server.lines())


def test_ctrl_c_is_a_clean_stop(own_server: RunningServer) -> None:
    server = own_server.start()
    server.signal(signal.SIGINT)
    assert server.reap() == 0
    assert not [line for line in server.lines() if "Traceback" in line]


def test_many_clients_at_once(server: RunningServer) -> None:
    server.credentials("crowd")
    failures: list[Exception] = []

    def work() -> None:
        try:
            with server.client("crowd") as client:
                for _ in range(10):
                    assert client.get(client.create())
        except Exception as error:  # shown below
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(ANSWER_TIMEOUT)
    assert not failures


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[listen]\nport = 70000", "listen.port must be 0 to 65535"),
        ("[listen]\nprot = 5696", "unknown key 'prot'; the keys are host, port, drain_seconds"),
        ("[lisen]\n", "unknown section [lisen]; the sections are server, listen, tls"),
        ("listen = 3", "[listen] must be a table"),
        ("[listen]\nport = true", "must be a whole number"),
        ("[limits]\nidle_timeout = 0", "limits.idle_timeout must be more than 0"),
        ('[tls]\ncert = "c"', "tls needs all of cert, key and ca"),
        ('[identity]\nsource = "name"', "identity.source must be one of cn, san"),
        ("[identity]\naccounts = { a = 1 }", "must be a table of strings"),
        ("port = = 1", "not valid TOML"),
        ('[log]\nlevel = "LOUD"', "log.level must be one of"),
    ],
)
def test_a_wrong_configuration_is_explained(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "kms.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as refusal:
        load(path)
    assert words in str(refusal.value)
    assert str(path) in str(refusal.value)


def test_options_win_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "kms.toml"
    path.write_text('[listen]\nport = 1000\nhost = "::1"\n[store]\ndirectory = "objects"\n')
    config = with_options(load(path), {"listen": {"port": 2000, "host": None}})
    assert (config.listen.host, config.listen.port) == ("::1", 2000)
    assert config.store.directory == tmp_path / "objects", "relative to the file"
    assert with_options(Config(), {}) == Config()


def test_mistakes_on_the_command_line_are_one_line_and_change_nothing(tmp_path: Path) -> None:
    for arguments, code, words in (
        (["--port", "x"], 2, "not a valid integer"),
        (["--prot", "1"], 2, "No such option"),
        (["--config", "missing.toml"], 1, "missing.toml: No such file"),
        (["--tls-cert", "a"], 1, "tls needs all of cert, key and ca"),
        (
            ["--tls-cert", "a", "--tls-key", "b", "--tls-ca", "c"],
            1,
            "a: No such file or directory",
        ),
        (["--data-dir", "/dev/null/x", "--check-config"], 1, "is not a directory"),
    ):
        done = serve(*arguments, folder=tmp_path)
        assert done.returncode == code, done.stderr
        assert words in done.stderr
        assert "Traceback" not in done.stderr
    taken = socket.create_server(("127.0.0.1", 0))
    port = str(taken.getsockname()[1])
    done = serve("--port", port, "--data-dir", "d", folder=tmp_path)
    assert done.returncode == 1
    assert "in use" in done.stderr
    taken.close()
