"""The delays of :mod:`.guessing` for a server of several processes: its failures are in the store.

Otherwise each process would permit as many guesses as one alone. Only failures and the delays that
follow from them are written, and who has logged in from a new address: so a server that nobody attacks
writes nothing. If the store cannot be used, each process counts for itself.
"""

import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from typing import NamedTuple

import msgspec
import trio

from kmipkit_server.identity.guessing import (
    FORGET_AFTER,
    MAX_ENTRIES,
    Guesses,
    delay_after,
    keys_of,
    require_short_wait,
)
from kmipkit_server.store.base import Entry, Reader, Store, Transaction
from kmipkit_server.store.errors import StoreError

log = logging.getLogger("kmipkit.server")

FAILURES, CORRECT = "failed logins", "known logins"
KINDS = (FAILURES, CORRECT)
"""The kinds of entries."""
REMEMBER_CORRECT = timedelta(days=30)
"""How long an address from which a user has logged in does not wait for the guesses of others."""


class _Failures(msgspec.Struct, frozen=True, array_like=True):
    """The failures of one user, or from one address; the times are in seconds since 1970."""

    count: int = 0
    next_attempt: float = 0.0
    last: float = 0.0


class _Who(NamedTuple):
    user: str
    address: str


_KEYS = 2
"""What an attempt counts for, at most."""
_NONE = _Failures()
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Failures).decode


@dataclass(slots=True)
class SharedGuesses(Guesses):
    """The failures of all processes; ``clock`` gives seconds since 1970."""

    store: Store = field(kw_only=True)

    async def wait(self, user: str, address: str) -> None:
        """See :meth:`.Guesses.wait`."""
        if self.knows(user, address):
            return
        who, now = _Who(user, address), self.clock()
        try:
            if not await self.store.run(partial(_must_wait, who=who, now=now)):
                return
            begin = await self.store.run(partial(_reserve, who=who, now=now), writes=True)
        except StoreError as error:
            log.warning("failed logins are counted in this process only: %s", error)
            await super(SharedGuesses, self).wait(user, address)
            return
        if begin > now:
            await trio.sleep(begin - now)

    async def note(self, user: str, address: str, *, is_correct: bool) -> None:
        """See :meth:`.Guesses.note`."""
        if is_correct and self.knows(user, address):
            return
        if is_correct:
            self.succeeded(user, address)
        else:
            self.failed(user, address)
        work = _succeed if is_correct else _fail
        try:
            await self.store.run(
                partial(work, who=_Who(user, address), now=self.clock()), writes=True
            )
        except StoreError as error:
            log.warning("a login is noted in this process only: %s", error)


def _must_wait(reader: Reader, *, who: _Who, now: float) -> bool:
    """Whether an attempt may have to wait."""
    known = reader.entry(CORRECT, _key(*who))
    if known is not None and known.is_valid(_moment(now)):
        return False
    return any(delay_after(_read(reader, key, now).count) for key in _keys(who))


def _reserve(transaction: Transaction, *, who: _Who, now: float) -> float:
    """When an attempt may be made, which those after it wait for. OperationError if that is late."""
    found = {key: _read(transaction, key, now) for key in _keys(who)}
    begin = max([now, *(each.next_attempt for each in found.values())])
    require_short_wait(begin - now)
    for key, each in found.items():
        next_attempt = begin + delay_after(each.count)
        _write(transaction, key, who.user, _Failures(each.count, next_attempt, begin))
    return begin


def _fail(transaction: Transaction, *, who: _Who, now: float) -> None:
    transaction.remove_entry(CORRECT, _key(*who))
    _make_room(transaction, _moment(now))
    for key in _keys(who):
        old = _read(transaction, key, now)
        count = old.count + 1
        next_attempt = max(old.next_attempt, now + delay_after(count))
        _write(transaction, key, who.user, _Failures(count, next_attempt, now))


def _make_room(transaction: Transaction, now: datetime) -> None:
    """Forget failures that are too many: those of users and addresses with the fewest, and the oldest.

    An attacker may have made them, who must not guess without delay from then on. To find them takes
    long, so many are forgotten at once.
    """
    transaction.remove_expired(FAILURES, now)
    if sum(transaction.entry_owners(FAILURES, now).values()) + _KEYS <= MAX_ENTRIES:
        return
    found = ((_decode(each.content), each.key) for each in transaction.entries(FAILURES))
    by_weight = sorted((failures.count, failures.last, key) for failures, key in found)
    for *_, key in by_weight[: MAX_ENTRIES // 4]:
        transaction.remove_entry(FAILURES, key)


def _succeed(transaction: Transaction, *, who: _Who, now: float) -> None:
    moment = _moment(now)
    transaction.remove_expired(CORRECT, moment)
    if sum(transaction.entry_owners(CORRECT, moment).values()) < MAX_ENTRIES:
        expires = moment + REMEMBER_CORRECT
        transaction.put_entry(Entry(CORRECT, _key(*who), who.user, expires, b""))


def _keys(who: _Who) -> list[bytes]:
    return [_key(user or "", address or "") for user, address in keys_of(*who)]


def _key(user: str, address: str) -> bytes:
    return sha256(f"{len(user)} {user}{address}".encode()).digest()


def _read(reader: Reader, key: bytes, now: float) -> _Failures:
    entry = reader.entry(FAILURES, key)
    return _NONE if entry is None or not entry.is_valid(_moment(now)) else _decode(entry.content)


def _write(transaction: Transaction, key: bytes, owner: str, failures: _Failures) -> None:
    expires = _moment(failures.last + FORGET_AFTER)
    transaction.put_entry(Entry(FAILURES, key, owner, expires, _encode(failures)))


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC)
