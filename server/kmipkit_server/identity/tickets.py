"""Tickets of Login and Delegated Login (KMIP 2.1 §6.1.12, §6.1.30, §6.1.31).

A ticket stands for the account to which it was issued, until it expires. Its session is in memory
only, and ends with the process.
"""

from collections.abc import MutableMapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

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


@dataclass(frozen=True, slots=True)
class Session:
    """The session of a ticket."""

    account: Identity
    expires: datetime
    requests_left: int | None
    """None for any number."""


class Tickets:
    """The rules for tickets, over a table of sessions by Ticket Value."""

    def __init__(self, sessions: MutableMapping[bytes, Session]) -> None:
        self._sessions = sessions

    def issue(
        self,
        account: Identity,
        value: bytes,
        now: datetime,
        lease: timedelta,
        requests: int | None,
        rights: tuple[Right, ...] | None,
    ) -> Ticket:
        """A new ticket. OperationError: Server Limit Exceeded if there are too many."""
        self._remove_expired(now)
        holders = [session.account.name for session in self._sessions.values()]
        require_share(
            "valid tickets",
            holders.count(account.name), MAX_TICKETS_PER_ACCOUNT, len(holders), MAX_TICKETS,
        )  # fmt: skip
        # The certificate and the proof belong to the connection of this request, not to the ticket.
        holder = Identity(account.name, account.is_administrator, rights=rights)
        self._sessions[value] = Session(holder, now + lease, requests)
        return Ticket(ticket_type=TicketType.LOGIN, ticket_value=value)

    def present(self, ticket: Ticket, now: datetime) -> Identity:
        """The account of a ticket. This uses one of the ticket's requests.

        OperationError: Invalid Ticket.
        """
        self._remove_expired(now)
        value = ticket.ticket_value
        session = self._sessions.get(value)
        if session is None:
            raise OperationError(
                ResultReason.INVALID_TICKET, "the ticket is invalid or has expired"
            )
        if session.requests_left is not None:
            if session.requests_left <= 1:
                del self._sessions[value]
            else:
                self._sessions[value] = replace(session, requests_left=session.requests_left - 1)
        return session.account

    def withdraw(self, ticket: Ticket, account: Identity, now: datetime) -> None:
        """End a ticket. OperationError: Invalid Ticket if the account has no such ticket."""
        self._remove_expired(now)
        session = self._sessions.get(ticket.ticket_value)
        if session is None or session.account.name != account.name:
            raise OperationError(ResultReason.INVALID_TICKET, "the account has no such ticket")
        del self._sessions[ticket.ticket_value]

    def _remove_expired(self, now: datetime) -> None:
        expired = [value for value, session in self._sessions.items() if session.expires < now]
        for value in expired:
            del self._sessions[value]
