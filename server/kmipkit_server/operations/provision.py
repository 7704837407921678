"""Re-Provision: a client replaces its own certificate (KMIP 2.1 §6.1.48).

The certificates come from an authority of their own, which the server trusts for clients only. The new
one leads to the account of the old one, which ends at once; if the server has generated the key pair,
the old one ends some minutes later, since the client still has to get its key.
"""

from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, load_der_public_key
from kmipkit_certs.authority import LEAF_DAYS, Purpose, distinguished_name
from kmipkit_certs.errors import CertificateError
from kmipkit_certs.revocation_status import PeerCertificate

from kmipkit.errors import OperationError
from kmipkit.keys.certificates import load_certificate
from kmipkit.model.attribute import Attribute, Attributes
from kmipkit.model.attributes import Link
from kmipkit.model.objects import Certificate, PublicKey
from kmipkit.model.payloads.certify import ReProvisionRequest, ReProvisionResponse
from kmipkit.spec.enums import (
    CertificateType,
    CryptographicAlgorithm,
    KeyFormatType,
    LinkType,
    ObjectType,
    ResultReason,
    State,
)
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag
from kmipkit_server.engine.call import Call
from kmipkit_server.identity import provisioned
from kmipkit_server.identity.provisioned import NO_EXPIRATION, Provisioned
from kmipkit_server.keys import certificate_authority, pairs
from kmipkit_server.keys.material import public_bytes, public_key
from kmipkit_server.objects import creation
from kmipkit_server.objects.claims import require_true_claims
from kmipkit_server.objects.derived_attributes import derived_attributes
from kmipkit_server.objects.managed import Managed
from kmipkit_server.operations.certify import parse_request

GRACE = timedelta(minutes=10)
"""How long the old certificate still works if the client has to get a generated key with it."""

_ENDED = frozenset(
    {State.DEACTIVATED, State.COMPROMISED, State.DESTROYED, State.DESTROYED_COMPROMISED}
)


def re_provision(call: Call, request: ReProvisionRequest) -> ReProvisionResponse:
    """Give the client a new certificate, and end the one that it uses."""
    fingerprint = _require_credential(call)
    if request.certificate is not None and request.certificate_request is not None:
        raise OperationError(
            ResultReason.INVALID_FIELD,
            "a client gives a Certificate Request, or a Certificate, or neither, but not both",
        )
    grace = timedelta(0)
    if request.certificate is not None:
        new = _accept(call, request.certificate)
        identifier = new.id
    elif request.certificate_request is not None:
        signed = parse_request(
            call,
            request.certificate_request.certificate_request_value,
            request.certificate_request.certificate_request_type,
        )
        new = _store(call, _issue(call, signed.public_key()))
        identifier = new.id
    else:
        identifier, new = _generate(call)
        grace = GRACE
    _replace(call, fingerprint, new, call.now + grace)
    return ReProvisionResponse(unique_identifier=call.returns(identifier))


def _require_credential(call: Call) -> bytes:
    """The fingerprint of the client's certificate, which must be its credential and valid.

    "Re-Provision SHALL fail if the certificate that represents the client credential has been Revoked",
    or compromised, and "SHOULD fail if [it] has expired".
    """
    identity = call.identity
    if identity.certificate is None or identity.user is not None or identity.rights is not None:
        raise OperationError(
            ResultReason.PERMISSION_DENIED,
            "only a client that is identified by its certificate can replace it",
        )
    if identity.certificate_expires is not None and identity.certificate_expires <= call.now:
        raise OperationError(ResultReason.PERMISSION_DENIED, "the client certificate has expired")
    row = provisioned.read(call.store).get(identity.certificate_hash)
    record = call.store.get(row.identifier) if row is not None and row.identifier else None
    if record is not None and Managed(record, call.now).state in _ENDED:
        raise OperationError(
            ResultReason.PERMISSION_DENIED, "the client certificate has been revoked"
        )
    return identity.certificate_hash


# --- the new certificate -------------------------------------------------------------------------


def _issue(call: Call, key: PublicKeyTypes) -> Certificate:
    """A certificate of the client authority, with the account as its name."""
    kind = certificate_authority.CLIENTS
    authority = certificate_authority.authority(call, kind)
    call.batch.after_commit(lambda: call.batch.server.trust(authority.certificate))
    # The table of provisioned certificates says whose it is; the name is for people.
    name = call.identity.account[:64]
    value = call.compute(
        _sign,
        authority,
        name,
        public_bytes(key),
        call.now,
        cost=certificate_authority.SIGNATURE_COST,
    )
    return Certificate(certificate_type=CertificateType.X_509, certificate_value=value)


def _sign(
    authority: certificate_authority.AuthorityKey, name: str, key: bytes, now: datetime
) -> bytes:
    """The certificate, in DER."""
    try:
        certificate = authority.load().certify(
            distinguished_name(name), load_der_public_key(key), Purpose.CLIENT, now, LEAF_DAYS
        )
    except CertificateError as error:
        raise OperationError(ResultReason.CRYPTOGRAPHIC_FAILURE, str(error)) from None
    return certificate.public_bytes(Encoding.DER)


def _accept(call: Call, value: Certificate) -> Managed:
    """A certificate that the client brings along.

    It must name the client's account by itself: certificates are public, and with that of somebody
    else a client could make that other one work in its own account.
    """
    require_true_claims(value, Attributes())
    certificate = load_certificate(value.certificate_value)
    if not certificate.not_valid_before_utc <= call.now < certificate.not_valid_after_utc:
        raise OperationError(ResultReason.INVALID_FIELD, "the certificate is not valid now")
    if call.batch.server.owner_of(value.certificate_value) != call.identity.name:
        raise OperationError(
            ResultReason.PERMISSION_DENIED,
            "the certificate does not name the account of the client",
        )
    return _store(call, value)


def _generate(call: Call) -> tuple[str, Managed]:
    """A key pair and its certificate; the identifier of the private key, and the certificate."""
    mask = CryptographicUsageMask
    common = (
        (Tag.CRYPTOGRAPHIC_ALGORITHM, CryptographicAlgorithm.ECDSA),
        (Tag.CRYPTOGRAPHIC_LENGTH, 256),
        (Tag.ACTIVATION_DATE, call.now),
    )
    private, public = pairs.create(
        call,
        pairs.PairAttributes(
            Attributes.of(
                *common,
                (Tag.CRYPTOGRAPHIC_USAGE_MASK, mask.SIGN),
                (Tag.KEY_FORMAT_TYPE, KeyFormatType.PKCS_8),
            ),
            Attributes.of(
                *common,
                (Tag.CRYPTOGRAPHIC_USAGE_MASK, mask.VERIFY),
                (Tag.KEY_FORMAT_TYPE, KeyFormatType.X_509),
            ),
        ),
    )
    assert isinstance(public.object, PublicKey)
    value = _issue(call, public_key(public))
    links = [
        Link(link_type=link_type, linked_object_identifier=key.id)
        for link_type, key in (
            (LinkType.PRIVATE_KEY_LINK, private),
            (LinkType.PUBLIC_KEY_LINK, public),
        )
    ]
    return private.id, _store(call, value, links)


def _store(call: Call, value: Certificate, links: list[Link] | None = None) -> Managed:
    attributes = Attributes.of(
        (Tag.ACTIVATION_DATE, call.now),
        (Tag.CRYPTOGRAPHIC_USAGE_MASK, CryptographicUsageMask.VERIFY),
    ).plus(*(Attribute(Tag.LINK, link) for link in links or ()))
    return creation.create(
        call, ObjectType.CERTIFICATE, value, attributes, derived_attributes(value)
    )


# --- the table -----------------------------------------------------------------------------------


def _replace(call: Call, old: bytes, new: Managed, ends: datetime) -> None:
    """Note the new certificate, and when the old one ends."""
    value = new.object
    assert isinstance(value, Certificate)
    expires = x509.load_der_x509_certificate(value.certificate_value).not_valid_after_utc
    identity = call.identity
    table = provisioned.read(call.store)
    own = PeerCertificate.parse(value.certificate_value).signed_hash
    if own == old:
        raise OperationError(ResultReason.INVALID_FIELD, "the client already uses this certificate")
    row = table.get(old)
    table[own] = Provisioned(identity.name, expires, expires, new.id)
    table[old] = Provisioned(
        identity.name,
        ends,
        identity.certificate_expires or NO_EXPIRATION,
        row.identifier if row is not None else "",
    )
    call.set_shared(provisioned.SETTING, provisioned.pack(table, call.now))
