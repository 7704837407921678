"""Sends notifications to clients that listen for them: here the server is the client.

There is one task for each account with an address. If a client cannot be reached, its notifications
stay in the queue, and the task tries again at increasing intervals.
"""

import logging
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import trio

from kmipkit.connection import Framer, Signal
from kmipkit.errors import KMIPError
from kmipkit.ttlv.limits import Limits
from kmipkit_server.engine.notifications import Notification, Notifications
from kmipkit_server.net.revocation import Revocations, Revoked

log = logging.getLogger("kmipkit.server")

DELIVERY_TIMEOUT = 30.0
"""Seconds for a client to read messages and respond to them."""

FAILURES = (OSError, trio.TooSlowError, trio.BrokenResourceError, KMIPError, Revoked)
"""What keeps notifications in the queue, and never ends the server: also its own certificate that has
become unusable, or a store that cannot be read."""

MIN_PAUSE, MAX_PAUSE = 1.0, 60.0
"""Seconds until the next attempt; the pause doubles with each failure."""


@dataclass(slots=True)
class Notifier:
    """Delivers queued notifications; ``addresses`` are host and port by account."""

    queue: Notifications
    message: Callable[[str, Notification], Awaitable[bytes | None]]
    """The request of a notification for an account; None if there is no longer anything to send."""
    addresses: dict[str, tuple[str, int]]
    context: Callable[[], ssl.SSLContext]
    revocations: Revocations
    limits: Limits
    delivered: Callable[[str, Notification], Awaitable[None]] | None = None
    """Called when a client has a notification."""
    _new: dict[str, trio.Event] = field(default_factory=dict)

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Deliver until cancelled."""
        self._new = {account: trio.Event() for account in self.addresses}
        self.queue.on_new = self._wake
        task_status.started()
        async with trio.open_nursery() as nursery:
            for account in self.addresses:
                nursery.start_soon(self._serve, account)

    def _wake(self, account: str) -> None:
        if account in self._new:
            self._new[account].set()

    async def _serve(self, account: str) -> None:
        pause = MIN_PAUSE
        while True:
            await self._new[account].wait()
            self._new[account] = trio.Event()
            notifications = self.queue.take(account)
            while notifications:
                try:
                    with trio.fail_after(DELIVERY_TIMEOUT):
                        await self._deliver(account, notifications)
                    pause = MIN_PAUSE
                except FAILURES as error:
                    reason = str(error) or type(error).__name__
                    log.warning(
                        "%s: cannot deliver notifications: %s; next attempt in %g s",
                        account, reason, pause,
                    )  # fmt: skip
                    await trio.sleep(pause)
                    pause = min(2 * pause, MAX_PAUSE)

    async def _deliver(self, account: str, notifications: list[Notification]) -> None:
        """Send all notifications over one connection; those with a response leave the list."""
        host, port = self.addresses[account]
        context = self.context()  # before the connection, since it may fail
        plain = await trio.open_tcp_stream(host, port)
        stream = trio.SSLStream(plain, context, server_hostname=host)
        async with stream:
            await stream.do_handshake()
            self.revocations.require_valid(stream.getpeercert(binary_form=True))
            framer = Framer(self.limits)
            while notifications:
                data = await self.message(account, notifications[0])
                if data is not None:
                    await stream.send_all(data)
                    await self._receive_response(stream, framer)
                    log.info("%s: notified of %s", account, notifications[0].identifier)
                if self.delivered is not None:
                    await self.delivered(account, notifications[0])
                notifications.pop(0)

    async def _receive_response(
        self, stream: "trio.SSLStream[trio.SocketStream]", framer: Framer
    ) -> None:
        while True:
            message = framer.next_message()
            if isinstance(message, bytes):
                return
            if message is Signal.CLOSED:
                raise OSError("the client closed the connection without a response")
            framer.feed(bytes(await stream.receive_some()))
