"""What a later version has, in messages of an earlier one: accepted where it is meant, never written.

The table is the model itself: every field, in every pair of versions, with values from the declarations.
"""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from lengths import examples
from model_strategies import CLASSES, structures, tag_of, versions_of
from sample_items import item_of, structure_of

from kmipkit.errors import LocalProtocolError, RemoteProtocolError
from kmipkit.model import codec
from kmipkit.model.attribute import Attribute, VendorName
from kmipkit.model.field_types import EnumerationType, GenericType, MaskType, Place
from kmipkit.model.plan import field_type_of, later_plans, plan, value_type
from kmipkit.model.reference import FieldPlan
from kmipkit.model.structure import Structure
from kmipkit.spec.attribute_spec import AttributeSpec
from kmipkit.spec.attributes import BY_TAG
from kmipkit.spec.enumeration import OpenEnum, OpenMask
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V2_0, VERSIONS, Version
from kmipkit.ttlv import binary
from kmipkit.ttlv.tree import Item


def later_forms(cls: type[Structure], version: Version) -> Iterator[FieldPlan]:
    """The fields of a class in the form that only later versions have."""
    fields = plan(cls, version)
    for field in fields:
        for later in later_plans(cls, version).get(field.name, ()):
            form = later.forms[0]
            item = item_of(form.tag, form.field_type)
            if not any(each.takes(item) for each in fields):
                yield later
                break


FORMS = {
    cls: forms
    for cls in CLASSES
    if (
        forms := [
            (version, later) for version in versions_of(cls) for later in later_forms(cls, version)
        ]
    )
}
"""By class, every field in a form that only a later version has, with every version before."""

with_a_class = pytest.mark.parametrize("cls", FORMS, ids=lambda cls: cls.__qualname__)


class Judge:
    """Accepts or refuses what only a later version has, and counts it."""

    def __init__(self, answer: bool) -> None:
        self.answer = answer
        self.errors: list[RemoteProtocolError] = []

    def __call__(self, error: RemoteProtocolError) -> bool:
        self.errors.append(error)
        return self.answer


def test_the_table_is_not_empty() -> None:
    assert sum(map(len, FORMS.values())) > 1000


@with_a_class
def test_a_field_of_a_later_version_is_accepted_at_its_place_and_refused_if_strict(
    cls: type[Structure],
) -> None:
    tag = tag_of(cls)
    for version, later in FORMS[cls]:
        data = binary.encode(structure_of(tag, cls, version, replaced=later))
        accepting, refusing = Judge(True), Judge(False)
        value = codec.decode(cls, data, version, tag=tag, judge=accepting)
        assert getattr(value, later.name) not in (None, ()), (version, later.name)
        assert accepting.errors, (version, later.name)
        for judge in (refusing, None):
            with pytest.raises(RemoteProtocolError):
                codec.decode(cls, data, version, tag=tag, judge=judge)


@with_a_class
def test_a_field_of_a_later_version_is_refused_at_another_place(cls: type[Structure]) -> None:
    tag = tag_of(cls)
    for version, later in FORMS[cls]:
        whole = structure_of(tag, cls, version, replaced=later)
        assert isinstance(whole.value, tuple)
        form = later.forms[0]
        moved = [item for item in whole.value if item.tag == form.tag]
        others = [item for item in whole.value if item.tag != form.tag]
        for items in ((*moved, *others), (*others, *moved)):
            if others and items != whole.value:
                data = binary.encode(Item(tag, ItemType.STRUCTURE, items))
                with pytest.raises(RemoteProtocolError):
                    codec.decode(cls, data, version, tag=tag, judge=Judge(True))


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__qualname__)
@settings(max_examples=examples(15), phases=[Phase.generate])
@given(data=st.data())
def test_what_is_written_for_an_older_client_has_nothing_of_a_later_version(
    cls: type[Structure], data: st.DataObject
) -> None:
    newer = data.draw(st.sampled_from(versions_of(cls)))
    older = data.draw(st.sampled_from([version for version in VERSIONS if version <= newer]))
    value = data.draw(structures(cls, newer))
    tag = tag_of(cls)
    try:
        encoded = codec.encode(value, older, tag=tag, strict=False)
    except LocalProtocolError:  # a required field that the older version cannot have
        return
    judge = Judge(False)
    # A required attribute may be missing, as may a repeated field of which every value was left out.
    with suppress(RemoteProtocolError):
        codec.decode(cls, encoded, older, tag=tag, judge=judge)
    assert not judge.errors


def before(*since: Version) -> list[Version]:
    """The versions that lack something that appeared in one of these."""
    return [version for version in VERSIONS if any(version < each for each in since)]


def name(row: Any) -> str:
    """Of a row of the tables below."""
    return str(getattr(row, "__name__", None) or row.name)


ENUMERATIONS = [
    each for each in OpenEnum.__subclasses__() if before(*(member.since for member in each))
]
MASKS = [each for each in OpenMask.__subclasses__() if before(*(bit.since for bit in each.bits()))]
ATTRIBUTES = [row for row in BY_TAG.values() if before(row.since)]


@pytest.mark.parametrize("enumeration", ENUMERATIONS, ids=name)
def test_enumeration_values_of_later_versions(enumeration: type[OpenEnum]) -> None:
    for version in before(*(member.since for member in enumeration)):
        check_enumeration(enumeration, version)


def check_enumeration(enumeration: type[OpenEnum], version: Version) -> None:
    field_type = EnumerationType(enumeration, version)
    for member in enumeration:
        is_later = member.since > version
        item = Item(Tag.OBJECT_TYPE, ItemType.ENUMERATION, int(member))
        accepting, refusing = Judge(True), Judge(False)
        assert field_type.read(item, Place()) is member
        assert field_type.read(item, Place(judge=accepting)) is member
        assert len(accepting.errors) == is_later
        if is_later:
            with pytest.raises(RemoteProtocolError):
                field_type.read(item, Place(judge=refusing))
            assert field_type.write(item.tag, member, Place(strict=False)) is None


@pytest.mark.parametrize("mask", MASKS, ids=name)
def test_mask_bits_of_later_versions(mask: type[OpenMask]) -> None:
    for version in before(*(bit.since for bit in mask.bits())):
        check_mask(mask, version)


def check_mask(mask: type[OpenMask], version: Version) -> None:
    field_type = MaskType(mask, version)
    for bit in mask.bits():
        value = mask(bit.value | 1)
        item = field_type.write(Tag.CRYPTOGRAPHIC_USAGE_MASK, value, Place())
        accepting, refusing = Judge(True), Judge(False)
        assert field_type.read(item, Place(judge=accepting)) == value
        assert bool(accepting.errors) == (bit.since > version)
        if bit.since > version:
            with pytest.raises(RemoteProtocolError):
                field_type.read(item, Place(judge=refusing))
            written = field_type.write(item.tag, value, Place(strict=False))
            assert written.value == value & ~field_type.later_bits


@pytest.mark.parametrize("row", ATTRIBUTES, ids=name)
def test_attributes_of_later_versions(row: AttributeSpec) -> None:
    for version in before(row.since):
        check_attribute(row, version)


def check_attribute(row: AttributeSpec, version: Version) -> None:
    field_type = field_type_of(Attribute, version)
    first = next(later for later in VERSIONS if row.known_in(later))
    value = item_of(Tag.ATTRIBUTE_VALUE, value_type(row.tag, first) or GenericType())
    if version < V2_0:
        name = Item(Tag.ATTRIBUTE_NAME, ItemType.TEXT_STRING, row.name)
        item = Item(Tag.ATTRIBUTE, ItemType.STRUCTURE, (name, value))
    else:
        item = Item(
            Tag.NEW_ATTRIBUTE, ItemType.STRUCTURE, (Item(row.tag, value.type, value.value),)
        )
    accepting = Judge(True)
    attribute = field_type.read(item, Place(judge=accepting))
    assert attribute.key == row.tag
    assert accepting.errors
    if value_type(row.tag, first) is not None:
        assert not isinstance(attribute.value, Item)
    assert field_type.write(Tag.ATTRIBUTE, attribute, Place(strict=False)) is None
    if version < V2_0:
        # A strict server refuses the name, as it refuses one that no version has.
        assert field_type.read(item, Place(judge=Judge(False))).key == VendorName("", row.name)
    else:
        with pytest.raises(RemoteProtocolError):
            field_type.read(item, Place(judge=Judge(False)))
