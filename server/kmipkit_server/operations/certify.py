"""Certify and Re-certify: certificates by the server's own authority (KMIP 1.4 §4.7, §4.8)."""

from datetime import datetime
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import Encoding, load_der_public_key
from kmipkit_certs.authority import (
    LEAF_DAYS,
    Purpose,
    distinguished_name,
    requested_names,
    requested_subject,
    unverified_hash,
)
from kmipkit_certs.errors import CertificateError

from kmipkit.errors import OperationError
from kmipkit.keys import costs
from kmipkit.keys.certificates import load_certificate
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
from kmipkit.spec.titles import title, title_with_article
from kmipkit_server.engine.call import Call
from kmipkit_server.keys import certificate_authority
from kmipkit_server.keys.material import public_bytes, public_key
from kmipkit_server.objects import creation
from kmipkit_server.objects.access import load, load_for_change, save
from kmipkit_server.objects.derived_attributes import derived_attributes
from kmipkit_server.objects.managed import Managed, add_instance
from kmipkit_server.objects.protection import inherited_protection
from kmipkit_server.objects.protection_storage import require_storage
from kmipkit_server.objects.replacement import (
    inherited_attributes,
    link_to_replaced,
    link_to_replacement,
    not_replaced,
    release_names,
    require_not_replaced,
    require_offset,
    require_requested_order,
)

SignedRequest = x509.CertificateSigningRequest


def certify(call: Call, request: CertifyRequest) -> CertifyResponse:
    """Make a certificate for a public key, from a certificate request or for the key alone."""
    signed = _request_in(call, request)
    source = subject = _subject_of(call, request, signed)
    if signed is None and isinstance(subject.object if subject else None, CertificateRequest):
        assert subject is not None
        signed, subject = _parse_object(call, subject), None
    require_storage(request.protection_storage_masks)
    attributes = creation.requested_attributes(call, request.attributes, ObjectType.CERTIFICATE)
    if source is not None:
        attributes = inherited_protection(attributes, (source,), is_copy=True)
    value = _issue(call, subject, signed, attributes)
    managed = _store(call, value, attributes, subject)
    return CertifyResponse(unique_identifier=managed.id)


def re_certify(call: Call, request: ReCertifyRequest) -> ReCertifyResponse:
    """Make a certificate that replaces another one for the same key, and takes over its names."""
    old = load_for_change(call, request.unique_identifier)
    if old.object_type is not ObjectType.CERTIFICATE:
        raise OperationError(
            ResultReason.INVALID_OBJECT_TYPE,
            f"Re-certify renews a Certificate, not {title_with_article(old.object_type)}",
        )
    old.require_alive()
    require_not_replaced(call, old)
    signed = _request_in(call, request)
    if signed is None and request.certificate_request_unique_identifier is not None:
        signed = _parse_object(call, load(call, request.certificate_request_unique_identifier))
    subject = _linked_key(call, old)
    require_storage(request.protection_storage_masks)
    requested = creation.explicit_attributes(call, request.attributes, ObjectType.CERTIFICATE)
    require_offset(old, requested, request.offset)
    inherited = inherited_attributes(call, old, request.offset).without(*_FROM_CERTIFICATE)
    # Requested names come before inherited ones: the first Name becomes the Common Name.
    attributes = Attributes((*requested, *not_replaced(requested, inherited)))
    require_requested_order(requested, attributes)
    attributes = inherited_protection(attributes, (old,), is_copy=True)
    value = _issue(call, subject or old, signed, attributes)
    # The names move before the new object is stored, since two objects must not share one.
    nameless = release_names(call, old)
    owner = old.record.owner
    managed = _store(call, value, attributes, subject, link_to_replaced(old), owner=owner)
    link_to_replacement(call, nameless, managed.id)
    return ReCertifyResponse(unique_identifier=managed.id)


_FROM_CERTIFICATE = (
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
"""Attributes that are derived from the certificate itself, and so not inherited by a new one."""


# --- the certificate request ---------------------------------------------------------------------


def _request_in(call: Call, request: CertifyRequest | ReCertifyRequest) -> SignedRequest | None:
    if request.certificate_request is None:
        return None
    if request.certificate_request_type is None:
        raise OperationError(ResultReason.INVALID_FIELD, "Certificate Request Type is missing")
    return parse_request(call, request.certificate_request, request.certificate_request_type)


def _parse_object(call: Call, managed: Managed) -> SignedRequest:
    value = managed.object
    if not isinstance(value, CertificateRequest):
        raise OperationError(
            ResultReason.INVALID_OBJECT_TYPE,
            f"the object is {title_with_article(managed.object_type)}, not a Certificate Request",
        )
    return parse_request(call, value.certificate_request_value, value.certificate_request_type)


_LOADERS = {
    CertificateRequestType.PKCS_10: x509.load_der_x509_csr,
    CertificateRequestType.PEM: x509.load_pem_x509_csr,
}

_MALFORMED = (ValueError, UnsupportedAlgorithm, x509.InvalidVersion)
"""What the library raises for a request that is malformed, or whose key or signature it lacks."""


def parse_request(call: Call, data: bytes, request_type: CertificateRequestType) -> SignedRequest:
    """The request in these bytes. OperationError: Invalid CSR, or Feature Not Supported.

    A request proves that its sender holds the private key, so its signature is checked first: the
    server must not certify a key for somebody who merely knows it.
    """
    load = _LOADERS.get(request_type)
    if load is None:
        raise OperationError(
            ResultReason.FEATURE_NOT_SUPPORTED,
            f"the Certificate Request Type {title(request_type)} is not supported;"
            " use PKCS#10, or PEM",
        )
    try:
        signed = load(data)
        cost = costs.public_operation(signed.public_key())
    except _MALFORMED:
        raise _malformed() from None
    if not call.compute(_is_proved, signed.public_bytes(Encoding.DER), cost=cost):
        raise OperationError(ResultReason.INVALID_CSR, _why_not_proved(signed))
    return signed


def _is_proved(data: bytes) -> bool:
    """Whether a request in DER is signed with its own key."""
    signed = x509.load_der_x509_csr(data)
    try:
        return signed.is_signature_valid or _is_proved_by_sha_1(signed)
    except _MALFORMED:
        raise _malformed() from None


def _malformed() -> OperationError:
    return OperationError(
        ResultReason.INVALID_CSR,
        "the certificate request is malformed, or its key is not supported",
    )


def _why_not_proved(signed: SignedRequest) -> str:
    name = unverified_hash(signed)
    is_verified = name == "SHA-1" and isinstance(signed.public_key(), RSAPublicKey)
    if name is None or is_verified:
        return "the certificate request is not signed with its own key"
    return f"the certificate request is signed with {name}, which is not verified; use SHA-256"


def _is_proved_by_sha_1(signed: SignedRequest) -> bool:
    """Whether RSA with SHA-1 signs the request, which the library no longer accepts.

    Old clients still send such requests. The signature only proves possession of the key; the
    certificate itself is signed with SHA-256.
    """
    key = signed.public_key()
    if not isinstance(signed.signature_hash_algorithm, SHA1) or not isinstance(key, RSAPublicKey):
        return False
    try:
        key.verify(signed.signature, signed.tbs_certrequest_bytes, PKCS1v15(), SHA1())  # noqa: S303
    except InvalidSignature:
        return False
    return True


# --- the subject ---------------------------------------------------------------------------------


def _subject_of(
    call: Call, request: CertifyRequest, signed: SignedRequest | None
) -> Managed | None:
    """The Public Key or Certificate Request to certify; None if the request's bytes say it all."""
    if request.unique_identifier is None and signed is not None:
        return None
    managed = load_for_change(call, request.unique_identifier)
    managed.require_alive()
    if managed.object_type not in (ObjectType.PUBLIC_KEY, ObjectType.CERTIFICATE_REQUEST):
        raise OperationError(
            ResultReason.INVALID_OBJECT_TYPE,
            "Certify needs a Public Key or a Certificate Request,"
            f" not {title_with_article(managed.object_type)}",
        )
    return managed


def _linked_key(call: Call, certificate: Managed) -> Managed | None:
    for attribute in certificate.instances(Tag.LINK):
        link = attribute.value
        if link.link_type == LinkType.PUBLIC_KEY_LINK:
            return load(call, link.linked_object_identifier)
    return None


# --- the certificate -----------------------------------------------------------------------------


def _issue(
    call: Call, subject: Managed | None, signed: SignedRequest | None, attributes: Attributes
) -> Certificate:
    """Sign a certificate.

    "If the information in the Certificate Request conflicts with the attributes specified in the
    Template-Attribute, then the information in the Certificate Request takes precedence" (KMIP 1.4
    §4.7). So the attributes give the name only where there is no request.
    """
    days = _days(call.now, attributes)
    if signed is not None:
        key = public_bytes(signed.public_key())
        if subject is not None and key != public_bytes(public_key(subject)):
            raise OperationError(
                ResultReason.INVALID_CSR,
                "the key of the certificate request is not the Public Key to certify",
            )
        source = _Source(key, request=signed.public_bytes(Encoding.DER))
    else:
        assert subject is not None
        key = public_bytes(public_key(subject))
        if isinstance(subject.object, Certificate):  # Re-certify: the new one names the same
            source = _Source(key, old=subject.object.certificate_value)
        else:
            source = _Source(key, name=_common_name(subject, attributes))
    authority = certificate_authority.authority(call)
    value = call.compute(
        _sign, authority, source, call.now, days, cost=certificate_authority.SIGNATURE_COST
    )
    return Certificate(certificate_type=CertificateType.X_509, certificate_value=value)


class _Source(NamedTuple):
    """The public key to certify, and where its names come from."""

    key: bytes
    request: bytes | None = None
    old: bytes | None = None
    """The certificate that is renewed."""
    name: str = ""


def _sign(
    authority: certificate_authority.AuthorityKey, source: _Source, now: datetime, days: int
) -> bytes:
    """The certificate, in DER."""
    key, names = load_der_public_key(source.key), list[x509.GeneralName]()
    try:
        if source.request is not None:
            request = x509.load_der_x509_csr(source.request)
            subject, names = requested_subject(request), requested_names(request)
        elif source.old is not None:
            subject = load_certificate(source.old).subject
        else:
            subject = distinguished_name(source.name)
        certificate = authority.load().certify(subject, key, Purpose.BOTH, now, days, names)
    except CertificateError as error:  # of the request, or of the name that the attributes give
        reason = ResultReason.INVALID_FIELD if source.request is None else ResultReason.INVALID_CSR
        raise OperationError(reason, str(error)) from None
    return certificate.public_bytes(Encoding.DER)


def _days(now: datetime, attributes: Attributes) -> int:
    """The days until the requested Deactivation Date, or the usual lifetime of a certificate."""
    end = attributes.get(Tag.DEACTIVATION_DATE)
    if end is None:
        return LEAF_DAYS
    days = (end - now).days
    if days < 1:
        raise OperationError(
            ResultReason.INVALID_FIELD,
            "the Deactivation Date must be at least one day from now: a certificate is valid for"
            " whole days",
        )
    return int(days)


def _common_name(subject: Managed, attributes: Attributes) -> str:
    """The first Name that fits into a Common Name, which has at most 64 characters (RFC 5280)."""
    for name in (*attributes.all(Tag.NAME), *subject.attributes.all(Tag.NAME)):
        if isinstance(name, Name) and 0 < len(name.name_value) <= 64:
            return name.name_value
    return subject.id


def _store(
    call: Call,
    value: Certificate,
    attributes: Attributes,
    subject: Managed | None,
    *links: Link,
    owner: str | None = None,
) -> Managed:
    """Store the certificate, and link it with its public key in both directions.

    "For the public key, the server SHALL create a Link attribute of Link Type Certificate" (KMIP
    1.4 §4.7), or "change" the one that it has, if the certificate replaces another (§4.8): so the
    key has a link to the newest certificate only.
    """
    if subject is not None:
        link = _link(LinkType.PUBLIC_KEY_LINK, subject.id)
        attributes = attributes.plus(Attribute(Tag.LINK, link))
    attributes = attributes.plus(*(Attribute(Tag.LINK, link) for link in links))
    managed = creation.create(
        call, ObjectType.CERTIFICATE, value, attributes, derived_attributes(value), generated=True,
        owner=owner,
    )  # fmt: skip
    if subject is not None:
        others = Attributes(
            tuple(
                attribute
                for attribute in subject.attributes
                if attribute.key != Tag.LINK
                or attribute.value.link_type != LinkType.CERTIFICATE_LINK
            )
        )
        link = _link(LinkType.CERTIFICATE_LINK, managed.id)
        save(call, subject, subject.with_attributes(add_instance(others, Tag.LINK, link)[0]))
    return managed


def _link(link_type: LinkType, identifier: str) -> Link:
    return Link(link_type=link_type, linked_object_identifier=identifier)
