"""Real clients negotiate, and look around; they connect more than once: none of it fails a case."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from case_texts import UID, item, request, response
from kmipkit_client import Client, OperationFailed
from kmipkit_client.errors import ClientError
from kmipkit_conformance.cases import Case, load
from kmipkit_conformance.player import Verdict
from kmipkit_conformance.probes import PATIENCE
from kmipkit_conformance.scripted import ScriptedServer
from kmipkit_conformance.streams import server_context
from servers import ANSWER_TIMEOUT

from kmipkit.reports import Outcome
from kmipkit.spec.enums import Operation, QueryFunction, ResultReason
from kmipkit.spec.versions import V1_2, V1_4, V2_1
from kmipkit.testing import shared_pki

PAYLOAD = UID.format("a")


@pytest.fixture
def case(tmp_path: Path) -> Case:
    """Activate and Destroy of one object, in KMIP 1.4."""
    path = tmp_path / "LIFE-M-1-14.xml"
    steps = (request(name, PAYLOAD) + response(item(name, PAYLOAD)) for name in OPERATIONS)
    path.write_text(f"<KMIP>{''.join(steps)}</KMIP>")
    return load(path)


OPERATIONS = ("Activate", "Destroy")


class Playing:
    """A case that is played, and what came of it."""

    port: int = 0
    verdict: Verdict

    def client(self, **options: Any) -> Client:
        files = shared_pki().client("device")
        certificates = {"ca": shared_pki().ca, "cert": files.cert, "key": files.key}
        return Client("127.0.0.1", self.port, **certificates, **options)


@contextmanager
def playing(case: Case, reconnect: float = 60.0) -> Iterator[Playing]:
    """The tester in a thread. The verdict is there when the block is left."""
    files = shared_pki().server()
    context = server_context(shared_pki().ca, files.cert, files.key)
    played = Playing()
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        played.port = listener.getsockname()[1]
        server = ScriptedServer(listener, context, ANSWER_TIMEOUT, reconnect)

        def play() -> None:
            played.verdict = server.play(case)

        thread = threading.Thread(target=play)
        thread.start()
        stack.callback(thread.join)
        yield played


def test_our_client_plays_a_case_after_it_has_negotiated(case: Case) -> None:
    """It asks Discover Versions first, in KMIP 1.1, and could use 2.1."""
    with playing(case) as played, played.client() as client:
        client.activate("a")
        assert client.version() == V1_4
        client.destroy("a")
    assert (played.verdict.outcome, played.verdict.reasons) == (Outcome.PASSED, ())


def test_a_client_that_looks_around_between_the_steps_passes(case: Case) -> None:
    """A capability that the case does not need is asked for by many clients at each start."""
    with playing(case) as played, played.client() as client:
        offered = client.query(*(each for each in QueryFunction if each.known_in(V1_4)))
        assert {Operation.ACTIVATE, Operation.DESTROY, Operation.QUERY} <= set(offered.operations)
        assert Operation.GET not in offered.operations
        client.activate("a")
        assert client.query(QueryFunction.QUERY_SERVER_INFORMATION).vendor_identification
        assert client.discover_versions((V2_1, V1_4)) == (V1_4,)
        client.destroy("a")
    assert (played.verdict.outcome, played.verdict.reasons) == (Outcome.PASSED, ())


def test_a_command_for_each_step_has_a_connection_for_each_step(case: Case) -> None:
    """As a script with a command line client has."""
    with playing(case) as played:
        for step in (Client.activate, Client.destroy):
            with played.client() as client:
                step(client, "a")
    assert (played.verdict.outcome, played.verdict.reasons) == (Outcome.PASSED, ())


def test_a_newer_version_is_refused_so_that_the_client_can_fall_back(case: Case) -> None:
    with playing(case) as played:
        with (
            played.client(version=V2_1) as newer,
            pytest.raises(OperationFailed, match=r"supports KMIP 1\.4, not 2\.1") as caught,
        ):
            newer.activate("a")
        assert caught.value.reason is ResultReason.INVALID_MESSAGE, "KMIP 1.4 §11.1"
        with played.client(version=V1_4) as client:
            client.activate("a")
            client.destroy("a")
    assert (played.verdict.outcome, played.verdict.reasons) == (Outcome.PASSED, ())


def insist(client: Client) -> None:
    """Use a version that was refused until the tester gives up."""
    for _ in range(PATIENCE):
        with pytest.raises(OperationFailed):
            client.activate("a")
    with pytest.raises(ClientError):
        client.activate("a")


def give_up(client: Client) -> None:
    with pytest.raises(OperationFailed):
        client.activate("a")


@pytest.mark.parametrize(("behave", "step"), [(insist, 0), (give_up, 0)])
def test_a_client_that_does_not_fall_back_fails(
    case: Case, behave: Callable[[Client], None], step: int
) -> None:
    with playing(case, reconnect=0.1) as played, played.client(version=V2_1) as client:
        behave(client)
    assert (played.verdict.outcome, played.verdict.step) == (Outcome.FAILED, step)
    assert "Protocol Version Major 1, got 2" in "; ".join(played.verdict.reasons)


def test_a_client_without_the_version_of_the_case_is_told_so(case: Case) -> None:
    with playing(case, reconnect=0.1) as played, played.client() as client:
        assert client.discover_versions((V2_1, V1_2)) == ()
    assert played.verdict.reasons == (
        "the client closed the connection",
        "Discover Versions of the client does not list KMIP 1.4",
    )
