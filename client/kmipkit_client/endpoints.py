"""The addresses of servers, as users write them: ``kms1``, ``kms1:5697``, ``[::1]:5696``, ``https://kms1``."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from kmipkit_client.errors import ClientError

DEFAULT_PORT = 5696
"""The port that IANA has assigned to KMIP (KMIP Profiles §3)."""
HTTPS_PORT = 443
_HOST = re.compile(r"[\w:][\w.:%-]*")
"""A name, perhaps with letters of any script, or an address."""
HTTPS_PATH = "/kmip"
"""The path that the HTTPS profile recommends (KMIP Profiles 2.1 §5.3)."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The address of one server."""

    host: str
    port: int
    path: str | None = None
    """The path of KMIP over HTTPS; None for TTLV directly over TLS."""

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        address = f"{host}:{self.port}"
        return address if self.path is None else f"https://{address}{self.path}"


def endpoints(servers: str | Sequence[str], port: int = DEFAULT_PORT) -> tuple[Endpoint, ...]:
    """The addresses of one server or of several; ``port`` is that of addresses without one.

    Raises:
        ClientError: an address is malformed, or there is none.
    """
    texts = [servers] if isinstance(servers, str) else list(servers or ())
    if not texts:
        raise ClientError("there is no server: give at least one address")
    return tuple(dict.fromkeys(endpoint(text, port) for text in texts))


def endpoint(text: str, port: int = DEFAULT_PORT) -> Endpoint:
    """One address. ClientError if it is malformed."""
    if not isinstance(text, str):
        raise ClientError(f"{text!r} is not an address: write HOST, HOST:PORT or https://HOST/PATH")
    is_https = text.startswith("https://")
    if text.count(":") > 1 and not text.startswith("[") and not is_https:
        text = f"[{text}]"  # an IPv6 address without a port
    try:
        parts = urlsplit(text if is_https else f"//{text}")
        # urlsplit drops line ends and tabs.
        is_address = text.isprintable() and _is_address(parts, is_https)
    except ValueError:  # such as brackets without an address in them
        is_address = False
    if not is_address:
        raise ClientError(f"{text!r} is not an address: write HOST, HOST:PORT or https://HOST/PATH")
    host = parts.hostname or ""
    if is_https:
        return Endpoint(host, parts.port or HTTPS_PORT, parts.path or HTTPS_PATH)
    return Endpoint(host, parts.port or port)


def _is_address(parts: SplitResult, is_https: bool) -> bool:
    """Whether there is a host and perhaps a port, and nothing else. ValueError if not."""
    others = (parts.username, parts.query, parts.fragment, "" if is_https else parts.path)
    is_host = _HOST.fullmatch(parts.hostname or "") is not None
    has_port_or_no_colon = not parts.netloc.endswith(":")
    return is_host and has_port_or_no_colon and parts.port != 0 and not any(others)
