"""Messages for failed connections, which say what to do about it."""

import ssl

from kmipkit_client.errors import ConnectionFailed

_HINTS = {
    "CERTIFICATE_VERIFY_FAILED": "the server's certificate is not trusted",
    "CERTIFICATE_REQUIRED": "the server requires a client certificate; specify cert and key",
    "UNKNOWN_CA": "the server does not trust the authority of the client certificate",
    "BAD_CERTIFICATE": "the server rejected the client certificate",
    "CERTIFICATE_EXPIRED": "the server says that the client certificate has expired",
    "HANDSHAKE_FAILURE": "no common TLS version or cipher, or the server requires a client certificate",
    "INTERNAL_ERROR": "the server accepts no more connections, or has an internal error",
    "WRONG_VERSION_NUMBER": "the peer does not use TLS",
}


def describe(error: BaseException) -> str:
    """Why a connection failed, without its address."""
    inner = error.__cause__ if isinstance(error.__cause__, OSError) else error
    if isinstance(inner, ssl.SSLCertVerificationError):
        return f"the server's certificate is not accepted: {inner.verify_message}"
    if isinstance(inner, ssl.SSLError):
        name = inner.reason or ""
        hint = next((hint for reason, hint in _HINTS.items() if reason in name), "")
        return f"TLS: {hint or inner}"
    if isinstance(inner, OSError) and inner.strerror:
        return inner.strerror
    return str(inner) or "the connection was closed"


def connect_failed(address: object, error: BaseException) -> ConnectionFailed:
    """The error for a connection that cannot be made."""
    inner = error.__cause__ if isinstance(error.__cause__, OSError) else error
    return ConnectionFailed(
        f"{address}: cannot connect: {describe(error)}",
        # The next handshake would end like this one. A server that has too many connections, or
        # stops, ends it with an error of its own (RFC 8446 §6.2) or without any.
        is_permanent=isinstance(inner, ssl.SSLError)
        and not isinstance(inner, ssl.SSLEOFError | ssl.SSLZeroReturnError)
        and "INTERNAL_ERROR" not in (inner.reason or ""),
    )


def transfer_failed(address: object, error: BaseException) -> ConnectionFailed:
    """The error for a connection that fails while it is in use."""
    return ConnectionFailed(f"{address}: {describe(error)}")
