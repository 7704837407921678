"""Time-based one-time passwords (RFC 6238), each valid for one authentication (KMIP 2.1 §9.11)."""

import hmac
from datetime import datetime

from cryptography.hazmat.primitives.twofactor.totp import TOTP

from kmipkit.errors import OperationError
from kmipkit.keys.hashes import hash_of
from kmipkit.model.payloads.accounts import OTPCredential
from kmipkit.spec.enums import HashingAlgorithm, OTPAlgorithm, ResultReason

_DIGITS, _INTERVAL = 6, 30
"""Digits (RFC 4226 §5.3) and seconds (RFC 6238 §4.1), unless the credential has others."""

_MAX_DRIFT = 1
"""Intervals by which the client's clock may differ from the server's."""

_ALGORITHMS = (HashingAlgorithm.SHA_1, HashingAlgorithm.SHA_256, HashingAlgorithm.SHA_512)


def require_usable(credential: OTPCredential) -> None:
    """Refuse a credential with unsupported parameters.

    Counter-based passwords (RFC 4226) are not supported, since each login would have to write the
    counter to the store.
    """
    if credential.otp_algorithm != OTPAlgorithm.TOTP:
        raise OperationError(
            ResultReason.FEATURE_NOT_SUPPORTED,
            "the OTP Algorithm must be TOTP (time-based one-time passwords)",
        )
    digits, interval = credential.otp_digits or _DIGITS, credential.otp_interval or _INTERVAL
    is_valid = 6 <= digits <= 8 and 0 < interval <= 3600 and len(credential.otp_seed) >= 16
    if not is_valid or (credential.otp_digest or HashingAlgorithm.SHA_1) not in _ALGORITHMS:
        raise OperationError(
            ResultReason.INVALID_FIELD,
            "a one-time password needs 6 to 8 digits, a seed of 16 bytes or more, an interval of 1"
            " to 3600 seconds, and SHA-1, SHA-256 or SHA-512",
        )


def interval_of(password: str, credential: OTPCredential, now: datetime) -> int | None:
    """The number of the interval to which a password belongs; None if it is not a current one."""
    step = credential.otp_interval or _INTERVAL
    algorithm = hash_of(credential.otp_digest or HashingAlgorithm.SHA_1)
    digits = credential.otp_digits or _DIGITS
    generator = TOTP(credential.otp_seed, digits, algorithm, step, enforce_key_length=False)  # type: ignore[arg-type]  # one of _ALGORITHMS
    current = int(now.timestamp()) // step
    for number in range(current - _MAX_DRIFT, current + _MAX_DRIFT + 1):
        if hmac.compare_digest(generator.generate(number * step), password.encode()):
            return number
    return None
