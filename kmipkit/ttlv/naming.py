"""Interim."""

import re
from functools import cache
from kmipkit.spec import enums, masks
from kmipkit.spec.enumeration import OpenEnum, OpenMask
from kmipkit.spec.names import tag_name
from kmipkit.spec.tags import Tag


def fold(name: str) -> str:
    return re.sub("[^a-z0-9]", "", name.lower())


def camel_case(text: str) -> str:
    """The form of a name in XML and JSON (Additional Message Encodings 1.0 §4.1.3)."""
    text = re.sub(r"[()]", " ", text)
    text = re.sub(r"\W([A-Za-z][a-z])", r" \1", text)
    words = [re.sub(r"\W", "_", word) for word in text.split()]
    if not words:
        return ""
    words[0] = re.sub(r"^(\d+)(.*)", r"\2\1", words[0])
    return "".join(word[:1].upper() + word[1:] for word in words)


@cache
def _tags() -> dict[str, int]:
    return {fold(tag_name(tag)): int(tag) for tag in Tag}


def tag_of(name: str) -> int | None:
    if re.fullmatch("0x[0-9A-Fa-f]{6}", name):
        return int(name, 16)
    return _tags().get(fold(name))


def _enumeration(tag: int) -> type[OpenEnum] | None:
    if tag == Tag.ATTRIBUTE_REFERENCE:
        return Tag
    if tag == Tag.EXTENSION_TYPE:
        return enums.ItemType
    name = tag_name(tag)
    for n in (name, name.replace("MaskGeneratorH", "H"), name.replace("MACSignature", "")):
        cls = getattr(enums, n, None)
        if cls:
            return cls
    return None


def value_name(tag: int, number: int) -> str | None:
    cls = _enumeration(tag)
    if cls is None or number not in cls._value2member_map_:
        return None
    return (
        tag_name(number) if cls is Tag else "".join(w.title() for w in cls(number).name.split("_"))
    )


def value_of(tag: int, name: str) -> int | None:
    cls = _enumeration(tag)
    if cls is None:
        return None
    for m in cls:
        if fold(m.name) == fold(name):
            return int(m)
    return None


def _mask(tag: int) -> type[OpenMask] | None:
    return getattr(masks, tag_name(tag), None)


def mask_names(tag: int, value: int) -> list[str]:
    cls = _mask(tag)
    return (
        []
        if cls is None
        else [
            "".join(w.title() for w in n.split("_")) if n[:2] != "0x" else n
            for n in cls(value).names()
        ]
    )


def mask_bit(tag: int, name: str) -> int | None:
    cls = _mask(tag)
    if cls is None:
        return None
    for b in cls.bits():
        if fold(b.name) == fold(name):
            return b.value
    return None
