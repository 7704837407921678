"""What the clauses say of replaced keys, of wrapping, and of what templates and defaults add."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from kmipkit_client import OperationFailed, calls
from kmipkit_server.operations.create import raw_key
from laboratory import START, Laboratory, reasons

from kmipkit.errors import LocalProtocolError
from kmipkit.model.attribute import Attributes
from kmipkit.model.attributes import (
    CryptographicDomainParameters,
    CryptographicParameters,
    Name,
    UsageLimits,
)
from kmipkit.model.keyblock import (
    EncryptionKeyInformation,
    KeyBlock,
    KeyWrappingSpecification,
)
from kmipkit.model.objects import SymmetricKey, Template
from kmipkit.model.payloads.create import CreateKeyPairRequest, CreateRequest
from kmipkit.model.payloads.get import GetRequest
from kmipkit.model.payloads.limits import (
    DefaultsInformation,
    ObjectDefaults,
    ObjectTypes,
    SetDefaultsRequest,
)
from kmipkit.model.payloads.register import ImportRequest, RegisterRequest
from kmipkit.model.payloads.rekey import ReKeyKeyPairRequest, ReKeyRequest
from kmipkit.spec import enums as e
from kmipkit.spec.masks import CryptographicUsageMask, ProtectionStorageMask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_0, V1_2, V1_4, V2_0, V2_1, V3_0, Version

BOTH = CryptographicUsageMask.ENCRYPT | CryptographicUsageMask.DECRYPT
WRAP = CryptographicUsageMask.WRAP_KEY
BEFORE, SOON, LATER = (START + timedelta(days=days) for days in (-1, 1, 2))
VERSIONS = pytest.mark.parametrize("version", [V1_4, V2_1], ids=str)
DATES = (
    Tag.ACTIVATION_DATE,
    Tag.PROCESS_START_DATE,
    Tag.PROTECT_STOP_DATE,
    Tag.DEACTIVATION_DATE,
)


def limits(total: int, count: int | None) -> UsageLimits:
    return UsageLimits(
        usage_limits_total=total,
        usage_limits_count=count,
        usage_limits_unit=e.UsageLimitsUnit.OBJECT,
    )


@pytest.fixture
def laboratory(tmp_path: Path) -> Iterator[Laboratory]:
    laboratory = Laboratory(tmp_path)
    yield laboratory
    laboratory.close()


def key(laboratory: Laboratory, *more: tuple[Tag, Any], version: Version = V2_1) -> str:
    described = {
        Tag.CRYPTOGRAPHIC_ALGORITHM: e.CryptographicAlgorithm.AES,
        Tag.CRYPTOGRAPHIC_LENGTH: 128,
        Tag.CRYPTOGRAPHIC_USAGE_MASK: BOTH,
        **dict(more),
    }
    request = CreateRequest(
        object_type=e.ObjectType.SYMMETRIC_KEY, attributes=Attributes.of(*described.items())
    )
    response = laboratory.ask(calls.raw(e.Operation.CREATE, request), version)
    return str(response.unique_identifier)


def ask(laboratory: Laboratory, operation: e.Operation, request: Any, version: Version) -> Any:
    return laboratory.ask(calls.raw(operation, request), version)


def reason(
    laboratory: Laboratory, operation: e.Operation, request: Any, version: Version = V2_1
) -> str:
    """The Result Reason of a request, empty if it succeeds."""
    return reasons(laboratory.batch(calls.raw(operation, request), version=version))[0]


def attributes(laboratory: Laboratory, identifier: str) -> Attributes:
    found = laboratory.ask(calls.get_attributes(identifier, ()))
    assert isinstance(found, Attributes)
    return found


# --- Re-key and its like (KMIP 1.4 §4.4, §4.5, §11.5, §11.6) --------------------------------------


@VERSIONS
@pytest.mark.parametrize("tag", DATES)
def test_an_offset_and_dates_exclude_each_other(
    laboratory: Laboratory, tag: Tag, version: Version
) -> None:
    identifier = key(laboratory, (Tag.ACTIVATION_DATE, BEFORE), version=version)
    request = ReKeyRequest(
        unique_identifier=identifier, offset=60, attributes=Attributes.of((tag, LATER))
    )
    assert reason(laboratory, e.Operation.RE_KEY, request, version) == "INVALID_MESSAGE"


@VERSIONS
@pytest.mark.parametrize("tag", DATES[1:])
def test_an_offset_moves_dates_only_from_an_activation_date(
    laboratory: Laboratory, tag: Tag, version: Version
) -> None:
    identifier = key(laboratory, (tag, LATER), version=version)
    request = ReKeyRequest(unique_identifier=identifier, offset=60)
    expected = "ILLEGAL_OPERATION" if version == V1_4 else "PERMISSION_DENIED"
    assert reason(laboratory, e.Operation.RE_KEY, request, version) == expected


@VERSIONS
def test_an_offset_sets_the_activation_date_of_a_key_without_dates(
    laboratory: Laboratory, version: Version
) -> None:
    request = ReKeyRequest(unique_identifier=key(laboratory, version=version), offset=60)
    replacement = ask(laboratory, e.Operation.RE_KEY, request, version).unique_identifier
    date = attributes(laboratory, replacement).get(Tag.ACTIVATION_DATE)
    assert date == START + timedelta(seconds=60)


@VERSIONS
def test_a_pair_follows_the_same_rules(laboratory: Laboratory, version: Version) -> None:
    pair = CreateKeyPairRequest(
        common_attributes=Attributes.of(
            (Tag.CRYPTOGRAPHIC_ALGORITHM, e.CryptographicAlgorithm.ECDSA),
            (Tag.CRYPTOGRAPHIC_LENGTH, 256),
            (Tag.CRYPTOGRAPHIC_USAGE_MASK, CryptographicUsageMask.SIGN),
            (Tag.DEACTIVATION_DATE, LATER),
        )
    )
    response = ask(laboratory, e.Operation.CREATE_KEY_PAIR, pair, version)
    request = ReKeyKeyPairRequest(
        private_key_unique_identifier=response.private_key_unique_identifier, offset=60
    )
    without_activation = reason(laboratory, e.Operation.RE_KEY_KEY_PAIR, request, version)
    assert without_activation in ("ILLEGAL_OPERATION", "PERMISSION_DENIED")
    request = request.replace(common_attributes=Attributes.of((Tag.ACTIVATION_DATE, SOON)))
    contradiction = reason(laboratory, e.Operation.RE_KEY_KEY_PAIR, request, version)
    assert contradiction == "INVALID_MESSAGE"


@VERSIONS
def test_a_key_without_its_value_is_not_replaced(laboratory: Laboratory, version: Version) -> None:
    block = KeyBlock(
        key_format_type=e.KeyFormatType.RAW,
        cryptographic_algorithm=e.CryptographicAlgorithm.AES,
        cryptographic_length=128,
    )
    registration = RegisterRequest(
        object_type=e.ObjectType.SYMMETRIC_KEY,
        object=SymmetricKey(key_block=block),
        attributes=Attributes.of((Tag.CRYPTOGRAPHIC_USAGE_MASK, BOTH)),
    )
    response = ask(laboratory, e.Operation.REGISTER, registration, version)
    request = ReKeyRequest(unique_identifier=response.unique_identifier)
    assert reason(laboratory, e.Operation.RE_KEY, request, version) == "KEY_VALUE_NOT_PRESENT"


def test_a_replaced_name_is_not_there_twice(laboratory: Laboratory) -> None:
    own = Name(name_value="own", name_type=e.NameType.UNINTERPRETED_TEXT_STRING)
    identifier = key(laboratory, (Tag.NAME, own))
    request = ReKeyRequest(unique_identifier=identifier, attributes=Attributes.of((Tag.NAME, own)))
    replacement = ask(laboratory, e.Operation.RE_KEY, request, V2_1).unique_identifier
    assert attributes(laboratory, replacement).all(Tag.NAME) == [own]


# --- defaults and templates -----------------------------------------------------------------------


def set_defaults(laboratory: Laboratory, version: Version, *pairs: tuple[Tag, Any]) -> None:
    types = ObjectTypes(object_types=(e.ObjectType.SYMMETRIC_KEY, e.ObjectType.PRIVATE_KEY))
    rule = ObjectDefaults(object_types=types, attributes=Attributes.of(*pairs))
    request = SetDefaultsRequest(defaults_information=DefaultsInformation(object_defaults=(rule,)))
    laboratory.ask(calls.raw(e.Operation.SET_DEFAULTS, request), version, "administrator")


def test_defaults_come_after_what_is_inherited_or_requested(laboratory: Laboratory) -> None:
    identifier = key(laboratory, (Tag.CRYPTOGRAPHIC_LENGTH, 256))
    set_defaults(laboratory, V2_1, (Tag.CRYPTOGRAPHIC_LENGTH, 128), (Tag.COMMENT, "default"))
    request = ReKeyRequest(unique_identifier=identifier)
    replacement = ask(laboratory, e.Operation.RE_KEY, request, V2_1).unique_identifier
    assert attributes(laboratory, replacement).get(Tag.CRYPTOGRAPHIC_LENGTH) == 256
    pair = CreateKeyPairRequest(
        common_attributes=Attributes.of(
            (Tag.CRYPTOGRAPHIC_ALGORITHM, e.CryptographicAlgorithm.ED25519),
            (Tag.CRYPTOGRAPHIC_LENGTH, 256),
            (Tag.CRYPTOGRAPHIC_USAGE_MASK, CryptographicUsageMask.SIGN),
            (Tag.COMMENT, "requested"),
        )
    )
    response = ask(laboratory, e.Operation.CREATE_KEY_PAIR, pair, V2_1)
    private = attributes(laboratory, response.private_key_unique_identifier)
    assert private.get(Tag.COMMENT) == "requested"


def test_defaults_of_3_0_are_stored_beside_rules_of_2_1(laboratory: Laboratory) -> None:
    parameters = CryptographicParameters(
        cryptographic_algorithm=e.CryptographicAlgorithm.ML_KEM_512
    )
    set_defaults(laboratory, V3_0, (Tag.CRYPTOGRAPHIC_PARAMETERS, parameters))
    found = laboratory.ask(calls.get_attributes(key(laboratory, version=V3_0), ()), V3_0)
    assert found.all(Tag.CRYPTOGRAPHIC_PARAMETERS) == [parameters]


def test_defaults_are_whole_and_belong_to_the_object(laboratory: Laboratory) -> None:
    domain = CryptographicDomainParameters(recommended_curve=e.RecommendedCurve.P_256)
    set_defaults(
        laboratory,
        V2_1,
        (Tag.USAGE_LIMITS, limits(3, None)),
        (Tag.CRYPTOGRAPHIC_DOMAIN_PARAMETERS, domain),
    )
    found = attributes(laboratory, key(laboratory))
    assert found.get(Tag.USAGE_LIMITS).usage_limits_count == 3
    assert Tag.CRYPTOGRAPHIC_DOMAIN_PARAMETERS not in found
    for tag, value in (
        (Tag.STATE, e.State.ACTIVE),
        (Tag.OBJECT_GROUP, None),
        (Tag.CRYPTOGRAPHIC_ALGORITHM, e.CryptographicAlgorithm(0x7FFFFF01)),
    ):
        with pytest.raises((OperationFailed, LocalProtocolError)):
            set_defaults(laboratory, V2_1, (tag, value))


@pytest.mark.parametrize("version", [V1_0, V1_2, V1_4], ids=str)
def test_a_later_template_precedes_an_earlier_one(laboratory: Laboratory, version: Version) -> None:
    """A request with nothing but names of templates (KMIP 1.4 §2.1.8, §4.2)."""
    names = []
    for text, length in (("first", 128), ("second", 256)):
        own = Name(name_value=text, name_type=e.NameType.UNINTERPRETED_TEXT_STRING)
        names.append(own)
        template = Template(
            attributes=Attributes.of(
                (Tag.CRYPTOGRAPHIC_ALGORITHM, e.CryptographicAlgorithm.AES),
                (Tag.CRYPTOGRAPHIC_LENGTH, length),
                (Tag.CRYPTOGRAPHIC_USAGE_MASK, BOTH),
            )
        )
        registration = RegisterRequest(
            object_type=e.ObjectType.TEMPLATE,
            object=template,
            attributes=Attributes.of((Tag.NAME, own)),
        )
        ask(laboratory, e.Operation.REGISTER, registration, version)
    only_templates = Attributes((), tuple(names))
    assert only_templates
    request = CreateRequest(object_type=e.ObjectType.SYMMETRIC_KEY, attributes=only_templates)
    response = ask(laboratory, e.Operation.CREATE, request, version)
    found = attributes(laboratory, response.unique_identifier)
    assert found.get(Tag.CRYPTOGRAPHIC_LENGTH) == 256


# --- wrapping (KMIP 1.4 §2.1.6, §3.21; KMIP 2.1 §7.18) --------------------------------------------

NIST = CryptographicParameters(block_cipher_mode=e.BlockCipherMode.NISTKEYWRAP)
CBC = CryptographicParameters(block_cipher_mode=e.BlockCipherMode.CBC)


def wrapping_request(
    identifier: str, wrapping: str, parameters: CryptographicParameters | None, **more: Any
) -> GetRequest:
    specification = KeyWrappingSpecification(
        wrapping_method=e.WrappingMethod.ENCRYPT,
        encryption_key_information=EncryptionKeyInformation(
            unique_identifier=wrapping, cryptographic_parameters=parameters
        ),
        **more,
    )
    return GetRequest(unique_identifier=identifier, key_wrapping_specification=specification)


def wrapping_key(laboratory: Laboratory, *more: tuple[Tag, Any]) -> str:
    return key(
        laboratory,
        (Tag.CRYPTOGRAPHIC_USAGE_MASK, WRAP),
        (Tag.ACTIVATION_DATE, BEFORE),
        *more,
    )


@VERSIONS
@pytest.mark.parametrize(
    ("own", "requested", "is_allowed"),
    [
        (NIST, NIST, True),
        (NIST, None, True),
        (None, NIST, True),
        (CBC, NIST, False),
    ],
)
def test_wrapping_parameters_agree_with_those_of_the_key(
    laboratory: Laboratory,
    own: CryptographicParameters | None,
    requested: CryptographicParameters | None,
    is_allowed: bool,
    version: Version,
) -> None:
    more = () if own is None else ((Tag.CRYPTOGRAPHIC_PARAMETERS, own),)
    request = wrapping_request(key(laboratory), wrapping_key(laboratory, *more), requested)
    refused = "ITEM_NOT_FOUND" if version < V2_0 else "BAD_CRYPTOGRAPHIC_PARAMETERS"
    expected = "" if is_allowed else refused
    assert reason(laboratory, e.Operation.GET, request, version) == expected


def test_wrapping_counts_against_the_limits(laboratory: Laboratory) -> None:
    wrapping = wrapping_key(laboratory, (Tag.USAGE_LIMITS, limits(2, None)))
    request = wrapping_request(key(laboratory), wrapping, NIST)
    results = [reason(laboratory, e.Operation.GET, request) for _ in range(3)]
    assert results == ["", "", "PERMISSION_DENIED"]
    own = wrapping_request(wrapping_key(laboratory, (Tag.USAGE_LIMITS, limits(2, None))), "", NIST)
    itself = wrapping_request(str(own.unique_identifier), str(own.unique_identifier), NIST)
    assert reason(laboratory, e.Operation.GET, itself) == ""
    left = attributes(laboratory, str(own.unique_identifier)).get(Tag.USAGE_LIMITS)
    assert left.usage_limits_count == 1


@pytest.mark.parametrize(
    "named",
    [{"attribute_names": ("Object Group",)}, {"attribute_references": (Tag.OBJECT_GROUP,)}],
    ids=lambda named: next(iter(named)),
)
def test_attributes_to_wrap_are_named_in_either_form(
    laboratory: Laboratory, named: dict[str, Any]
) -> None:
    """KMIP 2.1 §7.18 has Attribute Name, and every other structure of 2.1 Attribute Reference."""
    identifier = key(laboratory, (Tag.OBJECT_GROUP, "g"))
    request = wrapping_request(identifier, wrapping_key(laboratory), NIST, **named)
    wrapped = ask(laboratory, e.Operation.GET, request, V2_1).object
    plain = ask(
        laboratory,
        e.Operation.GET,
        wrapping_request(identifier, wrapping_key(laboratory), NIST),
        V2_1,
    ).object
    assert len(wrapped.key_block.key_value) > len(plain.key_block.key_value)


# --- Import (KMIP 2.1 §6.1.25) --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        (((Tag.ACTIVATION_DATE, LATER), (Tag.PROCESS_START_DATE, SOON)), "INVALID_FIELD"),
        # Of an object that was activated, an operation may have set the date.
        (
            (
                (Tag.STATE, e.State.ACTIVE),
                (Tag.ACTIVATION_DATE, BEFORE),
                (Tag.PROCESS_START_DATE, BEFORE - timedelta(days=1)),
            ),
            "",
        ),
        (((Tag.COMMENT, "a"), (Tag.COMMENT, "b")), "ATTRIBUTE_SINGLE_VALUED"),
        (((Tag.OPAQUE_DATA_TYPE, e.OpaqueDataType(0x80000001)),), "INVALID_ATTRIBUTE"),
        (((Tag.KEY_FORMAT_TYPE, e.KeyFormatType.PKCS_1),), "INVALID_FIELD"),
        (((Tag.STATE, e.State(0x77)),), "INVALID_FIELD"),
        (((Tag.INITIAL_DATE, BEFORE), (Tag.LEASE_TIME, 5)), ""),
        (((Tag.USAGE_LIMITS, limits(5, 3)),), ""),
        (((Tag.USAGE_LIMITS, limits(5, 6)),), "INVALID_FIELD"),
        (((Tag.USAGE_LIMITS, limits(5, -1)),), "INVALID_FIELD"),
        (((Tag.USAGE_LIMITS, limits(-5, None)),), "INVALID_FIELD"),
    ],
)
def test_an_imported_object_is_consistent(
    laboratory: Laboratory, pairs: tuple[tuple[Tag, Any], ...], expected: str
) -> None:
    block = raw_key(b"k" * 16, e.CryptographicAlgorithm.AES, 128)
    request = ImportRequest(
        unique_identifier="imported",
        object_type=e.ObjectType.SYMMETRIC_KEY,
        attributes=Attributes.of(*pairs),
        object=SymmetricKey(key_block=block),
    )
    assert reason(laboratory, e.Operation.IMPORT, request) == expected


def test_imported_limits_stay_used_and_storage_is_that_of_this_server(
    laboratory: Laboratory,
) -> None:
    request = ImportRequest(
        unique_identifier="imported",
        object_type=e.ObjectType.SYMMETRIC_KEY,
        attributes=Attributes.of(
            (Tag.USAGE_LIMITS, limits(5, 3)),
            (Tag.PROTECTION_STORAGE_MASK, ProtectionStorageMask.HARDWARE),
        ),
        object=SymmetricKey(key_block=raw_key(b"k" * 16, e.CryptographicAlgorithm.AES, 128)),
    )
    ask(laboratory, e.Operation.IMPORT, request, V2_1)
    found = attributes(laboratory, "imported")
    assert found.get(Tag.USAGE_LIMITS) == limits(5, 3)
    assert found.get(Tag.PROTECTION_STORAGE_MASK) == ProtectionStorageMask.SOFTWARE
