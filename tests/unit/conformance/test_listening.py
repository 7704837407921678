"""The tester receives what the server sends: on an address, or with exchanged roles."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from case_texts import UID, attribute, item, request, response
from click.testing import CliRunner
from kmipkit_certs.authority import Purpose
from kmipkit_conformance.cases import Case, load
from kmipkit_conformance.cli import conformance
from kmipkit_conformance.errors import ConformanceError
from kmipkit_conformance.listening import NO_MAILBOX, Listener, RoleMailbox, listener
from kmipkit_conformance.player import Player, Verdict
from kmipkit_conformance.support import query_offer
from kmipkit_conformance.target import Target
from servers import RunningServer

from kmipkit.reports import Outcome

KEY = "00112233445566778899aabbccddeeff"
SYMMETRIC = '<ObjectType type="Enumeration" value="SymmetricKey"/>'
FIRST = UID.format("$UNIQUE_IDENTIFIER_0")
OBJECT = (
    '<SymmetricKey><KeyBlock><KeyFormatType type="Enumeration" value="Raw"/><KeyValue>'
    f'<KeyMaterial type="ByteString" value="{KEY}"/></KeyValue>'
    '<CryptographicAlgorithm type="Enumeration" value="AES"/>'
    '<CryptographicLength type="Integer" value="128"/></KeyBlock></SymmetricKey>'
)
NEW = '<PutFunction type="Enumeration" value="New"/>'


def notified_case(folder: Path, state: str = "Active", key: str = KEY) -> Case:
    """Register, of which the server tells with Put; Activate, of which it tells with Notify."""
    mask = attribute("Cryptographic Usage Mask", "Encrypt", "Integer")
    steps = (
        request("Register", f"{SYMMETRIC}<TemplateAttribute>{mask}</TemplateAttribute>{OBJECT}"),
        response(item("Register", FIRST)),
        request("Put", FIRST + NEW + OBJECT.replace(KEY, key) + mask),
        response(item("Put", "")),
        request("Activate", FIRST),
        response(item("Activate", FIRST)),
        request(
            "Notify",
            FIRST
            + attribute("Last Change Date", "$NOW", "DateTime")
            + attribute("State", state, "Enumeration"),
        ),
        response(item("Notify", "")),
    )
    path = folder / "X-NP-1-14.xml"
    path.write_text(f"<KMIP>{''.join(steps)}</KMIP>")
    return load(path)


def player_of(server: RunningServer) -> Player:
    target = Target("127.0.0.1", server.port, **server.credentials())
    return Player(target, query_offer(target), repeat_timeout=20)


@pytest.fixture
def player(own_server: RunningServer) -> Player:
    """A server of its own: with development certificates, it notifies the administrator."""
    player = player_of(own_server.start())
    return replace(player, mailbox=RoleMailbox(player.target))


def test_the_requests_of_the_server_are_compared_with_those_of_the_case(
    player: Player, tmp_path: Path
) -> None:
    assert {step.is_from_server for step in notified_case(tmp_path).steps} == {True, False}
    for _ in range(2):  # what an earlier case has caused is not mixed up with it
        verdict = player.play(notified_case(tmp_path))
        assert (verdict.outcome, verdict.reasons) == (Outcome.PASSED, ())


@pytest.mark.parametrize(
    ("wrong", "step", "reason"),
    [({"key": KEY[::-1]}, 1, "Key Material"), ({"state": "PreActive"}, 3, "expected State")],
    ids=["Put", "Notify"],
)
def test_another_request_than_the_expected_one_is_a_failure(
    player: Player, tmp_path: Path, wrong: dict[str, str], step: int, reason: str
) -> None:
    verdict = player.play(notified_case(tmp_path, **wrong))
    assert (verdict.outcome, verdict.step) == (Outcome.FAILED, step)
    assert reason in verdict.reasons[0]


def test_a_request_that_does_not_come_is_a_failure(player: Player, tmp_path: Path) -> None:
    silent = replace(player, mailbox=RoleMailbox(player.target), repeat_timeout=0.1)
    case = notified_case(tmp_path)
    reordered = replace(case, steps=(case.steps[0], case.steps[1], case.steps[1]))
    verdict = silent.play(reordered)
    assert (verdict.outcome, verdict.step) == (Outcome.FAILED, 2)
    assert verdict.reasons == ("the server has not sent a request",)


def test_without_a_way_to_get_requests_the_case_is_skipped(player: Player, tmp_path: Path) -> None:
    verdict = replace(player, mailbox=NO_MAILBOX).play(notified_case(tmp_path))
    assert verdict.outcome is Outcome.SKIPPED
    assert "--listen" in verdict.reasons[0]


def test_the_server_connects_to_the_address_of_the_tester(
    own_server: RunningServer, tmp_path: Path
) -> None:
    own_server.start()
    credentials = own_server.credentials()
    own_server.stop()
    files = own_server.pki.issue(
        "listener", Purpose.SERVER, datetime.now(UTC), alternative=("127.0.0.1",)
    )
    with listener(("127.0.0.1", 0), credentials["ca"], files.cert, files.key) as listening:
        verdict = _played_with(own_server, listening, tmp_path)
    assert (verdict.outcome, verdict.reasons) == (Outcome.PASSED, ())


def _played_with(server: RunningServer, listening: Listener, folder: Path) -> Verdict:
    file = folder / "kmipkit.toml"
    file.write_text(f'[notify.accounts]\nadmin = "127.0.0.1:{listening.port}"\n')
    server.arguments, server.port = ("--config", str(file)), 0
    player = replace(player_of(server.start()), mailbox=listening)
    return player.play(notified_case(folder))


def test_the_address_and_its_certificate_are_checked(
    own_server: RunningServer, tmp_path: Path
) -> None:
    server = own_server.start()
    files = server.credentials()
    arguments = ["run", "--target", f"127.0.0.1:{server.port}", "--cases", str(tmp_path)]
    for name, path in files.items():
        arguments += [f"--{name}", str(path)]
    result = CliRunner().invoke(conformance, [*arguments, "--listen", "nowhere"])
    assert result.exit_code == 2
    assert "is not HOST:PORT" in result.output
    with pytest.raises(ConformanceError):
        listener(("127.0.0.1", 0), files["ca"], files["key"], files["cert"])
    with pytest.raises(ConformanceError, match=str(server.port)):
        listener(("127.0.0.1", server.port), files["ca"], files["cert"], files["key"])
    notified_case(tmp_path)
    played = CliRunner().invoke(conformance, [*arguments, "--wait", "20"])
    assert "1 passed" in played.output, played.output
