"""The identity of a client, from its certificate.

The configuration says which part of the certificate names the client. An identity owns the objects
that it creates, so several certificates (renewals, members of a cluster) may have the same identity.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from cryptography import x509
from cryptography.x509.oid import ExtensionOID, NameOID
from kmipkit_certs.revocation import signed_hash

from kmipkit_server.identity.identity import SYSTEM, USER_PREFIX, Identity
from kmipkit_server.identity.peer import MALFORMED, PeerCertificate


class NoIdentity(Exception):
    """The certificate does not name a client; the text says why."""


def _subject_of(certificate: x509.Certificate) -> x509.Name:
    """The subject. The library raises TypeError for a BIT STRING in a field that must hold text."""
    try:
        return certificate.subject
    except (ValueError, TypeError) as error:
        raise NoIdentity(f"the subject of the certificate is malformed: {error}") from None


def _common_name(certificate: x509.Certificate) -> str:
    names = _subject_of(certificate).get_attributes_for_oid(NameOID.COMMON_NAME)
    if not names or not names[0].value:
        raise NoIdentity("the subject of the certificate has no Common Name")
    value = names[0].value
    return value if isinstance(value, str) else value.decode("utf-8", "replace")


def _alternative_name(certificate: x509.Certificate) -> str:
    try:
        extension = certificate.extensions.get_extension_for_oid(
            ExtensionOID.SUBJECT_ALTERNATIVE_NAME
        )
    except x509.ExtensionNotFound:
        raise NoIdentity("the certificate has no Subject Alternative Name") from None
    except _MALFORMED_EXTENSIONS as error:
        raise NoIdentity(f"an extension of the certificate is malformed: {error}") from None
    names = extension.value
    assert isinstance(names, x509.SubjectAlternativeName)
    for general in names:
        if isinstance(general, x509.DNSName | x509.RFC822Name | x509.UniformResourceIdentifier):
            return general.value
        if isinstance(general, x509.IPAddress):
            return str(general.value)
    raise NoIdentity("no Subject Alternative Name is a host, address, e-mail address or URI")


_MALFORMED_EXTENSIONS = (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)


def _subject(certificate: x509.Certificate) -> str:
    name = _subject_of(certificate).rfc4514_string()
    if not name:
        raise NoIdentity("the subject of the certificate is empty")
    return name


FINGERPRINT = "signed-sha256:"
"""The beginning of the names of certificates by fingerprint, as in the lists of revoked ones."""


def _fingerprint(certificate: x509.Certificate) -> str:
    """The hash of the signed part: its holder could change that of the whole certificate."""
    return f"{FINGERPRINT}{signed_hash(certificate).hex()}"


SOURCES: Mapping[str, Callable[[x509.Certificate], str]] = MappingProxyType(
    {
        "cn": _common_name,
        "san": _alternative_name,
        "subject": _subject,
        "fingerprint": _fingerprint,
    }
)
"""The parts of a certificate that may name a client, by their names in the configuration."""

MAX_CACHED = 1024
"""Certificates whose identity is cached, so that a new connection need not parse them again."""


@dataclass(frozen=True, slots=True)
class IdentityRule:
    """From certificate to identity: the part that names it, and accounts for some of the names."""

    source: str = "cn"
    accounts: Mapping[str, str] = field(default_factory=dict)
    _cache: dict[bytes, Identity] = field(default_factory=dict, compare=False, repr=False)

    def identify(self, certificate: bytes | None) -> Identity:
        """The identity of a verified certificate (DER). NoIdentity if it does not name one."""
        if certificate is None:
            raise NoIdentity("the client sent no certificate")
        identity = self._cache.get(certificate)
        if identity is None:
            identity = self._read(certificate)
            if len(self._cache) >= MAX_CACHED:
                self._cache.clear()
            self._cache[certificate] = identity
        return identity

    def _read(self, der: bytes) -> Identity:
        try:
            certificate = x509.load_der_x509_certificate(der)
        except (ValueError, x509.InvalidVersion) as error:
            raise NoIdentity(f"the certificate is malformed: {error}") from None
        name = SOURCES[self.source](certificate)
        account = self.accounts.get(name, name)
        if name not in self.accounts and name.startswith(USER_PREFIX):
            raise NoIdentity(
                f"the name in the certificate begins with {USER_PREFIX!r}, as only the accounts of"
                " users do"
            )
        if not name or account == SYSTEM.name:
            raise NoIdentity("the name in the certificate is empty, or that of the server itself")
        try:
            return Identity(account, certificate=PeerCertificate.of(certificate))
        except MALFORMED as error:
            raise NoIdentity(f"the certificate is malformed: {error}") from None
