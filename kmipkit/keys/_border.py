"""The one place that maps exceptions of `cryptography` to ours.

The messages of the library are never passed on: some contain values.
"""

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


class foreign_errors:  # noqa: N801 - used like a function
    """Map what the library raises inside to an ``OperationError`` with ``message``.

    An algorithm that the library or its OpenSSL lacks becomes Unsupported Cryptographic Parameters.
    """

    # Not a function with ``contextmanager``: that would take as long as to encrypt a block.
    __slots__ = ("_failures", "_message", "_reason")

    def __init__(
        self,
        message: str,
        reason: ResultReason = ResultReason.CRYPTOGRAPHIC_FAILURE,
        *,
        failures: tuple[type[Exception], ...] = FAILURES,
    ) -> None:
        self._message = message
        self._reason = reason
        self._failures = failures

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        if error is None:
            return
        if isinstance(error, UnsupportedAlgorithm):
            raise OperationError(
                ResultReason.UNSUPPORTED_CRYPTOGRAPHIC_PARAMETERS,
                "the installed cryptographic library does not support these parameters",
            ) from None
        if isinstance(error, self._failures):
            raise OperationError(self._reason, self._message) from None
