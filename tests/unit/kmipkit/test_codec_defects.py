"""What the compiled codec catches: errors of the data, and none of ours.

A message that cannot be read, or a value that cannot be written, goes on to the reference codec. A
defect of a compiled function must not: the reference codec would hide it behind a right answer.
"""

import struct
from datetime import datetime
from typing import Annotated, Any

import pytest

from kmipkit.errors import LocalProtocolError, RemoteProtocolError
from kmipkit.model import code_generation
from kmipkit.model.attribute import Attribute, AttributeReference, Attributes, VendorName
from kmipkit.model.attribute_field_types import AttributeReferenceType, AttributeType
from kmipkit.model.codec import decode, encode, to_tree
from kmipkit.model.payloads.create import CreateRequest
from kmipkit.model.payloads.locate import LocateRequest
from kmipkit.model.structure import Structure, Wire, structure
from kmipkit.spec.enums import ObjectType, State
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_4, V2_1, Version
from kmipkit.ttlv import binary
from kmipkit.ttlv.tree import Item

DEFECTS = {
    "TypeError": (TypeError, "len(None)"),
    "AttributeError": (AttributeError, "None.missing"),
    "KeyError": (KeyError, "dict()['missing']"),
    "NameError": (NameError, "missing"),
    "ValueError": (ValueError, "int('x')"),
}


def number_class() -> type[Structure]:
    """A class that no compiled function exists for."""

    @structure(Tag.DIGEST)
    class Number(Structure):
        """One number."""

        number: Annotated[int, Wire(Tag.CRYPTOGRAPHIC_LENGTH)]

    return Number


@pytest.mark.parametrize(("error", "text"), DEFECTS.values(), ids=DEFECTS)
def test_a_defect_of_a_compiled_reader_is_raised(
    monkeypatch: pytest.MonkeyPatch, error: type[Exception], text: str
) -> None:
    cls: Any = number_class()
    data = encode(cls(number=7), V1_4)
    monkeypatch.setitem(
        code_generation._READ_PRIMITIVE, ItemType.INTEGER, (f"v = {text}", "pos += 16")
    )
    with pytest.raises(error):
        decode(cls, data, V1_4)


@pytest.mark.parametrize(("error", "text"), DEFECTS.values(), ids=DEFECTS)
def test_a_defect_of_a_compiled_writer_is_raised(
    monkeypatch: pytest.MonkeyPatch, error: type[Exception], text: str
) -> None:
    cls: Any = number_class()
    monkeypatch.setitem(code_generation._WRITE_PRIMITIVE, ItemType.INTEGER, (f"put({text})",))
    with pytest.raises(error):
        encode(cls(number=7), V1_4)


@pytest.mark.parametrize("error", [TypeError, AttributeError, KeyError, AssertionError])
@pytest.mark.parametrize("version", [V1_4, V2_1], ids=str)
def test_a_defect_of_a_field_type_inside_a_compiled_function_is_raised(
    monkeypatch: pytest.MonkeyPatch, error: type[Exception], version: Version
) -> None:
    @structure(Tag.DIGEST)
    class Asked(Structure):
        """Names an attribute."""

        reference: Annotated[AttributeReference, Wire(Tag.ATTRIBUTE_NAME)]

    def fail(*_: object) -> None:
        raise error("a defect")

    data = encode(Asked(reference=Tag.STATE), version)
    monkeypatch.setattr(AttributeReferenceType, "read", fail)
    with pytest.raises(error, match="a defect"):
        decode(Asked, data, version)
    monkeypatch.setattr(AttributeReferenceType, "write", fail)
    with pytest.raises(error, match="a defect"):
        encode(Asked(reference=Tag.STATE), version)


@pytest.mark.parametrize("version", [V1_4, V2_1], ids=str)
def test_a_defect_of_an_attribute_is_raised(
    monkeypatch: pytest.MonkeyPatch, version: Version
) -> None:
    def fail(*_: object) -> None:
        raise TypeError("a defect")

    monkeypatch.setattr(AttributeType, "_write_value", fail)
    # A vendor's number is not on the fast path of either version.
    attributes = Attributes.of((VendorName("x", "size"), 3))
    request = CreateRequest(object_type=ObjectType.SYMMETRIC_KEY, attributes=attributes)
    name = "_write_by_name" if version is V1_4 else "write_by_tag"
    monkeypatch.setattr(AttributeType, name, fail)
    with pytest.raises(TypeError, match="a defect"):
        encode(request, version, tag=Tag.REQUEST_PAYLOAD)


WRONG_CLASS = {
    "a text for a number": Attribute(Tag.CRYPTOGRAPHIC_LENGTH, "256"),
    "a number for a text": Attribute(Tag.OBJECT_GROUP, 7),
    "a text for bytes": Attribute(Tag.SHORT_UNIQUE_IDENTIFIER, "key"),
    "a text for a date": Attribute(Tag.ACTIVATION_DATE, "today"),
    "a date without a time zone": Attribute(Tag.ACTIVATION_DATE, datetime(2026, 11, 23)),  # noqa: DTZ001
    "a vendor's date without a time zone": Attribute(VendorName("x", "day"), datetime(2026, 1, 1)),  # noqa: DTZ001
    "a number for a structure": Attribute(Tag.NAME, 7),
    "another enumeration": Attribute(Tag.STATE, ObjectType.SYMMETRIC_KEY),
    "a number beyond 32 bits": Attribute(Tag.CRYPTOGRAPHIC_LENGTH, 1 << 40),
    "half a surrogate pair": Attribute(Tag.OBJECT_GROUP, "\ud800"),
    "no attribute at all": State.ACTIVE,
}


@pytest.mark.parametrize("attribute", WRONG_CLASS.values(), ids=WRONG_CLASS)
@pytest.mark.parametrize("version", [V1_4, V2_1], ids=str)
def test_a_value_that_cannot_be_written_is_an_error_of_the_caller(
    attribute: Any, version: Version
) -> None:
    request = CreateRequest(
        object_type=ObjectType.SYMMETRIC_KEY, attributes=Attributes((attribute,))
    )
    with pytest.raises(LocalProtocolError):
        encode(request, version, tag=Tag.REQUEST_PAYLOAD)


TREES = {
    "a text": Attribute(Tag.OBJECT_GROUP, Item(Tag.OBJECT_GROUP, ItemType.TEXT_STRING, "x")),
    "a number": Attribute(
        Tag.CRYPTOGRAPHIC_LENGTH, Item(Tag.CRYPTOGRAPHIC_LENGTH, ItemType.INTEGER, 7)
    ),
    "a date": Attribute(Tag.ACTIVATION_DATE, Item(Tag.ACTIVATION_DATE, ItemType.DATE_TIME, 7)),
    "an enumeration": Attribute(Tag.STATE, Item(Tag.STATE, ItemType.ENUMERATION, 2)),
    "a structure": Attribute(Tag.NAME, Item(Tag.NAME, ItemType.STRUCTURE, ())),
}


@pytest.mark.parametrize("attribute", TREES.values(), ids=TREES)
@pytest.mark.parametrize("cls", [LocateRequest, CreateRequest])
@pytest.mark.parametrize("version", [V1_4, V2_1], ids=str)
def test_a_tree_may_stand_for_any_attribute_value(
    attribute: Attribute, cls: type[Structure], version: Version
) -> None:
    fields: dict[str, Any] = {"attributes": Attributes((attribute,))}
    if cls is CreateRequest:
        fields["object_type"] = ObjectType.SYMMETRIC_KEY
    request = cls(**fields)
    data = encode(request, version, tag=Tag.REQUEST_PAYLOAD)
    assert data == binary.encode(to_tree(request, version, tag=Tag.REQUEST_PAYLOAD))


def test_a_field_of_another_class_is_an_error_of_the_caller() -> None:
    cls: Any = number_class()
    for value in ("7", None, b"7", 1 << 40, State.ACTIVE.name):
        with pytest.raises(LocalProtocolError):
            encode(cls(number=value), V1_4)


def test_bytes_that_cannot_be_read_are_an_error_of_the_peer() -> None:
    cls: Any = number_class()
    good = encode(cls(number=7), V1_4)
    for position in range(len(good)):
        with pytest.raises(RemoteProtocolError):
            decode(cls, good[:position], V1_4)
        damaged = bytearray(good)
        damaged[position] ^= 0xFF
        if position < 16:  # number and padding may be any
            with pytest.raises(RemoteProtocolError):
                decode(cls, bytes(damaged), V1_4)


def test_a_date_that_python_does_not_know_is_an_error_of_the_peer() -> None:
    @structure(Tag.DIGEST)
    class Dated(Structure):
        """One date."""

        date: Annotated[datetime, Wire(Tag.ACTIVATION_DATE)]

    for seconds in (1 << 40, -(1 << 40), (1 << 63) - 1):
        item = struct.pack(">IIq", Tag.ACTIVATION_DATE << 8 | ItemType.DATE_TIME, 8, seconds)
        head = struct.pack(">II", Tag.DIGEST << 8 | ItemType.STRUCTURE, 16)
        with pytest.raises(RemoteProtocolError, match="the years 1 to 9999"):
            decode(Dated, head + item, V1_4)
