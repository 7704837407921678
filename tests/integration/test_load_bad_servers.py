"""kmipkit bench against servers that answer slowly, wrongly, now and then, or not at all.

A loss otherwise: a vendor cannot measure a server because of what is beside the point, or gets figures
that are wrong, or objects that nobody destroys.
"""

import json
import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from kmipkit_load.cli import bench
from kmipkit_load.target import Target
from served_key_server import PKI

from kmipkit.testing import key_server

QUICK = ("--warm-up", "0", "--objects", "3", "--connections", "3", "--timeout", "2")


@pytest.fixture
def kms() -> Iterator[Any]:
    """A server whose objects are all destroyed in the end."""
    with key_server() as server:
        yield server
        server.faults.clear()
        with server.client() as client:
            assert client.locate().ids == ()


def invoke(kms: Any, *more: str, code: int) -> Any:
    settings = kms.settings
    files = [("--ca", settings.ca), ("--cert", settings.cert), ("--key", settings.key)]
    options = [part for name, path in files for part in (name, str(path))]
    arguments = ["run", "--server", f"{kms.host}:{kms.port}", *options, *QUICK, *more]
    result = CliRunner().invoke(bench, arguments)
    assert result.exit_code == code, result.output
    return result


def run(kms: Any, *more: str, code: int = 1) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(invoke(kms, "--json", *more, code=code).stdout)
    assert document["cleanup"]["left"] == {}
    assert document["succeeded"] + document["failed"] == document["requests"]
    assert sum(error["count"] for error in document["errors"]) == document["failed"]
    return document


@pytest.mark.parametrize(
    ("fault", "reasons"),
    [
        ({"name": "failure", "message": "no luck"}, {"General Failure"}),
        ({"name": "drop"}, {"the server closed the connection"}),
        ({"name": "garbage"}, {"the response is not a KMIP message"}),
        ({"name": "tag"}, {"malformed response"}),
        ({"name": "twice"}, {"the server sent more than the response"}),
        ({"name": "operation"}, {"malformed response"}),
    ],
    ids=lambda value: value.get("name") if isinstance(value, dict) else None,
)
def test_a_server_that_fails_now_and_then_is_measured_and_cleaned_up(
    kms: Any, fault: dict[str, Any], reasons: set[str]
) -> None:
    kms.faults.add(**fault, probability=0.15)
    document = run(kms, "--mix", "arrays", "--requests", "120")
    assert document["requests"] == 120
    assert 5 < document["failed"] < 60
    assert {error["reason"] for error in document["errors"]} >= reasons


@pytest.mark.parametrize("operation", ["Query", "Discover Versions"])
def test_a_server_that_breaks_off_where_it_is_asked_about_itself(kms: Any, operation: str) -> None:
    kms.faults.add("drop", operations=[operation], after=0)
    document = run(kms, "--requests", "5", code=0)
    is_known = operation == "Query"
    assert document["settings"]["kmip"] == ("2.1" if is_known else "1.0")
    assert document["server"]["vendor"] == ("" if is_known else "kmipkit (test mode)")


def test_a_server_of_kmip_1_0_that_knows_nothing_else(kms: Any) -> None:
    kms.faults.add("unsupported-version", only=["1.0"])
    document = run(kms, "--requests", "20", "--mix", "arrays", code=0)
    assert document["settings"]["kmip"] == "1.0"


def test_a_client_that_is_not_trusted_is_told_so(kms: Any, tmp_path: Path) -> None:
    """With TLS 1.3 the server says so after the handshake of the client; no version would help."""
    pki = PKI(tmp_path / "pki")
    files = pki.directory.files("vcenter")
    more = ("--cert", str(files.cert), "--key", str(files.key), "--requests", "5")
    result = CliRunner().invoke(
        bench,
        ["run", "--server", f"{kms.host}:{kms.port}", *QUICK, *more, "--ca", str(kms.settings.ca)],
    )
    assert result.exit_code == 1
    assert str(result.exception).endswith(
        "TLS: the server does not trust the authority of the client certificate"
    )


def test_a_server_that_breaks_off_whatever_it_is_asked(kms: Any) -> None:
    kms.faults.add("drop", after=0)
    result = invoke(kms, "--requests", "5", code=1)
    assert str(result.exception).endswith(
        "the server closed the connection; if it needs another version, give it with --kmip"
    )


@pytest.mark.parametrize("limit", ["connections_per_address", "connections_per_account"])
def test_a_server_that_permits_few_connections(limit: str) -> None:
    """It breaks connections off before TLS, or after. Then only the requests show it."""
    with key_server(settings={"limits": {limit: 5}}) as kms:
        assert run(kms, "--requests", "5", "--connections", "5", code=0)["succeeded"] == 5
        result = invoke(kms, "--duration", "1", "--connections", "9", code=1)
        said = (
            "the server accepts no more connections" if "address" in limit else "the server closed"
        )
        assert said in result.output
        assert "Cleaned up: 3 objects destroyed." in result.output
        if "address" in limit:
            assert "Error: cannot open all connections, only 5 of 9: " in result.stderr
        with kms.client() as client:
            assert client.locate().ids == ()


def test_a_slow_server(kms: Any) -> None:
    kms.faults.add("delay", operations=["Get"], seconds=0.05)
    document = run(kms, "--requests", "9", code=0)
    assert 50 <= document["latency"]["p50"] < 1000
    assert document["rate"] <= 3 / 0.05


def test_a_response_that_does_not_come_counts_with_its_wait(kms: Any) -> None:
    kms.faults.add("silence", operations=["Get"], calls=[9])
    document = run(kms, "--requests", "8", "--timeout", "1")
    [error] = document["errors"]
    assert (error["reason"], error["count"]) == ("no response in time", 1)
    assert document["latency"]["max"] >= 1000


def test_what_the_server_refuses_for_good_ends_the_run_with_its_reason(kms: Any) -> None:
    kms.faults.add("failure", operations=["Locate"], reason="Operation Not Supported", message="no")
    result = invoke(kms, "--mix", "arrays", "--requests", "5", code=1)
    assert "Error: the server refuses locate: Operation Not Supported: no" in result.stderr


def test_a_server_without_destroy_says_what_is_left(kms: Any) -> None:
    fault = kms.faults.add("failure", operations=["Destroy"], message="never")
    result = invoke(kms, "--requests", "5", code=1)
    assert "3 objects could not be destroyed:" in result.output
    assert "General Failure: never" in result.output
    again = result.output.partition("To try again: kmipkit ")[2].partition(" with")[0]
    kms.faults.clear()
    assert fault.applied >= 3
    settings = kms.settings
    files = ["--ca", settings.ca, "--cert", settings.cert, "--key", settings.key]
    arguments = [*again.split()[1:], "--server", f"{kms.host}:{kms.port}", *map(str, files)]
    cleaned = CliRunner().invoke(bench, arguments)
    assert cleaned.output == "Cleaned up: 3 objects destroyed.\n"


def test_a_run_that_measures_nothing_is_no_success(kms: Any) -> None:
    """With random arrivals, no request may begin in a short time."""
    more = ("--rate", "0.001", "--arrivals", "poisson", "--warm-up", "0.1", "--duration", "0.2")
    result = invoke(kms, *more, code=1)
    assert "Nothing was measured: no request began in the time of the measurement." in result.output


def test_a_low_rate_begins_with_a_request(kms: Any) -> None:
    more = ("--rate", "0.1", "--warm-up", "0.3", "--duration", "0.2", "--processes", "2")
    document = run(kms, *more, code=0)
    assert document["requests"] == 1
    assert document["rate"] == pytest.approx(5)


def test_a_report_that_cannot_be_written_loses_no_other(kms: Any, tmp_path: Path) -> None:
    report = tmp_path / "run.json"
    more = ("--report", "html:/dev/full", "--report", f"json:{report}")
    result = invoke(kms, "--requests", "5", *more, code=1)
    assert "requests/s" in result.stdout
    assert result.stderr == "Error: /dev/full: No space left on device\n"
    assert json.loads(report.read_text())["requests"] == 5


def test_a_password_may_come_through_a_pipe(kms: Any, tmp_path: Path) -> None:
    """As from ``--key-password-file <(pass show kms)``: it can be read once; all processes need it."""
    settings = kms.settings
    key = load_pem_private_key(Path(settings.key).read_bytes(), None)
    encrypted = tmp_path / "encrypted.key"
    encrypted.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    )
    reading, writing = os.pipe()
    os.write(writing, b"secret\n")
    os.close(writing)
    more = ("--key", str(encrypted), "--key-password-file", f"/dev/fd/{reading}")
    assert run(kms, *more, "--requests", "6", "--processes", "2", code=0)["succeeded"] == 6
    os.close(reading)


def test_of_several_addresses_the_first_that_accepts_is_used(
    kms: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As localhost is ::1 and 127.0.0.1, and a server may have only one of them."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        nobody = probe.getsockname()[1]
    places = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", nobody)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", (kms.host, kms.port)),
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: places)
    assert run(kms, "--requests", "4", code=0)["succeeded"] == 4


def test_an_address_with_a_zone_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A link-local address is that of an interface."""
    place = ("fe80::1", 5696, 0, 7)
    found = [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", place)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    assert Target("fe80::1%eth0", 5696).located(1).place == (socket.AF_INET6, place)


def test_a_host_name_with_other_letters_is_ascii_in_http() -> None:
    target = replace(Target("bücher.example", 5696), https="/kmip")
    sent = target.framing().request(b"")
    assert b"Host: xn--bcher-kva.example:5696\r\n" in sent
