"""What any version can say is stored as it is: attributes, objects, constraints and defaults."""

from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st
from kmipkit_server.objects.constraints import Rules, pack_rules, unpack_rules
from kmipkit_server.objects.managed import pack_object, unpack_object
from kmipkit_server.store import packing
from kmipkit_server.store.packing import pack, unpack_all
from lengths import examples
from model_strategies import structures, value_of

from kmipkit.model.attribute import Attribute, Attributes, VendorName
from kmipkit.model.codec import encode, encode_attribute
from kmipkit.model.keyblock import KeyValue
from kmipkit.model.objects import CLASS_OF_TYPE, Template
from kmipkit.model.payloads.limits import Constraints, DefaultsInformation
from kmipkit.model.plan import value_type
from kmipkit.spec.attributes import ATTRIBUTES
from kmipkit.spec.enums import ObjectType
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V2_1, V3_0, VERSIONS, Version


@st.composite
def attributes_of_a_version(draw: st.DrawFn) -> list[Attribute]:
    """Attributes as the client of one version sets them."""
    version = draw(st.sampled_from(VERSIONS))
    typed = {
        row.tag: field_type
        for row in ATTRIBUTES
        if row.known_in(version) and (field_type := value_type(row.tag, version)) is not None
    }
    tags = draw(st.lists(st.sampled_from(sorted(typed)), max_size=4))
    return [Attribute(tag, draw(value_of(typed[tag], tag)), 0) for tag in tags]


@given(st.lists(attributes_of_a_version(), min_size=1, max_size=3))
@settings(max_examples=examples(300))
def test_attributes_of_clients_of_all_versions_are_kept(parts: list[list[Attribute]]) -> None:
    attributes = Attributes(tuple(attribute for part in parts for attribute in part))
    kept = unpack_all(pack(attributes), pack(Attributes()))

    def values(each: Attributes) -> list[tuple[Any, str]]:
        return sorted((int(item.key), repr(item.value)) for item in each)  # type: ignore[arg-type]  # all are tags

    assert values(kept) == values(attributes)


@given(attributes_of_a_version())
@settings(max_examples=examples(200))
def test_attributes_are_encoded_one_by_one_as_in_a_list(attributes: list[Attribute]) -> None:
    """Files of earlier releases have the encoding of the list, and the MAC is over these bytes."""
    encoded = [encode_attribute(each) for each in attributes]
    if None not in encoded:
        whole = packing._encode_v2(tuple(attributes))
        assert packing._as_list(b"".join(each for each in encoded if each is not None)) == whole


@given(st.data(), st.sampled_from(sorted(CLASS_OF_TYPE)), st.sampled_from(VERSIONS))
@settings(max_examples=examples(200))
def test_objects_of_clients_of_all_versions_are_kept(
    data: st.DataObject, object_type: ObjectType, version: Version
) -> None:
    if not object_type.known_in(version):
        return
    value = _without_indexes(data.draw(structures(CLASS_OF_TYPE[object_type], version)))
    assert _without_indexes(unpack_object(pack_object(value), object_type)) == value


def _without_indexes(value: Any) -> Any:
    """The object without the indexes of attributes inside it, which nobody can refer to."""
    if isinstance(value, Template):
        return Template(attributes=_unindexed(value.attributes))
    block = getattr(value, "key_block", None)
    if block is None or not isinstance(block.key_value, KeyValue):
        return value
    attributes = block.key_value.attributes
    if attributes is None:
        return value
    inner = block.key_value.replace(attributes=_unindexed(attributes))
    return value.replace(key_block=block.replace(key_value=inner))


def _unindexed(attributes: Attributes) -> Attributes:
    return Attributes(tuple(Attribute(each.key, each.value) for each in attributes))


@given(
    structures(Constraints, V3_0) | structures(Constraints, V2_1),
    structures(DefaultsInformation, V3_0) | structures(DefaultsInformation, V2_1),
)
def test_constraints_and_defaults_of_different_versions_are_kept(
    constraints: Constraints, defaults: DefaultsInformation
) -> None:
    rules = Rules(constraints=constraints, defaults=defaults)
    assert unpack_rules(pack_rules(rules)) == rules


@given(structures(Constraints, V2_1), structures(DefaultsInformation, V2_1))
def test_rules_of_earlier_releases_are_read(
    constraints: Constraints, defaults: DefaultsInformation
) -> None:
    """They were one structure in the encoding of 2.1."""
    rules = Rules(constraints=constraints, defaults=defaults)
    assert unpack_rules(encode(rules, V2_1, tag=Tag.REQUEST_PAYLOAD)) == rules


NOTE = VendorName("x", "note")
_values = st.sampled_from(
    [True, False, 0, 1, "1", "ключ", b"1", b"", datetime(2026, 1, 1, tzinfo=UTC)]
)
_changes = st.lists(st.tuples(st.integers(0, packing.MANY + 40), _values), max_size=12)


@given(_changes, attributes_of_a_version())
@settings(max_examples=examples(60))
def test_many_attributes_are_stored_the_same_whatever_was_stored_before(
    changes: list[tuple[int, Any]], others: list[Attribute]
) -> None:
    """What is new is encoded alone: an equal value of another type must not be taken for the same."""
    items = [Attribute(NOTE, f"number {number}", number) for number in range(packing.MANY + 1)]
    for position, value in changes:
        index = max(item.index or 0 for item in items) + 1
        del items[position : position + 2]
        items.insert(position, Attribute(NOTE, value, index))
        if value == 1:
            items += others
        attributes = Attributes(tuple(items))
        packed = pack(attributes)
        remembered = unpack_all(packed, pack(Attributes()))
        with patch.object(packing._ENCODINGS, "latest", packing._Latest()):  # as after a restart
            assert packed == pack(attributes)
        with patch.object(packing._ENCODINGS, "latest", packing._Latest()):
            read = unpack_all(packed, pack(Attributes()))
        assert [(each.key, repr(each.value), each.index) for each in remembered] == [
            (each.key, repr(each.value), each.index) for each in read
        ]
