"""Passwords of users: stored as a salted scrypt hash, and compared in constant time.

scrypt takes about a tenth of a second, which slows down guessing. A correct password is remembered
as a keyed hash, so that clients that send theirs with each request do not pay this each time. For a
user who does not exist, the same work is done, so that the time does not tell who exists.
"""

import hashlib
import hmac
import os
from collections.abc import Callable

from kmipkit.model.payloads.accounts import PasswordCredential

_COST = {"n": 1 << 14, "r": 8, "p": 1, "maxmem": 64 << 20, "dklen": 32}
COST = 60.0
"""About the milliseconds of one hash."""
_SALT = 16
_MAX_REMEMBERED = 1024


def hash_password(password: str, random: Callable[[int], bytes]) -> PasswordCredential:
    """The stored form of a password: a salt and a hash."""
    salt = random(_SALT)
    return PasswordCredential(password_salt=salt, salted_password=_scrypt(password, salt))


def _scrypt(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, **_COST)


class PasswordChecker:
    """Compares passwords with their stored forms; may be used from threads."""

    def __init__(self) -> None:
        self._key = os.urandom(32)
        self._nobody = PasswordCredential(
            password_salt=os.urandom(_SALT), salted_password=os.urandom(_COST["dklen"])
        )
        self._correct: set[bytes] = set()

    def is_correct(self, password: str, stored: PasswordCredential | None) -> bool:
        """Whether this is the password; no password is correct for None, a user without one."""
        stored = stored or self._nobody
        salt, expected = stored.password_salt or b"", stored.salted_password or b""
        keyed_hash = hmac.digest(self._key, salt + expected + password.encode(), "sha256")
        if keyed_hash in self._correct:
            return True
        if not expected or not hmac.compare_digest(_scrypt(password, salt), expected):
            return False
        if len(self._correct) >= _MAX_REMEMBERED:
            self._correct.clear()
        self._correct.add(keyed_hash)
        return True
