"""Tickets of Login and Delegated Login (KMIP 2.1 §6.1.12, §6.1.30, §6.1.31).

A ticket stands for the account to which it was issued, until it expires. Its session is an entry of the
store, under the hash of its value: so every process of the server knows it, it survives a restart, and
nobody who reads the store can use it. A ticket whose requests are used up is remembered until it
expires, so that its holder gets the right Result Reason: Usage Limit Exceeded, "the usage limits or
request count has been exceeded" (KMIP 2.1 §11.46).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import NamedTuple

import msgspec
from kmipkit_certs.revocation_status import PeerCertificate

from kmipkit.errors import OperationError
from kmipkit.model.credentials import Ticket
from kmipkit.model.payloads.limits import Right
from kmipkit.spec.enums import ResultReason, TicketType
from kmipkit_server.identity.identity import Identity
from kmipkit_server.identity.shares import require_share
from kmipkit_server.identity.stored_identity import StoredCertificate, StoredIdentity
from kmipkit_server.store.base import Entry, Reader, Transaction

VALID, SPENT = "ticket", "spent ticket"
KINDS = (VALID, SPENT)
"""The kinds of entries: tickets, and those whose requests are used up."""

MAX_TICKETS = 4096
"""Valid tickets of all accounts at the same time, at most."""
MAX_TICKETS_PER_ACCOUNT = MAX_TICKETS // 8
"""Of these, the tickets of one account."""

INVALID = "the ticket is invalid or has expired"

SIZE = 32
"""Bytes of a Ticket Value."""


class Limits(NamedTuple):
    """For how many requests and operations a ticket is still valid; None for any number."""

    requests: int | None = None
    operations: int | None = None
    """The operations in all batches: the Usage Limits (KMIP 2.1 §6.1.12, §6.1.30)."""

    def are_exceeded_by(self, operations: int) -> bool:
        """Whether a request with this many operations is not permitted."""
        return self.operations is not None and operations > self.operations

    def after(self, operations: int) -> "Limits":
        """What is left after a request."""
        return Limits(
            None if self.requests is None else self.requests - 1,
            None if self.operations is None else self.operations - operations,
        )

    @property
    def are_used_up(self) -> bool:
        """Whether no further request is permitted."""
        return 0 in (self.requests, self.operations)


@dataclass(frozen=True, slots=True)
class Session:
    """The session of a ticket."""

    account: Identity
    expires: datetime
    limits: Limits
    """What is left of the ticket."""
    parent: bytes | None = None
    """The ticket with which this one was requested."""
    certificate: PeerCertificate | None = None
    """The client certificate of the connection on which it was requested."""


class _Stored(msgspec.Struct, frozen=True, omit_defaults=True):
    """The content of an entry."""

    account: StoredIdentity
    requests: int | None = None
    operations: int | None = None
    parent: bytes | None = None
    certificate: StoredCertificate | None = None


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Stored).decode


Revocation = Callable[[PeerCertificate], str | None]
"""Returns why a certificate is not valid any longer; None if it is."""


class MustWrite(Exception):
    """What is to be done with a ticket changes the store: it must be done in a transaction."""


def key_of(value: bytes) -> bytes:
    """What identifies a ticket in the store, and says nothing about its value, which is random."""
    return sha256(value).digest()


class Tickets:
    """The rules for tickets, over the store.

    A ticket that was requested with another ticket is bounded by it: it has no other rights, ends
    with it, and its requests are also requests of the other one. Otherwise the holder of a ticket
    for one request could renew it for ever.
    """

    def __init__(self, store: Reader, now: datetime) -> None:
        """Changes need a :class:`.Transaction`: MustWrite if the store is a view."""
        self._store = store
        self._now = now

    def issue(
        self,
        account: Identity,
        value: bytes,
        lease: timedelta,
        limits: Limits,
        rights: tuple[Right, ...] | None,
    ) -> Ticket:
        """A new ticket.

        OperationError: Server Limit Exceeded if there are too many, Usage Limit Exceeded if the
        ticket of the request has no further request to pass on, Invalid Ticket if it has ended.
        """
        holders = self._make_room()
        require_share("valid tickets", account.name, holders, MAX_TICKETS_PER_ACCOUNT, MAX_TICKETS)
        expires = self._now + lease
        if account.ticket is not None:
            chain = self._chain(account.ticket)
            if chain is None:
                raise OperationError(
                    ResultReason.INVALID_TICKET, "the ticket of the request is invalid"
                )
            _require_more_uses(chain.values(), 0)
            expires = min(expires, *(session.expires for session in chain.values()))
        key = key_of(value)
        # The certificate and the proof belong to the connection of this request, not to the ticket.
        holder = Identity(
            account.name, account.is_administrator, account.user, rights=rights, ticket=key
        )
        session = Session(holder, expires, limits, account.ticket, account.certificate)
        self._transaction.put_entry(_entry(key, session))
        return Ticket(ticket_type=TicketType.LOGIN, ticket_value=value)

    def _make_room(self) -> dict[str, int]:
        """Remove what has expired, and what is used up if there are many; who has valid tickets."""
        transaction, now = self._transaction, self._now
        for kind in KINDS:
            transaction.remove_expired(kind, now)
        holders, spent = (transaction.entry_owners(kind, now) for kind in KINDS)
        if sum(holders.values()) + sum(spent.values()) >= MAX_TICKETS:
            for each in transaction.entries(SPENT):
                transaction.remove_entry(SPENT, each.key)
        return holders

    def present(self, ticket: Ticket, tenant: str, operations: int) -> Identity:
        """The account of a ticket. This uses one of its requests, and a number of operations.

        OperationError: Invalid Ticket, Usage Limit Exceeded. A ticket of another tenant is like one
        that does not exist, and stays as it is.
        """
        key = key_of(ticket.ticket_value)
        chain = self._chain(key)
        if chain is None or chain[key].account.tenant != tenant:
            raise OperationError(ResultReason.INVALID_TICKET, INVALID)
        _require_more_uses(chain.values(), operations)
        for each, session in chain.items():
            limits = session.limits.after(operations)
            if limits != session.limits:
                self._replace(each, replace(session, limits=limits))
        return chain[key].account

    def _replace(self, key: bytes, session: Session) -> None:
        entry = _entry(key, session)
        self._transaction.put_entry(entry)
        if entry.kind == SPENT:
            self._transaction.remove_entry(VALID, key)

    def end_revoked(self, ticket: Ticket, tenant: str, revocation: Revocation) -> None:
        """End the tickets of its chain that were opened with a certificate that is revoked now.

        Otherwise the thief of a certificate could keep its account by way of a ticket.
        """
        key = key_of(ticket.ticket_value)
        chain = self._chain(key)
        if chain is None or chain[key].account.tenant != tenant:
            return
        for each, session in chain.items():
            if session.certificate is not None and revocation(session.certificate) is not None:
                self._end(each)

    def withdraw(self, ticket: Ticket, account: Identity) -> None:
        """End a ticket, with all that were requested with it.

        OperationError: Invalid Ticket if the account has no such ticket. A delegated ticket only
        ends itself, and those that were requested with it.
        """
        key = key_of(ticket.ticket_value)
        chain = self._chain(key)
        if (
            chain is None
            or chain[key].account.name != account.name
            or (account.rights is not None and account.ticket not in chain)
        ):
            raise OperationError(ResultReason.INVALID_TICKET, "the account has no such ticket")
        self._end(key)

    def valid(self) -> list[Session]:
        """All sessions that have not ended and whose requests are not used up."""
        entries = self._store.entries(VALID)
        return [_session(each) for each in entries if each.is_valid(self._now)]

    def _end(self, key: bytes) -> None:
        for kind in KINDS:
            self._transaction.remove_entry(kind, key)

    @property
    def _transaction(self) -> Transaction:
        if not isinstance(self._store, Transaction):
            raise MustWrite
        return self._store

    def _chain(self, key: bytes) -> dict[bytes, Session] | None:
        """The session of a ticket and of those behind it; None if one of them has ended."""
        chain: dict[bytes, Session] = {}
        following: bytes | None = key
        while following is not None:
            entry = self._store.entry(VALID, following) or self._store.entry(SPENT, following)
            if entry is None or not entry.is_valid(self._now):
                return None
            session = chain[following] = _session(entry)
            following = session.parent
        return chain


def _entry(key: bytes, session: Session) -> Entry:
    content = _Stored(
        StoredIdentity.of(session.account),
        *session.limits,
        parent=session.parent,
        certificate=StoredCertificate.of(session.certificate),
    )
    kind = SPENT if session.limits.are_used_up else VALID
    return Entry(kind, key, session.account.name, session.expires, _encode(content))


def _session(entry: Entry) -> Session:
    stored = _decode(entry.content)
    limits = Limits(stored.requests, stored.operations)
    certificate = None if stored.certificate is None else stored.certificate.restored()
    account = stored.account.restored()
    return Session(account, entry.expires, limits, stored.parent, certificate)


def _require_more_uses(sessions: Iterable[Session], operations: int) -> None:
    """Refuse a request with more operations than one of the tickets still permits."""
    for session in sessions:
        if session.limits.are_used_up:
            raise OperationError(ResultReason.USAGE_LIMIT_EXCEEDED, "the ticket is used up")
        if session.limits.are_exceeded_by(operations):
            raise OperationError(
                ResultReason.USAGE_LIMIT_EXCEEDED,
                f"the ticket does not permit {operations} more operations",
            )
