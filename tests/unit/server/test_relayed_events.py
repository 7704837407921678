"""What happens to the connections of workers: written down by the supervisor before they are closed."""

import logging
import socket
from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing
from kmipkit_server.net.connection_limits import ConnectionLimits
from kmipkit_server.net.connection_log import Throttle
from kmipkit_server.net.events import NO_HANDSHAKE, ConnectionEvents
from kmipkit_server.process.channel import Channel
from kmipkit_server.process.front import Front
from kmipkit_server.process.messages import Happened, Message, Noted
from kmipkit_server.process.relayed_events import SECONDS_FOR_EVENTS, RelayedEvents
from kmipkit_server.process.wire import Silence


class Teller:
    """A worker as the supervisor has it."""

    number = 1

    def __init__(self) -> None:
        self.told: list[Message] = []

    def send(self, message: Message, _files: tuple[int, ...] = ()) -> None:
        self.told.append(message)

    async def silences(self) -> list[Silence]:
        return []


def test_the_worker_that_has_refused_a_connection_records_it_before_it_is_told_to_go_on() -> None:
    """Of two that refuse the same address, the first one records it; both get their answer."""
    front = Front(
        ConnectionLimits(),
        ConnectionEvents(Throttle(lambda each: front.teller.send(("record", each.kind)))),  # type: ignore[arg-type,union-attr]
    )
    one, other = Teller(), Teller()

    async def run() -> None:
        for worker in (one, other):
            front.happened(
                worker, Happened(logging.WARNING, "192.0.2.1", 5, NO_HANDSHAKE, "no certificate")
            )

    trio.run(run)
    assert one.told == [("record", NO_HANDSHAKE), Noted()]
    assert other.told == [Noted()]
    assert front.teller is None


def relayed(work: Callable[[RelayedEvents], Awaitable[None]]) -> None:
    """Run work with the events of a worker."""
    own, other = map(Channel, socket.socketpair())

    async def run() -> None:
        await work(RelayedEvents(own))

    try:
        trio.run(run, clock=trio.testing.MockClock(autojump_threshold=0.01))
    finally:
        for each in (own, other):
            each._socket.close()


def test_a_connection_waits_for_what_was_told_before_and_not_for_what_comes_later() -> None:
    async def work(events: RelayedEvents) -> None:
        await events.settled()
        assert trio.current_time() == 0
        events.warn("192.0.2.1", 5, NO_HANDSHAKE, "one")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(events.settled)
            await trio.testing.wait_all_tasks_blocked()
            events.warn("192.0.2.2", 5, NO_HANDSHAKE, "other")
            assert nursery.child_tasks
            events.noted()
        assert trio.current_time() < SECONDS_FOR_EVENTS
        events.noted()
        await events.settled()

    relayed(work)


def test_a_supervisor_that_hangs_keeps_no_connection_for_long() -> None:
    async def work(events: RelayedEvents) -> None:
        events.warn("192.0.2.1", 5, NO_HANDSHAKE, "one")
        await events.settled()
        assert trio.current_time() == pytest.approx(SECONDS_FOR_EVENTS)

    relayed(work)


def test_what_nobody_writes_down_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "kmipkit.server")

    async def work(events: RelayedEvents) -> None:
        events.write(logging.DEBUG, "192.0.2.1", 5, "closed", "idle")
        await events.settled()
        assert trio.current_time() == 0

    relayed(work)
