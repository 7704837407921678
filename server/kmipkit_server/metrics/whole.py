"""What the port for monitoring says about a server that consists of several processes.

Any of them may be asked. It asks the others, through the one that started them all, and the answer is
that of the whole server.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import msgspec
from prometheus_client.core import Metric

from kmipkit_server.engine.peers import PeerGone, Peers
from kmipkit_server.metrics import merging
from kmipkit_server.metrics.readiness import Readiness

SUPERVISOR = 0
"""The number of the process that started all others."""
FIGURES = "figures"
"""The metrics: of one worker, and of all if the supervisor is asked."""
READINESS = "readiness"
"""Why a worker is not ready."""
ABSENT = "absent"
"""Of a worker to the supervisor: which workers do not run, or do not answer."""

_Reasons = dict[str, str | None]


@dataclass(frozen=True, slots=True)
class WholeServer:
    """All processes, as one of them sees them."""

    peers: Peers
    readiness: Readiness
    own: Callable[[], Iterable[Metric]]

    async def metrics(self) -> Iterable[Metric]:
        """The metrics of all processes as one."""
        if self.peers.is_alone:
            return self.own()
        try:
            return merging.unpack(await self.peers.ask(SUPERVISOR, FIGURES, b""))
        except PeerGone:  # this process is about to end
            return self.own()

    async def answer_readiness(self, _: bytes) -> bytes:
        """The own reasons, for the process that was asked."""
        return msgspec.msgpack.encode((self.peers.number, await self.readiness.reasons()))

    async def reasons(self) -> Mapping[str, str | None]:
        """Why the server is not ready: one reason of one worker is enough."""
        reasons: _Reasons = await self.readiness.reasons()
        if self.peers.is_alone:
            return reasons
        for answer in await self.peers.ask_others(READINESS):
            number, others = msgspec.msgpack.decode(answer, type=tuple[int, _Reasons])
            for check, reason in others.items():
                if reason is not None and reasons.get(check) is None:
                    reasons[check] = f"worker {number}: {reason}"
        reasons["workers"] = await self._absent()
        return reasons

    async def _absent(self) -> str | None:
        try:
            answer = await self.peers.ask(SUPERVISOR, ABSENT, b"")
        except PeerGone:
            return "the supervisor has ended"
        absent = msgspec.msgpack.decode(answer, type=list[int])
        if not absent:
            return None
        return f"not running, or not answering: worker {', '.join(map(str, absent))}"
