"""What the clauses say of attributes in prose: dates, instances, limits, names, generated values."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from kmipkit_client import calls, messages
from laboratory import START, Laboratory, reasons

from kmipkit.model.attribute import Attribute, Attributes
from kmipkit.model.attributes import (
    ApplicationSpecificInformation,
    CryptographicParameters,
    Link,
    Name,
    RNGParameters,
    UsageLimits,
)
from kmipkit.model.messages import MessageExtension
from kmipkit.model.payloads.attributes import (
    AddAttributeRequest,
    AdjustAttributeRequest,
    DeleteAttributeRequest,
    ModifyAttributeRequest,
    SetAttributeRequest,
)
from kmipkit.model.payloads.common import ProtectionStorageMasks
from kmipkit.model.payloads.create import CreateKeyPairRequest, CreateRequest
from kmipkit.model.payloads.crypto import HashRequest
from kmipkit.model.payloads.lifecycle import ActivateRequest, CheckRequest, DestroyRequest
from kmipkit.model.payloads.locate import LocateRequest
from kmipkit.model.payloads.query import QueryRequest
from kmipkit.spec import enums as e
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.masks import CryptographicUsageMask, ProtectionStorageMask, StorageStatusMask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_0, V1_2, V1_4, V2_1, V3_0, Version
from kmipkit.ttlv.tree import Item

BOTH = CryptographicUsageMask.ENCRYPT | CryptographicUsageMask.DECRYPT
BEFORE, SOON, LATER = (START + timedelta(days=days) for days in (-1, 1, 2))
VERSIONS = pytest.mark.parametrize("version", [V1_4, V2_1], ids=str)


@pytest.fixture
def laboratory(tmp_path: Path) -> Iterator[Laboratory]:
    laboratory = Laboratory(tmp_path)
    yield laboratory
    laboratory.close()


def name(text: str) -> Name:
    return Name(name_value=text, name_type=e.NameType.UNINTERPRETED_TEXT_STRING)


def limits(
    total: int | None, unit: e.UsageLimitsUnit | None = e.UsageLimitsUnit.OBJECT
) -> UsageLimits:
    return UsageLimits(usage_limits_total=total, usage_limits_unit=unit)


def creation(*more: tuple[Tag, Any]) -> CreateRequest:
    return CreateRequest(
        object_type=e.ObjectType.SYMMETRIC_KEY,
        attributes=Attributes.of(
            (Tag.CRYPTOGRAPHIC_ALGORITHM, e.CryptographicAlgorithm.AES),
            (Tag.CRYPTOGRAPHIC_LENGTH, 128),
            (Tag.CRYPTOGRAPHIC_USAGE_MASK, BOTH),
            *more,
        ),
    )


def key(laboratory: Laboratory, *more: tuple[Tag, Any], version: Version = V2_1) -> str:
    response = laboratory.ask(calls.raw(e.Operation.CREATE, creation(*more)), version)
    return str(response.unique_identifier)


def reason(
    laboratory: Laboratory, operation: e.Operation, request: Any, version: Version = V2_1
) -> str:
    """The Result Reason of a request, empty if it succeeds."""
    return reasons(laboratory.batch(calls.raw(operation, request), version=version))[0]


def create(laboratory: Laboratory, *more: tuple[Tag, Any], version: Version = V2_1) -> str:
    return reason(laboratory, e.Operation.CREATE, creation(*more), version)


def add(
    laboratory: Laboratory, identifier: str, tag: Tag, value: Any, version: Version = V2_1
) -> str:
    request = AddAttributeRequest(unique_identifier=identifier, attribute=Attribute(tag, value))
    return reason(laboratory, e.Operation.ADD_ATTRIBUTE, request, version)


def modify(
    laboratory: Laboratory,
    identifier: str,
    tag: Tag,
    value: Any,
    version: Version = V2_1,
    current: Any = None,
) -> str:
    request = ModifyAttributeRequest(
        unique_identifier=identifier,
        attribute=Attribute(tag, value),
        current_attribute=None if current is None else Attribute(tag, current),
    )
    return reason(laboratory, e.Operation.MODIFY_ATTRIBUTE, request, version)


def set_(laboratory: Laboratory, identifier: str, tag: Tag, value: Any) -> str:
    request = SetAttributeRequest(unique_identifier=identifier, attribute=Attribute(tag, value))
    return reason(laboratory, e.Operation.SET_ATTRIBUTE, request)


def attributes(laboratory: Laboratory, identifier: str, version: Version = V2_1) -> Attributes:
    found = laboratory.ask(calls.get_attributes(identifier, ()), version)
    assert isinstance(found, Attributes)
    return found


# --- dates (KMIP 1.4 §3.22 to §3.27, KMIP 2.1 §4.1, §4.18, §4.40, §4.41) ---------------------------


@VERSIONS
@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Tag.ACTIVATION_DATE, Tag.PROCESS_START_DATE),
        (Tag.PROTECT_STOP_DATE, Tag.DEACTIVATION_DATE),
    ],
)
def test_dates_in_the_wrong_order_are_refused_by_every_operation(
    laboratory: Laboratory, first: Tag, second: Tag, version: Version
) -> None:
    assert create(laboratory, (first, LATER), (second, SOON), version=version) == "INVALID_FIELD"
    assert create(laboratory, (first, SOON), (second, SOON), version=version) == ""
    with_first = key(laboratory, (first, LATER), version=version)
    assert add(laboratory, with_first, second, SOON, version) == "INVALID_FIELD"
    assert add(laboratory, with_first, second, LATER, version) == ""
    assert modify(laboratory, with_first, second, SOON, version) == "INVALID_FIELD"
    assert modify(laboratory, with_first, first, SOON, version) == ""


def test_set_and_adjust_hold_dates_against_each_other(laboratory: Laboratory) -> None:
    identifier = key(laboratory, (Tag.ACTIVATION_DATE, LATER))
    assert set_(laboratory, identifier, Tag.PROCESS_START_DATE, SOON) == "INVALID_FIELD"
    assert set_(laboratory, identifier, Tag.PROCESS_START_DATE, LATER) == ""
    adjustment = AdjustAttributeRequest(
        unique_identifier=identifier,
        attribute_reference=Tag.ACTIVATION_DATE,
        adjustment_type=e.AdjustmentType.INCREMENT,
    )
    assert reason(laboratory, e.Operation.ADJUST_ATTRIBUTE, adjustment) == "INVALID_FIELD"


@VERSIONS
@pytest.mark.parametrize("tag", [Tag.PROCESS_START_DATE, Tag.PROTECT_STOP_DATE])
def test_a_date_that_has_occurred_is_final(
    laboratory: Laboratory, tag: Tag, version: Version
) -> None:
    identifier = key(laboratory, (Tag.ACTIVATION_DATE, BEFORE), (tag, SOON), version=version)
    assert modify(laboratory, identifier, tag, LATER, version) == ""
    laboratory.pass_time(days=2)
    expected = "PERMISSION_DENIED" if version == V1_4 else "ATTRIBUTE_READ_ONLY"
    assert modify(laboratory, identifier, tag, LATER + timedelta(days=9), version) == expected


@VERSIONS
def test_a_deactivation_date_in_the_past_deactivates(
    laboratory: Laboratory, version: Version
) -> None:
    """Transition 6 of §3.22, although the date is before the Activation Date."""
    identifier = key(laboratory, (Tag.DEACTIVATION_DATE, LATER), version=version)
    activation = ActivateRequest(unique_identifier=identifier)
    assert reason(laboratory, e.Operation.ACTIVATE, activation, version) == ""
    assert modify(laboratory, identifier, Tag.DEACTIVATION_DATE, BEFORE, version) == ""
    assert attributes(laboratory, identifier).get(Tag.STATE) == e.State.DEACTIVATED


@VERSIONS
def test_an_attribute_is_modified_only_where_it_exists(
    laboratory: Laboratory, version: Version
) -> None:
    """An Activation Date of a Pre-Active object must be added first (KMIP 1.4 §4.15, §11.16)."""
    identifier = key(laboratory, version=version)
    expected = "INVALID_FIELD" if version == V1_4 else "ATTRIBUTE_NOT_FOUND"
    assert modify(laboratory, identifier, Tag.ACTIVATION_DATE, BEFORE, version) == expected
    assert add(laboratory, identifier, Tag.ACTIVATION_DATE, BEFORE, version) == ""
    assert attributes(laboratory, identifier).get(Tag.STATE) == e.State.ACTIVE


def test_an_adjusted_activation_date_activates(laboratory: Laboratory) -> None:
    identifier = key(laboratory, (Tag.ACTIVATION_DATE, SOON))
    adjustment = AdjustAttributeRequest(
        unique_identifier=identifier,
        attribute_reference=Tag.ACTIVATION_DATE,
        adjustment_type=e.AdjustmentType.DECREMENT,
        adjustment_value=Item(Tag.ADJUSTMENT_VALUE, ItemType.INTEGER, 2 * 86400),
    )
    assert reason(laboratory, e.Operation.ADJUST_ATTRIBUTE, adjustment) == ""
    assert modify(laboratory, identifier, Tag.ACTIVATION_DATE, SOON) == "WRONG_KEY_LIFECYCLE_STATE"


# --- instances (KMIP 2.1 §6.1.13, §6.1.34, §6.1.51) -----------------------------------------------


def test_one_of_several_instances_is_never_guessed(laboratory: Laboratory) -> None:
    identifier = key(laboratory, (Tag.NAME, name("a")), (Tag.NAME, name("b")))
    assert modify(laboratory, identifier, Tag.NAME, name("c")) == "MULTI_VALUED_ATTRIBUTE"
    assert set_(laboratory, identifier, Tag.NAME, name("c")) == "MULTI_VALUED_ATTRIBUTE"
    assert modify(laboratory, identifier, Tag.NAME, name("c"), current=name("b")) == ""
    assert (
        modify(laboratory, identifier, Tag.NAME, name("d"), current=name("b"))
        == "ATTRIBUTE_INSTANCE_NOT_FOUND"
    )
    names = attributes(laboratory, identifier).all(Tag.NAME)
    assert [each.name_value for each in names] == ["a", "c"]
    deletion = DeleteAttributeRequest(unique_identifier=identifier, attribute_reference=Tag.NAME)
    assert reason(laboratory, e.Operation.DELETE_ATTRIBUTE, deletion) == ""
    assert Tag.NAME not in attributes(laboratory, identifier)


def test_set_attribute_takes_attributes_with_one_instance_or_none(laboratory: Laboratory) -> None:
    identifier = key(laboratory)
    for group in ("a", "b"):
        assert set_(laboratory, identifier, Tag.OBJECT_GROUP, group) == ""
        assert attributes(laboratory, identifier).all(Tag.OBJECT_GROUP) == [group]
    assert modify(laboratory, identifier, Tag.OBJECT_GROUP, "c") == ""
    other = key(laboratory, (Tag.NAME, name("taken")))
    assert set_(laboratory, identifier, Tag.NAME, name("taken")) == "NON_UNIQUE_NAME_ATTRIBUTE"
    assert set_(laboratory, other, Tag.NAME, name("taken")) == ""


def test_links_of_3_0_are_attributes_of_their_own(laboratory: Laboratory) -> None:
    def link(link_type: e.LinkType, identifier: str) -> Attribute:
        return Attribute(Tag.LINK, Link(link_type=link_type, linked_object_identifier=identifier))

    identifier = key(laboratory, version=V3_0)
    for link_type, target in (
        (e.LinkType.PARENT_LINK, "p"),
        (e.LinkType.CHILD_LINK, "c"),
        (e.LinkType.PARENT_LINK, "q"),
    ):
        request = SetAttributeRequest(
            unique_identifier=identifier, attribute=link(link_type, target)
        )
        assert reason(laboratory, e.Operation.SET_ATTRIBUTE, request, V3_0) == ""
    links = attributes(laboratory, identifier).all(Tag.LINK)
    assert [str(each.linked_object_identifier) for each in links] == ["q", "c"]


@VERSIONS
def test_an_object_has_no_name_twice(laboratory: Laboratory, version: Version) -> None:
    twice = create(laboratory, (Tag.NAME, name("a")), (Tag.NAME, name("a")), version=version)
    assert twice in ("NON_UNIQUE_NAME_ATTRIBUTE", "INVALID_FIELD")
    identifier = key(laboratory, (Tag.NAME, name("a")), version=version)
    assert add(laboratory, identifier, Tag.NAME, name("a"), version) in (
        "NON_UNIQUE_NAME_ATTRIBUTE", "INVALID_FIELD", "ILLEGAL_OPERATION",
    )  # fmt: skip


@VERSIONS
def test_an_object_has_one_replacement(laboratory: Laboratory, version: Version) -> None:
    """KMIP 1.4 §3.35."""
    first, second = (
        Link(link_type=e.LinkType.REPLACEMENT_OBJECT_LINK, linked_object_identifier=target)
        for target in ("a", "b")
    )
    assert create(laboratory, (Tag.LINK, first), (Tag.LINK, second), version=version)
    identifier = key(laboratory, (Tag.LINK, first), version=version)
    assert add(laboratory, identifier, Tag.LINK, second, version) == "INVALID_FIELD"
    assert modify(laboratory, identifier, Tag.LINK, second, version) == ""


# --- values of the server -------------------------------------------------------------------------


@pytest.mark.parametrize("version", [Version(1, 3), V1_4, V2_1], ids=str)
def test_application_data_are_generated_for_a_known_namespace(
    laboratory: Laboratory, version: Version
) -> None:
    """KMIP 1.4 §3.36."""
    query = QueryRequest(query_functions=(e.QueryFunction.QUERY_APPLICATION_NAMESPACES,))
    [namespace] = laboratory.ask(
        calls.raw(e.Operation.QUERY, query), version
    ).application_namespaces
    known = ApplicationSpecificInformation(application_namespace=namespace)
    unknown = ApplicationSpecificInformation(application_namespace="unknown")
    tag, refusal = Tag.APPLICATION_SPECIFIC_INFORMATION, "APPLICATION_NAMESPACE_NOT_SUPPORTED"
    assert create(laboratory, (tag, unknown), version=version) == refusal
    identifier = key(laboratory, (tag, known), version=version)
    assert add(laboratory, identifier, tag, unknown, version) == refusal
    assert add(laboratory, identifier, tag, known, version) == ""
    data = [each.application_data for each in attributes(laboratory, identifier).all(tag)]
    assert len(set(data)) == 2
    assert all(data)
    unknown_with_data = unknown.replace(application_data="mine")
    assert add(laboratory, identifier, tag, unknown_with_data, version) == ""


@VERSIONS
def test_usage_limits_are_whole_and_count_from_the_total(
    laboratory: Laboratory, version: Version
) -> None:
    """KMIP 1.4 §3.21: clients set "Total and/or Unit only"."""
    tag, byte = Tag.USAGE_LIMITS, e.UsageLimitsUnit.BYTE
    for incomplete in (limits(-1), limits(None), limits(5, None)):
        assert create(laboratory, (tag, incomplete), version=version) == "INVALID_FIELD"
    claimed = limits(5).replace(usage_limits_count=9)
    identifier = key(laboratory, (tag, claimed), version=version)
    for change, total, unit in (
        (limits(7, None), 7, e.UsageLimitsUnit.OBJECT),
        (limits(None, byte), 7, byte),
        (limits(9, byte).replace(usage_limits_count=1), 9, byte),
    ):
        assert modify(laboratory, identifier, tag, change, version) == ""
        value = attributes(laboratory, identifier).get(tag)
        assert (value.usage_limits_total, value.usage_limits_count) == (total, total)
        assert value.usage_limits_unit == unit
    assert modify(laboratory, identifier, tag, limits(-2), version) == "INVALID_FIELD"


@pytest.mark.parametrize(
    ("tag", "value", "expected"),
    [
        (Tag.ORIGINAL_CREATION_DATE, START, "ATTRIBUTE_READ_ONLY"),
        (
            Tag.RANDOM_NUMBER_GENERATOR,
            RNGParameters(rng_algorithm=e.RNGAlgorithm.DRBG),
            "INVALID_FIELD",
        ),
        (Tag.RANDOM_NUMBER_GENERATOR, RNGParameters(rng_algorithm=e.RNGAlgorithm.UNSPECIFIED), ""),
        (
            Tag.PROTECTION_STORAGE_MASK,
            ProtectionStorageMask.HARDWARE,
            "PROTECTION_STORAGE_UNAVAILABLE",
        ),
        (Tag.PROTECTION_STORAGE_MASK, ProtectionStorageMask.SOFTWARE, ""),
    ],
)
def test_what_is_not_true_of_a_generated_object_is_refused(
    laboratory: Laboratory, tag: Tag, value: Any, expected: str
) -> None:
    assert create(laboratory, (tag, value)) == expected


def test_a_generated_object_is_fresh(laboratory: Laboratory) -> None:
    """KMIP 2.1 §4.24."""
    assert attributes(laboratory, key(laboratory, (Tag.FRESH, False))).get(Tag.FRESH) is True


@pytest.mark.parametrize(
    ("masks", "is_available"),
    [
        ((), True),
        ((ProtectionStorageMask.SOFTWARE,), True),
        ((ProtectionStorageMask.HARDWARE, ProtectionStorageMask.SOFTWARE), True),
        ((ProtectionStorageMask.HARDWARE,), False),
        ((ProtectionStorageMask.SOFTWARE | ProtectionStorageMask.VALIDATED,), False),
    ],
)
def test_only_storage_that_the_server_has_is_promised(
    laboratory: Laboratory, masks: tuple[ProtectionStorageMask, ...], is_available: bool
) -> None:
    """KMIP 2.1 §7.33."""
    storage = ProtectionStorageMasks(masks=masks)
    request = creation().replace(protection_storage_masks=storage)
    expected = "" if is_available else "PROTECTION_STORAGE_UNAVAILABLE"
    assert reason(laboratory, e.Operation.CREATE, request) == expected
    pair = CreateKeyPairRequest(
        common_attributes=Attributes.of(
            (Tag.CRYPTOGRAPHIC_ALGORITHM, e.CryptographicAlgorithm.ED25519),
            (Tag.CRYPTOGRAPHIC_USAGE_MASK, BOTH),
        ),
        public_protection_storage_masks=storage,
    )
    expected = "" if is_available else "PUBLIC_PROTECTION_STORAGE_UNAVAILABLE"
    assert reason(laboratory, e.Operation.CREATE_KEY_PAIR, pair) == expected


def test_query_says_where_objects_are_stored(laboratory: Laboratory) -> None:
    """KMIP 2.1 §6.1.40."""
    query = QueryRequest(query_functions=(e.QueryFunction.QUERY_STORAGE_PROTECTION_MASKS,))
    answer = laboratory.ask(calls.raw(e.Operation.QUERY, query), V2_1)
    assert answer.protection_storage_masks.masks == (ProtectionStorageMask.SOFTWARE,)


# --- messages and objects -------------------------------------------------------------------------


@pytest.mark.parametrize("version", [V1_2, V1_4, V2_1], ids=str)
def test_a_critical_extension_refuses_the_whole_message(
    laboratory: Laboratory, version: Version
) -> None:
    """KMIP 1.4 §6.16: before anything of it is carried out."""

    def extension(*, critical: bool) -> MessageExtension:
        return MessageExtension(
            vendor_identification="Acme",
            criticality_indicator=critical,
            vendor_extension=Item(Tag.VENDOR_EXTENSION, ItemType.STRUCTURE, ()),
        )

    create_call = calls.raw(e.Operation.CREATE, creation((Tag.NAME, name("extended"))))
    query_call = calls.raw(
        e.Operation.QUERY, QueryRequest(query_functions=(e.QueryFunction.QUERY_OPERATIONS,))
    )
    request = messages.request(version, (create_call, query_call))
    first, second = request.batch_items
    for critical in (True, False):
        extended = second.replace(message_extensions=(extension(critical=critical),))
        response = laboratory.send(request.replace(batch_items=(first, extended)), version)
        statuses = {item.result_status for item in response.batch_items}
        expected = e.ResultStatus.OPERATION_FAILED if critical else e.ResultStatus.SUCCESS
        assert statuses == {expected}
        if critical:
            reason_name = "FEATURE_NOT_SUPPORTED" if version < V2_1 else "UNKNOWN_MESSAGE_EXTENSION"
            assert {item.result_reason for item in response.batch_items} == {
                e.ResultReason[reason_name]
            }


def test_the_output_of_an_ephemeral_item_stays_on_the_server(laboratory: Laboratory) -> None:
    """KMIP 2.1 §8.3."""
    parameters = CryptographicParameters(hashing_algorithm=e.HashingAlgorithm.SHA_256)

    def hashed(data: Any) -> Any:
        request = HashRequest(cryptographic_parameters=parameters, data=data)
        return calls.raw(e.Operation.HASH, request)

    request = messages.request(V2_1, (hashed(b"data"), hashed(e.Data.HASH)))
    first, second = request.batch_items
    ephemeral = request.replace(batch_items=(first.replace(ephemeral=True), second))
    hidden, shown = laboratory.send(ephemeral).batch_items
    assert hidden.response_payload.data is None  # type: ignore[union-attr]
    plain = laboratory.send(request).batch_items
    assert shown.response_payload == plain[1].response_payload


def test_destroyed_objects_are_located_only_with_the_mask(laboratory: Laboratory) -> None:
    """KMIP 2.1 §6.1.28; 1.x has no such bit, and finds them by their State."""
    identifier = key(laboratory)
    destruction = DestroyRequest(unique_identifier=identifier)
    assert reason(laboratory, e.Operation.DESTROY, destruction) == ""
    state = Item(Tag.STATE, ItemType.ENUMERATION, int(e.State.DESTROYED))
    request = LocateRequest(attributes=Attributes.of((Tag.STATE, state)))
    masked = request.replace(storage_status_mask=StorageStatusMask.DESTROYED_STORAGE)

    def located(request: LocateRequest, version: Version) -> tuple[str, ...]:
        response = laboratory.ask(calls.raw(e.Operation.LOCATE, request), version)
        return tuple(response.unique_identifiers)

    assert located(request, V2_1) == ()
    assert located(masked, V2_1) == (identifier,)
    assert located(request, V1_4) == (identifier,)
    check = CheckRequest(unique_identifier=identifier, cryptographic_usage_mask=BOTH)
    assert reason(laboratory, e.Operation.CHECK, check) == "OBJECT_DESTROYED"


@pytest.mark.parametrize("version", [V1_0, V1_2, V1_4], ids=str)
def test_an_index_of_1_x_names_the_instance(laboratory: Laboratory, version: Version) -> None:
    """KMIP 1.0 §4.15, §11.16; KMIP 1.4 §4.16, §11.15."""
    identifier = key(laboratory, (Tag.NAME, name("a")), (Tag.NAME, name("b")), version=version)
    added = AddAttributeRequest(
        unique_identifier=identifier, attribute=Attribute(Tag.OBJECT_GROUP, "g", 0)
    )
    assert reason(laboratory, e.Operation.ADD_ATTRIBUTE, added, version) == "INVALID_FIELD"
    deletion = DeleteAttributeRequest(unique_identifier=identifier, attribute_name=Tag.NAME)
    expected = "INVALID_FIELD" if version == V1_0 else ""
    assert reason(laboratory, e.Operation.DELETE_ATTRIBUTE, deletion, version) == expected
    one = deletion.replace(attribute_index=1)
    assert reason(laboratory, e.Operation.DELETE_ATTRIBUTE, one, version) == ""
    assert reason(laboratory, e.Operation.DELETE_ATTRIBUTE, one, version) == "ITEM_NOT_FOUND"
    assert add(laboratory, identifier, Tag.CONTACT_INFORMATION, "me", version) == ""
    single = DeleteAttributeRequest(
        unique_identifier=identifier, attribute_name=Tag.CONTACT_INFORMATION, attribute_index=0
    )
    expected = "ITEM_NOT_FOUND" if version == V1_0 else ""
    assert reason(laboratory, e.Operation.DELETE_ATTRIBUTE, single, version) == expected
