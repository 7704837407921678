"""Tickets of Login and Delegated Login (KMIP 2.1 §6.1.12, §6.1.30, §6.1.31).

A ticket stands for the account that it was given to, until it is over. Tickets are sessions: they
are kept in memory and end with the process.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from kmipkit.errors import OperationError
from kmipkit.model.credentials import Ticket
from kmipkit.model.payloads.limits import Right
from kmipkit.spec.enums import ResultReason, TicketType
from kmipkit_server.identity.certificate import Identity

LIMIT = 4096
"""Tickets of all accounts at most."""

SIZE = 32
"""Bytes of a ticket's value."""


@dataclass(slots=True)
class _Session:
    account: Identity
    until: datetime
    requests: int | None
    """Requests that are left; None for any number."""


class Tickets:
    """The tickets that are valid."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._sessions: dict[bytes, _Session] = {}

    def give(
        self,
        account: Identity,
        value: bytes,
        now: datetime,
        lease: timedelta,
        requests: int | None,
        rights: tuple[Right, ...] | None,
    ) -> Ticket:
        """A new ticket. OperationError: Server Limit Exceeded where there are too many."""
        self._forget_late(now)
        if len(self._sessions) >= self._limit:
            raise OperationError(
                ResultReason.SERVER_LIMIT_EXCEEDED, f"{self._limit} tickets are valid already"
            )
        # The certificate and the proof belong to the connection that asks, not to the ticket.
        bearer = Identity(account.name, account.is_administrator, rights=rights)
        self._sessions[value] = _Session(bearer, now + lease, requests)
        return Ticket(ticket_type=TicketType.LOGIN, ticket_value=value)

    def show(self, ticket: Ticket, now: datetime) -> Identity:
        """The account that a ticket stands for; one of its requests is used up.

        OperationError: Invalid Ticket.
        """
        self._forget_late(now)
        session = self._sessions.get(ticket.ticket_value)
        if session is None:
            raise OperationError(ResultReason.INVALID_TICKET, "the ticket is not valid, or over")
        if session.requests is not None:
            session.requests -= 1
            if session.requests <= 0:
                del self._sessions[ticket.ticket_value]
        return session.account

    def withdraw(self, ticket: Ticket, account: Identity, now: datetime) -> None:
        """End a ticket. OperationError: Invalid Ticket if the account has no such ticket."""
        self._forget_late(now)
        session = self._sessions.get(ticket.ticket_value)
        if session is None or session.account.name != account.name:
            raise OperationError(ResultReason.INVALID_TICKET, "the account has no such ticket")
        del self._sessions[ticket.ticket_value]

    def _forget_late(self, now: datetime) -> None:
        for value in [value for value, one in self._sessions.items() if one.until < now]:
            del self._sessions[value]
