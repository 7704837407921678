"""When accounts have connected, for administrators: all workers are asked."""

from datetime import timedelta

from kmipkit_server.engine.peers import Peers
from kmipkit_server.engine.settings import Clock
from kmipkit_server.identity import shared_sightings
from kmipkit_server.identity.sightings import Sightings

_RECENT = "sightings"
_PERIOD = timedelta(seconds=3 * shared_sightings.SECONDS)
"""What is older is in the store, and all processes have read it there."""


class AllSightings:
    """The sightings of all workers of a server.

    Those of other nodes come through the store, and so a minute late.
    """

    def __init__(self, own: Sightings, peers: Peers, clock: Clock) -> None:
        self._own = own
        self._peers = peers
        self._clock = clock
        peers.answer(_RECENT, self._answer)

    async def refresh(self) -> None:
        """Add to those of this process what the other ones have seen meanwhile."""
        for answer in await self._peers.ask_others(_RECENT):
            for account, sighting in shared_sightings.unpack(answer):
                self._own.merge(account, sighting)

    async def _answer(self, _: bytes) -> bytes:
        return shared_sightings.pack(self._own, self._clock() - _PERIOD)
