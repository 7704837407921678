"""Which TPMs are trusted: those of a maker, by its certificate authorities, or single ones by key.

An endorsement certificate has extensions that OpenSSL does not know (its subject alternative name is
critical and holds TPM ids), so the chain is followed here, link by link (vsphere.md §7.2, §7.6).
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from kmipkit_vsphere.model.errors import AttestationFailed, InvalidArgument
from kmipkit_vsphere.trust_authority.structures import PublicArea

MAX_CHAIN = 5


@dataclass(frozen=True, slots=True)
class Anchors:
    """Authorities (PEM) and endorsement keys (name to fingerprint), and what is required."""

    authorities: tuple[str, ...] = ()
    endorsement_keys: tuple[tuple[str, str], ...] = ()
    require_endorsement_keys: bool = False
    require_certificate_validation: bool = True

    def check(self, public: PublicArea, certificate: bytes | None, now: datetime) -> str:
        """The fingerprint of a trusted endorsement key; :class:`AttestationFailed` for others."""
        found = fingerprint(public.key())
        registered = found in {known for _, known in self.endorsement_keys}
        if self.require_endorsement_keys and not registered:
            raise AttestationFailed("the endorsement key of the TPM is not registered")
        if certificate is None:
            if self.require_certificate_validation or not registered:
                raise AttestationFailed("the TPM has no endorsement certificate")
            return found
        if self.require_certificate_validation or not registered:
            self._check_certificate(public, certificate, now)
        return found

    def _check_certificate(self, public: PublicArea, der: bytes, now: datetime) -> None:
        try:
            certificate = x509.load_der_x509_certificate(der)
            key = certificate.public_key()
        except ValueError:
            raise AttestationFailed("the endorsement certificate is not one") from None
        if not isinstance(key, rsa.RSAPublicKey) or fingerprint(key) != fingerprint(public.key()):
            raise AttestationFailed("the endorsement certificate is for another key")
        known = [x509.load_pem_x509_certificate(one.encode()) for one in self.authorities]
        for _ in range(MAX_CHAIN):
            issuer = _issuer(certificate, known)
            if issuer is None:
                raise AttestationFailed(
                    "the endorsement certificate does not lead to a registered TPM maker"
                )
            if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
                raise AttestationFailed("a certificate of the TPM's chain is not valid now")
            if issuer.subject == issuer.issuer or _is_anchor(issuer, known):
                return
            certificate = issuer
        raise AttestationFailed("the chain of the endorsement certificate is too long")

    def to_json(self) -> dict[str, Any]:
        """For the configuration of the services."""
        return {
            "authorities": list(self.authorities),
            "endorsementKeys": [list(one) for one in self.endorsement_keys],
            "requireEndorsementKeys": self.require_endorsement_keys,
            "requireCertificateValidation": self.require_certificate_validation,
        }

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_json` made."""
        return cls(
            tuple(found.get("authorities", ())),
            tuple((str(name), str(key)) for name, key in found.get("endorsementKeys", ())),
            bool(found.get("requireEndorsementKeys", False)),
            bool(found.get("requireCertificateValidation", True)),
        )


def _is_anchor(issuer: x509.Certificate, known: list[x509.Certificate]) -> bool:
    """Whether nothing above a registered certificate is registered: then trust ends there."""
    return _issuer(issuer, known) is None


def _issuer(
    certificate: x509.Certificate, known: list[x509.Certificate]
) -> x509.Certificate | None:
    for one in known:
        try:
            constraints = one.extensions.get_extension_for_class(x509.BasicConstraints).value
            if constraints.ca:
                certificate.verify_directly_issued_by(one)
                return one
        except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
            continue
    return None


def fingerprint(key: rsa.RSAPublicKey) -> str:
    """SHA-256 over a public key (DER), by which endorsement keys are registered."""
    der = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return hashlib.sha256(der).hexdigest()


def fingerprint_of(pem: str) -> str:
    """The same of a certificate or public key in PEM; :class:`InvalidArgument` for others."""
    try:
        if "CERTIFICATE" in pem:
            key: Any = x509.load_pem_x509_certificate(pem.encode()).public_key()
        else:
            key = serialization.load_pem_public_key(pem.encode())
    except ValueError:
        raise InvalidArgument("this is neither a certificate nor a public key in PEM") from None
    if not isinstance(key, rsa.RSAPublicKey):
        raise InvalidArgument("an endorsement key is RSA here")
    return fingerprint(key)
