"""A certificate or a revocation list as text for people, and as data for scripts."""

from collections.abc import Iterator
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from kmipkit.terminal import printable
from kmipkit_certs import revocation

_USAGES = {
    ExtendedKeyUsageOID.SERVER_AUTH: "server",
    ExtendedKeyUsageOID.CLIENT_AUTH: "client",
    ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE: "any",
}


def facts(certificate: x509.Certificate) -> dict[str, Any]:
    """The contents of a certificate as JSON values."""
    return {
        "subject": certificate.subject.rfc4514_string(),
        "alternative names": list(alternative_names(certificate)),
        "issuer": certificate.issuer.rfc4514_string(),
        "serial number": f"{certificate.serial_number:x}",
        "not before": certificate.not_valid_before_utc.isoformat(),
        "not after": certificate.not_valid_after_utc.isoformat(),
        "key": key_name(certificate.public_key()),
        "signature": signature_name(certificate),
        "authority": is_authority(certificate),
        "usage": list(usages(certificate) or ["not restricted"]),
        "SHA-256": certificate.fingerprint(hashes.SHA256()).hex(":"),
    }


def revocation_facts(crl: x509.CertificateRevocationList) -> dict[str, Any]:
    """The contents of a revocation list as JSON values."""
    end = crl.next_update_utc
    number = extension_value(crl, x509.CRLNumber)
    return {
        "issuer": crl.issuer.rfc4514_string(),
        "number": None if number is None else number.crl_number,
        "last update": crl.last_update_utc.isoformat(),
        "next update": None if end is None else end.isoformat(),
        "signature": signature_name(crl),
        "revoked": [f"{serial:x}: {entry}" for serial, entry in revocation.entries(crl).items()],
    }


def text(rows: dict[str, Any]) -> str:
    """The contents as text, one line each."""
    width = max(map(len, rows))
    return "\n".join(
        f"{name:<{width}}  {printable(_format(value))}" for name, value in rows.items()
    )


def _format(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "none"
    if isinstance(value, list):
        return ", ".join(value) or "none"
    return str(value)


def alternative_names(certificate: x509.Certificate) -> Iterator[str]:
    """Host names, addresses and other alternative names, as text."""
    extension = extension_value(certificate, x509.SubjectAlternativeName)
    for name in extension or ():
        value = getattr(name, "value", name)
        yield value.rfc4514_string() if isinstance(value, x509.Name) else str(value)


def usages(certificate: x509.Certificate) -> list[str] | None:
    """The usages that the extended key usage permits; None without that extension."""
    extension = extension_value(certificate, x509.ExtendedKeyUsage)
    if extension is None:
        return None
    return [usage_name(usage) for usage in extension]


def usage_name(usage: x509.ObjectIdentifier) -> str:
    """``server``, ``client``, ``any``, or the object identifier of another usage."""
    return _USAGES.get(usage, usage.dotted_string)


def is_authority(certificate: x509.Certificate) -> bool:
    """Whether it may sign other certificates (RFC 5280 §4.2.1.9)."""
    constraints = extension_value(certificate, x509.BasicConstraints)
    return constraints is not None and constraints.ca


def key_name(key: object) -> str:
    """``RSA 2048`` or the like."""
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size}"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"ECDSA {key.curve.name}"
    if isinstance(key, dsa.DSAPublicKey):
        return f"DSA {key.key_size}"
    names = {ed25519.Ed25519PublicKey: "Ed25519", ed448.Ed448PublicKey: "Ed448"}
    return next((name for cls, name in names.items() if isinstance(key, cls)), "unknown")


def signature_name(certificate: x509.Certificate | x509.CertificateRevocationList) -> str:
    """The name of the signature algorithm, or its object identifier."""
    oid = certificate.signature_algorithm_oid
    return getattr(oid, "_name", None) or oid.dotted_string


def extension_value(
    certificate: x509.Certificate | x509.CertificateRevocationList, extension: type[Any]
) -> Any:
    """The value of an extension, or None; None also if an extension is malformed."""
    try:
        return certificate.extensions.get_extension_for_class(extension).value
    except (x509.ExtensionNotFound, *MALFORMED_EXTENSIONS):
        return None


MALFORMED_EXTENSIONS = (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)
"""What the library raises for extensions that it cannot read."""


def name_text(certificate: x509.Certificate) -> str:
    """The subject in quotes, for messages."""
    try:
        return repr(certificate.subject.rfc4514_string())
    except (ValueError, TypeError):  # TypeError for a BIT STRING in place of text
        return "the certificate with a malformed subject"


def issuer_text(certificate: x509.Certificate) -> str:
    """The issuer in quotes, for messages."""
    try:
        return repr(certificate.issuer.rfc4514_string())
    except (ValueError, TypeError):
        return "an authority with a malformed name"
