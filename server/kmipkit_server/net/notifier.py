"""Sends notifications to clients that listen for them: the server as the client of its clients.

One task per account that has an address. A client that cannot be reached is tried again, less and
less often; its notifications wait.
"""

import logging
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import trio

from kmipkit.connection import Framer, Signal
from kmipkit.errors import RemoteProtocolError
from kmipkit.ttlv.limits import Limits
from kmipkit_server.engine.notifications import Notification, Notifications

log = logging.getLogger("kmipkit.server")

PATIENCE = 30.0
"""Seconds for a client to take a message and answer it."""

FAILURES = (OSError, trio.TooSlowError, trio.BrokenResourceError, RemoteProtocolError)

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds until a client is tried again, doubled each time."""


@dataclass(slots=True)
class Notifier:
    """Delivers what waits; ``addresses`` are host and port by account."""

    queue: Notifications
    message: Callable[[Notification], Awaitable[bytes | None]]
    """The request of a notification; None if there is nothing to send any more."""
    addresses: dict[str, tuple[str, int]]
    context: Callable[[], ssl.SSLContext]
    limits: Limits
    _new: dict[str, trio.Event] = field(default_factory=dict)

    async def run(self) -> None:
        """Deliver until cancelled."""
        self._new = {account: trio.Event() for account in self.addresses}
        self.queue.on_new = self._wake
        async with trio.open_nursery() as nursery:
            for account in self.addresses:
                nursery.start_soon(self._serve, account)

    def _wake(self, account: str) -> None:
        if account in self._new:
            self._new[account].set()

    async def _serve(self, account: str) -> None:
        pause = FIRST_PAUSE
        while True:
            await self._new[account].wait()
            self._new[account] = trio.Event()
            waiting = self.queue.take(account)
            while waiting:
                try:
                    with trio.fail_after(PATIENCE):
                        await self._deliver(account, waiting)
                    pause = FIRST_PAUSE
                except FAILURES as error:
                    why = str(error) or type(error).__name__
                    log.warning("%s cannot be notified: %s", account, why)
                    await trio.sleep(pause)
                    pause = min(2 * pause, LONGEST_PAUSE)

    async def _deliver(self, account: str, waiting: list[Notification]) -> None:
        """Send all over one connection; what was answered leaves the list."""
        host, port = self.addresses[account]
        plain = await trio.open_tcp_stream(host, port)
        stream = trio.SSLStream(plain, self.context(), server_hostname=host)
        async with stream:
            framer = Framer(self.limits)
            while waiting:
                data = await self.message(waiting[0])
                if data is not None:
                    await stream.send_all(data)
                    await self._answer(stream, framer)
                    log.info("%s: notified of %s", account, waiting[0].identifier)
                waiting.pop(0)

    async def _answer(self, stream: "trio.SSLStream[trio.SocketStream]", framer: Framer) -> None:
        while True:
            found = framer.next_message()
            if isinstance(found, bytes):
                return
            if found is Signal.CLOSED:
                raise OSError("the client closed the connection")
            framer.feed(bytes(await stream.receive_some()))
