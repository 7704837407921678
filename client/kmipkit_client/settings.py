"""The address of the server, and how to connect to it."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from kmipkit.model.credentials import Credential
from kmipkit.spec.versions import Version
from kmipkit.ttlv.limits import Limits
from kmipkit_client._network.deadline import SYSTEM_CLOCK, Clock
from kmipkit_client.errors import ClientError

if TYPE_CHECKING:
    from kmipkit_certs.passwords import KeyPassword

File = str | PathLike[str]

DEFAULT_PORT = 5696
"""The port that IANA has assigned to KMIP (KMIP Profiles §3)."""

LIMITS = Limits(max_message=64 << 20, max_items=1 << 20)
"""Limits for an authenticated server: room for the identifiers of a million objects."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a client; times in seconds."""

    host: str
    port: int
    context: ssl.SSLContext
    server_name: str
    """The name that the server's certificate must have."""
    version: Version | None
    """The protocol version; None to negotiate the newest that both sides support."""
    credential: Credential | None
    connect_timeout: float
    timeout: float
    """For one response."""
    limits: Limits = LIMITS
    clock: Clock = SYSTEM_CLOCK


def tls_context(
    ca: File | None,
    cert: File | None,
    key: File | None,
    password: "KeyPassword | str | bytes | None" = None,
) -> ssl.SSLContext:
    """A context for mutual TLS.

    Args:
        ca: the authorities of the server; without it, those of the system.
        cert: the client's certificate, PEM, DER or PKCS #12.
        key: its private key, if that is not in the same file.
        password: the password of the private key, or of a PKCS #12 file.

    Raises:
        ClientError: a file is missing or not valid.
    """
    # Here, since a client with a context of its own needs none of this.
    from kmipkit_certs.contexts import client_context
    from kmipkit_certs.credentials import load_certificates, load_credentials
    from kmipkit_certs.errors import CertificateError
    from kmipkit_certs.passwords import KeyPassword

    files = {"ca": ca, "cert": cert, "key": key}
    missing = {name: file for name, file in files.items() if file and not Path(file).exists()}
    if missing:
        raise ClientError(f"no such file: {_listed(missing)}")
    secret = password if isinstance(password, KeyPassword) else KeyPassword(password)
    try:
        trusted = None if ca is None else load_certificates(Path(ca), secret)
        own = (
            None
            if cert is None
            else load_credentials(Path(cert), None if key is None else Path(key), secret)
        )
        return client_context(own, trusted)
    except CertificateError as error:
        listed = _listed(files)
        raise ClientError(f"cannot use these certificate files ({listed}): {error}") from None


def _listed(files: Mapping[str, File | None]) -> str:
    return ", ".join(f"{name} {file}" for name, file in files.items() if file)
