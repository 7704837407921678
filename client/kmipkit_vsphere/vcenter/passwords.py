"""Passwords of users, for tools that have no certificates (vsphere.md §5.1 names users alike).

They are stored as salted scrypt hashes. Guessing is slow: after three failures each further attempt for
a user, and from an address, waits longer and longer, one attempt at a time. For a user who does not
exist the same work is done, so that the time does not tell who exists.
"""

import hashlib
import hmac
import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import trio

from kmipkit_vsphere.model.errors import InvalidArgument
from kmipkit_vsphere.model.keys import Secret
from kmipkit_vsphere.vcenter.store import Store
from kmipkit_vsphere.vcenter.store.users import PasswordHash

MIN_LENGTH: Final = 8
MAX_LENGTH: Final = 1024
"""Bytes of a password."""
_SALT: Final = 16
_HASH: Final = 32
_FREE_FAILURES: Final = 3
_FIRST_DELAY: Final = 0.5
_MAX_USER_DELAY: Final = 8.0
"""A stranger can slow down the login of a user whose name he knows, but not prevent it."""
_MAX_ADDRESS_DELAY: Final = 60.0
_FORGET_AFTER: Final = 900.0
_MAX_WAITING: Final = 16
"""Attempts that wait in line for one user or address; further ones fail at once."""
_MAX_RECORDS: Final = 4096

log = logging.getLogger("kmipkit.vsphere.vcenter")


def hash_password(password: Secret) -> PasswordHash:
    """The stored form of a password; :class:`InvalidArgument` for one that is too short."""
    text = password.reveal()
    if not MIN_LENGTH <= len(text) <= MAX_LENGTH:
        raise InvalidArgument(f"a password has {MIN_LENGTH} to {MAX_LENGTH} bytes")
    salt = os.urandom(_SALT)
    return PasswordHash(salt, _scrypt(text, salt))


def _scrypt(password: bytes, salt: bytes) -> bytes:
    return hashlib.scrypt(password, salt=salt, n=1 << 14, r=8, p=1, maxmem=64 << 20, dklen=_HASH)


@dataclass(eq=False, slots=True)
class _Attempts:
    """What is known about the attempts for a user, or from an address."""

    max_delay: float
    failures: int = 0
    last: float = 0.0
    waiting: int = 0
    line: trio.Lock = field(default_factory=trio.Lock)

    def delay(self) -> float:
        """Seconds to wait before the next attempt."""
        beyond = self.failures - _FREE_FAILURES
        return min(_FIRST_DELAY * 2 ** min(beyond, 10), self.max_delay) if beyond >= 0 else 0.0


class Passwords:
    """Checks names and passwords of one vCenter; times are those of trio's clock."""

    def __init__(self, store: Store, now: Callable[[], float] = trio.current_time) -> None:
        self._store = store
        self._now = now
        self._nobody = PasswordHash(os.urandom(_SALT), os.urandom(_HASH))
        self._attempts: dict[tuple[str, str], _Attempts] = {}

    async def is_correct(self, user: str, password: str, address: str) -> bool:
        """Whether this is the password of a user; failures make the next attempts wait."""
        self._forget()
        by_user = self._record("user", user, _MAX_USER_DELAY)
        by_address = self._record("address", address, _MAX_ADDRESS_DELAY)
        if max(by_user.waiting, by_address.waiting) >= _MAX_WAITING:
            log.warning("refused a login from %s: too many attempts wait already", address)
            return False
        async with self._turn(by_address), self._turn(by_user):
            if await self._matches(user, password):
                by_user.failures = 0
                return True
            for record in (by_user, by_address):
                record.failures, record.last = record.failures + 1, self._now()
        log.warning("a login from %s failed", address)
        return False

    @asynccontextmanager
    async def _turn(self, record: _Attempts) -> AsyncIterator[None]:
        """One attempt at a time, after the delay that earlier failures have earned."""
        record.waiting += 1
        try:
            async with record.line:
                await trio.sleep(record.delay())
                yield
        finally:
            record.waiting -= 1

    async def _matches(self, user: str, password: str) -> bool:
        stored = self._store.users.password(user)
        salt, expected = stored or self._nobody
        text = password.encode("utf-8", "surrogatepass")[:MAX_LENGTH]
        computed = await trio.to_thread.run_sync(partial(_scrypt, text, salt))
        return hmac.compare_digest(computed, expected) and stored is not None

    def _record(self, kind: str, name: str, max_delay: float) -> _Attempts:
        return self._attempts.setdefault((kind, name), _Attempts(max_delay))

    def _forget(self) -> None:
        """Forget failures that are long ago; where there are too many, also the oldest ones."""
        limit = self._now() - _FORGET_AFTER
        idle = [(r.last, key) for key, r in self._attempts.items() if not r.waiting]
        for last, key in idle:
            if last < limit or not self._attempts[key].failures:
                del self._attempts[key]
        if len(self._attempts) > _MAX_RECORDS:
            for _, key in sorted(idle)[: len(self._attempts) - _MAX_RECORDS]:
                self._attempts.pop(key, None)
