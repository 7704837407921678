"""The rows of the attribute tables against the server: who sets what, on which type of object.

The cases come from ``shared/spec/tables``: each attribute, each rule, and the operations that the rule
is about, in 1.4 and 2.1.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from kmipkit_client import OperationFailed, calls
from kmipkit_server.objects.object_types import belongs_to
from laboratory import START, Laboratory

from kmipkit.model import attributes as models
from kmipkit.model.attribute import Attribute, Attributes
from kmipkit.model.keyblock import KeyBlock, KeyValue
from kmipkit.model.objects import (
    Certificate,
    ManagedObject,
    OpaqueObject,
    PublicKey,
    SecretData,
    SymmetricKey,
    Template,
)
from kmipkit.model.payloads.attributes import (
    AddAttributeRequest,
    DeleteAttributeRequest,
    ModifyAttributeRequest,
    SetAttributeRequest,
)
from kmipkit.model.payloads.register import RegisterRequest
from kmipkit.model.structure import Structure, field_names
from kmipkit.spec import enums as e
from kmipkit.spec.attributes import BY_NAME
from kmipkit.spec.enumeration import OpenEnum
from kmipkit.spec.masks import CryptographicUsageMask, ProtectionStorageMask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_4, V2_1, Version

pytestmark = pytest.mark.standard

TABLES = Path(__file__).resolve().parents[4] / "shared" / "spec" / "tables"
VERSIONS = (V1_4, V2_1)
SOON, LATER = START + timedelta(days=1), START + timedelta(days=2)

VALUES: Mapping[str, Any] = {
    "Unique Identifier": "another",
    "Name": models.Name(name_value="a name", name_type=e.NameType.UNINTERPRETED_TEXT_STRING),
    "Object Type": e.ObjectType.SYMMETRIC_KEY,
    "Cryptographic Algorithm": e.CryptographicAlgorithm.AES,
    "Cryptographic Length": 128,
    "Cryptographic Parameters": models.CryptographicParameters(
        block_cipher_mode=e.BlockCipherMode.CBC
    ),
    "Cryptographic Domain Parameters": models.CryptographicDomainParameters(
        recommended_curve=e.RecommendedCurve.P_256
    ),
    "Certificate Type": e.CertificateType.X_509,
    "Certificate Length": 1,
    "X.509 Certificate Identifier": models.X509CertificateIdentifier(
        issuer_distinguished_name=b"0\0", certificate_serial_number=b"\2\1\1"
    ),
    "X.509 Certificate Subject": models.X509CertificateSubject(subject_distinguished_name=b"0\0"),
    "X.509 Certificate Issuer": models.X509CertificateIssuer(issuer_distinguished_name=b"0\0"),
    "Certificate Identifier": models.CertificateIdentifier(issuer="CN=a", serial_number="1"),
    "Certificate Subject": models.CertificateSubject(distinguished_name="CN=a"),
    "Certificate Issuer": models.CertificateIssuer(distinguished_name="CN=a"),
    "Digital Signature Algorithm": e.DigitalSignatureAlgorithm.SHA_256_WITH_RSA_ENCRYPTION,
    "Digest": models.Digest(hashing_algorithm=e.HashingAlgorithm.SHA_256, digest_value=b"1" * 32),
    "Operation Policy Name": "default",
    "Cryptographic Usage Mask": CryptographicUsageMask.ENCRYPT,
    "Lease Time": 60,
    "Usage Limits": models.UsageLimits(
        usage_limits_total=10, usage_limits_unit=e.UsageLimitsUnit.OBJECT
    ),
    "State": e.State.ACTIVE,
    "Initial Date": START,
    "Activation Date": SOON,
    "Process Start Date": SOON,
    "Protect Stop Date": SOON,
    "Deactivation Date": SOON,
    "Destroy Date": START,
    "Compromise Occurrence Date": START,
    "Compromise Date": START,
    "Revocation Reason": models.RevocationReason(
        revocation_reason_code=e.RevocationReasonCode.SUPERSEDED
    ),
    "Archive Date": START,
    "Object Group": "a group",
    "Fresh": True,
    "Link": models.Link(link_type=e.LinkType.PARENT_LINK, linked_object_identifier="another"),
    "Application Specific Information": models.ApplicationSpecificInformation(
        application_namespace="ssl", application_data="www.example.com"
    ),
    "Contact Information": "me",
    "Last Change Date": START,
    "Alternative Name": models.AlternativeName(
        alternative_name_value="a", alternative_name_type=e.AlternativeNameType.URI
    ),
    "Key Value Present": True,
    "Key Value Location": models.KeyValueLocation(
        key_value_location_value="a",
        key_value_location_type=e.KeyValueLocationType.UNINTERPRETED_TEXT_STRING,
    ),
    "Original Creation Date": START,
    "Random Number Generator": models.RNGParameters(rng_algorithm=e.RNGAlgorithm.UNSPECIFIED),
    "PKCS#12 Friendly Name": "a",
    "Description": "a",
    "Comment": "a",
    "Sensitive": True,
    "Always Sensitive": True,
    "Extractable": False,
    "Never Extractable": True,
    "Key Format Type": e.KeyFormatType.RAW,
    "NIST Key Type": e.NISTKeyType.SYMMETRIC_DATA_ENCRYPTION_KEY,
    "Opaque Data Type": e.OpaqueDataType(0x80000001),
    "Protection Level": e.ProtectionLevel.HIGH,
    "Protection Period": 60,
    "Protection Storage Mask": ProtectionStorageMask.SOFTWARE,
    "Quantum Safe": False,
    "Rotate Automatic": True,
    "Rotate Date": START,
    "Rotate Generation": 1,
    "Rotate Interval": 60,
    "Rotate Latest": True,
    "Rotate Name": models.RotateName(
        rotate_name_value="a", rotate_name_type=e.RotateNameType.UNINTERPRETED_TEXT_STRING
    ),
    "Rotate Offset": 60,
    "Short Unique Identifier": b"1" * 32,
}
"""A value of each attribute of the tables."""

PUBLIC_KEY = (
    ec.generate_private_key(ec.SECP256R1())
    .public_key()
    .public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
)

OBJECTS: Mapping[str, tuple[e.ObjectType, ManagedObject]] = {
    "Symmetric Key": (
        e.ObjectType.SYMMETRIC_KEY,
        SymmetricKey(
            key_block=KeyBlock(
                key_format_type=e.KeyFormatType.RAW,
                key_value=KeyValue(key_material=b"k" * 16),
                cryptographic_algorithm=e.CryptographicAlgorithm.AES,
                cryptographic_length=128,
            )
        ),
    ),
    "Public Key": (
        e.ObjectType.PUBLIC_KEY,
        PublicKey(
            key_block=KeyBlock(
                key_format_type=e.KeyFormatType.X_509,
                key_value=KeyValue(key_material=PUBLIC_KEY),
                cryptographic_algorithm=e.CryptographicAlgorithm.ECDSA,
                cryptographic_length=256,
            )
        ),
    ),
    "Secret Data": (
        e.ObjectType.SECRET_DATA,
        SecretData(
            secret_data_type=e.SecretDataType.PASSWORD,
            key_block=KeyBlock(
                key_format_type=e.KeyFormatType.OPAQUE, key_value=KeyValue(key_material=b"secret")
            ),
        ),
    ),
    "Opaque Object": (
        e.ObjectType.OPAQUE_OBJECT,
        OpaqueObject(opaque_data_type=e.OpaqueDataType(0x80000001), opaque_data_value=b"opaque"),
    ),
    "Certificate": (
        e.ObjectType.CERTIFICATE,
        Certificate(certificate_type=e.CertificateType.PGP, certificate_value=b"a PGP certificate"),
    ),
    "Template": (
        e.ObjectType.TEMPLATE,
        Template(attributes=Attributes.of((Tag.CRYPTOGRAPHIC_LENGTH, 128))),
    ),
}

TYPES = {
    # Errata 01 of 1.4 counts Opaque Objects among them.
    "All Cryptographic Objects": set(OBJECTS) - {"Template"},
    "Managed Cryptographic Objects": set(OBJECTS) - {"Template"},
    "Keys": {"Symmetric Key", "Public Key"},
    "Asymmetric Keys": {"Public Key"},
    "Symmetric Keys": {"Symmetric Key"},
    "Certificates": {"Certificate"},
    "X.509 Certificates": {"Certificate"},
    "Templates": {"Template"},
    "All Objects": set(OBJECTS),
}
"""What the last row of the tables says, in terms of :data:`OBJECTS`; other words name one type."""

BEYOND = {
    # Needed by Create and Derive Key of Secret Data (KMIP 1.4 §4.6).
    ("Cryptographic Algorithm", "Secret Data"),
    ("Cryptographic Length", "Secret Data"),
    # In the mandatory case CS-AC-M-8.
    ("Process Start Date", "Public Key"),
    ("Protect Stop Date", "Public Key"),
}
"""Attributes that other clauses and cases give to further types of objects."""


def read_rows() -> Iterator[Any]:
    """The tables' rows: name, version, rules."""
    path = TABLES / "attributes.json"
    if not path.is_file():
        yield pytest.param(None, None, None, marks=pytest.mark.skip("the tables are not here"))
        return
    for row in json.loads(path.read_text())["attributes"]:
        for version in VERSIONS:
            spec = row["spec"].get(str(version))
            name = row["name"]
            if spec and name in VALUES and BY_NAME[name].known_in(version):
                yield pytest.param(name, version, spec["rules"], id=f"{name}-{version}")


ROWS = tuple(read_rows())


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    laboratory = Laboratory(tmp_path_factory.mktemp("tables"), unique_names=False)
    yield laboratory
    laboratory.close()


def reason(laboratory: Laboratory, operation: e.Operation, request: Any, version: Version) -> str:
    """The Result Reason of a request, empty if it succeeds."""
    try:
        laboratory.ask(calls.raw(operation, request), version)
    except OperationFailed as failure:
        return failure.reason.name if failure.reason else "none"
    return ""


def register(
    laboratory: Laboratory, kind: str, version: Version, *attributes: tuple[Tag, Any]
) -> str:
    """The identifier of a new object of a kind."""
    object_type, value = OBJECTS[kind]
    request = RegisterRequest(
        object_type=object_type, object=value, attributes=Attributes.of(*attributes)
    )
    response = laboratory.ask(calls.raw(e.Operation.REGISTER, request), version)
    return str(response.unique_identifier)


def types_of(rules: Mapping[str, str]) -> set[str]:
    """The kinds of objects that an attribute applies to."""
    kinds: set[str] = set()
    for part in rules["applies_to_object_types"].split(", "):
        kinds |= TYPES.get(part, {part.removesuffix("s")})
    return kinds


def kind_for(rules: Mapping[str, str]) -> str:
    """The first kind of object that an attribute applies to."""
    return next(kind for kind in OBJECTS if kind in types_of(rules))


@pytest.mark.parametrize(("name", "version", "rules"), ROWS)
def test_an_attribute_is_refused_on_other_types_of_objects(
    laboratory: Laboratory, name: str, version: Version, rules: Mapping[str, str]
) -> None:
    tag = BY_NAME[name].tag
    types = types_of(rules)
    for kind, (object_type, value) in OBJECTS.items():
        if not object_type.known_in(version) or kind in types or (name, kind) in BEYOND:
            continue
        attribute = Attribute(tag, VALUES[name])
        registration = RegisterRequest(
            object_type=object_type, object=value, attributes=Attributes((attribute,))
        )
        assert reason(laboratory, e.Operation.REGISTER, registration, version), kind
        identifier = register(laboratory, kind, version)
        addition = AddAttributeRequest(unique_identifier=identifier, attribute=attribute)
        assert reason(laboratory, e.Operation.ADD_ATTRIBUTE, addition, version), kind


@pytest.mark.parametrize(("name", "version", "rules"), ROWS)
def test_what_only_the_server_sets_is_refused(
    laboratory: Laboratory, name: str, version: Version, rules: Mapping[str, str]
) -> None:
    if rules["initially_set_by"] != "Server":
        pytest.skip("clients set it")
    identifier = register(laboratory, kind_for(rules), version)
    attribute = Attribute(BY_NAME[name].tag, VALUES[name])
    addition = AddAttributeRequest(unique_identifier=identifier, attribute=attribute)
    allowed = {"READ_ONLY_ATTRIBUTE"} if version == V2_1 else {"PERMISSION_DENIED"}
    assert reason(laboratory, e.Operation.ADD_ATTRIBUTE, addition, version) in allowed
    if version == V2_1:
        setting = SetAttributeRequest(unique_identifier=identifier, attribute=attribute)
        assert reason(laboratory, e.Operation.SET_ATTRIBUTE, setting, version) in allowed


@pytest.mark.parametrize(("name", "version", "rules"), ROWS)
def test_what_clients_set_is_taken(
    laboratory: Laboratory, name: str, version: Version, rules: Mapping[str, str]
) -> None:
    if "Client" not in rules["initially_set_by"]:
        pytest.skip("only the server sets it")
    for kind in sorted(types_of(rules) & set(OBJECTS)):
        if not OBJECTS[kind][0].known_in(version):
            continue
        tag = BY_NAME[name].tag
        identifier = register(laboratory, kind, version, (tag, VALUES[name]))
        attributes = laboratory.ask(calls.get_attributes(identifier, ()), version)
        assert tag in attributes, kind


@pytest.mark.parametrize(("name", "version", "rules"), ROWS)
def test_modify_and_delete_follow_the_rules(
    laboratory: Laboratory, name: str, version: Version, rules: Mapping[str, str]
) -> None:
    tag = BY_NAME[name].tag
    is_settable = "Client" in rules["initially_set_by"]
    kind = kind_for(rules)
    given = ((tag, VALUES[name]),) if is_settable else ()
    identifier = register(laboratory, kind, version, *given)
    attribute = Attribute(tag, VALUES[name])
    modification = ModifyAttributeRequest(unique_identifier=identifier, attribute=attribute)
    result = reason(laboratory, e.Operation.MODIFY_ATTRIBUTE, modification, version)
    assert (result == "") is (is_settable and rules["modifiable_by_client"].startswith("Yes"))
    deletion = (
        DeleteAttributeRequest(unique_identifier=identifier, attribute_name=tag)
        if version < V2_1
        else DeleteAttributeRequest(unique_identifier=identifier, attribute_reference=tag)
    )
    result = reason(laboratory, e.Operation.DELETE_ATTRIBUTE, deletion, version)
    assert (result == "") is (is_settable and rules["deletable_by_client"].startswith("Yes"))


@pytest.mark.parametrize(("name", "version", "rules"), ROWS)
def test_what_always_has_a_value_has_one(
    laboratory: Laboratory, name: str, version: Version, rules: Mapping[str, str]
) -> None:
    if rules["always_has_value"] != "Yes" or name in {
        # Of certificates that are X.509 (the tests of certificates have these), and of keys.
        "X.509 Certificate Identifier", "X.509 Certificate Subject", "X.509 Certificate Issuer",
        "Certificate Identifier", "Certificate Subject", "Certificate Issuer",
        "Digital Signature Algorithm",
    }:  # fmt: skip
        pytest.skip("not always")
    identifier = register(laboratory, kind_for(rules), version)
    attributes = laboratory.ask(calls.get_attributes(identifier, ()), version)
    assert BY_NAME[name].tag in attributes


# --- reserved numbers (KMIP 1.4 §9.1.3.2, KMIP 2.1 §11) -------------------------------------------

ENUMERATED = [name for name, value in VALUES.items() if isinstance(value, Structure | OpenEnum)]
RESERVED, EXTENSION = 0x7FFFFF01, 0x8FFFFF01


def with_other_numbers(value: Any, number: int) -> Iterator[Any]:
    """Copies of a value, in each of which one enumeration value has another number."""
    if isinstance(value, OpenEnum):
        yield type(value)(number)
    elif isinstance(value, Structure):
        for field in field_names(type(value)):
            for other in with_other_numbers(getattr(value, field), number):
                yield value.replace(**{field: other})


@pytest.mark.parametrize("version", VERSIONS, ids=str)
@pytest.mark.parametrize("name", ENUMERATED)
def test_reserved_numbers_are_not_stored_and_those_of_vendors_are(
    laboratory: Laboratory, name: str, version: Version
) -> None:
    row = BY_NAME[name]
    if not row.known_in(version) or not row.rules(version).set_by_client:
        pytest.skip("clients do not set it")
    kind = next(
        kind
        for kind, (object_type, _) in OBJECTS.items()
        if belongs_to(row.tag, object_type, version)
    )
    for number in (RESERVED, EXTENSION):
        for value in with_other_numbers(VALUES[name], number):
            identifier = register(laboratory, kind, version)
            request = AddAttributeRequest(
                unique_identifier=identifier, attribute=Attribute(row.tag, value)
            )
            expected = "INVALID_FIELD" if number == RESERVED else ""
            assert reason(laboratory, e.Operation.ADD_ATTRIBUTE, request, version) == expected


@pytest.mark.parametrize("version", VERSIONS, ids=str)
@pytest.mark.parametrize("kind", [kind for kind in OBJECTS if kind != "Template"])
def test_objects_with_reserved_numbers_are_not_registered(
    laboratory: Laboratory, kind: str, version: Version
) -> None:
    object_type, value = OBJECTS[kind]
    others = list(with_other_numbers(value, RESERVED))
    assert others
    for other in others:
        request = RegisterRequest(object_type=object_type, object=other, attributes=Attributes())
        assert reason(laboratory, e.Operation.REGISTER, request, version) == "INVALID_FIELD"
