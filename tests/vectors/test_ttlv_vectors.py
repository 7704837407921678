"""The vectors in ttlv/, each with its provenance, against the binary codec."""

from pathlib import Path

import pytest

from kmipkit.errors import Cause, RemoteProtocolError
from kmipkit.spec.item_types import ItemType
from kmipkit.ttlv.binary import decode, encode
from kmipkit.ttlv.tree import Item

FILES = sorted((Path(__file__).parent / "ttlv").glob("*.txt"))
KEYS = {"source", "expect", "item", "canonical", "offset", "comment"}


def load(file: Path) -> tuple[dict[str, str], bytes]:
    head, _, body = file.read_text().partition("\n\n")
    fields = dict(line.split(": ", 1) for line in head.splitlines())
    assert fields.keys() <= KEYS
    return fields, bytes.fromhex(body.replace("|", ""))


def test_there_are_vectors() -> None:
    assert len(FILES) > 30


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_vector(file: Path) -> None:
    fields, data = load(file)
    if fields["expect"] != "item":
        with pytest.raises(RemoteProtocolError) as caught:
            decode(data)
        assert caught.value.cause is Cause[fields["expect"]]
        assert caught.value.offset == int(fields["offset"])
        return
    expected = eval(fields["item"], {"I": Item, "T": ItemType})
    assert decode(data) == expected
    assert (encode(expected) == data) is (fields.get("canonical") != "no")
    assert decode(encode(expected)) == expected
