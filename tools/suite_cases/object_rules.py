"""Cases of objects: what is registered comes back, which attributes they always have, how keys are wrapped,
and what protects them (KMIP 1.4 §2, §3, §4.3, §4.11; KMIP 2.1 §2 to §4, §6.1.19, §6.1.43)."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from kmipkit_conformance.wording import operation_title

from kmipkit.model.attribute import AttributeKey, Attributes
from kmipkit.model.attributes import (
    Digest,
    KeyValueLocation,
    X509CertificateIdentifier,
    X509CertificateIssuer,
    X509CertificateSubject,
)
from kmipkit.model.keyblock import (
    KeyBlock,
)
from kmipkit.model.objects import ManagedObject, SymmetricKey
from kmipkit.model.payloads import attributes as payloads
from kmipkit.model.payloads import get
from kmipkit.model.payloads.register import (
    ExportRequest,
    ExportResponse,
    ImportRequest,
    ImportResponse,
)
from kmipkit.spec.attributes import BY_TAG
from kmipkit.spec.enums import (
    CertificateType,
    CryptographicAlgorithm,
    DigitalSignatureAlgorithm,
    HashingAlgorithm,
    KeyFormatType,
    KeyValueLocationType,
    ObjectType,
    OpaqueDataType,
    Operation,
    State,
)
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V2_0, Version
from suite_cases.attribute_rules import clauses_of, code_of
from suite_cases.building import (
    ANY,
    ARCHIVED,
    BOTH,
    UNREADABLE,
    R,
    Refused,
    create_key,
    modify,
    read,
    replaced,
    rule,
    simple,
)
from suite_cases.material import CERTIFICATE, DISTINGUISHED_NAME
from suite_cases.objects import OBJECTS, block, register
from suite_cases.state_rules import encrypt
from suite_cases.steps import KEY, NOW, Case, Step, symbol, uid

_OP = Operation
_Type = ObjectType
_Mask = CryptographicUsageMask
_GET = "KMIP 1.4 §4.11, KMIP 2.1 §6.1.19"
_REGISTER = "KMIP 1.4 §4.3, KMIP 2.1 §6.1.43"


def fetch(object_type: ObjectType, value: ManagedObject, number: int = 0, **fields: Any) -> Step:
    """Get an object, and find this one."""
    return Step(
        _OP.GET,
        get.GetRequest(unique_identifier=uid(number), **fields),
        get.GetResponse(object_type=object_type, unique_identifier=uid(number), object=value),
    )


def _title(object_type: ObjectType) -> str:
    return object_type.name.replace("_", " ").title()


_CLAUSES_OF_TYPES = {
    _Type.CERTIFICATE: "KMIP 1.4 §2.2.1, KMIP 2.1 §2.1",
    _Type.SYMMETRIC_KEY: "KMIP 1.4 §2.2.2, KMIP 2.1 §2.9",
    _Type.PUBLIC_KEY: "KMIP 1.4 §2.2.3, KMIP 2.1 §2.6",
    _Type.PRIVATE_KEY: "KMIP 1.4 §2.2.4, KMIP 2.1 §2.5",
    _Type.SPLIT_KEY: "KMIP 1.4 §2.2.5, KMIP 2.1 §2.8",
    _Type.SECRET_DATA: "KMIP 1.4 §2.2.7, KMIP 2.1 §2.7",
    _Type.OPAQUE_OBJECT: "KMIP 1.4 §2.2.8, KMIP 2.1 §2.3",
    _Type.TEMPLATE: "KMIP 1.4 §2.2.6",
}


def _round_trip(object_type: ObjectType, claim: str, version: Version) -> Iterator[Step]:
    del version
    yield register(object_type)
    yield fetch(object_type, OBJECTS[object_type][0]).claiming(claim)


def _mismatch(object_type: ObjectType, claim: str, version: Version) -> Iterator[Step]:
    del version
    other = _Type.SECRET_DATA if object_type is not _Type.SECRET_DATA else _Type.SYMMETRIC_KEY
    how = Refused(
        (R.INVALID_FIELD, R.INVALID_MESSAGE),
        (*UNREADABLE.new, R.INVALID_OBJECT_TYPE),
        whole=True,
    )
    yield register(object_type).edited(replaced(Tag.OBJECT_TYPE, int(other))).refused(how, claim)


def _objects() -> Iterator[Case]:
    """Each type of object that Query lists can be registered, and comes back as it was."""
    for object_type in OBJECTS:
        versions = [version for version in BOTH if object_type.known_in(version)]
        clause = _CLAUSES_OF_TYPES[object_type]
        title = _title(object_type)
        code = object_type.name.replace("_", "-")
        claim = f"a registered {title} comes back in the same format ({clause}; {_GET})"
        yield rule(
            f"OBJECT-{code}",
            f"Register and Get of a {title}, if Query lists the type ({clause}; {_REGISTER}).",
            partial(_round_trip, object_type, claim),
            versions,
        )
        if object_type is _Type.TEMPLATE:
            continue
        claim = f"the Object Type of a Register must be that of the object ({_REGISTER}; KMIP 1.4 §11.4)"
        yield rule(
            f"OBJECT-{code}-MISMATCH",
            f"Register of a {title} as another Object Type ({_REGISTER}).",
            partial(_mismatch, object_type, claim),
            versions,
        )


# --- attributes that always have a value -----------------------------------------------------------

_Values = tuple[tuple[ObjectType, Tag, Any], ...]
_SHA256_OF_KEY = Digest(
    hashing_algorithm=HashingAlgorithm.SHA_256,
    digest_value=hashlib.sha256(KEY).digest(),
    key_format_type=KeyFormatType.RAW,
)

_ALWAYS: _Values = (
    (_Type.SYMMETRIC_KEY, Tag.UNIQUE_IDENTIFIER, uid(0)),
    (_Type.SYMMETRIC_KEY, Tag.OBJECT_TYPE, _Type.SYMMETRIC_KEY),
    (_Type.SYMMETRIC_KEY, Tag.CRYPTOGRAPHIC_ALGORITHM, CryptographicAlgorithm.AES),
    (_Type.SYMMETRIC_KEY, Tag.CRYPTOGRAPHIC_LENGTH, 128),
    (_Type.SYMMETRIC_KEY, Tag.CRYPTOGRAPHIC_USAGE_MASK, _Mask.ENCRYPT | _Mask.DECRYPT),
    (_Type.SYMMETRIC_KEY, Tag.STATE, State.PRE_ACTIVE),
    (_Type.SYMMETRIC_KEY, Tag.INITIAL_DATE, NOW),
    (_Type.SYMMETRIC_KEY, Tag.LAST_CHANGE_DATE, NOW),
    (_Type.SYMMETRIC_KEY, Tag.DIGEST, _SHA256_OF_KEY),
    (_Type.SYMMETRIC_KEY, Tag.SENSITIVE, False),
    (_Type.SYMMETRIC_KEY, Tag.ALWAYS_SENSITIVE, False),
    (_Type.SYMMETRIC_KEY, Tag.EXTRACTABLE, True),
    (_Type.SYMMETRIC_KEY, Tag.NEVER_EXTRACTABLE, False),
    (_Type.SYMMETRIC_KEY, Tag.KEY_FORMAT_TYPE, KeyFormatType.RAW),
    (_Type.CERTIFICATE, Tag.CERTIFICATE_TYPE, CertificateType.X_509),
    (_Type.CERTIFICATE, Tag.CERTIFICATE_LENGTH, len(CERTIFICATE)),
    (
        _Type.CERTIFICATE,
        Tag.X_509_CERTIFICATE_SUBJECT,
        X509CertificateSubject(subject_distinguished_name=DISTINGUISHED_NAME),
    ),
    (
        _Type.CERTIFICATE,
        Tag.X_509_CERTIFICATE_ISSUER,
        X509CertificateIssuer(issuer_distinguished_name=DISTINGUISHED_NAME),
    ),
    (
        _Type.CERTIFICATE,
        Tag.X_509_CERTIFICATE_IDENTIFIER,
        X509CertificateIdentifier(
            issuer_distinguished_name=DISTINGUISHED_NAME,
            certificate_serial_number=symbol("ANY_1"),
        ),
    ),
    (
        _Type.CERTIFICATE,
        Tag.DIGITAL_SIGNATURE_ALGORITHM,
        DigitalSignatureAlgorithm.SHA_256_WITH_RSA_ENCRYPTION,
    ),
    (_Type.SYMMETRIC_KEY, Tag.SHORT_UNIQUE_IDENTIFIER, symbol("ANY_1")),
    (_Type.OPAQUE_OBJECT, Tag.OPAQUE_DATA_TYPE, OpaqueDataType(0x80000001)),
    (_Type.PUBLIC_KEY, Tag.CRYPTOGRAPHIC_ALGORITHM, CryptographicAlgorithm.RSA),
    (_Type.PRIVATE_KEY, Tag.CRYPTOGRAPHIC_LENGTH, 2048),
    (_Type.SECRET_DATA, Tag.OBJECT_TYPE, _Type.SECRET_DATA),
    (_Type.SECRET_DATA, Tag.STATE, State.PRE_ACTIVE),
    (_Type.OPAQUE_OBJECT, Tag.OBJECT_TYPE, _Type.OPAQUE_OBJECT),
    (_Type.OPAQUE_OBJECT, Tag.INITIAL_DATE, NOW),
)
"""Attributes that always have a value, with the value that each server must give them."""


def _always(
    object_type: ObjectType, tag: Tag, value: Any, claim: str, version: Version
) -> Iterator[Step]:
    del version
    yield register(object_type)
    yield read(tag, found=[(tag, value)]).claiming(claim)


def _values() -> Iterator[Case]:
    """Attributes that always have a value have it from the beginning."""
    for object_type, tag, value in _ALWAYS:
        row = BY_TAG[tag]
        versions = [version for version in BOTH if row.known_in(version)]
        title = _title(object_type)
        claim = f"a registered {title} has its {row.name} ({clauses_of(row)})"
        yield rule(
            f"VALUE-{object_type.name.replace('_', '-')}-{code_of(row)}",
            f"A {title} has its {row.name} ({clauses_of(row)}).",
            partial(_always, object_type, tag, value, claim),
            versions,
        )


def _listed(version: Version) -> Iterator[Step]:
    del version
    tags = (
        *(Tag.UNIQUE_IDENTIFIER, Tag.OBJECT_TYPE, Tag.CRYPTOGRAPHIC_ALGORITHM),
        *(Tag.CRYPTOGRAPHIC_LENGTH, Tag.CRYPTOGRAPHIC_USAGE_MASK, Tag.STATE),
        *(Tag.INITIAL_DATE, Tag.LAST_CHANGE_DATE, Tag.DIGEST),
    )
    yield create_key()
    yield Step(
        _OP.GET_ATTRIBUTE_LIST,
        payloads.GetAttributeListRequest(unique_identifier=uid(0)),
        payloads.GetAttributeListResponse(unique_identifier=uid(0), attribute_references=tags),
    ).claiming(
        "Get Attribute List names all attributes of the object (KMIP 1.4 §4.13, KMIP 2.1 §6.1.21)"
    )


def _all_attributes(version: Version) -> Iterator[Step]:
    del version
    yield create_key()
    yield read(
        found=[
            (Tag.OBJECT_TYPE, _Type.SYMMETRIC_KEY),
            (Tag.CRYPTOGRAPHIC_ALGORITHM, CryptographicAlgorithm.AES),
            (Tag.CRYPTOGRAPHIC_LENGTH, 128),
            (Tag.STATE, State.PRE_ACTIVE),
        ]
    ).claiming(
        "without names, Get Attributes returns all attributes (KMIP 1.4 §4.12, KMIP 2.1 §6.1.20)"
    )


def _absent_attribute(version: Version) -> Iterator[Step]:
    del version
    claim = "an attribute without a value is not in the response (KMIP 1.4 §4.12, KMIP 2.1 §6.1.20)"
    yield create_key()
    yield read(Tag.DESTROY_DATE, found=[]).claiming(claim)
    yield read(Tag.DESTROY_DATE, Tag.STATE, found=[(Tag.STATE, State.PRE_ACTIVE)]).claiming(claim)


def _same_name(version: Version) -> Iterator[Step]:
    del version
    yield create_key()
    how = Refused((R.INVALID_MESSAGE,), (R.INVALID_MESSAGE, R.INVALID_FIELD))
    yield read(Tag.STATE, Tag.STATE).refused(
        how, "an attribute named twice is refused (KMIP 1.4 §4.12, §11.13; KMIP 2.1 §6.1.20)"
    )


# --- Sensitive and Extractable ---------------------------------------------------------------------

_SENSITIVE = (
    Refused((R.SENSITIVE,), (R.SENSITIVE, R.PERMISSION_DENIED)) if hasattr(R, "SENSITIVE") else ANY
)
_NOT_EXTRACTABLE = Refused((R.NOT_EXTRACTABLE,), (R.NOT_EXTRACTABLE, R.PERMISSION_DENIED))
PROTECTION = "the attribute Sensitive or Extractable"


def _get_refused(number: int = 0) -> Step:
    return fetch(_Type.SYMMETRIC_KEY, SymmetricKey(key_block=block(KEY)), number)


def _key(*pairs: tuple[AttributeKey, Any]) -> Step:
    return register(_Type.SYMMETRIC_KEY, 0, *pairs)


def _sensitive(version: Version) -> Iterator[Step]:
    del version
    yield _key((Tag.SENSITIVE, True)).needing(PROTECTION)
    yield _get_refused().refused(
        _SENSITIVE,
        "a sensitive key does not leave the server in the clear (KMIP 1.4 §3.48, KMIP 2.1 §4.55)",
    )


def _not_extractable(version: Version) -> Iterator[Step]:
    del version
    yield _key((Tag.EXTRACTABLE, False)).needing(PROTECTION)
    yield _get_refused().refused(
        _NOT_EXTRACTABLE,
        "a key that is not extractable does not leave the server (KMIP 1.4 §3.50, KMIP 2.1 §4.23)",
    )


def _history(
    given: tuple[Tag, bool], history: Tag, version: Version, *, is_changed: bool, claim: str
) -> Iterator[Step]:
    del version
    tag, value = given
    yield _key((tag, value)).needing(PROTECTION)
    if is_changed:
        yield modify(tag, not value).needing(PROTECTION)
        yield modify(tag, value).needing(PROTECTION)
    yield read(history, found=[(history, not is_changed)]).claiming(claim)


def _protections() -> Iterator[Case]:
    for tag, value, history, clause in (
        (Tag.SENSITIVE, True, Tag.ALWAYS_SENSITIVE, "KMIP 1.4 §3.49, KMIP 2.1 §4.3"),
        (Tag.EXTRACTABLE, False, Tag.NEVER_EXTRACTABLE, "KMIP 1.4 §3.51, KMIP 2.1 §4.33"),
    ):
        name = BY_TAG[history].name
        for suffix, is_changed in (("KEPT", False), ("CHANGED", True)):
            what = "false for ever after a change" if is_changed else "true without a change"
            claim = f"{name} is {what} of {BY_TAG[tag].name} ({clause})"
            yield rule(
                f"HISTORY-{code_of(BY_TAG[history])}-{suffix}",
                f"{claim}.",
                partial(_history, (tag, value), history, is_changed=is_changed, claim=claim),
            )


# --- key blocks, formats, Export and Import --------------------------------------------------------


def _wrong_format(version: Version) -> Iterator[Step]:
    del version
    yield register(_Type.SYMMETRIC_KEY)
    how = Refused(
        (R.KEY_FORMAT_TYPE_NOT_SUPPORTED,), (R.KEY_FORMAT_TYPE_NOT_SUPPORTED, R.INVALID_FIELD)
    )
    yield fetch(
        _Type.SYMMETRIC_KEY, OBJECTS[_Type.SYMMETRIC_KEY][0], key_format_type=KeyFormatType.X_509
    ).refused(how, f"a format that the key cannot have is refused ({_GET}; KMIP 1.4 §11.12)")


def _same_format(version: Version) -> Iterator[Step]:
    del version
    yield register(_Type.SYMMETRIC_KEY)
    yield fetch(
        _Type.SYMMETRIC_KEY, OBJECTS[_Type.SYMMETRIC_KEY][0], key_format_type=KeyFormatType.RAW
    ).claiming(f"a key can be had in the format in which it was registered ({_GET})")


def _without_value(version: Version) -> Iterator[Step]:
    del version
    location = KeyValueLocation(
        key_value_location_value="a safe",
        key_value_location_type=KeyValueLocationType.UNINTERPRETED_TEXT_STRING,
    )
    value = SymmetricKey(
        key_block=KeyBlock(
            key_format_type=KeyFormatType.RAW,
            cryptographic_algorithm=CryptographicAlgorithm.AES,
            cryptographic_length=128,
        )
    )
    yield register(_Type.SYMMETRIC_KEY, 0, (Tag.KEY_VALUE_LOCATION, location), value=value).needing(
        "keys whose value is elsewhere (KMIP 1.4 §3.41, KMIP 2.1 §4.28)"
    )
    yield read(Tag.KEY_VALUE_PRESENT, found=[(Tag.KEY_VALUE_PRESENT, False)]).claiming(
        "a key that is registered without its value has Key Value Present (KMIP 1.4 §3.41, KMIP 2.1 §4.28)"
    )
    yield simple(_OP.ACTIVATE)
    yield encrypt().refused(
        Refused((R.KEY_VALUE_NOT_PRESENT,)),
        "a key without its value encrypts nothing (KMIP 1.4 §11.31, KMIP 2.1 §6.1.17)",
    )


def _present_by_client(version: Version) -> Iterator[Step]:
    del version
    yield register(_Type.SYMMETRIC_KEY, 0, (Tag.KEY_VALUE_PRESENT, True)).refused(
        replace(ANY, whole=True),
        "a client does not set Key Value Present in Register (KMIP 1.4 §3.41, KMIP 2.1 §4.28)",
    )


def exported() -> Step:
    """Export the key 0."""
    return Step(
        _OP.EXPORT,
        ExportRequest(unique_identifier=uid(0)),
        ExportResponse(
            object_type=_Type.SYMMETRIC_KEY,
            unique_identifier=uid(0),
            attributes=Attributes.of((Tag.STATE, State.PRE_ACTIVE)),
            object=OBJECTS[_Type.SYMMETRIC_KEY][0],
        ),
    )


def _export(version: Version) -> Iterator[Step]:
    del version
    yield register(_Type.SYMMETRIC_KEY)
    yield exported().claiming(
        "Export returns the object and its attributes (KMIP 1.4 §4.40, KMIP 2.1 §6.1.18)"
    )


def imported(number: int, version: Version, *, replaces: bool | None = None) -> Step:
    is_new = version >= V2_0
    name = f"$UNIQUE_IDENTIFIER_RANDOM_{number}"
    return Step(
        _OP.IMPORT,
        ImportRequest(
            unique_identifier=name,
            object_type=_Type.SYMMETRIC_KEY if is_new else None,
            replace_existing=replaces,
            object=OBJECTS[_Type.SYMMETRIC_KEY][0],
            attributes=Attributes.of(
                *([] if is_new else [(Tag.OBJECT_TYPE, _Type.SYMMETRIC_KEY)]),
                (Tag.CRYPTOGRAPHIC_USAGE_MASK, _Mask.ENCRYPT),
                (Tag.OBJECT_GROUP, "Alice" if replaces is None else "Bob"),
            ),
        ),
        ImportResponse(unique_identifier=name),
    )


_IMPORT = "KMIP 1.4 §4.41, KMIP 2.1 §6.1.25"


def _contact(name: str) -> Step:
    identifier = "$UNIQUE_IDENTIFIER_RANDOM_0"
    return Step(
        _OP.GET_ATTRIBUTES,
        payloads.GetAttributesRequest(
            unique_identifier=identifier, attribute_references=(Tag.OBJECT_GROUP,)
        ),
        payloads.GetAttributesResponse(
            unique_identifier=identifier,
            attributes=Attributes.of((Tag.OBJECT_GROUP, name)),
        ),
    )


def _import(version: Version) -> Iterator[Step]:
    yield imported(0, version)
    yield _contact("Alice").claiming(
        f"an imported object has the attributes of the request ({_IMPORT})"
    )


def _import_again(replaces: bool, version: Version) -> Iterator[Step]:
    yield imported(0, version)
    again = imported(0, version, replaces=replaces)
    if replaces:
        claim = f"with Replace Existing, Import replaces the object ({_IMPORT})"
        yield again.claiming(claim)
        yield _contact("Bob").claiming(claim)
    else:
        claim = f"without Replace Existing, Import replaces nothing ({_IMPORT}; KMIP 1.4 §11.42)"
        yield again.refused(Refused((R.OBJECT_ALREADY_EXISTS,)), claim)
        yield _contact("Alice").claiming(claim)


def _archive(operation: Operation, version: Version) -> Iterator[Step]:
    """An archived object is recovered before it is used (KMIP 1.4 §4, §11)."""
    del version
    yield create_key()
    yield simple(_OP.ARCHIVE)
    claim = "an archived object must be recovered first (KMIP 1.4 §4, §11; KMIP 2.1 §6.1, §11.46)"
    step = {
        _OP.GET: fetch(_Type.SYMMETRIC_KEY, OBJECTS[_Type.SYMMETRIC_KEY][0]),
        _OP.ARCHIVE: simple(_OP.ARCHIVE),
        _OP.ACTIVATE: simple(_OP.ACTIVATE),
        _OP.DESTROY: simple(_OP.DESTROY),
    }[operation]
    yield step.refused(ARCHIVED, claim)
    yield simple(_OP.RECOVER)
    yield read(Tag.STATE, Tag.ARCHIVE_DATE, found=[(Tag.STATE, State.PRE_ACTIVE)]).claiming(
        "a recovered object has no Archive Date any more (KMIP 1.4 §3.32, KMIP 2.1 §4.5)"
    )


_MORE = (
    ("LIST-ATTRIBUTES", "Get Attribute List (KMIP 1.4 §4.13, KMIP 2.1 §6.1.21).", _listed),
    ("GET-ALL-ATTRIBUTES", "Get Attributes without names (KMIP 1.4 §4.12, KMIP 2.1 §6.1.20).", _all_attributes),
    ("GET-ABSENT-ATTRIBUTE", "Get Attributes of an attribute without a value (KMIP 1.4 §4.12, KMIP 2.1 §6.1.20).", _absent_attribute),
    ("GET-SAME-ATTRIBUTE", "Get Attributes with a name twice (KMIP 1.4 §4.12, KMIP 2.1 §6.1.20).", _same_name),
    ("SENSITIVE-GET", "Get of a sensitive key (KMIP 1.4 §3.48, KMIP 2.1 §4.55).", _sensitive),
    ("EXTRACTABLE-GET", "Get of a key that is not extractable (KMIP 1.4 §3.50, KMIP 2.1 §4.23).", _not_extractable),
    ("FORMAT-WRONG", f"Get in a format that the key cannot have ({_GET}).", _wrong_format),
    ("FORMAT-SAME", f"Get in the format of the registration ({_GET}).", _same_format),
    ("VALUE-ELSEWHERE", "A key without its value (KMIP 1.4 §3.41, KMIP 2.1 §4.28).", _without_value),
    ("VALUE-PRESENT", "Key Value Present in Register (KMIP 1.4 §3.41, KMIP 2.1 §4.28).", _present_by_client),
    ("EXPORT", "Export (KMIP 1.4 §4.40, KMIP 2.1 §6.1.18).", _export),
    ("IMPORT", f"Import ({_IMPORT}).", _import),
    ("IMPORT-EXISTING", f"Import of an object that exists ({_IMPORT}).", partial(_import_again, False)),
    ("IMPORT-REPLACE", f"Import with Replace Existing ({_IMPORT}).", partial(_import_again, True)),
)  # fmt: skip

CASES = (
    *_objects(),
    *_values(),
    *_protections(),
    *(rule(*row) for row in _MORE),
    *(
        rule(
            f"ARCHIVED-{operation.name}",
            f"{operation_title(operation)} of an archived object (KMIP 1.4 §4, §4.22; KMIP 2.1 §6.1, §6.1.4).",
            partial(_archive, operation),
        )
        for operation in (_OP.GET, _OP.ARCHIVE, _OP.ACTIVATE, _OP.DESTROY)
    ),
)
