"""TLS between the roles: both sides have a certificate, and both names are checked.

The caller checks that the certificate belongs to the role that it calls (``esx01``, not just any
certificate of the same authority); the called side maps the caller's name to its roles.
"""

import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kmipkit_vsphere.model.errors import InvalidArgument


@dataclass(frozen=True, slots=True)
class Credentials:
    """PEM files: own certificate (chain), its private key, and the authorities to trust."""

    certificate: Path
    key: Path
    authorities: Path

    def server_context(self) -> ssl.SSLContext:
        """For the called side; a caller without a trusted certificate fails the handshake."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.verify_mode = ssl.CERT_REQUIRED
        return self._load(context)

    def client_context(self) -> ssl.SSLContext:
        """For the calling side; the name it connects to is checked against the certificate."""
        return self._load(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))

    def _load(self, context: ssl.SSLContext) -> ssl.SSLContext:
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(self.certificate, self.key)
            context.load_verify_locations(self.authorities)
        except (OSError, ssl.SSLError) as error:
            raise InvalidArgument(
                f"cannot use the certificate {self.certificate} with key {self.key} and "
                f"authorities {self.authorities}: {error}"
            ) from None
        return context


def certificate_names(certificate: dict[str, Any] | None) -> frozenset[str]:
    """All names of a peer's certificate as :mod:`ssl` gives it: DNS names, and the common name."""
    names: set[str] = set()
    for kind, value in (certificate or {}).get("subjectAltName", ()):
        if kind == "DNS":
            names.add(value)
    for part in (certificate or {}).get("subject", ()):
        names.update(_common_names(part))
    return frozenset(names)


def _common_names(part: Iterable[tuple[str, str]]) -> Iterable[str]:
    return (value for kind, value in part if kind == "commonName")
