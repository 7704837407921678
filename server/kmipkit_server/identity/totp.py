"""One-time passwords by the time (RFC 6238), each good for one authentication (KMIP 2.1 §9.11)."""

import hmac
from datetime import datetime

from cryptography.hazmat.primitives.twofactor.totp import TOTP

from kmipkit.errors import OperationError
from kmipkit.keys.hashes import hash_of
from kmipkit.model.payloads.accounts import OTPCredential
from kmipkit.spec.enums import HashingAlgorithm, OTPAlgorithm, ResultReason

_DIGITS, _INTERVAL = 6, 30
"""What RFC 6238 §1.2 calls the defaults."""

_DRIFT = 1
"""Intervals by which the client's clock may differ."""

_ALGORITHMS = (HashingAlgorithm.SHA_1, HashingAlgorithm.SHA_256, HashingAlgorithm.SHA_512)


def require_usable(credential: OTPCredential) -> None:
    """Refuse what cannot be checked here.

    A password by a counter (RFC 4226) is: its counter would have to be written with each login.
    """
    if credential.otp_algorithm != OTPAlgorithm.TOTP:
        raise OperationError(
            ResultReason.FEATURE_NOT_SUPPORTED, "only one-time passwords by the time are supported"
        )
    digits, interval = credential.otp_digits or _DIGITS, credential.otp_interval or _INTERVAL
    good = 6 <= digits <= 8 and 0 < interval <= 3600 and len(credential.otp_seed) >= 16
    if not good or (credential.otp_digest or HashingAlgorithm.SHA_1) not in _ALGORITHMS:
        raise OperationError(
            ResultReason.INVALID_FIELD,
            "a one-time password has 6 to 8 digits, a seed of 16 bytes or more, an interval of up"
            " to 3600 seconds, and SHA-1, SHA-256 or SHA-512",
        )


def interval_of(password: str, credential: OTPCredential, now: datetime) -> int | None:
    """The number of the interval whose password this is, None if it is of none near by."""
    step = credential.otp_interval or _INTERVAL
    algorithm = hash_of(credential.otp_digest or HashingAlgorithm.SHA_1)
    digits = credential.otp_digits or _DIGITS
    generator = TOTP(credential.otp_seed, digits, algorithm, step, enforce_key_length=False)  # type: ignore[arg-type]  # one of _ALGORITHMS
    current = int(now.timestamp()) // step
    for number in range(current - _DRIFT, current + _DRIFT + 1):
        if hmac.compare_digest(generator.generate(number * step), password.encode()):
            return number
    return None
