"""What a test controls in a server, and how it gets into the parts of the server."""

import socket
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial

import trio

from kmipkit.spec.versions import VERSIONS
from kmipkit_server.administration.routes import AnyRoute
from kmipkit_server.engine.dispatcher import Dispatcher
from kmipkit_server.engine.seam import Hook
from kmipkit_server.net.listener import Listener
from kmipkit_server.net.tls import TLSSettings
from kmipkit_server.test_mode import routes
from kmipkit_server.test_mode.clock import MovableClock
from kmipkit_server.test_mode.faults.fault import Faults
from kmipkit_server.test_mode.faults.hooks import (
    FaultHook,
    FaultyContexts,
    FaultyResponder,
    FaultyStream,
)
from kmipkit_server.test_mode.requests import RequestRecords

MARK = "test mode"
"""What the Vendor Identification of Query ends with, so that no client takes the server for another."""

PATIENCE = 10.0
"""Seconds to wait for what is due: a server whose clients never pause is never done."""
_CUSHION = 0.002
"""Seconds in which no task runs: then all of them wait."""


def unrestricted(dispatcher: Dispatcher) -> Dispatcher:
    """The same for requests in all versions with all operations, such as those that seed objects."""
    server = dispatcher.server
    settings = replace(server.settings, versions=VERSIONS)
    return replace(dispatcher, server=replace(server, settings=settings, clients=None))


@dataclass(slots=True)
class Control:
    """The time, the faults and the records of one server."""

    clock: MovableClock = field(default_factory=MovableClock)
    faults: Faults = field(default_factory=Faults)
    requests: RequestRecords | None = None
    """What was asked; None if nobody wants to know."""
    listens: bool = True
    """Whether the server has a port; without one, it is used through its dispatcher alone."""
    listener: Listener | None = None
    """Its connections."""
    address: tuple[str, int] | None = None
    """The host and port of the running server."""
    dispatcher: Dispatcher | None = None
    """That of the running server."""
    signals: trio.MemoryReceiveChannel[int] = field(init=False)
    """Signals for a server that is not in the main thread."""
    _signals: trio.MemorySendChannel[int] = field(init=False)

    def __post_init__(self) -> None:
        self._signals, self.signals = trio.open_memory_channel[int](1)

    @property
    def hooks(self) -> tuple[Hook, ...]:
        """What runs around each operation."""
        return (FaultHook(self.faults), *(() if self.requests is None else (self.requests,)))

    @property
    def routes(self) -> tuple[AnyRoute, ...]:
        """What administrators may ask for in test mode."""
        return routes.routes(self)

    def attach(
        self,
        listener: Listener,
        dispatcher: Dispatcher,
        tls: TLSSettings,
        sockets: Sequence[socket.socket],
    ) -> None:
        """Take control of a server that is about to serve."""
        self.dispatcher, self.listener = dispatcher, listener
        if sockets:
            host, port = sockets[0].getsockname()[:2]
            self.address = host, port
        listener.responder = FaultyResponder(listener.responder, self.faults)
        listener.context = FaultyContexts(self.faults, tls, listener.context)
        listener.stream = partial(FaultyStream, faults=self.faults)
        server = dispatcher.server
        vendor = f"{server.settings.vendor} ({MARK})"
        dispatcher.server = replace(server, settings=replace(server.settings, vendor=vendor))

    def stop(self) -> None:
        """Let the server finish what has begun, and end; call it in the thread of its event loop."""
        self._signals.close()

    async def advance(self, duration: timedelta) -> None:
        """Let time pass in the event loop of the server, and wait until all that is due is done.

        ValueError if the duration is negative.
        """
        from trio.testing import wait_all_tasks_blocked  # which loads pytest, if there is one

        self.clock.put_forward(duration)
        threads = trio.to_thread.current_default_thread_limiter()
        with trio.move_on_after(PATIENCE):
            while True:
                await wait_all_tasks_blocked(_CUSHION)
                if not threads.borrowed_tokens:  # a commit, for example, which tasks wait for
                    return
                await trio.sleep(_CUSHION)
