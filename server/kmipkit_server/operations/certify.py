"""Certify and Re-certify: certificates by the server's own authority (KMIP 1.4 §4.7, §4.8)."""

from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from kmipkit_certs.authority import (
    LEAF_DAYS,
    Authority,
    Purpose,
    distinguished_name,
    requested_names,
)
from kmipkit_certs.errors import CertificateError

from kmipkit.errors import OperationError
from kmipkit.model.attribute import Attribute, Attributes
from kmipkit.model.attributes import Link, Name
from kmipkit.model.objects import Certificate, CertificateRequest
from kmipkit.model.payloads.certify import (
    CertifyRequest,
    CertifyResponse,
    ReCertifyRequest,
    ReCertifyResponse,
)
from kmipkit.spec.enums import (
    CertificateRequestType,
    CertificateType,
    LinkType,
    ObjectType,
    ResultReason,
)
from kmipkit.spec.tags import Tag
from kmipkit_server.engine.call import Call
from kmipkit_server.keys import certificate_authority
from kmipkit_server.keys.material import public_key
from kmipkit_server.objects import creation
from kmipkit_server.objects.access import load, load_for_change, save
from kmipkit_server.objects.derived_attributes import derived_attributes
from kmipkit_server.objects.managed import Managed, add_instance
from kmipkit_server.objects.replacement import back, inherited, merged, point, retire

SignedRequest = x509.CertificateSigningRequest


def certify(call: Call, request: CertifyRequest) -> CertifyResponse:
    """Make a certificate for a public key, by a request for it or by its name alone."""
    signed = _request_in(request)
    subject = _subject_of(call, request, signed)
    if signed is None and isinstance(subject.object if subject else None, CertificateRequest):
        assert subject is not None
        signed, subject = _parse_object(subject), None
    given = creation.requested(call, request.attributes, ObjectType.CERTIFICATE)
    value = _issue(call, subject, signed, given)
    managed = _keep(call, value, given, subject)
    return CertifyResponse(unique_identifier=managed.id)


def re_certify(call: Call, request: ReCertifyRequest) -> ReCertifyResponse:
    """Make a certificate that replaces another one for the same key, and takes over its names."""
    old = load_for_change(call, request.unique_identifier)
    if old.object_type is not ObjectType.CERTIFICATE:
        raise OperationError(ResultReason.ILLEGAL_OBJECT_TYPE, "Re-certify renews a Certificate")
    old.require_alive()
    signed = _request_in(request)
    if signed is None and request.certificate_request_unique_identifier is not None:
        signed = _parse_object(load(call, request.certificate_request_unique_identifier))
    subject = _linked_key(call, old)
    given = creation.requested(call, request.attributes, ObjectType.CERTIFICATE)
    kept = inherited(call, old, request.offset).without(*_OF_CERTIFICATE)
    # The names that are asked for come before those that are taken over.
    attributes = Attributes((*given, *(one for one in merged(given, kept) if one not in given)))
    value = _issue(call, subject or old, signed, attributes)
    nameless = retire(call, old)
    managed = _keep(call, value, attributes, subject, back(old))
    point(call, nameless, managed.id)
    return ReCertifyResponse(unique_identifier=managed.id)


_OF_CERTIFICATE = (
    Tag.CERTIFICATE_TYPE,
    Tag.CERTIFICATE_LENGTH,
    Tag.CERTIFICATE_IDENTIFIER,
    Tag.CERTIFICATE_SUBJECT,
    Tag.CERTIFICATE_ISSUER,
    Tag.X_509_CERTIFICATE_IDENTIFIER,
    Tag.X_509_CERTIFICATE_SUBJECT,
    Tag.X_509_CERTIFICATE_ISSUER,
    Tag.DIGITAL_SIGNATURE_ALGORITHM,
    Tag.CRYPTOGRAPHIC_ALGORITHM,
    Tag.CRYPTOGRAPHIC_LENGTH,
    *(tag for tag in Tag if Tag.CERTIFICATE_SUBJECT_CN <= tag <= Tag.CERTIFICATE_ISSUER_DN_QUALIFIER),
)  # fmt: skip
"""What the certificate itself says, so that the new one says it anew."""


# --- what is to be certified ---------------------------------------------------------------------


def _request_in(request: CertifyRequest | ReCertifyRequest) -> SignedRequest | None:
    if request.certificate_request is None:
        return None
    if request.certificate_request_type is None:
        raise OperationError(ResultReason.INVALID_FIELD, "Certificate Request Type is missing")
    return _parse(request.certificate_request, request.certificate_request_type)


def _parse_object(managed: Managed) -> SignedRequest:
    value = managed.object
    if not isinstance(value, CertificateRequest):
        raise OperationError(
            ResultReason.INVALID_OBJECT_TYPE, "the object is not a Certificate Request"
        )
    return _parse(value.certificate_request_value, value.certificate_request_type)


_LOADERS = {
    CertificateRequestType.PKCS_10: x509.load_der_x509_csr,
    CertificateRequestType.PEM: x509.load_pem_x509_csr,
}


def _parse(data: bytes, kind: CertificateRequestType) -> SignedRequest:
    load = _LOADERS.get(kind)
    if load is None:
        raise OperationError(
            ResultReason.FEATURE_NOT_SUPPORTED,
            f"requests in {kind.name} are not supported, only PKCS #10, in DER or PEM",
        )
    try:
        signed = load(data)
        good = signed.is_signature_valid or _proved_by_sha_1(signed)
    except Exception:
        raise OperationError(ResultReason.INVALID_CSR, "the request cannot be read") from None
    if not good:
        raise OperationError(ResultReason.INVALID_CSR, "the request is not signed by its own key")
    return signed


def _proved_by_sha_1(signed: SignedRequest) -> bool:
    """Whether RSA with SHA-1 proves the request, which the library no longer looks at.

    It proves possession of the key and nothing else; the certificate is signed with SHA-256.
    """
    key = signed.public_key()
    if not isinstance(signed.signature_hash_algorithm, SHA1) or not isinstance(key, RSAPublicKey):
        return False
    try:
        key.verify(signed.signature, signed.tbs_certrequest_bytes, PKCS1v15(), SHA1())  # noqa: S303
    except InvalidSignature:
        return False
    return True


def _subject_of(
    call: Call, request: CertifyRequest, signed: SignedRequest | None
) -> Managed | None:
    """The public key, or certificate request; None where only the request's bytes are given."""
    if request.unique_identifier is None and signed is not None:
        return None
    managed = load_for_change(call, request.unique_identifier)
    managed.require_alive()
    if managed.object_type not in (ObjectType.PUBLIC_KEY, ObjectType.CERTIFICATE_REQUEST):
        raise OperationError(
            ResultReason.INVALID_OBJECT_TYPE,
            "Certify takes a Public Key or a Certificate Request",
        )
    return managed


def _linked_key(call: Call, certificate: Managed) -> Managed | None:
    for attribute in certificate.all(Tag.LINK):
        link = attribute.value
        if link.link_type == LinkType.PUBLIC_KEY_LINK:
            return load(call, link.linked_object_identifier)
    return None


# --- the certificate -----------------------------------------------------------------------------


def _issue(
    call: Call, subject: Managed | None, signed: SignedRequest | None, given: Attributes
) -> Certificate:
    authority = certificate_authority.authority(call)
    try:
        made = _certificate(call, authority, subject, signed, given)
    except CertificateError as error:
        raise OperationError(ResultReason.INVALID_FIELD, str(error)) from None
    return Certificate(
        certificate_type=CertificateType.X_509, certificate_value=made.public_bytes(Encoding.DER)
    )


def _certificate(
    call: Call,
    authority: Authority,
    subject: Managed | None,
    signed: SignedRequest | None,
    given: Attributes,
) -> x509.Certificate:
    """Names are those of the request, which takes precedence, or of the attributes (§4.7)."""
    days = _days(call.now, given)
    if signed is not None:
        if subject is not None and _encoded(signed.public_key()) != _encoded(public_key(subject)):
            raise OperationError(
                ResultReason.INVALID_CSR, "the request is for another key than the Public Key"
            )
        return authority.certify(
            signed.subject,
            signed.public_key(),
            Purpose.BOTH,
            call.now,
            days,
            requested_names(signed),
        )
    assert subject is not None
    if isinstance(subject.object, Certificate):
        name = x509.load_der_x509_certificate(subject.object.certificate_value).subject
    else:
        name = distinguished_name(_common_name(subject, given))
    return authority.certify(name, public_key(subject), Purpose.BOTH, call.now, days)


def _days(now: datetime, given: Attributes) -> int:
    """Until the Deactivation Date that is asked for, or as long as certificates usually live."""
    end = given.get(Tag.DEACTIVATION_DATE)
    if end is None:
        return LEAF_DAYS
    days = (end - now).days
    if days < 1:
        raise OperationError(
            ResultReason.INVALID_FIELD, "the Deactivation Date leaves the certificate no day"
        )
    return int(days)


def _common_name(subject: Managed, given: Attributes) -> str:
    for name in (*given.all(Tag.NAME), *(one.value for one in subject.all(Tag.NAME))):
        if isinstance(name, Name) and 0 < len(name.name_value) <= 64:
            return name.name_value
    return subject.id


def _encoded(key: object) -> bytes:
    data: bytes = key.public_bytes(  # type: ignore[attr-defined]  # every public key has it
        Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    )
    return data


def _keep(
    call: Call,
    value: Certificate,
    given: Attributes,
    subject: Managed | None,
    *links: Link,
) -> Managed:
    """Store the certificate, and link key and certificate both ways (KMIP 1.4 §4.7)."""
    if subject is not None:
        given = given.plus(Attribute(Tag.LINK, _link(LinkType.PUBLIC_KEY_LINK, subject.id)))
    given = given.plus(*(Attribute(Tag.LINK, link) for link in links))
    managed = creation.create(
        call, ObjectType.CERTIFICATE, value, given, derived_attributes(value), generated=True
    )
    if subject is not None:
        kept = Attributes(
            tuple(
                one
                for one in subject.stored
                if one.key != Tag.LINK or one.value.link_type != LinkType.CERTIFICATE_LINK
            )
        )
        link = _link(LinkType.CERTIFICATE_LINK, managed.id)
        save(call, subject, subject.with_stored(add_instance(kept, Tag.LINK, link)[0]))
    return managed


def _link(link_type: LinkType, identifier: str) -> Link:
    return Link(link_type=link_type, linked_object_identifier=identifier)
