"""What the supervisor and its workers say to each other.

Everything that has an answer is a :class:`Question`, whose kind is a row of the table of who answers it
(:class:`kmipkit_server.engine.peers.Peers`). The others are facts.
"""

from typing import Any

import msgspec

SUPERVISOR = 0
"""The supervisor, as the one to whom a question goes."""
OTHERS = -1
"""All workers but the one that asks."""


class _Message(msgspec.Struct, array_like=True, frozen=True):
    @property
    def files(self) -> int:
        """How many open files come with it."""
        return 0


# --- from the supervisor to a worker ---------------------------------------------------------------


class Begin(_Message, tag=1, frozen=True):
    """Open everything, and serve."""

    orders: bytes
    """:class:`kmipkit_server.process.orders.Orders`."""
    descriptors: int
    """The lock of the database and the sockets for monitoring, in this order."""

    @property
    def files(self) -> int:
        """See :attr:`descriptors`."""
        return self.descriptors


class Connect(_Message, tag=2, frozen=True):
    """Serve a connection, which comes along."""

    number: int
    address: str
    port: int

    @property
    def files(self) -> int:
        """The socket."""
        return 1


class MakeRoom(_Message, tag=3, frozen=True):
    """End a connection, if it is still silent."""

    number: int
    reason: str


class Refused(_Message, tag=4, frozen=True):
    """Connections were refused: this belongs into the audit. If one has :class:`Happened` at a worker,
    that worker records it."""

    address: str
    port: int
    kind: str
    text: str
    further: int


class Drain(_Message, tag=5, frozen=True):
    """Finish what has begun, for so many seconds at most, and end."""

    seconds: float


class End(_Message, tag=7, frozen=True):
    """The answer to :class:`Drained`: no other worker needs this one any more."""


class Noted(_Message, tag=6, frozen=True):
    """The first of :class:`Happened` that had no such answer yet is written down."""


# --- from a worker to the supervisor ---------------------------------------------------------------


class Ready(_Message, tag=10, frozen=True):
    """Connections can come."""

    ca: str
    """The file of the authorities, which the first worker may have made."""


class Failed(_Message, tag=11, frozen=True):
    """The worker cannot start; the text says why."""

    text: str


class Taken(_Message, tag=12, frozen=True):
    """A connection is served: it would end with the worker."""

    number: int


class Left(_Message, tag=13, frozen=True):
    """A connection has ended."""

    number: int


class Happened(_Message, tag=18, frozen=True):
    """What has happened to a connection, for the log and the audit, if it is to be written down.

    The answer is :class:`Noted`."""

    level: int
    address: str
    port: int
    kind: str
    text: str


class Kept(_Message, tag=14, frozen=True):
    """A connection that was to make room is in use again."""

    number: int


class Declined(_Message, tag=17, frozen=True):
    """A connection is not served, since the worker is about to end."""

    number: int


class GivenBack(_Message, tag=19, frozen=True):
    """A computation needs its place no longer, or does not wait for one any more."""

    number: int


class Leaving(_Message, tag=15, frozen=True):
    """The worker was told by somebody else to end, and takes no more connections."""


class Drained(_Message, tag=23, frozen=True):
    """A worker that is to end has finished the requests of its connections."""


class Farewell(_Message, tag=16, frozen=True):
    """The last metrics of a worker that ends."""

    figures: bytes


# --- both ways -------------------------------------------------------------------------------------


class Question(_Message, tag=20, frozen=True):
    """A question, which the supervisor passes on if it is for a worker."""

    number: int
    """What its answer has as well."""
    to: int
    kind: str
    body: bytes


class Reply(_Message, tag=21, frozen=True):
    """The answer to a question; none if the one that was asked is gone."""

    number: int
    body: bytes | None
    has_begun: bool = False
    """Without an answer: whether something may have been done for the question."""


class Begun(_Message, tag=22, frozen=True):
    """The answer to a question is about to have effects; see :data:`.questions.REPORTED`."""

    number: int


Message: Any = (
    Begin | Connect | MakeRoom | Refused | Drain | End | Noted
    | Ready | Failed | Taken | Left | Kept | Declined | Happened | GivenBack
    | Leaving | Drained | Farewell
    | Question | Reply | Begun
)  # fmt: skip
