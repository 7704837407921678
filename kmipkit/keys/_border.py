"""The one place that maps exceptions of `cryptography` to ours.

The messages of the library are never passed on: some contain values.
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

FAILURES: tuple[type[Exception], ...] = (
    InternalError,
    InvalidSignature,
    InvalidTag,
    InvalidUnwrap,
    OverflowError,
    ValueError,
)
"""What the library raises for keys and data that it cannot use.

TypeError is not among them, because it would hide defects of ours. Where the library raises it for
what a client may send, the caller says so.
"""


@contextmanager
def foreign_errors(
    message: str,
    reason: ResultReason = ResultReason.CRYPTOGRAPHIC_FAILURE,
    *,
    failures: tuple[type[Exception], ...] = FAILURES,
) -> Iterator[None]:
    """Map what the library raises inside to an ``OperationError`` with ``message``.

    An algorithm that the library or its OpenSSL lacks becomes Unsupported Cryptographic Parameters.
    """
    try:
        yield
    except UnsupportedAlgorithm:
        raise OperationError(
            ResultReason.UNSUPPORTED_CRYPTOGRAPHIC_PARAMETERS,
            "the installed cryptographic library does not support these parameters",
        ) from None
    except failures:
        raise OperationError(reason, message) from None
