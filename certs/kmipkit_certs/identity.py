"""The name of a client in its certificate; a server's configuration says which part of it that is."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from cryptography import x509
from cryptography.x509.oid import ExtensionOID, NameOID

from kmipkit_certs.errors import CertificateError
from kmipkit_certs.revocation import signed_hash

USER_PREFIX = "user:"
"""The beginning of the account names of users; accounts of certificates have other names. Otherwise an
administrator could become the account of a certificate, by making a user of its name."""

TENANT_PREFIX = "tenant:"
"""The beginning of the names of all accounts of tenants; no certificate and no user has such a name by
itself. Otherwise the holder of a certificate could choose the tenant."""

_RESERVED = {
    USER_PREFIX: "the accounts of users",
    TENANT_PREFIX: "the accounts of tenants",
}


class NoName(CertificateError):
    """The certificate does not name a client; the text says why."""


def client_name(certificate: x509.Certificate, source: str) -> str:
    """The name in the part of a certificate that ``source`` says.

    Raises:
        NoName: that part is missing, empty or malformed.
    """
    name = SOURCES[source](certificate)
    if not name:
        raise NoName("the name in the certificate is empty")
    return name


def require_not_reserved(name: str) -> None:
    """NoName if the name is one that only users or the accounts of tenants have."""
    for prefix, holders in _RESERVED.items():
        if name.startswith(prefix):
            raise NoName(
                f"the name in the certificate begins with {prefix!r}, as only {holders} do"
            )


def _subject_of(certificate: x509.Certificate) -> x509.Name:
    """The subject. The library raises TypeError for a BIT STRING in a field that must hold text."""
    try:
        return certificate.subject
    except (ValueError, TypeError) as error:
        raise NoName(f"the subject of the certificate is malformed: {error}") from None


def _first_common_name(certificate: x509.Certificate) -> str | None:
    names = _subject_of(certificate).get_attributes_for_oid(NameOID.COMMON_NAME)
    if not names or not names[0].value:
        return None
    value = names[0].value
    return value if isinstance(value, str) else value.decode("utf-8", "replace")


def _common_name(certificate: x509.Certificate) -> str:
    name = _first_common_name(certificate)
    if name is None:
        raise NoName(
            "the subject of the certificate has no Common Name, and the server takes the account from"
            " there; issue a certificate with one, or set identity.source to 'san' or 'cn-or-san'"
        )
    return name


def _alternative_name(certificate: x509.Certificate) -> str:
    try:
        extension = certificate.extensions.get_extension_for_oid(
            ExtensionOID.SUBJECT_ALTERNATIVE_NAME
        )
    except x509.ExtensionNotFound:
        raise NoName("the certificate has no Subject Alternative Name") from None
    except _MALFORMED_EXTENSIONS as error:
        raise NoName(f"an extension of the certificate is malformed: {error}") from None
    names = extension.value
    assert isinstance(names, x509.SubjectAlternativeName)
    for general in names:
        text = _text_of(general)
        if text is not None:
            return text
    raise NoName("no Subject Alternative Name is a host, address, e-mail address or URI")


def alternative_names(certificate: x509.Certificate) -> tuple[str, ...]:
    """The Subject Alternative Names that are texts or addresses; none if the extension is malformed."""
    try:
        extension = certificate.extensions.get_extension_for_oid(
            ExtensionOID.SUBJECT_ALTERNATIVE_NAME
        )
    except (x509.ExtensionNotFound, *_MALFORMED_EXTENSIONS):
        return ()
    names = extension.value
    assert isinstance(names, x509.SubjectAlternativeName)
    return tuple(text for text in map(_text_of, names) if text is not None)


def _text_of(name: x509.GeneralName) -> str | None:
    if isinstance(name, x509.DNSName | x509.RFC822Name | x509.UniformResourceIdentifier):
        return name.value
    return str(name.value) if isinstance(name, x509.IPAddress) else None


_MALFORMED_EXTENSIONS = (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)


def _common_or_alternative_name(certificate: x509.Certificate) -> str:
    return _first_common_name(certificate) or _alternative_name(certificate)


def _subject(certificate: x509.Certificate) -> str:
    name = _subject_of(certificate).rfc4514_string()
    if not name:
        raise NoName("the subject of the certificate is empty")
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
        "cn-or-san": _common_or_alternative_name,
        "subject": _subject,
        "fingerprint": _fingerprint,
    }
)
"""The parts of a certificate that may name a client, by their names in the configuration."""
