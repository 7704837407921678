"""Why there is no connection, in words that say what to do."""

import ssl

from kmipkit_client.errors import ConnectionFailed

_HINTS = {
    "CERTIFICATE_VERIFY_FAILED": "the server's certificate is not trusted",
    "CERTIFICATE_REQUIRED": "the server wants a client certificate: give cert and key",
    "UNKNOWN_CA": "the server does not trust the authority of the client certificate",
    "BAD_CERTIFICATE": "the server refuses the client certificate",
    "CERTIFICATE_EXPIRED": "the server says that the client certificate has expired",
    "HANDSHAKE_FAILURE": "no common TLS version or cipher, or the server wants a client certificate",
    "INTERNAL_ERROR": "the server takes no more connections, or has a fault",
    "WRONG_VERSION_NUMBER": "what answers there does not speak TLS",
}


def _words(error: BaseException) -> str:
    inner = error.__cause__ if isinstance(error.__cause__, OSError) else error
    if isinstance(inner, ssl.SSLCertVerificationError):
        return f"the server's certificate is refused: {inner.verify_message}"
    if isinstance(inner, ssl.SSLError):
        name = inner.reason or ""
        hint = next((hint for mark, hint in _HINTS.items() if mark in name), "")
        return f"TLS: {hint or inner}"
    if isinstance(inner, OSError) and inner.strerror:
        return inner.strerror
    return str(inner) or "the connection was closed"


def connecting(where: str, error: BaseException) -> ConnectionFailed:
    """For a connection that does not come about."""
    return ConnectionFailed(f"{where}: cannot connect: {_words(error)}")


def broken(where: str, error: BaseException) -> ConnectionFailed:
    """For a connection that breaks."""
    return ConnectionFailed(f"{where}: {_words(error)}")
