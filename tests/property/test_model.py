"""The codecs of the model: what is written is read back, in every class and version; the compiled
codec and the reference agree, also on what nobody wrote."""

import importlib
import pkgutil
import sys
from collections.abc import Iterator
from dataclasses import MISSING, fields

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_strategies import structures

import kmipkit.model
from kmipkit.errors import LocalProtocolError, ProtocolError, RemoteProtocolError
from kmipkit.model import codec
from kmipkit.model.envelope import SPOKEN, decode_request
from kmipkit.model.messages import RequestMessage, ResponseMessage
from kmipkit.model.plan import plan
from kmipkit.model.structure import Structure
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_0, V1_4, V2_1, Version
from kmipkit.ttlv import binary
from kmipkit.ttlv.limits import DEFAULT_LIMITS


def every_class() -> Iterator[type[Structure]]:
    for module in pkgutil.walk_packages(kmipkit.model.__path__, "kmipkit.model."):
        importlib.import_module(module.name)
    # From the modules, not from __subclasses__: those hold each class once more, as it was before
    # it got its slots.
    for name, module in sorted(sys.modules.items()):
        if name.startswith("kmipkit.model"):
            for found in vars(module).values():
                mine = isinstance(found, type) and found.__module__ == name
                if mine and issubclass(found, Structure) and found is not Structure:
                    yield found


CLASSES = list(every_class())


def tag_of(cls: type[Structure]) -> Tag:
    return cls.TAG or Tag.REQUEST_PAYLOAD


def versions_of(cls: type[Structure]) -> list[Version]:
    """The versions that have all that the class cannot do without."""
    needed = {field.name for field in fields(cls) if field.default is MISSING}
    return [
        version
        for version in SPOKEN
        if not [one for one in plan(cls, version) if one.name in needed and not one.forms]
    ]


def agreed(cls: type[Structure], data: bytes, version: Version) -> Structure | None:
    """What both codecs read, None where both refuse; anything but a ProtocolError is a defect."""
    tag = tag_of(cls)
    try:
        reference = codec.from_tree(cls, binary.decode(data), version, tag=tag)
    except ProtocolError as error:
        with pytest.raises(type(error)):
            codec.decode(cls, data, version, tag=tag)
        return None
    assert codec.decode(cls, data, version, tag=tag) == reference
    return reference


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__qualname__)
@settings(max_examples=12)
@given(data=st.data())
def test_what_is_written_is_read_back(cls: type[Structure], data: st.DataObject) -> None:
    version = data.draw(st.sampled_from(versions_of(cls)))
    value = data.draw(structures(cls, version))
    tag = tag_of(cls)
    try:
        tree = codec.to_tree(value, version, tag=tag)
    except LocalProtocolError:  # a class of other versions, or a choice that this one lacks
        with pytest.raises(LocalProtocolError):
            codec.encode(value, version, tag=tag)
        return
    encoded = codec.encode(value, version, tag=tag)
    assert encoded == binary.encode(tree)
    assert codec.encode(value, version, tag=tag, strict=False) == encoded
    assert agreed(cls, encoded, version) == value


def test_nearly_every_class_exists_in_nearly_every_version() -> None:
    """The test above would say little if it skipped much."""
    possible = sum(len(versions_of(cls)) for cls in CLASSES)
    assert possible > 0.9 * len(CLASSES) * len(SPOKEN)
    assert len(CLASSES) == 200


MESSAGES = st.one_of(
    [
        structures(cls, version).map(lambda value, version=version: (value, version))  # type: ignore[misc]
        for cls in (RequestMessage, ResponseMessage)
        for version in (V1_0, V1_4, V2_1)
    ]
)


@st.composite
def mutated(draw: st.DrawFn) -> tuple[type[Structure], bytes, Version]:
    """A message with some bytes changed, cut, doubled or put in."""
    value, version = draw(MESSAGES)
    data = bytearray(codec.encode(value, version, strict=False))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data) - 1))
        kind = draw(st.integers(0, 3))
        if kind == 0:
            data[at] = draw(st.integers(0, 255))
        elif kind == 1:
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == 2:
            del data[at : at + draw(st.integers(1, 16))]
        else:
            data[at:at] = data[at : at + draw(st.integers(1, 16))]
        if not data:
            data = bytearray(b"B")
    return type(value), bytes(data), version


@settings(max_examples=600)
@given(case=mutated())
def test_any_mutation_gives_a_value_or_a_protocol_error(
    case: tuple[type[Structure], bytes, Version],
) -> None:
    cls, data, version = case
    value = agreed(cls, data, version)
    if value is not None:
        # What was taken can be written; it may differ from what was read only in padding, which
        # is not kept, and in the order of a structure's extensions.
        again = codec.encode(value, version, strict=False)
        assert agreed(cls, again, version) == value


@settings(max_examples=300)
@given(data=st.binary(max_size=200))
def test_any_bytes_give_a_value_or_a_protocol_error(data: bytes) -> None:
    offsets: list[int] = []
    for read in (lambda: decode_request(data), lambda: binary.decode(data, DEFAULT_LIMITS)):
        try:
            read()
        except RemoteProtocolError as error:
            offsets.append(error.offset or 0)
    assert all(0 <= offset <= len(data) for offset in offsets)
