"""The codecs of the model: what is written is read back, in every class and version; the compiled
codec and the reference agree. What is damaged or unusual: ``test_mutation``."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lengths import examples
from model_strategies import CLASSES, structures, tag_of, versions_of

from kmipkit.errors import LocalProtocolError, ProtocolError, RemoteProtocolError
from kmipkit.model import codec
from kmipkit.model.envelope import decode_request
from kmipkit.model.structure import Structure
from kmipkit.spec.versions import VERSIONS, Version
from kmipkit.ttlv import binary
from kmipkit.ttlv.limits import DEFAULT_LIMITS


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
@settings(max_examples=examples(12))
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
    assert possible > 0.85 * len(CLASSES) * len(VERSIONS)
    assert len(CLASSES) == 215


@settings(max_examples=examples(300))
@given(data=st.binary(max_size=200))
def test_any_bytes_give_a_value_or_a_protocol_error(data: bytes) -> None:
    offsets: list[int] = []
    for read in (lambda: decode_request(data), lambda: binary.decode(data, DEFAULT_LIMITS)):
        try:
            read()
        except RemoteProtocolError as error:
            offsets.append(error.offset or 0)
    assert all(0 <= offset <= len(data) for offset in offsets)
