"""One of several servers that cannot serve: its clients use another one, and what it does not know, it
does not say."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
from kmipkit_client import Client, ConnectionFailed
from kmipkit_server.engine.following import SECONDS_BETWEEN_LOOKS, Following
from kmipkit_server.net.counters import ClientRefusal, Closing
from kmipkit_server.net.listener import Listener
from kmipkit_server.store.errors import OutcomeUnknown, StoreError
from trio.testing import MockClock

from kmipkit.testing import KeyServer, key_server


@pytest.fixture
def kms() -> Iterator[KeyServer]:
    with key_server() as running:
        yield running


class Trouble:
    """What makes a server unable to serve, as long as it lasts."""

    def __init__(self, kms: KeyServer) -> None:
        assert kms.control.listener is not None
        self.listener = kms.control.listener
        self.listener.outage = lambda: self.reason
        self.reason = ""


def test_a_client_goes_to_the_next_server(kms: KeyServer) -> None:
    """Not even one call fails: it is repeated before anything is sent."""
    with key_server() as broken, kms.client() as other:
        Trouble(broken).reason = "the database is away"
        names = [f"{each.host}:{each.port}" for each in (broken, kms)]
        # Each server has certificates of its own authority; only the one that serves is asked for it.
        settings = {"ca": kms.settings.ca, "cert": kms.settings.cert, "key": kms.settings.key}
        with Client(names, **settings) as client:
            assert client.get_attributes(client.create(), "State")
            assert [health.failures > 0 for health in client.health()] == [True, False]
        assert other.query()


def test_an_idle_connection_is_ended_before_a_request_is_lost_on_it(
    kms: KeyServer, caplog: pytest.LogCaptureFixture
) -> None:
    trouble = Trouble(kms)
    with kms.client(retries=0) as client, caplog.at_level(logging.INFO, "kmipkit.server"):
        key = client.create()
        trouble.reason = "the database is away"
        kms.clock.advance(seconds=2)
        with pytest.raises(ConnectionFailed) as error:
            client.destroy(key)
        assert not error.value.outcome_unknown, "nothing was sent"
        trouble.reason = ""
        kms.clock.advance(seconds=2)
        assert client.get(key)
    counters = trouble.listener.counters
    assert counters.closed[Closing.UNAVAILABLE] == 1
    assert counters.clients_refused[ClientRefusal.STORE] > 0
    lines = [record.getMessage() for record in caplog.records]
    assert lines.count("no connections are accepted: the database is away") == 1
    assert lines.count("connections are accepted again") == 1


def test_a_busy_connection_is_ended_after_its_response(
    kms: KeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a client that always has something to ask would be told of failures all the time."""
    trouble = Trouble(kms)
    monkeypatch.setattr(Listener, "_end_idle", lambda *_: None)  # it is busy whenever one looks
    with kms.client(retries=0) as client:
        assert client.query()
        kms.clock.advance(seconds=2)  # then the server waits for the next request
        trouble.reason = "the database is away"
        assert client.query()
        with pytest.raises(ConnectionFailed):
            client.query()
    assert trouble.listener.counters.closed[Closing.UNAVAILABLE] == 1


def test_what_nobody_knows_is_not_answered(kms: KeyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure would say that nothing has changed, and a client would do it again."""
    store = kms._dispatcher().store
    run = store.run

    async def lose(work: Any, **options: Any) -> Any:
        result = await run(work, **options)
        if options.get("writes"):
            raise OutcomeUnknown("the connection was lost during a commit")
        return result

    with kms.client() as client:
        assert client.query()
        monkeypatch.setattr(store, "run", lose)
        with pytest.raises(ConnectionFailed) as error:
            client.create(name="perhaps")
        assert error.value.outcome_unknown
        monkeypatch.undo()
        assert len(client.locate(name="perhaps").ids) == 1
    assert kms.control.listener.counters.closed[Closing.UNANSWERED] == 1


def test_a_store_that_cannot_be_read_is_noticed_without_any_request(tmp_path: Path) -> None:
    failures = iter([StoreError("away"), None])

    class Store:
        async def run(self, _work: Any) -> bytes:
            failure = next(failures, None)
            if failure is not None:
                raise failure
            return b"1"

    class State:
        revision = b"1"

    following = Following(Store(), State())  # type: ignore[arg-type]  # what is needed of them

    async def work() -> list[str]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(following.watch)
            seen = []
            for _ in range(2):
                await trio.sleep(SECONDS_BETWEEN_LOOKS * 1.1)
                seen.append(following.failure)
            nursery.cancel_scope.cancel()
        return seen

    assert trio.run(work, clock=MockClock(autojump_threshold=0)) == ["away", ""]
