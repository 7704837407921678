"""TLS settings of the server: mutual authentication, TLS 1.2 and 1.3 (KMIP profiles 2.1 §3)."""

import ssl
from pathlib import Path

from kmipkit_server.config import ConfigError

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:ECDHE+AES:DHE+AES:RSA+AES:!aNULL"
"""The cipher suites of TLS 1.2, best first. Storage arrays and tape libraries need the last ones:
the KMIP profiles require TLS_RSA_WITH_AES_128_CBC_SHA and similar suites."""


def server_context(cert: Path, key: Path, ca: Path) -> ssl.SSLContext:
    """The settings for accepted connections. ConfigError names the file that is not usable."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    context.set_ciphers(CIPHERS)
    # Without session resumption, every connection verifies the client certificate, so that a change
    # of the authorities takes effect for all new connections.
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.num_tickets = 0
    for path in (cert, key, ca):
        _require_readable(path)
    try:
        context.load_cert_chain(cert, key, password=_no_password)
    except (ssl.SSLError, ValueError) as error:
        reason = str(getattr(error, "reason", None) or error).replace("_", " ").lower()
        raise ConfigError(f"{cert} and {key} cannot be used together: {reason}") from None
    try:
        context.load_verify_locations(ca)
    except ssl.SSLError:
        raise ConfigError(f"{ca} does not contain a certificate in PEM") from None
    return context


def client_context(cert: Path, key: Path, ca: Path) -> ssl.SSLContext:
    """The settings for connections to clients that listen, with the server's own certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(ca)
    context.load_cert_chain(cert, key, password=_no_password)
    return context


def _no_password() -> str:
    raise ValueError(
        "the key has a passphrase; remove it, and let only the server's user read the file"
    )


def _require_readable(path: Path) -> None:
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
