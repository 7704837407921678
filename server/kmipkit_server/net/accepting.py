"""Accepting connections, as long as there are places for them.

The accept loop does nothing but accept: until a client has authenticated, a connection costs it more
than the server.
"""

import contextlib
import errno
import logging
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import trio

from kmipkit.places import Full, Limit
from kmipkit_server.net.counters import ConnectionCounters, Refusal
from kmipkit_server.net.events import NO_PLACE, ConnectionEvents
from kmipkit_server.net.sockets import host_name, port_of
from kmipkit_server.net.transport import linger

log = logging.getLogger("kmipkit.server")

MAX_REJECTING = 64
"""Connections beyond the limit that get an alert at the same time; others are closed without one."""
_INTERNAL_ERROR_ALERT = bytes.fromhex("15 0303 0002 02 50")
"""The fatal alert "internal_error", which is not about the peer: the server is busy (RFC 8446 §6.2)."""
_OUT_OF_RESOURCES = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}

Take = Callable[[socket.socket, str, int], Awaitable[None]]
"""Takes a connection over, with the address and port of its peer. Full if there is no place."""


@dataclass(slots=True)
class Acceptor:
    """Accepts the connections of listening sockets."""

    take: Take
    counters: ConnectionCounters
    events: ConnectionEvents
    _rejecting: int = 0
    """The number of connections that are being rejected."""
    _accepting: trio.CancelScope = field(default_factory=trio.CancelScope)

    @property
    def is_stopped(self) -> bool:
        """Whether no more connections are accepted."""
        return self._accepting.cancel_called

    def stop(self) -> None:
        """Accept no more connections."""
        self._accepting.cancel()

    async def serve(self, sockets: list[socket.socket]) -> None:
        """Accept until :meth:`stop`, and then close the sockets."""
        async with trio.open_nursery() as rejecting:
            with self._accepting:
                async with trio.open_nursery() as accepting:
                    for listening in sockets:
                        accepting.start_soon(self._accept, listening, rejecting)
            for listening in sockets:
                listening.close()

    async def _accept(self, listening: socket.socket, rejecting: trio.Nursery) -> None:
        while True:
            try:
                raw, address = listening.accept()
            except BlockingIOError:
                await trio.lowlevel.wait_readable(listening)
            except OSError as error:
                if error.errno in _OUT_OF_RESOURCES:
                    # The connection stays in the backlog, and accept() would fail again at once.
                    log.error("cannot accept connections at the moment: %s", error.strerror)
                    await trio.sleep(0.1)
                elif error.errno == errno.EBADF:  # the socket was closed: the server stops
                    return
                # Other errors are those of one connection, such as a reset in the backlog.
            else:
                await self._begin(raw, host_name(address), port_of(address), rejecting)
                # A full checkpoint for each connection would let other tasks run in between, and
                # a burst of connections would wait longer for its handshakes.
                await trio.lowlevel.checkpoint_if_cancelled()

    async def _begin(
        self, raw: socket.socket, address: str, port: int, rejecting: trio.Nursery
    ) -> None:
        raw.setblocking(False)
        try:
            if self.is_stopped:
                self.counters.refused[Refusal.STOPPING] += 1
                self.events.warn(address, port, NO_PLACE, "the server stops")
            else:
                await self.take(raw, address, port)
                self.counters.accepted += 1
                return
        except Full as full:
            is_address = full.limit is Limit.ADDRESS
            self.counters.refused[Refusal.ADDRESS if is_address else Refusal.TOTAL] += 1
            self.events.warn(address, port, NO_PLACE, str(full))
        rejecting.start_soon(self._reject, raw)

    async def _reject(self, raw: socket.socket) -> None:
        """Close a connection with an alert, so that the client does not take it for a network fault."""
        if self.is_stopped or self._rejecting >= MAX_REJECTING:
            raw.close()
            return
        self._rejecting += 1
        try:
            with contextlib.suppress(OSError):
                raw.send(_INTERNAL_ERROR_ALERT)
            await linger(raw)
        finally:
            self._rejecting -= 1
