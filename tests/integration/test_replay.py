"""A key server is exchanged: what clients asked of the old one is played against the new one."""

import json
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from kmipkit_client import GCM, Client, symmetric_key
from kmipkit_proxy.compare_cli import diff, replay
from kmipkit_proxy.errors import ProxyError
from proxying import entries, proxy, settings_for

from kmipkit.spec.enums import CryptographicAlgorithm, RevocationReasonCode
from kmipkit.spec.versions import V1_2, V1_4, V2_1, Version
from kmipkit.testing import KeyServer, key_server, shared_pki

KEY = os.urandom(32)


@pytest.fixture(scope="module")
def old() -> Iterator[KeyServer]:
    with key_server() as server:
        yield server


@pytest.fixture
def new() -> Iterator[KeyServer]:
    with key_server() as server:
        yield server


def a_day(client: Client) -> None:
    """What an application does: create, read, search, encrypt, register, and end a key."""
    identifier = client.create(CryptographicAlgorithm.AES, 256, name="backup")
    client.activate(identifier)
    client.get(identifier)
    client.get_attributes(identifier)
    client.locate(name="backup")
    if client.version() >= V1_4:
        encrypted = client.encrypt(identifier, b"a text of several bytes", parameters=GCM)
        client.decrypt(
            identifier, encrypted.data, parameters=GCM, iv=encrypted.iv, tag=encrypted.tag
        )
    registered = client.register(
        symmetric_key(KEY),
        name="disk",
        attributes={"Activation Date": datetime(2025, 5, 1, tzinfo=UTC), "x-Owner": "storage"},
    )
    client.get(registered)
    client.get_attributes(registered)
    client.revoke(identifier, RevocationReasonCode.CESSATION_OF_OPERATION)
    client.destroy(identifier)


Work = Callable[[Client], None]


def record(
    server: KeyServer, capture: Path, work: Work, version: Version = V2_1, **options: bool
) -> Path:
    files = shared_pki().client()
    with (
        proxy(settings_for(server.port, capture, **options)) as running,
        Client(
            "127.0.0.1", running.port, ca=files.ca, cert=files.cert, key=files.key, version=version
        ) as client,
    ):
        work(client)
        forget(client)
    return capture


def forget(client: Client) -> None:
    """End what is left, so that the next recording finds nothing."""
    for identifier in client.locate().ids:
        try:
            client.revoke(identifier, RevocationReasonCode.CESSATION_OF_OPERATION)
        finally:
            client.destroy(identifier)


def play(capture: Path, server: KeyServer, *options: str) -> Result:
    files = shared_pki().client()
    arguments = ["--ca", files.ca, "--cert", files.cert, "--key", files.key]
    target = f"127.0.0.1:{server.port}"
    return CliRunner().invoke(
        replay, [str(capture), "--target", target, *map(str, arguments), *options]
    )


@pytest.mark.parametrize("version", [V1_2, V1_4, V2_1], ids=str)
@pytest.mark.parametrize("keeps_secrets", [False, True], ids=["redacted", "kept"])
def test_the_same_server_answers_the_same(
    old: KeyServer, new: KeyServer, tmp_path: Path, version: Version, keeps_secrets: bool
) -> None:
    capture = record(old, tmp_path / "old.jsonl", a_day, version, keep_secrets=keeps_secrets)
    again = tmp_path / "new.jsonl"
    played = play(capture, new, "--record", str(again))
    assert played.exit_code == 0, (played.output, played.exception)
    assert " 0 differences in meaning" in played.output
    assert ("random bytes were sent instead" in played.output) != keeps_secrets
    assert KEY.hex() not in again.read_text()
    compared = CliRunner().invoke(diff, [str(capture), str(again)])
    assert compared.exit_code == 0, compared.output


def test_another_result_is_reported(old: KeyServer, new: KeyServer, tmp_path: Path) -> None:
    capture = record(old, tmp_path / "old.jsonl", a_day)
    new.faults.add("failure", reason="Item Not Found", operations=["Get"], calls=[2])
    again = tmp_path / "new.jsonl"
    played = play(capture, new, "--record", str(again))
    assert played.exit_code == 1
    expected = "Get: response BatchItem[0]/result: Success -> OperationFailed ItemNotFound"
    assert expected in played.output
    compared = CliRunner().invoke(diff, [str(capture), str(again), "--json"])
    assert compared.exit_code == 1
    found, fresh = json.loads(compared.output)["differences"]
    assert found["operations"] == ["Get"]
    assert (found["before"], found["after"]) == ("Success", "OperationFailed ItemNotFound")
    assert fresh["place"].endswith("/Fresh"), "nobody has got the key"


def test_a_server_of_another_kind_differs(old: KeyServer, tmp_path: Path) -> None:
    """Vault knows no KMIP 2.1; whoever moves to it learns that before."""
    capture = record(old, tmp_path / "old.jsonl", a_day, V2_1)
    with key_server(personality="vault") as vault:
        played = play(capture, vault, "--json")
    report = json.loads(played.output)
    assert played.exit_code == 1
    assert report["compared"] == len([e for e in entries(capture) if e.message]) // 2
    versions = [each for each in report["differences"] if each["place"] == "ProtocolVersion"]
    assert len(versions) == report["compared"]
    assert {(each["before"], each["after"]) for each in versions} == {("2.1", "1.0")}


def test_a_target_that_breaks_off_is_an_answer_that_is_missing(
    old: KeyServer, new: KeyServer, tmp_path: Path
) -> None:
    capture = record(old, tmp_path / "old.jsonl", lambda client: client.ping() and None)
    new.faults.add("drop", operations=["Locate"])
    played = play(capture, new)
    assert played.exit_code == 1
    assert "Locate: response message: Locate Success -> no answer" in played.output
    assert "the peer closed the connection after" in played.output


def test_a_target_that_is_not_there_is_said_at_once(old: KeyServer, tmp_path: Path) -> None:
    capture = record(old, tmp_path / "old.jsonl", a_day)
    with key_server() as gone:
        port = gone.port
    gone_result = CliRunner().invoke(
        replay, [str(capture), "--target", f"127.0.0.1:{port}", "--ca", str(shared_pki().ca)]
    )
    assert isinstance(gone_result.exception, ProxyError)
    assert f"cannot connect to 127.0.0.1:{port}" in str(gone_result.exception)


def test_requests_that_one_capture_has_alone_are_named(old: KeyServer, tmp_path: Path) -> None:
    def more(client: Client) -> None:
        a_day(client)
        client.locate(name="another")

    first = record(old, tmp_path / "first.jsonl", a_day)
    second = record(old, tmp_path / "second.jsonl", more)
    compared = CliRunner().invoke(diff, [str(first), str(second)])
    assert compared.exit_code == 1
    assert "Locate: request message: no such request -> this request" in compared.output
    assert CliRunner().invoke(diff, [str(first), str(first)]).exit_code == 0


@pytest.mark.parametrize("content", [b"", b"42007801", b'{"kmipkit_capture": 1}\n[]\n'])
def test_a_file_that_is_no_capture_is_refused(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(content)
    result = CliRunner().invoke(diff, [str(file), str(file)])
    assert isinstance(result.exception, ProxyError)
    assert "capture" in str(result.exception)


def test_the_target_of_a_replay_is_always_said(tmp_path: Path) -> None:
    """The variable of the client may name the server in production, whose keys would be destroyed."""
    environment = {"KMIPKIT_SERVER": "127.0.0.1:1"}
    result = CliRunner().invoke(replay, [str(tmp_path / "day.jsonl")], env=environment)
    assert result.exit_code == 2
    assert "Missing option '--server' / '--target'" in result.output
