"""Sessions of users: who they are, and what lives as long as they do.

The cookie is a random token of which only a hash is stored. A session ends by Logout, after half an
hour without a call, and when its user gets another password or none.
"""

import hashlib
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from kmipkit_vsphere.model.clock import Clock
from kmipkit_vsphere.vcenter.store.users import PasswordHash, Users
from kmipkit_vsphere.web_services.managed import ManagedObject
from kmipkit_vsphere.web_services.vim25.declaration import Ref
from kmipkit_vsphere.web_services.vim25.properties import ObjectContent

IDLE_TIMEOUT: Final = timedelta(minutes=30)
MAX_SESSIONS: Final = 1000
MAX_OF_USER: Final = 100
MAX_OBJECTS: Final = 1000
"""Views, filters and collectors of one session."""
MAX_USER_AGENT: Final = 256


@dataclass(frozen=True, slots=True)
class Page:
    """The objects of a retrieval that were not sent yet, and how many go at once."""

    contents: Sequence[ObjectContent]
    size: int


@dataclass(eq=False)
class Session:
    """One session; ``objects`` are its views, filters and collectors."""

    key: str
    user: str
    login_time: datetime
    last_active: datetime
    address: str
    user_agent: str
    locale: str
    password: PasswordHash | None
    """The stored password of the user, as it was at the beginning."""
    call_count: int = 0
    running: int = 0
    """Calls that have not ended: while there are any, it is not idle."""
    objects: dict[Ref, ManagedObject] = field(default_factory=dict)
    collectors: dict[Ref, Any] = field(default_factory=dict)
    """The filters of each property collector."""
    pages: dict[str, Page] = field(default_factory=dict)
    """What is left of retrievals, by token."""


class Sessions:
    """The sessions of one endpoint."""

    def __init__(self, clock: Clock, users: Users) -> None:
        self._clock = clock
        self._users = users
        self._by_hash: dict[bytes, Session] = {}

    def begin(self, user: str, address: str, user_agent: str, locale: str) -> tuple[str, Session]:
        """A new session, with the token for its cookie.

        Where there are too many, the one that was idle the longest ends: first of this user.
        """
        self._expire()
        own = [token for token, session in self._by_hash.items() if session.user == user]
        if len(own) >= MAX_OF_USER:
            self._end_idlest(own)
        elif len(self._by_hash) >= MAX_SESSIONS:
            self._end_idlest(list(self._by_hash))
        token, now = secrets.token_hex(20), self._clock()
        session = Session(
            secrets.token_hex(16),
            user,
            now,
            now,
            address,
            user_agent[:MAX_USER_AGENT],
            locale,
            self._users.password(user),
        )
        self._by_hash[_hash(token)] = session
        return token, session

    def _end_idlest(self, hashes: list[bytes]) -> None:
        del self._by_hash[min(hashes, key=lambda key: self._by_hash[key].last_active)]

    def find(self, token: str) -> Session | None:
        """The session of a token; None if it ended."""
        self._expire()
        session = self._by_hash.get(_hash(token))
        if session is not None and not self.is_valid(session):
            self.end(session.key)
            return None
        return session

    def is_valid(self, session: Session) -> bool:
        """Whether it has not ended, and its user still has the same password."""
        is_known = any(known is session for known in self._by_hash.values())
        return is_known and self._users.password(session.user) == session.password

    @contextmanager
    def busy(self, session: Session) -> Iterator[None]:
        """Count a call of a session, which is not idle as long as the call runs."""
        session.call_count += 1
        session.running += 1
        try:
            yield
        finally:
            session.running -= 1
            session.last_active = self._clock()

    def end(self, key: str) -> bool:
        """End the session of this key; False if there is none."""
        for token, session in self._by_hash.items():
            if session.key == key:
                del self._by_hash[token]
                return True
        return False

    def all(self) -> list[Session]:
        """All sessions, the oldest first."""
        self._expire()
        return list(self._by_hash.values())

    def _expire(self) -> None:
        limit = self._clock() - IDLE_TIMEOUT
        for token, session in list(self._by_hash.items()):
            if session.last_active < limit and not session.running:
                del self._by_hash[token]


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
