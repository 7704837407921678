"""TLS between the roles: both sides have a certificate, and both names are checked.

The caller checks that the certificate belongs to the role that it calls (``esx01``, not just any
certificate of the same authority); the called side maps the caller's name to its roles.
"""

import ssl
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography import x509
from kmipkit_certs.contexts import trust
from kmipkit_certs.credentials import Credentials as LoadedCredentials
from kmipkit_certs.credentials import load_certificates, load_credentials
from kmipkit_certs.errors import CertificateError
from kmipkit_certs.passwords import KeyPassword
from kmipkit_certs.revocation_files import RevocationFiles

from kmipkit_vsphere.model.errors import InvalidArgument
from kmipkit_vsphere.rpc.revocation import PeerRevocations


@dataclass(frozen=True, slots=True)
class Credentials:
    """Files: own certificate (chain), its private key, and the authorities to trust."""

    certificate: Path
    key: Path | None
    """None if it is in the file of the certificate."""
    authorities: Path
    password: KeyPassword = field(default_factory=KeyPassword, compare=False)
    revocation_files: RevocationFiles = field(default_factory=RevocationFiles)
    """Lists of revoked certificates of the authorities."""

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
        self.load_own(context)
        self.load_trusted(context)
        return context

    def load_own(self, context: ssl.SSLContext) -> None:
        """Give a context the certificate and its key; :class:`InvalidArgument` if that fails."""
        try:
            self.own().load_into(context)
        except CertificateError as error:
            raise self._unusable(error) from None

    def load_trusted(self, context: ssl.SSLContext) -> None:
        """Make a context trust the authorities; :class:`InvalidArgument` if that fails."""
        try:
            trust(context, self.trusted())
        except CertificateError as error:
            raise self._unusable(error) from None

    def revocations(self) -> PeerRevocations:
        """The peers that are revoked; :class:`InvalidArgument` if a list cannot be used."""
        return PeerRevocations(self.revocation_files, self.trusted())

    def own(self) -> LoadedCredentials:
        """The certificate with its key; :class:`InvalidArgument` if they cannot be used."""
        try:
            return load_credentials(self.certificate, self.key, self.password)
        except CertificateError as error:
            raise self._unusable(error) from None

    def trusted(self) -> list[x509.Certificate]:
        """The certificates of the authorities; :class:`InvalidArgument` if they cannot be used."""
        try:
            return load_certificates(self.authorities, self.password)
        except CertificateError as error:
            raise self._unusable(error) from None

    def _unusable(self, error: CertificateError) -> InvalidArgument:
        return InvalidArgument(
            f"cannot use the certificate {self.certificate} with key {self.key} and authorities"
            f" {self.authorities}: {error}"
        )


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
