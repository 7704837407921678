"""The development PKI renews the server's certificates before they end, also while the server runs."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import trio

from kmipkit_server.config import ConfigError
from kmipkit_server.engine.peers import ALONE, Peers
from kmipkit_server.service.reload import Reloadable, Reloader

log = logging.getLogger("kmipkit.server")

_RENEWED = "certificates renewed"

INTERVAL = 24 * 3600.0
"""Seconds between two looks at the dates."""


@dataclass(slots=True)
class Renewal:
    """Renews the files, and has the server use them."""

    reloader: Reloader
    parts: Sequence[Reloadable]
    """Those that use certificates. The others do not change: an operator may be editing their files."""
    renew: Callable[[], list[Path]]
    """Renews the files that are due."""
    peers: Peers = ALONE
    """The other processes, which use the same files."""
    _is_pending: bool = False
    """Whether there are renewed files that could not be used yet."""

    def __post_init__(self) -> None:
        self.peers.answer(_RENEWED, self._use_renewed)

    async def run(self) -> None:
        """Look at the dates once a day."""
        while True:
            await trio.sleep(INTERVAL)
            await self.once()

    async def once(self) -> None:
        """Renew what is due now. Connections that are open go on."""
        async with self.reloader.turn:
            renewed = await trio.to_thread.run_sync(self.renew)
            self._is_pending = self._is_pending or bool(renewed)
            if self._is_pending:
                await self._apply()
        if renewed:
            await self.peers.ask_others(_RENEWED)

    async def _use_renewed(self, _: bytes) -> bytes:
        """Another process has renewed the files."""
        async with self.reloader.turn:
            self._is_pending = True
            await self._apply()
        return b""

    async def _apply(self) -> None:
        config = self.reloader.config
        try:
            commits = [await trio.to_thread.run_sync(part.prepare, config) for part in self.parts]
        except ConfigError as error:
            log.error("the renewed certificates are not in use yet: %s", error)
            return
        for line in [line for commit in commits for line in commit()]:
            log.info("%s", line)
        self._is_pending = False
