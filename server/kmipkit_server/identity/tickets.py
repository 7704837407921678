"""Tickets of Login and Delegated Login (KMIP 2.1 §6.1.12, §6.1.30, §6.1.31).

A ticket stands for the account to which it was issued, until it expires. Its session is in memory
only, and ends with the process. A ticket whose requests are used up is remembered until it expires,
so that its holder gets the right Result Reason: Usage Limit Exceeded, "the usage limits or request
count has been exceeded" (KMIP 2.1 §11.46).
"""

from collections.abc import Callable, Iterable, MutableMapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NamedTuple

from kmipkit.errors import OperationError
from kmipkit.model.credentials import Ticket
from kmipkit.model.payloads.limits import Right
from kmipkit.spec.enums import ResultReason, TicketType
from kmipkit_server.identity.identity import Identity
from kmipkit_server.identity.shares import require_share

MAX_TICKETS = 4096
"""Valid tickets of all accounts at the same time, at most."""
MAX_TICKETS_PER_ACCOUNT = MAX_TICKETS // 8
"""Of these, the tickets of one account."""

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


class Tickets:
    """The rules for tickets, over a table of sessions by Ticket Value.

    A ticket that was requested with another ticket is bounded by it: it has no other rights, ends
    with it, and its requests are also requests of the other one. Otherwise the holder of a ticket
    for one request could renew it for ever.
    """

    def __init__(self, sessions: MutableMapping[bytes, Session]) -> None:
        self._sessions = sessions

    def issue(
        self,
        account: Identity,
        value: bytes,
        now: datetime,
        lease: timedelta,
        limits: Limits,
        rights: tuple[Right, ...] | None,
    ) -> Ticket:
        """A new ticket.

        OperationError: Server Limit Exceeded if there are too many, Usage Limit Exceeded if the
        ticket of the request has no further request to pass on, Invalid Ticket if it has ended.
        """
        self._remove_expired(now)
        if len(self._sessions) >= MAX_TICKETS:
            self._remove(lambda session: session.limits.are_used_up)
        holders = [
            session.account.name
            for session in self._sessions.values()
            if not session.limits.are_used_up
        ]
        require_share(
            "valid tickets",
            holders.count(account.name), MAX_TICKETS_PER_ACCOUNT, len(holders), MAX_TICKETS,
        )  # fmt: skip
        expires = now + lease
        if account.ticket is not None:
            chain = self._chain(account.ticket)
            if chain is None:
                raise OperationError(
                    ResultReason.INVALID_TICKET, "the ticket of the request is invalid"
                )
            _require_more_uses(chain.values(), 0)
            expires = min(expires, *(session.expires for session in chain.values()))
        # The certificate and the proof belong to the connection of this request, not to the ticket.
        holder = Identity(
            account.name, account.is_administrator, account.user, rights=rights, ticket=value
        )
        self._sessions[value] = Session(holder, expires, limits, account.ticket)
        return Ticket(ticket_type=TicketType.LOGIN, ticket_value=value)

    def present(self, ticket: Ticket, now: datetime, operations: int) -> Identity:
        """The account of a ticket. This uses one of its requests, and a number of operations.

        OperationError: Invalid Ticket, Usage Limit Exceeded.
        """
        self._remove_expired(now)
        value = ticket.ticket_value
        chain = self._chain(value)
        if chain is None:
            raise OperationError(
                ResultReason.INVALID_TICKET, "the ticket is invalid or has expired"
            )
        _require_more_uses(chain.values(), operations)
        for each, session in chain.items():
            limits = session.limits.after(operations)
            if limits != session.limits:
                self._sessions[each] = replace(session, limits=limits)
        return chain[value].account

    def withdraw(self, ticket: Ticket, account: Identity, now: datetime) -> None:
        """End a ticket, with all that were requested with it.

        OperationError: Invalid Ticket if the account has no such ticket. A delegated ticket only
        ends itself, and those that were requested with it.
        """
        self._remove_expired(now)
        chain = self._chain(ticket.ticket_value)
        if (
            chain is None
            or chain[ticket.ticket_value].account.name != account.name
            or (account.rights is not None and account.ticket not in chain)
        ):
            raise OperationError(ResultReason.INVALID_TICKET, "the account has no such ticket")
        del self._sessions[ticket.ticket_value]

    def _chain(self, value: bytes) -> dict[bytes, Session] | None:
        """The session of a ticket and of those behind it; None if one of them has ended."""
        chain: dict[bytes, Session] = {}
        following: bytes | None = value
        while following is not None:
            session = self._sessions.get(following)
            if session is None:
                return None
            chain[following] = session
            following = session.parent
        return chain

    def _remove_expired(self, now: datetime) -> None:
        self._remove(lambda session: session.expires < now)

    def _remove(self, condition: Callable[[Session], bool]) -> None:
        for value in [value for value, session in self._sessions.items() if condition(session)]:
            del self._sessions[value]


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
