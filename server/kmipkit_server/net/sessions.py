"""The open connections of a server, also of one that consists of several processes."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

import msgspec
import trio

from kmipkit_server.engine.peers import Peers
from kmipkit_server.net.connection import Connection
from kmipkit_server.net.listener import Listener

_LIST, _END, _END_ACCOUNT = "sessions", "end session", "end account"


class Session(msgspec.Struct, array_like=True, frozen=True, kw_only=True):
    """A connection whose client has authenticated."""

    number: int
    """What identifies it while the server runs."""
    account: str
    """The whole name."""
    tenant: str
    user: str
    address: str
    port: int
    serial: str
    """Of the client's certificate, in hexadecimal digits."""
    expires: datetime | None
    """When that certificate does."""
    tls: str
    age: float
    """Seconds since it was accepted."""
    silence: float | None
    """Seconds since its last request has ended; None if one is in progress."""
    requests: int
    waiting_for: str
    presented: tuple[bytes, str, tuple[bytes, ...]]
    """The certificate, the account that it names, and the authorities in its chain."""


class _Open(msgspec.Struct, array_like=True, frozen=True):
    sessions: list[Session]
    handshakes: int


class Sessions:
    """The connections of all processes."""

    def __init__(self, listener: Listener, peers: Peers) -> None:
        self._listener = listener
        self._peers = peers
        peers.answer(_LIST, self._answer_list)
        peers.answer(_END, self._answer_end)
        peers.answer(_END_ACCOUNT, self._answer_end_account)

    async def all(self) -> tuple[list[Session], int]:
        """The sessions in the order of their numbers, and how many handshakes are in progress."""
        answers = await self._peers.ask_others(_LIST)
        found = [self._own(), *(msgspec.msgpack.decode(each, type=_Open) for each in answers)]
        sessions = sorted(
            (each for one in found for each in one.sessions), key=lambda each: each.number
        )
        return sessions, sum(each.handshakes for each in found)

    async def counts(self) -> Counter[str]:
        """How many sessions each account has, by its whole name."""
        return Counter(each.account for each in (await self.all())[0])

    async def end(self, number: int) -> bool:
        """End a session; False if there is none with this number."""
        if self._end(number):
            return True
        body = msgspec.msgpack.encode(number)
        answers = await self._peers.ask_others(_END, body)
        return any(msgspec.msgpack.decode(each, type=bool) for each in answers)

    async def end_account(self, account: str) -> int:
        """End all sessions of an account; how many there were."""
        answers = await self._peers.ask_others(_END_ACCOUNT, account.encode())
        others = sum(msgspec.msgpack.decode(each, type=int) for each in answers)
        return self._listener.end_account(account) + others

    # --- in this process -------------------------------------------------------------------------

    def _own(self) -> _Open:
        connections = self._listener.connections
        sessions = list(_sessions(connections))
        return _Open(sessions, len(connections) - len(sessions))

    def _end(self, number: int) -> bool:
        for each in list(self._listener.connections):
            if each.number == number and each.identity is not None and not each.ended_by:
                self._listener.end(each)
                return True
        return False

    async def _answer_list(self, _: bytes) -> bytes:
        return msgspec.msgpack.encode(self._own())

    async def _answer_end(self, body: bytes) -> bytes:
        return msgspec.msgpack.encode(self._end(msgspec.msgpack.decode(body, type=int)))

    async def _answer_end_account(self, body: bytes) -> bytes:
        return msgspec.msgpack.encode(self._listener.end_account(body.decode()))


def _sessions(connections: Iterable[Connection]) -> Iterable[Session]:
    now = trio.current_time()
    for each in connections:
        identity, presented = each.identity, each.presented
        if identity is None or presented is None:
            continue
        certificate, silent = identity.certificate, each.silent_since
        yield Session(
            number=each.number,
            account=identity.name,
            tenant=identity.tenant,
            user=identity.user or "",
            address=each.address,
            port=each.port,
            serial="" if certificate is None else f"{certificate.serial:x}",
            expires=identity.certificate_expires,
            tls=each.tls,
            age=now - each.begun,
            silence=None if silent is None else now - silent,
            requests=each.requests,
            waiting_for=each.waiting_for,
            presented=(presented.presented, presented.name, presented.authorities),
        )
