"""Delays that make guessing passwords slow, for one user and from one address.

After a few failures, each attempt must wait, and each time longer. An address from which a user has
logged in correctly does not wait for the guesses of others, so that guessing does not shut the user
out. The counts of this module are in memory; :mod:`.shared_guesses` has those of several processes.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import trio

from kmipkit.errors import OperationError
from kmipkit.spec.enums import ResultReason

FREE_FAILURES = 3
"""Failures after which attempts begin to wait: people mistype."""
FIRST_DELAY = 0.5
"""Seconds of the first wait; each failure doubles it."""
MAX_DELAY = 30.0
MAX_WAIT = 60.0
"""Seconds that attempts may wait for others before them; further ones are refused at once."""
FORGET_AFTER = 900.0
"""Seconds without an attempt after which the failures are forgotten."""
MAX_ENTRIES = 4096
"""Users and addresses whose failures are remembered; the oldest are forgotten."""


class _Key(NamedTuple):
    user: str | None
    """None for all users."""
    address: str | None
    """None for all addresses."""


@dataclass(slots=True)
class _Failures:
    count: int = 0
    next_attempt: float = 0.0
    last: float = 0.0


@dataclass(slots=True)
class Guesses:
    """The failures of all connections; ``clock`` gives seconds."""

    clock: Callable[[], float] = time.monotonic
    _failures: OrderedDict[_Key, _Failures] = field(default_factory=OrderedDict)
    _correct: OrderedDict[_Key, None] = field(default_factory=OrderedDict)
    """The users that have logged in, with the address."""

    async def wait(self, user: str, address: str) -> None:
        """Wait until this attempt may be made.

        OperationError: Authentication Not Successful if too many attempts wait already.
        """
        if self.knows(user, address):
            return
        now = self.clock()
        begin = now
        for failures in self._entries(user, address):
            if now - failures.last >= FORGET_AFTER:
                failures.count = 0
            begin = max(begin, failures.next_attempt)
        require_short_wait(begin - now)
        for failures in self._entries(user, address):
            # Reserved before the result is known, so that attempts at the same time wait as well.
            failures.next_attempt = begin + delay_after(failures.count)
            failures.last = begin
        if begin > now:
            await trio.sleep(begin - now)

    def knows(self, user: str, address: str) -> bool:
        """Whether the user has logged in from this address, and nobody has failed from it since."""
        return _Key(user, address) in self._correct

    async def note(self, user: str, address: str, *, is_correct: bool) -> None:
        """Note the result of an attempt."""
        if is_correct:
            self.succeeded(user, address)
        else:
            self.failed(user, address)

    def failed(self, user: str, address: str) -> None:
        """Note that an attempt has failed."""
        self._correct.pop(_Key(user, address), None)
        now = self.clock()
        for failures in self._entries(user, address):
            failures.count += 1
            failures.last = now
            failures.next_attempt = max(failures.next_attempt, now + delay_after(failures.count))

    def succeeded(self, user: str, address: str) -> None:
        """Note that a user has logged in."""
        key = _Key(user, address)
        self._correct[key] = None
        self._correct.move_to_end(key)
        self._failures.pop(key, None)
        if len(self._correct) > MAX_ENTRIES:
            self._correct.popitem(last=False)

    def _entries(self, user: str, address: str) -> Iterator[_Failures]:
        for key in keys_of(user, address):
            failures = self._failures.setdefault(key, _Failures())
            self._failures.move_to_end(key)
            if len(self._failures) > MAX_ENTRIES:
                self._failures.popitem(last=False)
            yield failures


def keys_of(user: str, address: str) -> list[_Key]:
    """What an attempt counts for: the user, from any address, and the address, for any user.

    The user's own count stops guesses from many addresses, the address's those of many users.
    """
    keys = [_Key(user, None)] if user else []
    return [*keys, _Key(None, address)] if address else keys


def require_short_wait(seconds: float) -> None:
    """Refuse an attempt that would have to wait long: Authentication Not Successful."""
    if seconds > MAX_WAIT:
        raise OperationError(
            ResultReason.AUTHENTICATION_NOT_SUCCESSFUL,
            "too many failed attempts; try again in a minute",
            "password_attempts",
        )


def delay_after(failures: int) -> float:
    """The seconds between attempts after so many failures."""
    if failures < FREE_FAILURES:
        return 0.0
    return min(MAX_DELAY, FIRST_DELAY * 2.0 ** min(failures - FREE_FAILURES, 10))
