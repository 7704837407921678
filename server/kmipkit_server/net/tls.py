"""TLS settings of the server: mutual authentication, TLS 1.2 and 1.3 (KMIP profiles 2.1 §3)."""

import ssl
from pathlib import Path

from kmipkit_server.config import ConfigError

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:ECDHE+AES:DHE+AES:RSA+AES:!aNULL"
"""Of TLS 1.2, best first. The last ones are for storage arrays and tape libraries of the field; the
KMIP profiles ask servers for TLS_RSA_WITH_AES_128_CBC_SHA and its kin."""


def server_context(cert: Path, key: Path, ca: Path) -> ssl.SSLContext:
    """The settings for accepted connections. ConfigError names the file that cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    context.set_ciphers(CIPHERS)
    # Each connection shows its certificate anew: nothing outlives a change of the authorities.
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.num_tickets = 0
    for path in (cert, key, ca):
        _require_readable(path)
    try:
        context.load_cert_chain(cert, key, password=_no_password)
    except (ssl.SSLError, ValueError) as error:
        said = getattr(error, "reason", None) or str(error)
        raise ConfigError(
            f"{cert} and {key} cannot be used together: {str(said).replace('_', ' ').lower()}"
        ) from None
    try:
        context.load_verify_locations(ca)
    except ssl.SSLError:
        raise ConfigError(f"{ca} holds no certificate in PEM form") from None
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
        "the key is encrypted; give it without passphrase, readable by the server only"
    )


def _require_readable(path: Path) -> None:
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
