"""Which certificates are revoked, according to verified lists: what the server and ``check`` look up."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from kmipkit.keys.certificates import issuer_and_serial
from kmipkit_certs.identity import alternative_names
from kmipkit_certs.revocation import (
    NameKey,
    RevocationList,
    entries,
    name_key,
    signed_hash,
)

MALFORMED = (ValueError, TypeError, x509.InvalidVersion)
"""What the library raises; TypeError for a BIT STRING in a field that must hold text."""


@dataclass(frozen=True, slots=True)
class PeerCertificate:
    """What identifies a certificate, and what revocation lists may say about it.

    All of it is in the part that the authority has signed. The signature is not: of an ECDSA signature
    (r, s), anybody can make another valid one, (r, n - s), so that a certificate has several encodings.
    """

    subject: str
    issuer: NameKey
    serial: int
    signed_hash: bytes
    """SHA-256 of the part that the authority has signed."""
    encoded_issuer: bytes
    """The name of the issuer in DER."""
    encoded_serial: bytes
    """The serial number in DER."""
    issuer_name: str = ""
    """The name of the issuer as a text (RFC 4514)."""
    alternative_names: tuple[str, ...] = ()
    """The hosts, addresses, e-mail addresses and URIs that are Subject Alternative Names."""

    @classmethod
    def parse(cls, der: bytes) -> "PeerCertificate":
        """The parts of a certificate in DER. One of :data:`MALFORMED` if they cannot be read."""
        return cls.of(x509.load_der_x509_certificate(der))

    @classmethod
    def of(cls, certificate: x509.Certificate) -> "PeerCertificate":
        """The parts of a certificate. One of :data:`MALFORMED` if they cannot be read."""
        return cls(
            certificate.subject.rfc4514_string(),
            name_key(certificate.issuer),
            certificate.serial_number,
            signed_hash(certificate),
            *issuer_and_serial(certificate.public_bytes(Encoding.DER)),
            certificate.issuer.rfc4514_string(),
            alternative_names(certificate),
        )


@dataclass(frozen=True, slots=True)
class Expiration:
    """When the newest list of an authority expires."""

    path: Path
    issuer: str
    end: datetime


@dataclass(frozen=True, slots=True)
class RevocationLists:
    """The content of all files, as it was when they were read."""

    serials: Mapping[NameKey, Mapping[int, str]] = field(default_factory=dict)
    """When and why, by issuer and serial number."""
    hashes: frozenset[bytes] = frozenset()
    """The certificates in the list of the server's own."""
    authorities: Mapping[NameKey, str] = field(default_factory=dict)
    """Authorities among the trusted ones that are revoked themselves, and why."""
    expirations: Mapping[NameKey, Expiration] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        lists: Sequence[RevocationList],
        hashes: frozenset[bytes],
        trusted: Sequence[x509.Certificate],
    ) -> "RevocationLists":
        """From verified lists, the list of one's own, and the trusted authorities.

        The library's errors if the name of an authority is malformed.
        """
        serials = _serials(lists)
        authorities = _revoked_authorities(trusted, serials, hashes)
        return cls(serials, hashes, authorities, _expirations(lists))

    @property
    def count(self) -> int:
        """The number of entries in all lists."""
        return sum(map(len, self.serials.values())) + len(self.hashes)

    def reason(self, peer: PeerCertificate) -> str | None:
        """Why the certificate is revoked; None if it is not."""
        revocation = self.serials.get(peer.issuer, {}).get(peer.serial)
        if revocation is not None:
            return f"the certificate of {peer.subject!r} was revoked on {revocation}"
        if peer.signed_hash in self.hashes:
            return f"the certificate of {peer.subject!r} is in the server's list of revoked ones"
        authority = self.authorities.get(peer.issuer)
        return None if authority is None else f"its authority is not valid: {authority}"

    def expiration_reason(self, peer: PeerCertificate, now: datetime) -> str | None:
        """Why the certificate may be revoked without being in a list; None if it is not so."""
        expiration = self.expirations.get(peer.issuer)
        if expiration is None or now <= expiration.end:
            return None
        return (
            f"the revocation list of {expiration.issuer!r} expired on"
            f" {expiration.end:%Y-%m-%d %H:%M} UTC; until there is a newer one, the server accepts no"
            " certificate of this authority"
        )

    def expired(self, now: datetime) -> dict[NameKey, Expiration]:
        """The authorities whose newest list has expired."""
        return {name: each for name, each in self.expirations.items() if now > each.end}


def _serials(lists: Iterable[RevocationList]) -> dict[NameKey, dict[int, str]]:
    serials: dict[NameKey, dict[int, str]] = {}
    for each in lists:
        serials.setdefault(name_key(each.crl.issuer), {}).update(entries(each.crl))
    return serials


def _revoked_authorities(
    trusted: Sequence[x509.Certificate],
    serials: Mapping[NameKey, Mapping[int, str]],
    hashes: frozenset[bytes],
) -> dict[NameKey, str]:
    """The trusted authorities that are revoked, or issued by one that is."""
    subjects = [(name_key(each.subject), PeerCertificate.of(each)) for each in trusted]
    revoked: dict[NameKey, str] = {}
    while True:
        lists = RevocationLists(serials, hashes, revoked)
        reasons = ((name, lists.reason(peer)) for name, peer in subjects)
        more = {name: reason for name, reason in reasons if reason is not None}
        if more.keys() == revoked.keys():
            return revoked
        revoked = more


def _expirations(lists: Iterable[RevocationList]) -> dict[NameKey, Expiration]:
    """By the newest list of each key; of authorities with one name, by the one that is worst off."""
    newest: dict[tuple[NameKey, bytes], Expiration | None] = {}
    for each in lists:
        public_key = each.authority.public_key().public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        )
        key = (name_key(each.crl.issuer), public_key)
        end = each.crl.next_update_utc
        known = newest.get(key)
        if end is None:  # the list does not expire
            newest[key] = None
        elif key not in newest or (known is not None and end > known.end):
            newest[key] = Expiration(each.path, each.issuer, end)
    expirations: dict[NameKey, Expiration] = {}
    for (name, _), expiration in newest.items():
        if expiration is not None:
            other = expirations.get(name, expiration)
            expirations[name] = min(expiration, other, key=lambda each: each.end)
    return expirations
