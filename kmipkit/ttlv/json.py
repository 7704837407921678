"""The JSON form (Additional Message Encodings 1.0 §4; Profiles 2.1 §5.5).

The parser of the standard library builds all objects before they can be checked. So the text is scanned
first, without building anything, for more or deeper brackets than the limits permit.
"""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from kmipkit.errors import Cause, RemoteProtocolError
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.names import tag_name
from kmipkit.ttlv.binary import encode
from kmipkit.ttlv.building import Builder, Placeholder, check_size
from kmipkit.ttlv.limits import DEFAULT_LIMITS, Limits
from kmipkit.ttlv.redaction import REDACTED, in_secret, is_secret
from kmipkit.ttlv.text import TYPE_NAMES, leading, mask_text, meaning, to_hex, write_value
from kmipkit.ttlv.tree import Item

_MEMBERS = frozenset(("tag", "name", "type", "value"))
"""The members of an item (§4.1.6); ``name`` is for people."""

_PER_ITEM = 4
"""Maximum number of commas for an item: one after each member, one after the item."""

_NUMBERS = frozenset(
    (
        ItemType.INTEGER,
        ItemType.LONG_INTEGER,
        ItemType.BIG_INTEGER,
        ItemType.ENUMERATION,
        ItemType.INTERVAL,
        ItemType.DATE_TIME_EXTENDED,
    )
)
"""Types whose value may be a JSON number."""

_SAFE = 1 << 52
"""Larger numbers are written as hexadecimal: other parsers use floating point (§4.1.6.5)."""

_DIGITS = 4300
"""Digits of the longest number that Python reads by default: 14,000 bits, more than any key has."""

# A string may lack its closing quote. If it did not match then, the search would start again at each
# quote inside it, which takes quadratic time.
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[\]{},]', re.DOTALL)

# What JSON permits unescaped: C1 control characters, which terminals obey, and line separators.
_UNSAFE = re.compile("[\x7f-\x9f\u2028\u2029]")


# --- reading ---------------------------------------------------------------------------------


def parse_all(
    text: bytes | str,
    limits: Limits = DEFAULT_LIMITS,
    *,
    placeholder: Placeholder | None = None,
) -> list[Item]:
    """All messages in a JSON text: objects, one after the other or in an array.

    ``placeholder`` resolves values such as ``$NOW``; without it they are errors. Raises
    RemoteProtocolError, with path, for anything else, and for a message whose binary form exceeds
    ``limits``. The limit on items also applies to the whole text, because it is checked before the
    text is parsed.
    """
    check_size(text, limits)
    builder = Builder(limits, lambda: None, placeholder)
    for document in _load(text, limits):
        for message in document if isinstance(document, list) else [document]:
            _add_item(message, builder)
    return builder.messages


def parse(text: bytes | str, limits: Limits = DEFAULT_LIMITS) -> Item:
    """The one message in a JSON text; errors as of :func:`parse_all`."""
    items = parse_all(text, limits)
    if len(items) != 1:
        message = f"expected one message, not {len(items)}"
        raise RemoteProtocolError(message, cause=Cause.BAD_SYNTAX)
    return items[0]


def _load(text: bytes | str, limits: Limits) -> list[Any]:
    try:
        text = text if isinstance(text, str) else text.decode("utf-8-sig")
        _scan(text, limits)
        return _values(text)
    except json.JSONDecodeError as error:
        message = f"not well-formed JSON: {error.msg} in line {error.lineno}, column {error.colno}"
        offset = len(error.doc[: error.pos].encode("utf-8", "replace"))
        raise RemoteProtocolError(message, cause=Cause.BAD_SYNTAX, offset=offset) from None
    except UnicodeDecodeError as error:
        message = "the text is not UTF-8"
        raise RemoteProtocolError(message, cause=Cause.BAD_SYNTAX, offset=error.start) from None
    except RecursionError:
        raise RemoteProtocolError(
            "structures are nested too deeply", cause=Cause.TOO_DEEP
        ) from None
    except ValueError as error:
        # Raised by the hooks below.
        raise RemoteProtocolError(f"JSON: {error}", cause=Cause.BAD_SYNTAX) from None


def _scan(text: str, limits: Limits) -> None:
    """Refuse more or deeper objects than a message within the limits can have."""
    depth = brackets = commas = 0
    for match in _TOKEN.finditer(text):
        bracket = text[match.start()]
        if bracket in "{[":
            depth += 1
            brackets += 1
        elif bracket in "}]":
            depth -= 1
        elif bracket == ",":
            commas += 1
        # A structure is an object with an array. A value is another object, and several messages
        # may be in an array.
        if depth > 2 * limits.max_depth + 2:
            message = f"structures are nested more than {limits.max_depth} deep"
            raise RemoteProtocolError(message, cause=Cause.TOO_DEEP, offset=match.start())
        if brackets > 2 * limits.max_items + 1 or commas > _PER_ITEM * limits.max_items:
            message = f"the message has more than {limits.max_items} items"
            raise RemoteProtocolError(message, cause=Cause.TOO_MANY_ITEMS, offset=match.start())


def _values(text: str) -> list[Any]:
    decoder = json.JSONDecoder(
        object_pairs_hook=_members,
        parse_int=_integer,
        parse_float=_not_an_integer,
        parse_constant=_not_an_integer,
    )
    values: list[Any] = []
    at = _skip_blanks(text, 0)
    while at < len(text) or not values:
        value, at = decoder.raw_decode(text, at)
        values.append(value)
        at = _skip_blanks(text, at)
    return values


def _skip_blanks(text: str, at: int) -> int:
    match = re.compile(r"[ \t\r\n]*").match(text, at)
    return match.end() if match else at


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member of an object is repeated")
    return members


def _integer(text: str) -> int:
    if len(text) > _DIGITS:
        raise ValueError(f"a number has {len(text)} digits; use hexadecimal")
    return int(text)


def _not_an_integer(_text: str) -> None:
    raise ValueError("numbers must be integers")


def _add_item(node: Any, builder: Builder) -> None:
    if not isinstance(node, dict) or not isinstance(node.get("tag"), str):
        raise builder.error(Cause.BAD_SYNTAX, "an item must be an object with a 'tag'")
    tag = builder.tag(node["tag"])
    unknown = node.keys() - _MEMBERS
    if unknown:
        message = f"an item has no member {min(unknown)[:80]!r}"
        raise builder.error(Cause.BAD_SYNTAX, message, tag)
    name = node.get("type")
    if name is not None and not isinstance(name, str):
        raise builder.error(Cause.BAD_TYPE, "the type must be a string", tag)
    item_type, value = builder.type(name), node.get("value")
    if item_type is ItemType.STRUCTURE:
        if not isinstance(value, list | None):
            raise builder.error(Cause.BAD_VALUE, "the value of a Structure must be an array", tag)
        builder.open(tag)
        for child in value or ():
            _add_item(child, builder)
        builder.close()
    elif isinstance(value, str):
        builder.text(tag, item_type, value)
    elif isinstance(value, bool):
        builder.value(tag, _check_type(item_type, {ItemType.BOOLEAN}, builder, tag), value)
    elif isinstance(value, int):
        builder.value(tag, _check_type(item_type, _NUMBERS, builder, tag), value)
    else:
        raise builder.error(Cause.BAD_VALUE, f"{TYPE_NAMES[item_type]} has no value", tag)


def _check_type(
    item_type: ItemType, allowed: frozenset[ItemType] | set[ItemType], builder: Builder, tag: int
) -> ItemType:
    if item_type not in allowed:
        message = f"{TYPE_NAMES[item_type]} has a JSON value of another type"
        raise builder.error(Cause.BAD_VALUE, message, tag)
    return item_type


# --- writing ---------------------------------------------------------------------------------


def dump(item: Item, *, redact: bool = False) -> str:
    """The JSON of an item, one line for each value, which ends with a line feed.

    With ``redact``, values that may be key material are replaced, and the result cannot be read back.
    Raises LocalProtocolError for a value that has no binary form.
    """
    encode(item)
    return "".join(_lines(item, (), redact, "", False)) + "\n"


def _lines(
    item: Item, before: Sequence[Item], redact: bool, indent: str, inside: bool
) -> Iterator[str]:
    inside = in_secret(item.tag, inside)
    yield f'{indent}{{"tag":{json.dumps(tag_name(item.tag))}, '
    if not isinstance(item.value, tuple):
        secret = redact and is_secret(item.tag, item.type, inside)
        value = REDACTED if secret else _value(item, meaning(item.tag, before))
        yield f'"type":"{TYPE_NAMES[item.type]}", "value":{_quoted(value)}}}'
        return
    yield '"value":['
    for index, child in enumerate(item.value):
        yield ",\n" if index else "\n"
        yield from _lines(child, leading(item.value, index), redact, indent + "  ", inside)
    yield f"\n{indent}]}}" if item.value else "]}"


def _quoted(value: str | int | bool) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _value(item: Item, context: int) -> str | int | bool:
    if isinstance(item.value, bool):
        return item.value
    if item.type is ItemType.ENUMERATION or not isinstance(item.value, int):
        return write_value(item, context)
    if item.type is ItemType.INTEGER:
        return mask_text(item.value, context, "|") or int(item.value)
    if item.type in _NUMBERS and -_SAFE < item.value < _SAFE:
        return int(item.value)
    return (
        write_value(item, context)
        if item.type is ItemType.DATE_TIME
        else to_hex(item.type, item.value)
    )
