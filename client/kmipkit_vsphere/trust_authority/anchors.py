"""Which TPMs are trusted: those of a maker, by its certificate authorities, or single ones by key.

An endorsement certificate has extensions that OpenSSL does not know (its subject alternative name is
critical and holds TPM ids), so the chain is verified here, link by link (vsphere.md §7.2, §7.6).
"""

import hashlib
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from kmipkit_vsphere.model.errors import AttestationFailed, InvalidArgument
from kmipkit_vsphere.model.message import Message
from kmipkit_vsphere.trust_authority.structures import PublicArea

MAX_CHAIN = 5


class Anchors(Message):
    """Authorities (PEM) and endorsement keys (name to fingerprint), and what is required."""

    authorities: tuple[str, ...] = ()
    endorsement_keys: tuple[tuple[str, str], ...] = ()
    require_endorsement_keys: bool = False
    require_certificate_validation: bool = True

    def check(self, public: PublicArea, certificate: bytes | None, now: datetime) -> str:
        """The fingerprint of a trusted endorsement key; :class:`AttestationFailed` for others."""
        presented = fingerprint(public.key())
        is_registered = presented in {registered for _, registered in self.endorsement_keys}
        if self.require_endorsement_keys and not is_registered:
            raise AttestationFailed("the endorsement key of the TPM is not registered")
        if certificate is None:
            if self.require_certificate_validation or not is_registered:
                raise AttestationFailed("the TPM has no endorsement certificate")
            return presented
        if self.require_certificate_validation or not is_registered:
            self._check_certificate(public, certificate, now)
        return presented

    def _check_certificate(self, public: PublicArea, der: bytes, now: datetime) -> None:
        try:
            certificate = x509.load_der_x509_certificate(der)
            key = certificate.public_key()
        except ValueError:
            raise AttestationFailed("the endorsement certificate is malformed") from None
        # The TPM proves that it has the endorsement key, not that it has this certificate.
        if not isinstance(key, rsa.RSAPublicKey) or fingerprint(key) != fingerprint(public.key()):
            raise AttestationFailed("the endorsement certificate is for another key")
        authorities = [x509.load_pem_x509_certificate(pem.encode()) for pem in self.authorities]
        for _ in range(MAX_CHAIN):
            issuer = _issuer(certificate, authorities)
            if issuer is None:
                raise AttestationFailed(
                    "the endorsement certificate does not lead to a registered TPM maker"
                )
            if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
                raise AttestationFailed("a certificate of the TPM's chain is not valid now")
            # Trust ends at a root, or at a registered authority with nothing registered above it.
            if issuer.subject == issuer.issuer or _issuer(issuer, authorities) is None:
                return
            certificate = issuer
        raise AttestationFailed("the chain of the endorsement certificate is too long")


def _issuer(
    certificate: x509.Certificate, authorities: list[x509.Certificate]
) -> x509.Certificate | None:
    for authority in authorities:
        try:
            constraints = authority.extensions.get_extension_for_class(x509.BasicConstraints).value
            if constraints.ca:
                certificate.verify_directly_issued_by(authority)
                return authority
        except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
            continue  # it is not the issuer
    return None


def fingerprint(key: rsa.RSAPublicKey) -> str:
    """SHA-256 over a public key (DER), by which endorsement keys are registered."""
    der = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return hashlib.sha256(der).hexdigest()


def fingerprint_of(pem: str) -> str:
    """The fingerprint of a certificate or public key in PEM; :class:`InvalidArgument` for others."""
    try:
        key: object
        if "CERTIFICATE" in pem:
            key = x509.load_pem_x509_certificate(pem.encode()).public_key()
        else:
            key = serialization.load_pem_public_key(pem.encode())
    except ValueError:
        raise InvalidArgument("this is neither a certificate nor a public key in PEM") from None
    if not isinstance(key, rsa.RSAPublicKey):
        raise InvalidArgument("an endorsement key must be an RSA key")
    return fingerprint(key)
