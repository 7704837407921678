"""Adjust Attribute, Archive and Recover, Export and Import."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from kmipkit_client import OperationFailed, calls, symmetric_key
from kmipkit_client.calls import Call
from laboratory import START, Laboratory

from kmipkit.model.attribute import Attribute, AttributeKey, Attributes, custom
from kmipkit.model.attributes import Name
from kmipkit.model.payloads.attributes import AdjustAttributeRequest
from kmipkit.model.payloads.lifecycle import ArchiveRequest, RecoverRequest
from kmipkit.model.payloads.register import ExportRequest, ExportResponse, ImportRequest
from kmipkit.spec.enums import (
    AdjustmentType,
    CryptographicAlgorithm,
    NameType,
    ObjectType,
    Operation,
    ResultReason,
    State,
)
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.masks import CryptographicUsageMask, StorageStatusMask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_4, V2_0, V2_1
from kmipkit.ttlv.tree import Item

AES = CryptographicAlgorithm.AES
BOTH = CryptographicUsageMask.ENCRYPT | CryptographicUsageMask.DECRYPT
UP, DOWN, NEGATE = AdjustmentType
COUNTER = custom("x-Zähler")


@pytest.fixture
def laboratory(tmp_path: Path) -> Iterator[Laboratory]:
    made = Laboratory(tmp_path)
    yield made
    made.close()


@pytest.fixture
def key(laboratory: Laboratory) -> str:
    attributes = {"Activation Date": START + timedelta(days=1), COUNTER: 5}
    made: str = laboratory.ask(calls.create(AES, 128, BOTH, "der Schlüssel", attributes))
    return made


def refusal(laboratory: Laboratory, call: Call[Any], identity: str = "me") -> str:
    with pytest.raises(OperationFailed) as caught:
        laboratory.ask(call, identity=identity)
    assert caught.value.reason is not None
    return caught.value.reason.name


def attributes_of(laboratory: Laboratory, identifier: str) -> Attributes:
    found = laboratory.ask(calls.get_attributes(identifier, ()))
    assert isinstance(found, Attributes)
    return found


# --- Adjust Attribute -----------------------------------------------------------------------------


def adjust(
    identifier: str, key: AttributeKey, how: AdjustmentType, by: int | bool | None = None
) -> Call[Any]:
    kind = ItemType.BOOLEAN if isinstance(by, bool) else ItemType.INTEGER
    value = None if by is None else Item(Tag.ADJUSTMENT_VALUE, kind, by)
    request = AdjustAttributeRequest(
        unique_identifier=identifier,
        attribute_reference=key,
        adjustment_type=how,
        adjustment_value=value,
    )
    return calls.raw(Operation.ADJUST_ATTRIBUTE, request)


@pytest.mark.parametrize(
    ("attribute", "how", "by", "expected"),
    [
        (COUNTER, UP, None, 6),
        (COUNTER, DOWN, 7, -2),
        (COUNTER, NEGATE, None, -5),
        (Tag.ROTATE_INTERVAL, UP, 60, 60),  # it has no value: zero
        (Tag.ACTIVATION_DATE, UP, None, START + timedelta(days=1, seconds=1)),
        (Tag.ACTIVATION_DATE, DOWN, 3600, START + timedelta(hours=23)),
        (Tag.ROTATE_AUTOMATIC, NEGATE, None, True),
        (Tag.SENSITIVE, NEGATE, None, True),
    ],
)
def test_a_value_is_adjusted(
    laboratory: Laboratory,
    key: str,
    attribute: AttributeKey,
    how: AdjustmentType,
    by: int | None,
    expected: object,
) -> None:
    laboratory.ask(adjust(key, attribute, how, by))
    found = attributes_of(laboratory, key)
    assert found.all(attribute) == [expected]


@pytest.mark.parametrize(
    ("attribute", "how", "by", "reason"),
    [
        (Tag.NAME, UP, None, "INVALID_DATA_TYPE"),
        (Tag.CONTACT_INFORMATION, UP, None, "INVALID_DATA_TYPE"),
        (Tag.SENSITIVE, UP, None, "INVALID_DATA_TYPE"),
        (Tag.ACTIVATION_DATE, NEGATE, None, "INVALID_DATA_TYPE"),
        (Tag.PROTECT_STOP_DATE, UP, None, "INVALID_DATA_TYPE"),  # no value to begin with
        (COUNTER, UP, True, "INVALID_DATA_TYPE"),
        (custom("x-nothing"), UP, None, "INVALID_DATA_TYPE"),
        (COUNTER, UP, 2**31 - 1, "NUMERIC_RANGE"),
        (Tag.ROTATE_INTERVAL, DOWN, 1, "NUMERIC_RANGE"),
        (Tag.CRYPTOGRAPHIC_LENGTH, UP, None, "READ_ONLY_ATTRIBUTE"),
        (Tag.LEASE_TIME, UP, None, "READ_ONLY_ATTRIBUTE"),
    ],
)
def test_what_is_not_adjusted(
    laboratory: Laboratory,
    key: str,
    attribute: AttributeKey,
    how: AdjustmentType,
    by: int | bool | None,
    reason: str,
) -> None:
    before = attributes_of(laboratory, key)
    assert refusal(laboratory, adjust(key, attribute, how, by)) == reason
    assert attributes_of(laboratory, key) == before


def test_one_of_several_values_is_not_guessed(laboratory: Laboratory, key: str) -> None:
    laboratory.ask(calls.add_attribute(key, COUNTER, 9))
    assert refusal(laboratory, adjust(key, COUNTER, UP)) == "MULTI_VALUED_ATTRIBUTE"


# --- Archive and Recover --------------------------------------------------------------------------


def archive(identifier: str) -> Call[Any]:
    return calls.raw(Operation.ARCHIVE, ArchiveRequest(unique_identifier=identifier))


def recover(identifier: str) -> Call[Any]:
    return calls.raw(Operation.RECOVER, RecoverRequest(unique_identifier=identifier))


def located(laboratory: Laboratory, mask: StorageStatusMask | None = None) -> tuple[str, ...]:
    found: tuple[str, ...] = laboratory.ask(calls.locate(None, None, None, None, None, mask)).ids
    return found


def test_what_is_archived_is_found_in_the_archive_and_used_after_recovery(
    laboratory: Laboratory, key: str
) -> None:
    get = calls.get(key, None, None, None)
    before = laboratory.ask(get)
    laboratory.ask(archive(key))
    for call in (get, calls.get_attributes(key, ()), calls.activate(key), archive(key)):
        assert refusal(laboratory, call) == "OBJECT_ARCHIVED"
    assert refusal(laboratory, calls.destroy(key)) == "OBJECT_ARCHIVED"
    assert located(laboratory) == ()
    assert located(laboratory, StorageStatusMask.ARCHIVAL_STORAGE) == (key,)
    assert located(laboratory, StorageStatusMask.ON_LINE_STORAGE) == ()
    taken = calls.create(AES, 128, BOTH, "der Schlüssel", None)
    assert refusal(laboratory, taken) == "NON_UNIQUE_NAME_ATTRIBUTE"
    laboratory.ask(recover(key))
    assert laboratory.ask(get) == before
    assert located(laboratory) == (key,)
    assert Tag.ARCHIVE_DATE not in attributes_of(laboratory, key)
    laboratory.ask(recover(key))  # it is there already


def test_nobody_else_archives_or_recovers(laboratory: Laboratory, key: str) -> None:
    assert refusal(laboratory, archive(key), "you") == "PERMISSION_DENIED"
    laboratory.ask(archive(key))
    assert refusal(laboratory, recover(key), "you") == "PERMISSION_DENIED"
    # Whether it is archived is not for others to know.
    get = calls.get(key, None, None, None)
    assert refusal(laboratory, get, "you") == "PERMISSION_DENIED"


def test_what_is_destroyed_is_not_archived(laboratory: Laboratory, key: str) -> None:
    laboratory.ask(calls.destroy(key))
    assert refusal(laboratory, archive(key)) == "OBJECT_DESTROYED"


# --- Export and Import ----------------------------------------------------------------------------


def export(identifier: str) -> Call[Any]:
    return calls.raw(Operation.EXPORT, ExportRequest(unique_identifier=identifier))


def import_(exported: ExportResponse, **changes: Any) -> Call[Any]:
    request = ImportRequest(
        unique_identifier=exported.unique_identifier,
        object_type=exported.object_type,
        attributes=exported.attributes,
        object=exported.object,
    )
    return calls.raw(Operation.IMPORT, request.replace(**changes))


@pytest.mark.parametrize("version", [V1_4, V2_0, V2_1], ids=str)
def test_an_object_moves_from_one_server_to_another(
    laboratory: Laboratory, key: str, tmp_path: Path, version: Any
) -> None:
    laboratory.pass_time(days=2)  # it is active now
    exported = laboratory.ask(export(key), version)
    other = Laboratory(tmp_path / "other")
    other.pass_time(days=30)
    changes = {"object_type": None} if version < V2_0 else {}
    assert other.ask(import_(exported, **changes), version).unique_identifier == key
    again = other.ask(export(key), version)
    assert again.object == exported.object
    mine, theirs = ({one.key: one.value for one in e.attributes} for e in (exported, again))
    assert mine == theirs
    assert mine[Tag.STATE] is State.ACTIVE
    assert mine[Tag.INITIAL_DATE] == START
    other.close()


def test_an_import_replaces_only_when_asked_and_only_ones_own(
    laboratory: Laboratory, key: str
) -> None:
    exported = laboratory.ask(export(key))
    assert refusal(laboratory, import_(exported)) == "OBJECT_ALREADY_EXISTS"
    stolen = import_(exported, replace_existing=True)
    assert refusal(laboratory, stolen, "you") == "PERMISSION_DENIED"
    name = Name(name_value="neu", name_type=NameType.UNINTERPRETED_TEXT_STRING)
    attributes = exported.attributes.without(Tag.NAME).plus(Attribute(Tag.NAME, name))
    changed = symmetric_key(bytes(16))
    laboratory.ask(import_(exported, replace_existing=True, attributes=attributes, object=changed))
    assert laboratory.ask(calls.get(key, None, None, None)).key_block == changed.key_block
    for text, ids in (("neu", (key,)), ("der Schlüssel", ())):
        assert laboratory.ask(calls.locate(text, *[None] * 5)).ids == ids


def test_imports_that_make_no_sense(laboratory: Laboratory, key: str) -> None:
    exported = laboratory.ask(export(key))
    laboratory.ask(calls.destroy(key))
    wrong_type = import_(exported, unique_identifier="id-2", object_type=ObjectType.CERTIFICATE)
    assert refusal(laboratory, wrong_type) == "INVALID_FIELD"
    assert refusal(laboratory, import_(exported, unique_identifier="")) == "INVALID_FIELD"
    empty = exported.attributes.only((Tag.CRYPTOGRAPHIC_LENGTH,)).plus(
        Attribute(Tag.CONTACT_INFORMATION, None)
    )
    valueless = import_(exported, unique_identifier="id-3", object_type=None, attributes=empty)
    with pytest.raises(OperationFailed) as caught:
        laboratory.ask(valueless, V1_4)  # 2.x has no form for an attribute without a value
    assert caught.value.reason is ResultReason.INVALID_FIELD
    assert refusal(laboratory, export(key)) == "OBJECT_DESTROYED"


def test_what_may_not_leave_is_not_exported(laboratory: Laboratory) -> None:
    for attribute, reason in (("Extractable", "NOT_EXTRACTABLE"), ("Sensitive", "SENSITIVE")):
        value = attribute == "Sensitive"
        kept = laboratory.ask(calls.create(AES, 128, BOTH, None, {attribute: value}))
        assert refusal(laboratory, export(kept)) == reason


def test_an_imported_object_may_be_destroyed_already(laboratory: Laboratory, key: str) -> None:
    """Then its key is not kept."""
    exported = laboratory.ask(export(key))
    gone = exported.attributes.without(Tag.STATE, Tag.NAME).plus(
        Attribute(Tag.STATE, State.DESTROYED)
    )
    laboratory.ask(import_(exported, unique_identifier="gone", attributes=gone))
    get = calls.get("gone", None, None, None)
    assert refusal(laboratory, get) == "OBJECT_DESTROYED"
