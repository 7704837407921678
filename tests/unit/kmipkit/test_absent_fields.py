"""What a client of an older version loses because responses cannot have a field of a later version.

Each such field has a decision here. A new field with ``since`` makes the test fail until it has one.
"""

from collections.abc import Iterator

import pytest

from kmipkit.model import operations
from kmipkit.model.attribute_field_types import AttributeListType, AttributeType
from kmipkit.model.field_types import ChoiceType, DependentType, FieldType
from kmipkit.model.headers import ResponseHeader
from kmipkit.model.messages import ResponseBatchItem
from kmipkit.model.plan import later_plans, plan, value_type
from kmipkit.model.reference import StructureType
from kmipkit.model.structure import Structure
from kmipkit.spec.attributes import BY_TAG
from kmipkit.spec.enums import Operation
from kmipkit.spec.versions import VERSIONS, Version

IN_PARTS = (
    "an operation in several parts is refused before 1.3 (tests/unit/server/test_attached_tags.py)"
)
INFORMATION = "it describes the server, and the Query Function that asks for it is as new"
PARAMETERS = (
    "the server applies its own copy of the parameters; a client that computes with them itself, such"
    " as one that wraps keys, has chosen them"
)
NOT_SENT = "the server does not send it"

DECISIONS = {
    ("EncryptResponse", "authenticated_encryption_tag"): "the tag follows the data before 1.4",
    ("EncryptResponse", "correlation_value"): IN_PARTS,
    ("DecryptResponse", "correlation_value"): IN_PARTS,
    ("SignResponse", "correlation_value"): IN_PARTS,
    ("SignatureVerifyResponse", "correlation_value"): IN_PARTS,
    ("MACResponse", "correlation_value"): IN_PARTS,
    ("MACVerifyResponse", "correlation_value"): IN_PARTS,
    ("HashResponse", "correlation_value"): IN_PARTS,
    ("LocateResponse", "located_items"): "a client that pages sees the end by an empty page",
    ("QueryResponse", "extension_information"): INFORMATION,
    ("QueryResponse", "attestation_types"): INFORMATION,
    ("QueryResponse", "rng_parameters"): INFORMATION,
    ("QueryResponse", "profile_information"): INFORMATION,
    ("QueryResponse", "validation_information"): INFORMATION,
    ("QueryResponse", "capability_information"): INFORMATION,
    ("QueryResponse", "client_registration_methods"): INFORMATION,
    ("QueryResponse", "defaults_information"): INFORMATION,
    ("QueryResponse", "protection_storage_masks"): INFORMATION,
    ("ResponseHeader", "nonce"): NOT_SENT,
    ("ResponseHeader", "attestation_types"): NOT_SENT,
    ("ResponseHeader", "client_correlation_value"): NOT_SENT,
    ("ResponseHeader", "server_correlation_value"): NOT_SENT,
    ("ResponseHeader", "server_hashed_password"): (
        "the credential that asks for it is as new; TLS authenticates the server"
    ),
    ("KeyWrappingData", "encoding_option"): (
        "its absence means TTLV, so that in 1.0 a key without encoding is refused"
        " (tests/unit/server/test_attached_tags.py)"
    ),
    ("Digest", "key_format_type"): "the digest is that of the key in the format that Get returns",
    **{
        ("CryptographicParameters", name): PARAMETERS
        for name in (
            "digital_signature_algorithm",
            "cryptographic_algorithm",
            "random_iv",
            "iv_length",
            "tag_length",
            "fixed_field_length",
            "invocation_field_length",
            "counter_length",
            "initial_counter_value",
            "salt_length",
            "mask_generator",
            "mask_generator_hashing_algorithm",
            "p_source",
            "trailer_field",
        )
    },
    **{
        ("CapabilityInformation", name): INFORMATION
        for name in (
            "batch_undo_capability",
            "batch_continue_capability",
            "quantum_safe_capability",
        )
    },
    **{
        ("ExtensionInformation", name): INFORMATION
        for name in (
            "extension_enumeration",
            "extension_attribute",
            "extension_parent_structure_tag",
            "extension_description",
        )
    },
    ("ProfileInformation", "profile_version"): INFORMATION,
    ("ObjectDefaults", "object_types"): INFORMATION,
    ("ObjectDefaults", "object_groups"): INFORMATION,
}


def inner_types(field_type: FieldType, version: Version) -> Iterator[FieldType]:
    match field_type:
        case ChoiceType():
            yield from field_type.options
        case AttributeListType():
            yield field_type.attribute_type
        case AttributeType():
            values = (value_type(tag, version) for tag in BY_TAG)
            yield from (value for value in values if value is not None)
        case DependentType() | StructureType():
            return


def structures_in(cls: type[Structure], version: Version) -> set[type[Structure]]:
    """The classes of which a response of this class may consist."""
    classes = {cls}
    open_types = [form.field_type for field in plan(cls, version) for form in field.forms]
    seen: set[int] = set()
    while open_types:
        field_type = open_types.pop()
        if id(field_type) in seen:
            continue
        seen.add(id(field_type))
        open_types += inner_types(field_type, version)
        if isinstance(field_type, StructureType) and field_type.cls not in classes:
            classes.add(field_type.cls)
            open_types += [
                form.field_type for field in plan(field_type.cls, version) for form in field.forms
            ]
    return classes


def response_classes(version: Version) -> set[type[Structure]]:
    classes = {ResponseHeader, ResponseBatchItem}
    for operation in Operation:
        payload = operations.response_payload(operation, version)
        if payload is not None:
            classes |= structures_in(payload, version)
    return classes


def absent_fields() -> set[tuple[str, str]]:
    return {
        (cls.__name__, field.name)
        for version in VERSIONS
        for cls in response_classes(version)
        for field in plan(cls, version)
        if not field.forms and later_plans(cls, version).get(field.name)
    }


def test_every_field_that_an_older_client_does_not_get_has_a_decision() -> None:
    assert absent_fields() == set(DECISIONS)


@pytest.mark.parametrize("version", VERSIONS, ids=str)
def test_the_sweep_reaches_keys_and_attributes(version: Version) -> None:
    names = {cls.__name__ for cls in response_classes(version)}
    assert {"KeyWrappingData", "CryptographicParameters", "Digest", "SymmetricKey"} <= names
