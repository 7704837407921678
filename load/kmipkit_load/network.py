"""The sockets of a process: which of them are ready, and what time it is."""

import select
import ssl
import time
from collections.abc import Callable, Sequence
from typing import Protocol, Self

from kmipkit_load.errors import LoadError
from kmipkit_load.link import Link, Peer
from kmipkit_load.target import Target

Handshake = Callable[[int, int, bool], None]
"""Is called for each new connection: when it was ready, after how many nanoseconds, and whether it
resumed a TLS session."""

CONNECT_TIMEOUT = 5.0
"""Seconds for which each of several addresses of a server is tried."""
_COARSE = 5_000_000
"""From this time on, in nanoseconds, the milliseconds of epoll are fine enough."""
_SELECTABLE = 1024
"""select() takes only files with lower numbers."""


class LinkLike(Protocol):
    """A connection, as :class:`kmipkit_load.link.Link` is one."""

    @property
    def is_open(self) -> bool:
        """Whether the handshake is done."""

    def open(self) -> None:
        """Begin to connect; LinkFailed."""

    def send(self, body: bytes) -> None:
        """Send a message, after connecting if necessary; LinkFailed."""

    def advance(self) -> bytes | None:
        """Go on when it is ready; a complete response, or LinkFailed."""

    def close(self) -> None:
        """Close it."""


class Network(Protocol):
    """Connections and the clock; tests have one without sockets."""

    def now(self) -> int:
        """Nanoseconds of a clock that does not go back."""

    def link(self, *, resumes: bool = False) -> LinkLike:
        """A new connection, not yet open."""

    def wait(self, nanoseconds: int) -> Sequence[LinkLike]:
        """The connections that are ready, after this time at most."""


class Sockets:
    """The network itself."""

    now = staticmethod(time.monotonic_ns)

    def __init__(self, target: Target) -> None:
        """ClientError or LoadError if the target cannot be used."""
        if not hasattr(select, "epoll"):
            raise LoadError("the load generator needs epoll, which this system does not have")
        target = target.located(CONNECT_TIMEOUT)
        assert target.place is not None
        family, address = target.place
        self._peer = Peer(family, address, target.host, target.context(), target.framing)
        self._poll = select.epoll()
        self._links: dict[int, Link] = {}
        self.handshake: Handshake | None = None
        """Is told of each new connection."""
        self.session: ssl.SSLSession | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for link in list(self._links.values()):
            link.close()
        self._poll.close()

    def link(self, *, resumes: bool = False) -> Link:
        """A new connection, not yet open."""
        return Link(self._peer, self, resumes=resumes)

    def wait(self, nanoseconds: int) -> list[Link]:
        """The connections that are ready, after this time at most."""
        if 0 < nanoseconds < _COARSE and self._poll.fileno() < _SELECTABLE:
            # The time-out of epoll counts milliseconds; that of select is as fine as the kernel's.
            select.select([self._poll], (), (), nanoseconds / 1e9)
            nanoseconds = 0
        ready = self._poll.poll(max(nanoseconds, 0) / 1e9)
        return [link for number, _ in ready if (link := self._links.get(number)) is not None]

    def watch(self, link: Link, *, writes: bool) -> None:
        """Wait until the socket can be read, or written."""
        number, mask = link.fileno(), select.EPOLLOUT if writes else select.EPOLLIN
        if number in self._links:
            self._poll.modify(number, mask)
        else:
            self._poll.register(number, mask)
            self._links[number] = link

    def closed(self, number: int) -> None:
        """A socket is about to be closed, which removes it from the poll."""
        self._links.pop(number, None)

    def opened(self, link: Link) -> None:
        """The handshake of a connection is done."""
        if self.handshake is not None:
            now = self.now()
            self.handshake(now, now - link.began, link.is_resumed)
