"""Parsing of command-line arguments into KMIP values, and formatting of values as text."""

import os
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from difflib import get_close_matches
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar, get_args

from kmipkit.model.attribute import Attributes, attribute_name
from kmipkit.model.attributes import ATTRIBUTE_TYPES, Name
from kmipkit.model.structure import Structure, field_names
from kmipkit.spec.attributes import BY_NAME
from kmipkit.spec.enumeration import OpenEnum, OpenMask
from kmipkit.spec.enums import CryptographicAlgorithm, RevocationReasonCode
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.names import folded, member_named
from kmipkit.ttlv.tree import Item
from kmipkit_client.errors import ClientError

_Enum = TypeVar("_Enum", bound=OpenEnum)
_Mask = TypeVar("_Mask", bound=OpenMask)


def member_of(enumeration: type[_Enum], text: str) -> _Enum:
    """A value of an enumeration by name. ClientError for an unknown name."""
    member = member_named(enumeration, text)
    if member is None:
        names = [each.name for each in enumeration]
        raise ClientError(f"{text!r} is not one of {', '.join(names)}{_suggestion(text, names)}")
    return member


def _suggestion(text: str, names: Iterable[str]) -> str:
    by_letters = {folded(name): name for name in names}
    similar = get_close_matches(folded(text), by_letters, 1)
    return f"; did you mean {by_letters[similar[0]]}?" if similar else ""


def algorithm_of(text: str) -> CryptographicAlgorithm:
    """A Cryptographic Algorithm by name. ClientError for an unknown name."""
    return member_of(CryptographicAlgorithm, text)


def reason_of(text: str) -> RevocationReasonCode:
    """A Revocation Reason Code by name. ClientError for an unknown name."""
    return member_of(RevocationReasonCode, text)


def usage_mask(text: str) -> CryptographicUsageMask:
    """A mask from names separated by commas. ClientError for an unknown name."""
    return mask_of(CryptographicUsageMask, text)


def mask_of(mask: type[_Mask], text: str) -> _Mask:
    """Any mask from names separated by commas. ClientError for an unknown name."""
    values = {folded(bit.name): bit.value for bit in mask.bits()}
    total = 0
    for part in text.split(","):
        # "Wrap Key" is one name, and "SIGN VERIFY" is two.
        for name in [part] if folded(part) in values else part.split():
            if folded(name) not in values:
                names = [str(bit.name) for bit in mask.bits()]
                raise ClientError(
                    f"{name!r} is not one of {', '.join(names)}{_suggestion(name, names)}"
                )
            total |= values[folded(name)]
    return mask(total)


def parse_attributes(texts: Iterable[str]) -> dict[str, Any]:
    """Attributes from NAME=VALUE, with values of their types. ClientError if one is malformed."""
    values: dict[str, Any] = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator:
            raise ClientError(f"{text!r} is not NAME=VALUE")
        values.setdefault(name, []).append(attribute_value(name, value))
    return values


def require_attribute(name: str) -> None:
    """ClientError if this is no name of an attribute."""
    if name not in BY_NAME and not name.startswith(("x-", "y-")):
        raise ClientError(
            f"unknown attribute {name!r}; names of custom attributes begin with x-"
            f"{_suggestion(name, BY_NAME)}"
        )


def attribute_value(name: str, text: str) -> Any:
    """The value of an attribute from text. ClientError if the text is not valid for it."""
    row = BY_NAME.get(name)
    if row is None or row.tag not in ATTRIBUTE_TYPES:
        require_attribute(name)
        return text
    python_type = ATTRIBUTE_TYPES[row.tag]
    types = get_args(python_type) or (python_type,)
    for candidate in types:
        if candidate is Name or candidate is str:
            return text
        if isinstance(candidate, type) and issubclass(candidate, OpenEnum):
            return member_of(candidate, text)
        if isinstance(candidate, type) and issubclass(candidate, OpenMask):
            return usage_mask(text)
    try:
        return _parse_primitive(types, text)
    except (ValueError, OverflowError):
        raise ClientError(f"{text!r} is not a valid value of {name}") from None


_BOOLEANS = {"true": True, "yes": True, "false": False, "no": False}


def _parse_primitive(types: tuple[Any, ...], text: str) -> Any:
    if bool in types:
        if text.lower() not in _BOOLEANS:
            raise ValueError("not a Boolean")
        return _BOOLEANS[text.lower()]
    if datetime in types:
        date = datetime.fromisoformat(text)
        return date if date.tzinfo else date.replace(tzinfo=UTC)
    return int(text)


def attribute_data(attributes: Attributes) -> dict[str, Any]:
    """Attributes as JSON values; several instances as a list."""
    by_name: dict[str, list[Any]] = {}
    for attribute in attributes:
        by_name.setdefault(attribute_name(attribute.key), []).append(_data(attribute.value))
    return {name: values[0] if len(values) == 1 else values for name, values in by_name.items()}


def _data(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, OpenMask):
        return value.names()
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple):
        return [_data(element) for element in value]
    if isinstance(value, Structure):
        parts = ((name, getattr(value, name)) for name in field_names(type(value)))
        return {name: _data(part) for name, part in parts if part not in (None, ())}
    return repr(value) if isinstance(value, Item) else value


def format_lines(value: Any, indent: str = "") -> Iterator[str]:
    """Data as text, one line for each value."""
    if isinstance(value, dict):
        for name, inner in value.items():
            nested = isinstance(inner, dict) or (
                isinstance(inner, list) and any(isinstance(element, dict) for element in inner)
            )
            if nested:
                yield f"{indent}{name}:"
                yield from format_lines(inner, indent + "  ")
            else:
                yield f"{indent}{name}: {_text(inner)}"
    elif isinstance(value, list):
        for inner in value:
            yield from format_lines(inner, indent)
    else:
        yield f"{indent}{_text(value)}"


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def write_secret(path: Path, data: bytes) -> None:
    """Write a new file that only its owner can read. ClientError if it exists."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ClientError(f"{path}: the file already exists and is not overwritten") from None
    except OSError as error:
        raise ClientError(f"{path}: {error.strerror}") from None
    with os.fdopen(handle, "wb") as file:
        file.write(data)
