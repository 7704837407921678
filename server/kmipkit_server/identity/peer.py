"""The certificate of a peer, by the parts that only its authority can have written.

The signature is not one of them. Of an ECDSA signature (r, s), anybody can make another valid one,
(r, n - s): so a certificate has several encodings, and several hashes. What identifies it here is the
part that the authority has signed.
"""

from dataclasses import dataclass

from cryptography import x509
from kmipkit_certs.revocation import NameKey, name_key, signed_hash

from kmipkit.keys.certificates import serial

MALFORMED = (ValueError, TypeError, x509.InvalidVersion)
"""What the library raises; TypeError for a BIT STRING in a field that must hold text."""


@dataclass(frozen=True, slots=True)
class PeerCertificate:
    """What identifies a certificate, and what revocation lists may say about it."""

    subject: str
    issuer: NameKey
    serial: int
    signed_hash: bytes
    """SHA-256 of the part that the authority has signed."""
    encoded_issuer: bytes
    """The name of the issuer in DER."""
    encoded_serial: bytes
    """The serial number in DER."""

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
            certificate.issuer.public_bytes(),
            serial(certificate),
        )
