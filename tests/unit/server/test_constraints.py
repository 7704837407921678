"""Constraints, defaults and object groups: what becomes of new objects by themselves."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kmipkit_client import OperationFailed, calls
from laboratory import Laboratory

from kmipkit.model.attribute import Attributes
from kmipkit.model.payloads.create import CreateRequest
from kmipkit.model.payloads.limits import (
    Constraint,
    Constraints,
    DefaultsInformation,
    GetConstraintsRequest,
    ObjectDefaults,
    ObjectGroups,
    ObjectTypes,
    SetConstraintsRequest,
    SetDefaultsRequest,
)
from kmipkit.model.payloads.locate import LocateRequest
from kmipkit.model.payloads.query import QueryRequest
from kmipkit.spec.enums import (
    BatchErrorContinuationOption,
    CryptographicAlgorithm,
    ObjectGroupMember,
    ObjectType,
    Operation,
    QueryFunction,
    ResultReason,
)
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_2
from kmipkit.ttlv.tree import Item

BOTH = CryptographicUsageMask.ENCRYPT | CryptographicUsageMask.DECRYPT
KEYS = ObjectTypes(object_types=(ObjectType.SYMMETRIC_KEY,))


def aes(bits: int, **attributes: Any) -> Any:
    return calls.create(CryptographicAlgorithm.AES, bits, BOTH, None, attributes)


@pytest.fixture
def laboratory(tmp_path: Path) -> Iterator[Laboratory]:
    laboratory = Laboratory(tmp_path / "data")
    yield laboratory
    laboratory.close()


def constrain(*constraints: Constraint) -> Any:
    request = SetConstraintsRequest(constraints=Constraints(constraints=constraints))
    return calls.raw(Operation.SET_CONSTRAINTS, request)


LONG = Constraint(object_types=KEYS, attributes=Attributes.of((Tag.CRYPTOGRAPHIC_LENGTH, 256)))


def refused(laboratory: Laboratory, call: Any, **who: Any) -> ResultReason | None:
    with pytest.raises(OperationFailed) as error:
        laboratory.ask(call, **who)
    return error.value.reason


def test_a_constraint_holds_for_everybody_until_it_is_taken_back(laboratory: Laboratory) -> None:
    laboratory.ask(constrain(LONG), identity="administrator")
    assert refused(laboratory, aes(128)) is ResultReason.CONSTRAINT_VIOLATION
    assert refused(laboratory, aes(128), version=V1_2) is ResultReason.PERMISSION_DENIED
    assert laboratory.ask(aes(256))
    read = laboratory.ask(calls.raw(Operation.GET_CONSTRAINTS, GetConstraintsRequest()))
    assert read.constraints.constraints == (LONG,)
    laboratory.ask(constrain(), identity="administrator")
    assert laboratory.ask(aes(128))


def test_a_constraint_may_be_about_a_group_only(laboratory: Laboratory) -> None:
    grouped = LONG.replace(object_groups=ObjectGroups(object_groups=("vault",)))
    laboratory.ask(constrain(grouped), identity="administrator")
    assert laboratory.ask(aes(128))
    group = {"Object Group": "vault"}
    vault = calls.create(CryptographicAlgorithm.AES, 128, BOTH, None, group)
    assert refused(laboratory, vault) is ResultReason.CONSTRAINT_VIOLATION


def test_only_administrators_set_rules(laboratory: Laboratory) -> None:
    assert refused(laboratory, constrain(LONG)) is ResultReason.PERMISSION_DENIED
    assert laboratory.ask(aes(128))


def test_rules_that_are_undone_are_not_in_force(laboratory: Laboratory) -> None:
    laboratory.batch(
        constrain(LONG),
        aes(256),
        calls.destroy("nothing"),
        identity="administrator",
        on_error=BatchErrorContinuationOption.UNDO,
    )
    assert laboratory.ask(aes(128))


def test_rules_survive_a_restart(laboratory: Laboratory, tmp_path: Path) -> None:
    laboratory.ask(constrain(LONG), identity="administrator")
    laboratory.close()
    again = Laboratory(tmp_path / "data")
    assert refused(again, aes(128)) is ResultReason.CONSTRAINT_VIOLATION
    again.close()
    laboratory.store = Laboratory(tmp_path / "other").store


def test_defaults_fill_in_what_a_client_leaves_out(laboratory: Laboratory) -> None:
    defaults = DefaultsInformation(
        object_defaults=(
            ObjectDefaults(
                object_types=KEYS,
                attributes=Attributes.of(
                    (Tag.CRYPTOGRAPHIC_ALGORITHM, CryptographicAlgorithm.AES),
                    (Tag.CRYPTOGRAPHIC_LENGTH, 192),
                    (Tag.COMMENT, "vom Haus"),
                ),
            ),
        )
    )
    request = SetDefaultsRequest(defaults_information=defaults)
    laboratory.ask(calls.raw(Operation.SET_DEFAULTS, request), identity="administrator")
    attributes = Attributes.of((Tag.CRYPTOGRAPHIC_USAGE_MASK, BOTH))
    create = CreateRequest(object_type=ObjectType.SYMMETRIC_KEY, attributes=attributes)
    made = laboratory.ask(calls.raw(Operation.CREATE, create)).unique_identifier
    found = laboratory.ask(calls.get_attributes(made, ()))
    assert found.get(Tag.CRYPTOGRAPHIC_LENGTH) == 192
    assert found.get(Tag.COMMENT) == "vom Haus"
    given = laboratory.ask(calls.get_attributes(laboratory.ask(aes(128)), ()))
    assert given.get(Tag.CRYPTOGRAPHIC_LENGTH) == 128, "what the client says counts"
    query = QueryRequest(query_functions=(QueryFunction.QUERY_DEFAULTS_INFORMATION,))
    told = laboratory.ask(calls.raw(Operation.QUERY, query))
    assert told.defaults_information == defaults


# --- groups --------------------------------------------------------------------------------------


def members(group: str, member: ObjectGroupMember) -> Any:
    value = Item(Tag.OBJECT_GROUP, ItemType.TEXT_STRING, group)
    request = LocateRequest(
        maximum_items=1,
        object_group_member=member,
        attributes=Attributes.of((Tag.OBJECT_GROUP, value)),
    )
    return calls.raw(Operation.LOCATE, request)


def test_the_default_member_goes_round(laboratory: Laboratory) -> None:
    group = {"Object Group": "tapes"}
    make = calls.create(CryptographicAlgorithm.AES, 256, BOTH, None, group)
    made = [laboratory.ask(make) for _ in range(3)]
    asked = members("tapes", ObjectGroupMember.GROUP_MEMBER_DEFAULT)
    given = [laboratory.ask(asked).unique_identifiers[0] for _ in range(4)]
    assert given == [*made, made[0]]


def test_the_default_group_never_runs_out_of_fresh_keys(laboratory: Laboratory) -> None:
    asked = members("default", ObjectGroupMember.GROUP_MEMBER_FRESH)
    [first] = laboratory.ask(asked).unique_identifiers
    assert laboratory.ask(asked).unique_identifiers == (first,), "nobody has used it yet"
    laboratory.ask(calls.get(first, None, None, None))
    [second] = laboratory.ask(asked).unique_identifiers
    assert second != first
    other = laboratory.ask(members("no such group", ObjectGroupMember.GROUP_MEMBER_FRESH))
    assert other.unique_identifiers == ()


def test_a_request_without_constraints_removes_them_all(laboratory: Laboratory) -> None:
    """The official case TC-MD-24: the rules must not stay for everybody after it."""
    key_256 = Attributes.of((Tag.CRYPTOGRAPHIC_LENGTH, 256))
    rule = Constraint(object_types=KEYS, attributes=key_256)
    laboratory.ask(constrain(rule), identity="administrator")
    with pytest.raises(OperationFailed):
        laboratory.ask(aes(128))
    nothing = calls.raw(Operation.SET_CONSTRAINTS, SetConstraintsRequest())
    laboratory.ask(nothing, identity="administrator")
    assert laboratory.ask(aes(128))
