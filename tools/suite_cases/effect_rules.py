"""Cases of what an operation leaves behind, where its response says only that it has succeeded."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from kmipkit_conformance.wording import operation_title

from kmipkit.model.attribute import Attribute, Attributes, custom
from kmipkit.model.attributes import Name
from kmipkit.model.payloads import attributes as payloads
from kmipkit.model.payloads import certify, create, crypto, lifecycle, rekey
from kmipkit.model.structure import Structure
from kmipkit.spec.enums import (
    AdjustmentType,
    CertificateType,
    CryptographicAlgorithm,
    NameType,
    ObjectType,
    Operation,
    State,
)
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_4, V2_1, V3_0, Version
from kmipkit.ttlv.tree import Item
from suite_cases.building import UNKNOWN_OBJECT, R, Refused, create_key, read, rule, simple
from suite_cases.key_rules import certified, join_parts, split_in_parts
from suite_cases.steps import Case, Step, create_pair, uid

_OP = Operation
_ADJUST = "KMIP 2.1 §6.1.3"
_COUNTER = custom("x-KIT-Counter")
_BEFORE = (_COUNTER, 100)


def _adjusted(version: Version) -> Iterator[Step]:
    del version
    yield create_key(0, _BEFORE)
    yield create_key(1, _BEFORE)
    claim = f"Adjust Attribute adds the Adjustment Value to the attribute of the object ({_ADJUST})"
    yield Step(
        _OP.ADJUST_ATTRIBUTE,
        payloads.AdjustAttributeRequest(
            unique_identifier=uid(0),
            attribute_reference=_COUNTER,
            adjustment_type=AdjustmentType.INCREMENT,
            adjustment_value=Item(Tag.ADJUSTMENT_VALUE, ItemType.INTEGER, 20),
        ),
        payloads.AdjustAttributeResponse(unique_identifier=uid(0)),
    ).claiming(claim)
    yield read(_COUNTER, found=[(_COUNTER, 120)]).claiming(claim)
    yield read(_COUNTER, found=[_BEFORE], number=1).claiming(claim)


def _set(version: Version) -> Iterator[Step]:
    del version
    claim = "Set Attribute gives the attribute of the object a value (KMIP 2.1 §6.1.51)"
    yield create_key(0)
    yield create_key(1)
    yield Step(
        _OP.SET_ATTRIBUTE,
        payloads.SetAttributeRequest(
            unique_identifier=uid(0), attribute=Attribute(Tag.CONTACT_INFORMATION, "KIT")
        ),
        payloads.SetAttributeResponse(unique_identifier=uid(0)),
    ).claiming(claim)
    yield read(Tag.CONTACT_INFORMATION, found=[(Tag.CONTACT_INFORMATION, "KIT")]).claiming(claim)
    yield read(Tag.CONTACT_INFORMATION, number=1).claiming(claim)


def _deactivated(version: Version) -> Iterator[Step]:
    del version
    claim = "Deactivate makes an Active object Deactivated (KMIP 3.0, Deactivate)"
    yield create_key(0)
    yield create_key(1)
    yield simple(_OP.ACTIVATE, 0)
    yield simple(_OP.ACTIVATE, 1)
    yield Step(
        _OP.DEACTIVATE,
        lifecycle.DeactivateRequest(unique_identifier=uid(0)),
        lifecycle.DeactivateResponse(unique_identifier=uid(0)),
    ).claiming(claim)
    yield read(Tag.STATE, found=[(Tag.STATE, State.DEACTIVATED)]).claiming(claim)
    yield read(Tag.STATE, found=[(Tag.STATE, State.ACTIVE)], number=1).claiming(claim)


def _obliterated(version: Version) -> Iterator[Step]:
    del version
    claim = "nothing is left of an obliterated object (KMIP 3.0, Obliterate)"
    yield create_key(0)
    yield create_key(1)
    yield Step(
        _OP.OBLITERATE,
        lifecycle.ObliterateRequest(unique_identifier=uid(0)),
        lifecycle.ObliterateResponse(),
    ).claiming(claim)
    yield read(Tag.OBJECT_TYPE).refused(Refused(), claim)
    kept = [(Tag.OBJECT_TYPE, ObjectType.SYMMETRIC_KEY)]
    yield read(Tag.OBJECT_TYPE, found=kept, number=1).claiming(claim)


def _certified(version: Version) -> Iterator[Step]:
    claim = "a new certificate has the attributes of the request (KMIP 1.4 §4.7, KMIP 2.1 §6.1.6)"
    name = (Tag.NAME, _name(version, "CERTIFY"))
    pair, certify_key = certified()
    request = certify_key.request
    assert isinstance(request, certify.CertifyRequest)
    attributes = Attributes.of((Tag.CERTIFICATE_TYPE, CertificateType.X_509), name)
    yield pair
    yield replace(certify_key, request=request.replace(attributes=attributes))
    yield read(Tag.NAME, found=[name], number=2).claiming(claim)


def _joined(version: Version) -> Iterator[Step]:
    claim = "the joined key has the attributes of the request (KMIP 1.4 §4.39, KMIP 2.1 §6.1.27)"
    name = (Tag.NAME, _name(version, "JOIN"))
    yield create_key()
    yield split_in_parts(version).needing("Polynomial Sharing GF(2^16)")
    join = join_parts(1, 2)
    request = join.request
    assert isinstance(request, create.JoinSplitKeyRequest)
    mask = (Tag.CRYPTOGRAPHIC_USAGE_MASK, CryptographicUsageMask.ENCRYPT)
    yield replace(join, request=request.replace(attributes=Attributes.of(mask, name)))
    yield read(Tag.NAME, found=[name], number=9).claiming(claim)


def _name(version: Version, what: str) -> Name:
    return Name(
        name_value=f"kmipkit conformance {version} {what}",
        name_type=NameType.UNINTERPRETED_TEXT_STRING,
    )


def _pair_of_aes(version: Version) -> Iterator[Step]:
    del version
    pair = create_pair(CryptographicUsageMask.SIGN, CryptographicUsageMask.VERIFY)
    request = pair.request
    assert isinstance(request, create.CreateKeyPairRequest)
    attributes = Attributes.of(
        (Tag.CRYPTOGRAPHIC_ALGORITHM, CryptographicAlgorithm.AES),
        (Tag.CRYPTOGRAPHIC_LENGTH, 128),
    )
    claim = "a key pair of an algorithm without pairs is an incorrect value (KMIP 1.4 §11.3)"
    yield replace(pair, request=request.replace(common_attributes=attributes)).refused(
        Refused((R.INVALID_FIELD,)), claim
    )


_UNKNOWN = "KIT-unknown"


def _unknown(
    request: Structure, operation: Operation, claim: str, version: Version
) -> Iterator[Step]:
    del version
    yield Step(operation, request, UNKNOWN_OBJECT).claiming(claim)


def _unknown_objects() -> Iterator[Case]:
    """Operations of an object that does not exist, which no other case has."""
    for operation, request, clause in (
        (
            _OP.RE_KEY_KEY_PAIR,
            rekey.ReKeyKeyPairRequest(private_key_unique_identifier=_UNKNOWN),
            "KMIP 1.4 §11.6, KMIP 2.1 §6.1.47",
        ),
        (
            _OP.RE_CERTIFY,
            certify.ReCertifyRequest(unique_identifier=_UNKNOWN),
            "KMIP 1.4 §11.9, KMIP 2.1 §6.1.45",
        ),
        (
            _OP.SIGNATURE_VERIFY,
            crypto.SignatureVerifyRequest(
                unique_identifier=_UNKNOWN, data=b"x", signature_data=bytes(256)
            ),
            "KMIP 1.4 §11.33, KMIP 2.1 §6.1.56",
        ),
    ):
        title = operation_title(operation)
        claim = f"{title} of an object that does not exist is refused ({clause})"
        yield rule(
            f"UNKNOWN-{operation.name.replace('_', '-')}",
            f"{title} of an object that does not exist ({clause}).",
            partial(_unknown, request, operation, claim),
        )


CASES: tuple[Case, ...] = (
    rule("ADJUST-INCREMENT", f"Adjust Attribute ({_ADJUST}).", _adjusted, (V2_1,)),
    rule("CERTIFY-NAME", "Attributes in Certify (KMIP 1.4 §4.7, KMIP 2.1 §6.1.6).", _certified),
    rule(
        "JOIN-ATTRIBUTES",
        "Attributes in Join Split Key (KMIP 1.4 §4.39, KMIP 2.1 §6.1.27).",
        _joined,
    ),
    rule("PAIR-AES", "A key pair of AES (KMIP 1.4 §11.3).", _pair_of_aes, (V1_4,)),
    *_unknown_objects(),
    rule("SET-ATTRIBUTE", "Set Attribute (KMIP 2.1 §6.1.51).", _set, (V2_1,)),
    rule(
        "DEACTIVATE",
        "Deactivate (KMIP 3.0; the State as in KMIP 2.1 §4.57).",
        _deactivated,
        (V3_0,),
    ),
    rule(
        "OBLITERATE",
        "Obliterate (KMIP 3.0; what is unknown afterwards, as in KMIP 2.1 §6.1).",
        _obliterated,
        (V3_0,),
    ),
)
