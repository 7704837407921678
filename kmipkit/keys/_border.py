"""The one place where exceptions of `cryptography` become ours.

What the library says is never passed on: its texts are not ours to vouch for, and some name values.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from cryptography.exceptions import (
    InternalError,
    InvalidSignature,
    InvalidTag,
    UnsupportedAlgorithm,
)
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap

from kmipkit.errors import OperationError
from kmipkit.spec.enums import ResultReason

_FAILURES = (
    InternalError,
    InvalidSignature,
    InvalidTag,
    InvalidUnwrap,
    OverflowError,
    TypeError,
    ValueError,
)


@contextmanager
def foreign_errors(
    message: str, reason: ResultReason = ResultReason.CRYPTOGRAPHIC_FAILURE
) -> Iterator[None]:
    """Turn what the library raises inside into an ``OperationError`` with ``message``.

    An algorithm that the library or its OpenSSL lacks becomes Unsupported Cryptographic Parameters.
    """
    try:
        yield
    except UnsupportedAlgorithm:
        raise OperationError(
            ResultReason.UNSUPPORTED_CRYPTOGRAPHIC_PARAMETERS,
            "the cryptographic library of this installation lacks what the parameters ask for",
        ) from None
    except _FAILURES:
        raise OperationError(reason, message) from None
