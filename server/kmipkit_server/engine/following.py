"""Following what other processes change in the store: of that, each process has a copy in memory.

See :mod:`kmipkit_server.store.revision`. Requests find out by themselves whether the copy is current;
what is here reads it again.
"""

import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

import msgspec
import trio

from kmipkit_server.engine.peers import ALONE, Peers
from kmipkit_server.engine.state import ServerState
from kmipkit_server.store.base import Store
from kmipkit_server.store.errors import StoreError
from kmipkit_server.store.revision import read_revision

log = logging.getLogger("kmipkit.server")

STATE = "state"
"""The kind of questions to peers: to read their state again."""
SECONDS_BETWEEN_LOOKS = 1.0
"""How often a process looks whether another one has changed what it has in memory."""
SECONDS_FOR_PEERS = 5.0
"""How long a process waits until its peers have read what it has changed."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(str | None).decode


@dataclass(slots=True)
class Following:
    """Keeps the state in memory as the store has it."""

    store: Store
    state: ServerState
    peers: Peers = field(default=ALONE, init=False)
    failure: str = field(default="", init=False)
    """Why the store could not be read when that was last tried; empty if it could."""
    on_change: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint
    """Called when the state was read."""

    def join(self, peers: Peers) -> None:
        """Do so when peers ask for it, and ask them."""
        self.peers = peers
        peers.answer(STATE, self._refresh_for_peer)

    async def refresh(self) -> None:
        """Read the state again if it has changed. StoreError if that is impossible."""
        revision = await self.store.run(read_revision)
        if revision != self.state.revision:
            await self.read(revision)

    async def read(self, revision: bytes | None) -> None:
        """Read the state at a revision, or a later one. StoreError if that is impossible."""
        await self.store.run(lambda reader: self.state.read(reader, revision))
        await self.on_change()

    async def announce(self, gone: str | None = None) -> None:
        """Read what this process has just changed, and have its peers do so; all of them forget an owner
        that is gone.

        Their requests would find out by themselves; but a client that comes to them next may have a
        new certificate, with which it cannot even begin.
        """
        try:
            await self.refresh()
        except StoreError as error:
            log.error("a change is durable, but cannot be read: %s", error)
        self._forget(gone)
        with trio.move_on_after(SECONDS_FOR_PEERS):
            await self.peers.ask_others(STATE, _encode(gone))

    def _forget(self, gone: str | None) -> None:
        if gone is not None:
            self.state.forget(gone)

    async def watch(self) -> None:
        """Read the state now and then, until cancelled: for clients that do not send anything."""
        while True:
            await trio.sleep(SECONDS_BETWEEN_LOOKS)
            try:
                await self.refresh()
            except StoreError as error:
                self.failure = str(error)
                log.error("what has changed in the store cannot be read: %s", error)
            else:
                self.failure = ""

    async def _refresh_for_peer(self, question: bytes) -> bytes:
        self._forget(_decode(question))
        with suppress(StoreError):  # its own requests find it out, too, and report it
            await self.refresh()
        return b""
