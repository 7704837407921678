"""The small authority: one root that signs the certificates of servers and clients (RFC 5280)."""

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from kmipkit_certs import keypairs
from kmipkit_certs.errors import CertificateError
from kmipkit_certs.keypairs import PrivateKey

AUTHORITY_DAYS = 3650
LEAF_DAYS = 825
REVOCATION_LIST_DAYS = 365
SKEW = timedelta(hours=1)
"""How far a peer's clock may lag behind ours without a new certificate being rejected."""
_HOST_NAME = re.compile(r"[A-Za-z0-9_*-]+(\.[A-Za-z0-9_-]+)*\.?")
"""What a client can ask for; a wildcard is only of use in the first label."""
MAX_NAME = 64
"""Characters of a Common Name (RFC 5280 appendix A, ub-common-name)."""


class Purpose(Enum):
    """Which side of the connection a certificate is for; the value is its extended key usage."""

    SERVER = (ExtendedKeyUsageOID.SERVER_AUTH,)
    CLIENT = (ExtendedKeyUsageOID.CLIENT_AUTH,)
    BOTH = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)


@dataclass(frozen=True, slots=True, repr=False)
class IssuedCertificate:
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: PrivateKey


@dataclass(frozen=True, slots=True, repr=False)
class Authority:
    """A certificate authority that can sign."""

    certificate: x509.Certificate
    key: PrivateKey

    @classmethod
    def create(
        cls, name: str, algorithm: str, now: datetime, days: float = AUTHORITY_DAYS
    ) -> "Authority":
        """A new self-signed root."""
        return cls._self_signed(distinguished_name(name), keypairs.generate(algorithm), now, days)

    def renewed(self, now: datetime, days: float = AUTHORITY_DAYS) -> "Authority":
        """The same root with other dates: what it has signed verifies under both certificates."""
        return self._self_signed(self.certificate.subject, self.key, now, days)

    @classmethod
    def _self_signed(
        cls, subject: x509.Name, key: PrivateKey, now: datetime, days: float
    ) -> "Authority":
        certificate = (
            _builder(now, days)
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(sign_certificates=True), critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
            .sign(key, keypairs.signature_hash(key))
        )
        return cls(certificate, key)

    def issue(
        self,
        name: str,
        purpose: Purpose,
        now: datetime,
        *,
        alternative: Iterable[str] = (),
        algorithm: str = keypairs.DEFAULT_ALGORITHM,
        days: float = LEAF_DAYS,
    ) -> IssuedCertificate:
        """A certificate for a new key.

        Args:
            name: Common Name; with the server's default configuration, the client's identity.
            alternative: host names, IP addresses, e-mail addresses and URIs.

        Raises:
            CertificateError: a name is not permitted in a certificate.
        """
        key = keypairs.generate(algorithm)
        names = alternative_names(alternative)
        certificate = self.certify(
            distinguished_name(name), key.public_key(), purpose, now, days, names
        )
        return IssuedCertificate(certificate, key)

    def sign(
        self,
        request: x509.CertificateSigningRequest,
        purpose: Purpose,
        now: datetime,
        *,
        days: float = LEAF_DAYS,
    ) -> x509.Certificate:
        """The certificate for a request: subject and alternative names are those of the request.

        Nothing else is adopted: the signer decides on the usage of a certificate.

        Raises:
            CertificateError: the request is not signed with its own key, or is malformed.
        """
        _require_proof(request)
        names = requested_names(request)
        return self.certify(
            requested_subject(request), request.public_key(), purpose, now, days, names
        )

    def certify(
        self,
        subject: x509.Name,
        public_key: object,
        purpose: Purpose,
        now: datetime,
        days: float,
        names: Iterable[x509.GeneralName] = (),
    ) -> x509.Certificate:
        """The certificate for a public key under these names.

        Raises:
            CertificateError: there is neither a subject nor an alternative name.
        """
        names = list(names)
        authority_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        builder = (
            _builder(now, days)
            .subject_name(subject)
            .issuer_name(self.certificate.subject)
            .public_key(public_key)  # type: ignore[arg-type]  # the library refuses other types
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(encipher=isinstance(public_key, rsa.RSAPublicKey)), critical=True)
            .add_extension(x509.ExtendedKeyUsage(purpose.value), critical=False)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(public_key),  # type: ignore[arg-type]  # the library refuses other types
                critical=False,
            )
            .add_extension(authority_id, critical=False)
        )
        if names:
            # RFC 5280 §4.2.1.6: critical if there is no other name.
            builder = builder.add_extension(
                x509.SubjectAlternativeName(names), critical=not list(subject)
            )
        elif not list(subject):
            raise CertificateError("a certificate needs a subject or an alternative name")
        return builder.sign(self.key, keypairs.signature_hash(self.key))

    def sign_revocation_list(
        self,
        revoked: Iterable[x509.RevokedCertificate],
        number: int,
        now: datetime,
        *,
        days: int = REVOCATION_LIST_DAYS,
    ) -> x509.CertificateRevocationList:
        """The revocation list with these certificates; its number is higher than that of the last."""
        authority_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(now - SKEW)
            .next_update(now + timedelta(days=days))
            .add_extension(authority_id, critical=False)
            .add_extension(x509.CRLNumber(number), critical=False)
        )
        for entry in revoked:
            builder = builder.add_revoked_certificate(entry)
        return builder.sign(self.key, keypairs.signature_hash(self.key))


def _require_proof(request: x509.CertificateSigningRequest) -> None:
    """CertificateError: the request does not prove that its sender has the private key."""
    try:
        name = unverified_hash(request)
        is_proved = request.is_signature_valid
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CertificateError(
            f"the signature of the request cannot be verified: {error}; make the request again with an"
            " RSA or ECDSA key and SHA-256"
        ) from None
    if name is not None:
        raise CertificateError(
            f"the request is signed with {name}, which is no longer verified; make the"
            " request again with SHA-256"
        )
    if not is_proved:
        raise CertificateError("the request is not signed by the key in it")


def unverified_hash(request: x509.CertificateSigningRequest) -> str | None:
    """The name of the hash if the library verifies no signature with it; None if it does.

    It calls every such signature invalid, whether or not the key fits.
    """
    digest = request.signature_hash_algorithm
    if isinstance(digest, hashes.MD5):
        return "MD5"
    return "SHA-1" if isinstance(digest, hashes.SHA1) else None


def requested_subject(request: x509.CertificateSigningRequest) -> x509.Name:
    """The subject of a request. CertificateError: it is malformed.

    The library raises TypeError for a BIT STRING in a field that must hold text.
    """
    try:
        return request.subject
    except (ValueError, TypeError) as error:
        raise CertificateError(f"the request has a malformed subject: {error}") from None


_MALFORMED_EXTENSIONS = (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)


def requested_names(request: x509.CertificateSigningRequest) -> list[x509.GeneralName]:
    """The alternative names in a request. CertificateError: an extension is malformed."""
    try:
        extension = request.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    except _MALFORMED_EXTENSIONS as error:
        raise CertificateError(f"the request has a malformed extension: {error}") from None
    return list(extension.value)


def distinguished_name(common_name: str) -> x509.Name:
    """The subject ``CN=common_name``.

    Raises:
        CertificateError: the name is empty or too long.
    """
    if not 1 <= len(common_name) <= MAX_NAME:
        raise CertificateError(
            f"a name has 1 to {MAX_NAME} characters; {common_name[:80]!r} has {len(common_name)}"
        )
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def alternative_names(names: Iterable[str]) -> list[x509.GeneralName]:
    """Each name by its form: IP address, URI, e-mail address, else host name.

    Raises:
        CertificateError: a host name is not valid.
    """
    return [_alternative_name(name) for name in dict.fromkeys(names)]


def _alternative_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass
    name_type = (
        x509.UniformResourceIdentifier
        if "://" in name or name.startswith("urn:")
        else (x509.RFC822Name if "@" in name else x509.DNSName)
    )
    try:
        ascii_name = name if name_type is not x509.DNSName else name.encode("idna").decode("ascii")
        if name_type is x509.DNSName and not _HOST_NAME.fullmatch(ascii_name):
            raise CertificateError(
                f"{name!r} is not a host name; give host names with --san, each by itself and without"
                " a port"
            )
        return name_type(ascii_name)
    except ValueError:
        raise CertificateError(
            f"{name!r} is not a valid alternative name; use ASCII characters"
        ) from None


def _builder(now: datetime, days: float) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + timedelta(days=days))
    )


def _usage(*, sign_certificates: bool = False, encipher: bool = False) -> x509.KeyUsage:
    """Digital signature, and for RSA under TLS 1.2 key encipherment; TLS needs nothing else."""
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=encipher,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        encipher_only=False,
        decipher_only=False,
    )
