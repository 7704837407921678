"""The published and altered vectors of conformance/suite/unwrap, through ``kmipkit.keys.wrap``."""

import pytest
from unwrap_vectors import FOLDER, METHODS, OUTCOMES, Vector, parse, vectors

from kmipkit.errors import OperationError
from kmipkit.keys.formats import load_private_key
from kmipkit.keys.wrap import unwrap, wrap
from kmipkit.spec.enums import KeyFormatType

ALL = list(vectors())


def _unwrap(vector: Vector) -> bytes:
    key: object = vector.key
    if vector.method == "rsa oaep":
        key = load_private_key(vector.key, KeyFormatType.PKCS_1)
    return unwrap(key, vector.parameters, vector.wrapped, iv=vector.iv)


@pytest.mark.parametrize("vector", ALL, ids=lambda vector: vector.name)
def test_vector(vector: Vector) -> None:
    if vector.reason is None:
        assert _unwrap(vector) == vector.unwrapped
        return
    with pytest.raises(OperationError) as caught:
        _unwrap(vector)
    assert caught.value.reason == vector.reason
    assert vector.key.hex() not in caught.value.message


@pytest.mark.parametrize(
    "vector",
    [v for v in ALL if v.expect == "success" and v.method != "rsa oaep"],
    ids=lambda vector: vector.name,
)
def test_wrapping_gives_the_vector(vector: Vector) -> None:
    assert vector.unwrapped is not None
    result = wrap(vector.key, vector.parameters, vector.unwrapped, iv=vector.iv)
    assert result.data == vector.wrapped
    assert result.iv == vector.iv


def test_each_method_has_each_outcome() -> None:
    assert {(v.method, v.expect) for v in ALL} == {(m, o) for m in METHODS for o in OUTCOMES}
    assert {p.name for p in FOLDER.iterdir()} == {f"{v.name}.txt" for v in ALL} | {"README.md"}


GOOD = (FOLDER / "kw-rfc3394-4.1.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("method:", "salt: 00\nmethod:"),
        ("method:", "iv: 00\nmethod:"),
        ("method:", "source: twice\nmethod:"),
        ("expect: success", "expect: luck"),
        ("expect: success", "expect: altered"),
        ("unwrapped:", "comment:"),
        ("source:", "no colon here\nsource:"),
        ("key: 00", "key: 0g"),
    ],
)
def test_a_header_that_is_not_as_described_is_an_error(old: str, new: str) -> None:
    parse("good", GOOD)
    with pytest.raises((KeyError, ValueError)):
        parse("bad", GOOD.replace(old, new))
