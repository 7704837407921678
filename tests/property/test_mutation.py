"""Both codecs on damaged messages, in every class and version, and what writing back may change.

``test_model`` draws ordinary values. Here each pair of class and version is visited, and what is
read is neither always ours nor always right.
"""

import struct
from collections.abc import Callable
from typing import Any

import pytest
from damage_strategies import (
    damaged_bytes,
    damaged_tree,
    extensions,
    sloppy,
    templates,
    vendor_attributes,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from lengths import examples
from model_strategies import CLASSES, structures, tag_of, versions_of

from kmipkit.errors import Cause, ProtocolError
from kmipkit.model import codec
from kmipkit.model.attribute import Attributes
from kmipkit.model.code_generation import UNREADABLE
from kmipkit.model.compiled import structure_reader
from kmipkit.model.messages import RequestMessage, ResponseMessage
from kmipkit.model.payloads.attributes import GetAttributesResponse
from kmipkit.model.payloads.create import CreateRequest
from kmipkit.model.reference import EXTENSIONS
from kmipkit.model.structure import Structure
from kmipkit.spec.enums import ObjectType
from kmipkit.spec.versions import V2_0, VERSIONS, Version
from kmipkit.ttlv import binary
from kmipkit.ttlv.tree import Item

Refusal = tuple[type[ProtocolError], Cause, str]


def outcome(work: Callable[[], Any]) -> tuple[Any, Refusal | None]:
    """A result, or what a ProtocolError says; any other exception is a defect, and passes."""
    try:
        return work(), None
    except ProtocolError as error:
        return None, (type(error), error.cause, error.path)


def read(
    cls: type[Structure], data: bytes, version: Version, *, tolerant: bool = False
) -> Structure | None:
    """What both codecs read, None where both refuse, for the same reason in the same place."""
    tag = tag_of(cls)
    reference = outcome(
        lambda: codec.from_tree(cls, binary.decode(data), version, tag=tag, tolerant=tolerant)
    )
    compiled = outcome(lambda: codec.decode(cls, data, version, tag=tag, tolerant=tolerant))
    assert compiled == reference
    value: Structure | None = reference[0]
    return value


def sorted_out(item: Item) -> Item:
    """The tree with the vendor items of each structure behind the others."""
    if not isinstance(item.value, tuple):
        return item
    children = sorted(map(sorted_out, item.value), key=lambda child: child.tag in EXTENSIONS)
    return Item(item.tag, item.type, tuple(children))


def write_back(cls: type[Structure], data: bytes, version: Version) -> None:
    """What was read is written as the same bytes, but for the differences that are listed here.

    * Padding is written as zeros and Big Integers as short as can be (:mod:`kmipkit.ttlv.binary`).
    * Vendor items move to the end of their structure.
    * What the version does not have (a later enumeration value or attribute) is read, and refused
      when it is written.
    """
    value = read(cls, data, version)
    if value is None:
        return
    tag = tag_of(cls)
    tree, refused = outcome(lambda: codec.to_tree(value, version, tag=tag))
    again, also_refused = outcome(lambda: codec.encode(value, version, tag=tag))
    assert refused == also_refused
    if refused is not None:
        assert refused[1] is Cause.WRONG_VERSION
        return
    assert again == binary.encode(tree)
    assert sorted_out(tree) == sorted_out(binary.decode(data))
    assert read(cls, again, version) == value


def drawn(draw: Any, cls: type[Structure], version: Version) -> tuple[Structure, Item, bytes]:
    value = draw(structures(cls, version))
    tree = codec.to_tree(value, version, tag=tag_of(cls))
    return value, tree, binary.encode(tree)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__qualname__)
def test_each_class_in_each_version(cls: type[Structure]) -> None:
    for version in versions_of(cls):
        visit(cls, version)


def visit(cls: type[Structure], version: Version) -> None:
    """Values of one class in one version, whole, and damaged in both ways."""

    @settings(max_examples=examples(3))
    @given(st.data())
    def check(data: st.DataObject) -> None:
        value, tree, encoded = drawn(data.draw, cls, version)
        assert codec.encode(value, version, tag=tag_of(cls)) == encoded
        assert read(cls, encoded, version) == value
        write_back(cls, binary.encode(data.draw(damaged_tree(tree))), version)
        write_back(cls, data.draw(damaged_bytes(encoded)), version)

    check()


@st.composite
def messages(draw: st.DrawFn) -> tuple[type[Structure], Version, Item, bytes]:
    """A whole request or response of any version."""
    cls = draw(st.sampled_from((RequestMessage, ResponseMessage)))
    version = draw(st.sampled_from(VERSIONS))
    _, tree, encoded = drawn(draw, cls, version)
    return cls, version, tree, encoded


@settings(max_examples=examples(150))
@given(messages(), st.data())
def test_a_damaged_message_is_read_alike_or_refused_alike(
    message: tuple[type[Structure], Version, Item, bytes], data: st.DataObject
) -> None:
    cls, version, tree, encoded = message
    write_back(cls, binary.encode(data.draw(damaged_tree(tree))), version)
    write_back(cls, data.draw(damaged_bytes(encoded)), version)


@settings(max_examples=examples(100))
@given(messages(), st.data())
def test_a_tolerant_reader_takes_whatever_a_strict_one_takes(
    message: tuple[type[Structure], Version, Item, bytes], data: st.DataObject
) -> None:
    cls, version, tree, _ = message
    damaged = binary.encode(data.draw(damaged_tree(tree)))
    value = read(cls, damaged, version)
    tolerated = read(cls, damaged, version, tolerant=True)
    assert value is None or tolerated == value


@settings(max_examples=examples(100))
@given(messages(), st.data())
def test_the_compiled_reader_alone_agrees_or_gives_up(
    message: tuple[type[Structure], Version, Item, bytes], data: st.DataObject
) -> None:
    """Without the reference behind it: one of the listed exceptions, or what the reference reads."""
    cls, version, _, encoded = message
    damaged = data.draw(damaged_bytes(encoded))
    try:
        structure = structure_reader(cls, version)(damaged, 8, len(damaged), None)
    except UNREADABLE:
        return
    whole = struct.pack(">II", tag_of(cls) << 8 | 1, len(damaged) - 8) + damaged[8:]
    assert read(cls, whole, version) == structure


@settings(max_examples=examples(100))
@given(messages(), st.integers(0, 255), st.integers(0, 2))
def test_padding_and_long_big_integers_change_nothing(
    message: tuple[type[Structure], Version, Item, bytes], pad: int, stretch: int
) -> None:
    cls, version, tree, encoded = message
    data = sloppy(tree, pad, stretch)
    assert read(cls, data, version) == read(cls, encoded, version) is not None
    write_back(cls, data, version)


@settings(max_examples=examples(100))
@given(messages(), st.data())
def test_every_truncation_is_refused(
    message: tuple[type[Structure], Version, Item, bytes], data: st.DataObject
) -> None:
    cls, version, _, encoded = message
    assert read(cls, encoded[: data.draw(st.integers(0, len(encoded) - 1))], version) is None


@settings(max_examples=examples(150))
@given(st.sampled_from(VERSIONS), st.data())
def test_unusual_attributes_come_back(version: Version, data: st.DataObject) -> None:
    attributes = data.draw(vendor_attributes(version))
    response = GetAttributesResponse(unique_identifier="1", attributes=attributes)
    names = data.draw(templates) if version < V2_0 else ()
    request = CreateRequest(
        object_type=ObjectType.SYMMETRIC_KEY, attributes=Attributes(attributes.items, names)
    )
    for value in (response, request):
        cls = type(value)
        encoded = codec.encode(value, version, tag=tag_of(cls))
        assert encoded == binary.encode(codec.to_tree(value, version, tag=tag_of(cls)))
        assert read(cls, encoded, version) == value


@settings(max_examples=examples(150))
@given(st.sampled_from(CLASSES), st.data())
def test_vendor_items_at_the_end_come_back(cls: type[Structure], data: st.DataObject) -> None:
    version = data.draw(st.sampled_from(versions_of(cls)))
    value = drawn(data.draw, cls, version)[0].replace(extensions=data.draw(extensions))
    encoded = codec.encode(value, version, tag=tag_of(cls))
    assert encoded == binary.encode(codec.to_tree(value, version, tag=tag_of(cls)))
    assert read(cls, encoded, version) == value
