"""Passwords of users: kept salted and hashed by scrypt, and compared in constant time.

The cost of a guess is a tenth of a second or so; a password that was right is remembered under a
keyed hash, so that clients that show theirs in each request do not pay for it each time.
"""

import hashlib
import hmac
import os
from collections.abc import Callable

from kmipkit.model.payloads.accounts import PasswordCredential

_COST = {"n": 1 << 14, "r": 8, "p": 1, "maxmem": 64 << 20, "dklen": 32}
_SALT = 16
_REMEMBERED = 1024


def hash_password(password: str, random: Callable[[int], bytes]) -> PasswordCredential:
    """What is kept of a password."""
    salt = random(_SALT)
    return PasswordCredential(password_salt=salt, salted_password=_scrypt(password, salt))


def _scrypt(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, **_COST)


class PasswordChecker:
    """Compares passwords with what is kept of them; may be used from threads."""

    def __init__(self) -> None:
        self._key = os.urandom(32)
        self._right: set[bytes] = set()

    def is_right(self, password: str, kept: PasswordCredential) -> bool:
        """Whether this is the password."""
        salt, wanted = kept.password_salt or b"", kept.salted_password or b""
        mark = hmac.digest(self._key, salt + wanted + password.encode(), "sha256")
        if mark in self._right:
            return True
        if not wanted or not hmac.compare_digest(_scrypt(password, salt), wanted):
            return False
        if len(self._right) >= _REMEMBERED:
            self._right.clear()
        self._right.add(mark)
        return True
