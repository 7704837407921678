"""The standard's names of tags and values, as XML and JSON spell them, in both directions.

Additional Message Encodings 1.0 §4.1.3 makes one word of each name ("Block Cipher Mode" becomes
``BlockCipherMode``). Reading ignores case and punctuation, because the published examples differ in
them. A value without a name is written as a number.
"""

import re
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, TypeVar

from kmipkit.spec.enumeration import OpenEnum
from kmipkit.spec.naming_tables import ALIASES, ENUMERATIONS, MASKS, SPELLING
from kmipkit.spec.tags import Tag

_Member = TypeVar("_Member", bound=OpenEnum)

_USUAL: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("CryptographicAlgorithm", "3des"): "DES3",
        ("CryptographicAlgorithm", "tripledes"): "DES3",
        **{
            ("RecommendedCurve", f"secp{bits}r1"): f"P_{bits}" for bits in (192, 224, 256, 384, 521)
        },
    }
)
"""Usual names of people that the standard does not have, folded; no message has them."""


def spelled(owner: str, member: str) -> str:
    """The name in XML and JSON of a member of the class ``owner``."""
    special = SPELLING.get(f"{owner}.{member}") or SPELLING.get(member)
    return special or "".join(part.capitalize() for part in member.split("_"))


def folded(name: str) -> str:
    """The part of a name that is compared: letters and digits, in lower case."""
    return re.sub("[^a-z0-9]", "", name.lower())


@cache
def _tag_names() -> dict[int, str]:
    return {int(tag): spelled("Tag", tag.name) for tag in Tag}


@cache
def _tag_numbers() -> dict[str, int]:
    return {folded(name): number for number, name in _tag_names().items()}


def tag_name(tag: int) -> str:
    """The name of a tag; ``0x540001`` for a tag without a name."""
    return _tag_names().get(int(tag)) or f"0x{int(tag):06X}"


def tag_number(name: str) -> int | None:
    """The tag of a name, or of ``0x`` and six digits; None for an unknown name."""
    if re.fullmatch("0[xX][0-9A-Fa-f]{6}", name):
        return int(name, 16)
    return _tag_numbers().get(folded(name))


@cache
def _value_names(enumeration: type[OpenEnum]) -> dict[int, str]:
    if enumeration is Tag:
        return _tag_names()
    return {int(member): spelled(enumeration.__name__, member.name) for member in enumeration}


@cache
def _value_numbers(enumeration: type[OpenEnum]) -> dict[str, int]:
    numbers = {folded(name): number for number, name in _value_names(enumeration).items()}
    for (owner, alias), member in ALIASES.items():
        if owner == enumeration.__name__:
            numbers.setdefault(folded(alias), int(enumeration[member]))
    return numbers


def value_name(tag: int, number: int) -> str | None:
    """The name of an enumeration value in an item with this tag; None if it has none."""
    enumeration = ENUMERATIONS.get(tag)
    return None if enumeration is None else _value_names(enumeration).get(number)


def value_number(tag: int, name: str) -> int | None:
    """The enumeration value of a name in an item with this tag, by any name that a version gives it."""
    enumeration = ENUMERATIONS.get(tag)
    return None if enumeration is None else _value_numbers(enumeration).get(folded(name))


def member_named(enumeration: type[_Member], name: str) -> _Member | None:
    """The member with a name, in any spelling of the standard or a usual one; None if there is none."""
    wanted = folded(name)
    usual = _USUAL.get((enumeration.__name__, wanted))
    if usual is not None:
        return enumeration[usual]
    number = _value_numbers(enumeration).get(wanted)
    if number is not None:
        return enumeration(number)
    return next((each for each in enumeration if folded(each.name) == wanted), None)


@cache
def _bit_names(
    enumeration: Any,
) -> dict[int, str]:  # Any: not hashable for mypy
    return {bit.value: spelled(enumeration.__name__, bit.name) for bit in enumeration.bits()}


@cache
def _bit_numbers(enumeration: Any) -> dict[str, int]:
    numbers = {folded(name): value for value, name in _bit_names(enumeration).items()}
    by_member = {bit.name: bit.value for bit in enumeration.bits()}
    for (owner, alias), member in ALIASES.items():
        if owner == enumeration.__name__:
            numbers.setdefault(folded(alias), by_member[member])
    return numbers


def mask_names(tag: int, value: int) -> list[str]:
    """The names of the bits of a mask, lowest first, or their numbers; none if the tag is not a mask."""
    enumeration = MASKS.get(tag)
    if enumeration is None or not 0 <= value <= 0xFFFFFFFF:
        return []
    names: dict[int, str] = _bit_names(enumeration)  # type: ignore[arg-type]  # see _bit_names
    return [names.get(int(part), f"0x{int(part):08X}") for part in enumeration(value)]


def mask_bit(tag: int, name: str) -> int | None:
    """The bit of a name in a mask with this tag; None if there is none."""
    enumeration = MASKS.get(tag)
    if enumeration is None:
        return None
    numbers: dict[str, int] = _bit_numbers(enumeration)  # type: ignore[arg-type]  # see _bit_names
    return numbers.get(folded(name))
