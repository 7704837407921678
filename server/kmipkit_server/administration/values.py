"""Values of attributes as JSON, and from the texts of filters."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from enum import Enum
from typing import Any, TypeVar, get_args

from kmipkit.model.attribute import Attribute, attribute_name, custom
from kmipkit.model.attributes import ATTRIBUTE_TYPES, Name
from kmipkit.model.structure import Structure, field_names
from kmipkit.spec.attributes import BY_NAME
from kmipkit.spec.enumeration import OpenEnum, OpenMask
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.names import member_named
from kmipkit.spec.tags import Tag
from kmipkit.ttlv.tree import Item, ItemValue
from kmipkit_server.administration.problems import bad_request
from kmipkit_server.store.base import Criterion
from kmipkit_server.toml.suggestion import suggestion

_Enum = TypeVar("_Enum", bound=OpenEnum)


def attribute_data(attributes: Iterable[Attribute]) -> dict[str, list[Any]]:
    """Attributes by their names, each with its instances."""
    by_name: dict[str, list[Any]] = {}
    for attribute in attributes:
        by_name.setdefault(attribute_name(attribute.key), []).append(data(attribute.value))
    return by_name


def data(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, OpenMask):
        return value.names()
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple | list):
        return [data(each) for each in value]
    if isinstance(value, Structure):
        parts = ((name, getattr(value, name)) for name in field_names(type(value)))
        return {name: data(part) for name, part in parts if part not in (None, ())}
    if isinstance(value, Item):
        return data(value.value)
    if isinstance(value, int) and value.bit_length() > 53:
        return str(value)  # many programs read numbers of JSON as floating-point numbers
    return value


def member(enumeration: type[_Enum], text: str, parameter: str) -> _Enum:
    """A member by its name, written in any way. Refused for an unknown one."""
    found = member_named(enumeration, text)
    if found is None:
        names = ", ".join(each.name.lower().replace("_", "-") for each in enumeration)
        raise bad_request(f"{parameter} must be one of: {names}")
    return found


def criterion(text: str) -> Criterion:
    """The condition in ``NAME=VALUE``. Refused if it is none."""
    name, separator, value = text.partition("=")
    if not separator:
        raise bad_request("attribute must be NAME=VALUE, such as Cryptographic Length=256")
    row = BY_NAME.get(name)
    if row is None or row.tag not in ATTRIBUTE_TYPES:
        if not name.startswith(("x-", "y-")):
            raise bad_request(
                f"there is no attribute {name!r}; names of custom attributes begin with x- or y-"
                f"{suggestion(name, BY_NAME)}"
            )
        return Criterion(custom(name), Item(Tag.ATTRIBUTE_VALUE, ItemType.TEXT_STRING, value))
    return _criterion(name, row.tag, value)


def _criterion(name: str, tag: Tag, text: str) -> Criterion:
    python_type = ATTRIBUTE_TYPES[tag]
    types = get_args(python_type) or (python_type,)
    if Name in types:
        part = Item(Tag.NAME_VALUE, ItemType.TEXT_STRING, text)
        return Criterion(tag, Item(tag, ItemType.STRUCTURE, (part,)))
    for kind, (item_type, parse) in _PARSERS.items():
        matching = [each for each in types if isinstance(each, type) and issubclass(each, kind)]
        if matching:
            try:
                return Criterion(tag, Item(tag, item_type, parse(matching[0], text)))
            except (ValueError, OverflowError):
                raise bad_request(f"this is not a valid value of {name}") from None
    raise bad_request(f"objects cannot be found by {name}, which is a structure")


def date(text: str) -> datetime:
    """A date; in UTC unless it has a zone. ValueError if it is none."""
    value = datetime.fromisoformat(text)
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def date_item(tag: Tag, value: datetime) -> Item:
    """A date as an item."""
    return Item(tag, ItemType.DATE_TIME, int(value.timestamp()))


_BOOLEANS = {"true": True, "yes": True, "false": False, "no": False}


def _boolean(_kind: type, text: str) -> bool:
    if text.lower() not in _BOOLEANS:
        raise ValueError
    return _BOOLEANS[text.lower()]


def _mask(kind: type, text: str) -> int:
    assert issubclass(kind, OpenMask)
    bits = {bit.name: bit.value for bit in kind.bits()}
    names = [name.upper().replace("-", "_") for name in text.replace(",", " ").split()]
    unknown = [name for name in names if name not in bits]
    if unknown or not names:
        raise bad_request(f"a mask has the names {', '.join(map(str, bits))}")
    return sum(bits[name] for name in set(names))


_PARSERS: dict[type, tuple[ItemType, Callable[[Any, str], ItemValue]]] = {
    str: (ItemType.TEXT_STRING, lambda _, text: text),
    OpenEnum: (ItemType.ENUMERATION, lambda kind, text: int(member(kind, text, "the attribute"))),
    OpenMask: (ItemType.INTEGER, _mask),
    bool: (ItemType.BOOLEAN, _boolean),
    datetime: (ItemType.DATE_TIME, lambda _, text: int(date(text).timestamp())),
    int: (ItemType.LONG_INTEGER, lambda _, text: int(text)),
    bytes: (ItemType.BYTE_STRING, lambda _, text: bytes.fromhex(text)),
}
"""How a text becomes a value, by the type of the attribute; bool is before int, which it is as well."""
