"""Who the peer is, by its certificate.

Configuration says which part of the certificate names the client. An identity owns the objects that
it creates, so several certificates (renewals, members of a cluster) may lead to the same one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from types import MappingProxyType

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import ExtensionOID, NameOID

from kmipkit_server.identity.identity import SYSTEM, Identity


class NoIdentity(Exception):
    """The peer cannot be named; the text says what its certificate lacks."""


def _common_name(certificate: x509.Certificate) -> str:
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if not names or not names[0].value:
        raise NoIdentity("the certificate's subject has no Common Name")
    value = names[0].value
    return value if isinstance(value, str) else value.decode("utf-8", "replace")


def _alternative_name(certificate: x509.Certificate) -> str:
    try:
        extension = certificate.extensions.get_extension_for_oid(
            ExtensionOID.SUBJECT_ALTERNATIVE_NAME
        )
    except x509.ExtensionNotFound:
        raise NoIdentity("the certificate has no Subject Alternative Name") from None
    names = extension.value
    assert isinstance(names, x509.SubjectAlternativeName)
    for general in names:
        if isinstance(general, x509.DNSName | x509.RFC822Name | x509.UniformResourceIdentifier):
            return general.value
        if isinstance(general, x509.IPAddress):
            return str(general.value)
    raise NoIdentity("no Subject Alternative Name is a host, address, e-mail address or URI")


def _subject(certificate: x509.Certificate) -> str:
    name = certificate.subject.rfc4514_string()
    if not name:
        raise NoIdentity("the certificate's subject is empty")
    return name


def _fingerprint(certificate: x509.Certificate) -> str:
    return f"sha256:{certificate.fingerprint(SHA256()).hex()}"


SOURCES: Mapping[str, Callable[[x509.Certificate], str]] = MappingProxyType(
    {
        "cn": _common_name,
        "san": _alternative_name,
        "subject": _subject,
        "fingerprint": _fingerprint,
    }
)
"""What may name a client, by the word that configuration uses for it."""

REMEMBERED = 1024
"""Certificates whose identity is remembered, so that a reconnect need not parse them again."""


@dataclass(frozen=True, slots=True)
class IdentityRule:
    """From certificate to identity: a source, and aliases that lead several names to one account."""

    source: str = "cn"
    accounts: Mapping[str, str] = field(default_factory=dict)
    _known: dict[bytes, Identity] = field(default_factory=dict, compare=False, repr=False)

    def identify(self, certificate: bytes | None) -> Identity:
        """The identity of a verified certificate (DER). NoIdentity if it does not name one."""
        if certificate is None:
            raise NoIdentity("the client sent no certificate")
        known = self._known.get(certificate)
        if known is None:
            known = self._read(certificate)
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known[certificate] = known
        return known

    def _read(self, certificate: bytes) -> Identity:
        try:
            parsed = x509.load_der_x509_certificate(certificate)
            name = SOURCES[self.source](parsed)
        except ValueError as error:
            raise NoIdentity(f"the certificate cannot be read: {error}") from None
        account = self.accounts.get(name, name)
        if not name or account == SYSTEM.name:
            raise NoIdentity("the name in the certificate is empty, or that of the server itself")
        return Identity(account, certificate=sha256(certificate).digest())
