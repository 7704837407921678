"""``kmipkit conformance client --free-play`` with a command, with a device, and Ctrl-C."""

import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from case_texts import write_case
from kmipkit_client import Client
from servers import ANSWER_TIMEOUT

from kmipkit.errors import KMIPError
from kmipkit.testing import shared_pki

CLIENT = """
import os
from kmipkit_client import Client

host, port = os.environ["KMIPKIT_SERVER"].rsplit(":", 1)
with Client(host, int(port), ca={ca!r}, cert={cert!r}, key={key!r}) as kms:
    kms.activate(kms.create())
"""


def command_line(*options: str) -> list[str]:
    """The command, with certificates, on any free port."""
    files = shared_pki().server()
    certificates = ["--ca", shared_pki().ca, "--cert", files.cert, "--key", files.key]
    start = [sys.executable, "-m", "kmipkit", "conformance", "client", "--free-play"]
    return [*start, "--listen", "127.0.0.1:0", *map(str, certificates), *options]


def program(folder: Path) -> list[str]:
    """A client as a command."""
    files = shared_pki().client("device")
    path = folder / "client.py"
    names = {"ca": shared_pki().ca, "cert": files.cert, "key": files.key}
    path.write_text(CLIENT.format(**{name: str(file) for name, file in names.items()}))
    return [sys.executable, str(path)]


def run(options: Sequence[str], command: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*command_line(*options), "--", *command],
        capture_output=True,
        text=True,
        timeout=ANSWER_TIMEOUT,
    )


def test_a_command_is_run_undisturbed_and_for_each_provocation(tmp_path: Path) -> None:
    report = tmp_path / "r.json"
    options = ["--provoke", "refusal", "--provoke", "impostor", "--report", f"json:{report}"]
    done = run(options, program(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    written = json.loads(report.read_text())
    assert [each["provocation"] for each in written["runs"]] == [
        "undisturbed",
        "impostor",
        "refusal",
    ]
    assert [each["ended"] for each in written["runs"]] == ["exit status 0"] + ["exit status 1"] * 2
    rules = {each["rule"]: each["verdict"] for each in written["rules"]}
    assert rules["after-refusal"] == rules["server-certificate-verified"] == "kept"
    assert rules["after-undone"] == "not seen"
    assert written["problem"] == ""
    assert "kept     after-refusal" in done.stdout


def test_a_command_that_fails_undisturbed_is_no_client_to_judge(tmp_path: Path) -> None:
    """Its author sees why, without control characters, and not a page of rules that were not seen."""
    script = "import sys; print('\\x1b[2Jno configuration'); sys.exit(3)"
    done = run(["--timeout", "30"], [sys.executable, "-c", script])
    assert done.returncode == 1
    assert "run      undisturbed: exit status 3" in done.stdout
    assert "\\x1b[2Jno configuration" in done.stdout
    assert "\x1b" not in done.stdout
    assert "the command did not connect" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--provoke", "nosuch"], "no provocation 'nosuch'; there are all, none, older-version"),
        (["--provoke", "none", "--provoke", "refusal"], "none cannot be combined"),
        (["--report", "json:/nowhere/r.json"], "there is no directory"),
        (["--listen", "5696"], "is not HOST:PORT"),
        (["--cases", "nowhere.xml"], "neither free play nor a capture has cases"),
    ],
)
def test_a_mistake_is_found_before_the_client_is_run(options: list[str], words: str) -> None:
    done = run(options, [sys.executable, "-c", "print('was run')"])
    assert done.returncode == 2
    assert words in done.stderr
    assert "was run" not in done.stdout


@pytest.mark.parametrize("command", [["/nowhere/client"], ["/"]], ids=str)
def test_a_command_that_cannot_be_run_is_said(command: list[str]) -> None:
    done = run([], command)
    assert done.returncode == 2
    assert "there is no program" in done.stderr


def test_a_port_in_use_is_said(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = run(["--listen", address], program(tmp_path))
    assert done.returncode == 1
    assert f"{address}: Address already in use" in done.stderr


@pytest.fixture
def device(tmp_path: Path) -> "Iterator[subprocess.Popen[str]]":
    """The tester, waiting for a client that somebody else starts."""
    command = command_line("--provoke", "none", "--report", f"json:{tmp_path / 'r.json'}")
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.kill()


def test_ctrl_c_leaves_a_report_of_what_was_seen(
    device: "subprocess.Popen[str]", tmp_path: Path
) -> None:
    """That is how free play with a device ends."""
    assert device.stdout is not None
    match = re.search(r"waiting  for a client on (\S+):(\d+);", device.stdout.readline())
    assert match is not None
    pair = shared_pki().client("device")
    with Client(match[1], int(match[2]), ca=shared_pki().ca, cert=pair.cert, key=pair.key) as kms:
        kms.create()
    device.send_signal(signal.SIGINT)
    output, errors = device.communicate(timeout=ANSWER_TIMEOUT)
    assert device.returncode == 130, errors
    written = json.loads((tmp_path / "r.json").read_text())
    assert written["interrupted"] is True
    assert written["requests"] == 2
    assert "kept     batch-count" in output


def test_a_client_passes_a_profile_with_one_of_its_cases(tmp_path: Path) -> None:
    """Profiles 2.1 §6: a server must pass all mandatory cases, a client one or more."""
    folder, report = tmp_path / "cases", tmp_path / "r.json"
    folder.mkdir()
    for name in ("SKLC-M-1-14", "SKLC-M-2-14", "MSGENC-XML-M-1-14"):
        write_case(folder, name)
    options = ["--cases", str(folder), "--report", f"json:{report}"]
    command = [each for each in command_line(*options) if each != "--free-play"]
    pair = shared_pki().client("device")
    files = {"ca": shared_pki().ca, "cert": pair.cert, "key": pair.key}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            match = re.match(r"waiting  (\S+) on (\S+):(\d+)", line)
            if match is not None:
                length = 128 if match[1] == "SKLC-M-2-14" else 256
                with Client(match[2], int(match[3]), **files) as kms, suppress(KMIPError):
                    kms.create(length=length)
    assert process.returncode == 1, "the other cases failed"
    profiles = {each["profile"]: each for each in json.loads(report.read_text())["profiles"]}
    lifecycle = profiles["Symmetric Key Lifecycle Client"]
    assert (lifecycle["standing"], lifecycle["because"]) == ("passed", ["SKLC-M-2-14"])
    assert profiles["XML Client"]["standing"] == "not testable"


def test_a_silence_ends_the_play() -> None:
    """In CI, nobody presses Ctrl-C."""
    done = subprocess.run(
        command_line("--timeout", "0.5"), capture_output=True, text=True, timeout=ANSWER_TIMEOUT
    )
    assert done.returncode == 1
    assert "no client connected" in done.stderr


def test_a_client_that_does_not_trust_the_tester_is_no_pass() -> None:
    """A wrong certificate of the tester must not look like a client that broke nothing."""
    script = """
import os, socket, ssl
host, port = os.environ["KMIPKIT_SERVER"].rsplit(":", 1)
try:
    plain = socket.create_connection((host, int(port)))
    ssl.create_default_context().wrap_socket(plain, server_hostname=host)
except ssl.SSLError:
    pass
"""
    done = run([], [sys.executable, "-c", script])
    assert done.returncode == 1
    assert "the client sent no request: the handshake failed: TLSV1_ALERT_UNKNOWN_CA" in done.stderr
