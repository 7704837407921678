"""The address of the server, and how to connect to it."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from kmipkit.model.credentials import Credential
from kmipkit.spec.versions import Version
from kmipkit.ttlv.limits import Limits
from kmipkit_client._network.deadline import SYSTEM_CLOCK, Clock
from kmipkit_client.errors import ClientError

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


def tls_context(ca: File | None, cert: File | None, key: File | None) -> ssl.SSLContext:
    """A context for mutual TLS from PEM files; without ``ca``, the system's authorities are trusted.

    Raises:
        ClientError: a file is missing or not valid.
    """
    files = {"ca": ca, "cert": cert, "key": key}
    try:
        context = ssl.create_default_context(cafile=ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if cert is not None:
            context.load_cert_chain(cert, key)
    except FileNotFoundError:  # which does not say which file
        missing = {name: file for name, file in files.items() if file and not Path(file).exists()}
        raise ClientError(f"no such file: {_listed(missing or files)}") from None
    except (OSError, ssl.SSLError) as error:
        listed = _listed(files)
        raise ClientError(f"cannot use these certificate files ({listed}): {error}") from None
    return context


def _listed(files: Mapping[str, File | None]) -> str:
    return ", ".join(f"{name} {file}" for name, file in files.items() if file)
