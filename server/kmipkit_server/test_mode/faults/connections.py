"""Faults of connections: before the TLS handshake, in the certificate, and while a response is sent."""

import socket
import struct
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from enum import Enum
from types import MappingProxyType

import trio
from kmipkit_certs.authority import Authority, IssuedCertificate, Purpose

from kmipkit_server.net.transport import MAX_READ, TLSFailure, TLSStream

_HOSTS = ("localhost", "127.0.0.1", "::1")

# --- the handshake -------------------------------------------------------------------------------


async def slow_handshake(*, seconds: float = 5.0) -> None:
    """The server waits before the TLS handshake."""
    await trio.sleep(max(0.0, seconds))


async def no_handshake() -> None:
    """The server closes the connection instead of a TLS handshake."""
    raise _ended()


def _ended() -> TLSFailure:
    return TLSFailure(OSError("ended by a fault"))


# --- the certificate -----------------------------------------------------------------------------


class Problem(Enum):
    """What is wrong with a certificate."""

    EXPIRED = "expired"
    NOT_YET_VALID = "not yet valid"
    OTHER_NAME = "other name"
    OTHER_AUTHORITY = "other authority"


def _issue(
    authority: Authority, *, days: int = 0, hosts: tuple[str, ...] = _HOSTS
) -> IssuedCertificate:
    begin = datetime.now(UTC) + timedelta(days=days)
    return authority.issue("server", Purpose.SERVER, begin, alternative=hosts, days=10)


def _of_another_authority(_: Authority) -> IssuedCertificate:
    return _issue(Authority.create("another authority", "ecdsa-p256", datetime.now(UTC)))


_CERTIFICATES: Mapping[Problem, Callable[[Authority], IssuedCertificate]] = MappingProxyType(
    {
        Problem.EXPIRED: lambda authority: _issue(authority, days=-30),
        Problem.NOT_YET_VALID: lambda authority: _issue(authority, days=30),
        Problem.OTHER_NAME: lambda authority: _issue(authority, hosts=("other.invalid",)),
        Problem.OTHER_AUTHORITY: _of_another_authority,
    }
)


def certificate(authority: Authority, *, problem: Problem = Problem.EXPIRED) -> IssuedCertificate:
    """The server has a certificate that is expired, not yet valid, or of another name or authority."""
    return _CERTIFICATES[problem](authority)


# --- sending -------------------------------------------------------------------------------------


class BreakableStream(TLSStream):
    """A stream that can end in other ways than by closing it."""

    _is_broken = False

    def drop(self, *, reset: bool) -> None:
        """Close without close_notify; with a reset, the peer also loses what it has not read yet."""
        if reset:
            no_linger = struct.pack("ii", 1, 0)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, no_linger)
        self._is_broken = True
        self.abort()

    def abort(self, *, notify: bool = False) -> None:
        """Close at once; a broken connection has no session any more that close_notify could end."""
        super().abort(notify=notify and not self._is_broken)

    async def finish(self, *, notify: bool) -> None:
        """Close so that the peer can still read the last data, unless the connection is broken."""
        if self._is_broken:
            self.abort()
        else:
            await super().finish(notify=notify)

    async def half_close(self) -> None:
        """Close the sending side, and read until the peer has closed as well."""
        self._notify()
        self._is_broken = True
        self._socket.shutdown(socket.SHUT_WR)  # it then receives without decryption
        with suppress(ConnectionError):
            while True:
                try:
                    if not self._socket.recv(MAX_READ):
                        return
                except BlockingIOError:
                    await trio.lowlevel.wait_readable(self._socket)


async def drop(
    stream: BreakableStream, data: bytes, *, after: int | None = None, reset: bool = False
) -> None:
    """The connection ends without close_notify after some bytes of the response, by default the half."""
    part = data[: len(data) // 2 if after is None else after]
    if part:
        await stream.send_all(part)
    stream.drop(reset=reset)
    raise _ended()


async def split(stream: BreakableStream, data: bytes, *, size: int = 1, pause: float = 0.0) -> None:
    """The response arrives in pieces of ``size`` bytes, each in a TLS record of its own."""
    step = max(1, size)
    for start in range(0, len(data), step):
        await stream.send_all(data[start : start + step])
        await trio.sleep(max(0.0, pause))


async def half_close(stream: BreakableStream, data: bytes, *, answers: bool = False) -> None:
    """The server closes its sending side only, before the response or (``answers``) after it."""
    if answers:
        await stream.send_all(data)
    await stream.half_close()
    raise _ended()
