"""Values of any type of the protocol from the command line: text, and JSON for structures.

A structure is a JSON object with the names of its fields; one of several possible structures is an
object with one key, the name of the class: ``{"SecretData": {"secret_data_type": "PASSWORD", ...}}``.
Bytes are hexadecimal digits, values of enumerations their names, attributes an object from names to
values.
"""

import json
import typing
from collections.abc import Callable
from dataclasses import MISSING, fields
from datetime import UTC, datetime
from pathlib import Path
from types import NoneType, UnionType
from typing import Any

from kmipkit.model.attribute import Attribute, Attributes, attribute_key
from kmipkit.model.structure import Structure
from kmipkit.spec.enumeration import OpenEnum, OpenMask
from kmipkit_client.errors import ClientError
from kmipkit_client.parsing import attribute_value, mask_of, member_of
from kmipkit_client.values import attributes

FILE_PREFIX = "@"


def alternatives(hint: Any) -> tuple[Any, ...]:
    """The types that an annotation allows, without None."""
    if typing.get_origin(hint) in (UnionType, typing.Union):
        parts = [part for each in typing.get_args(hint) for part in alternatives(each)]
        return tuple(part for part in parts if part is not NoneType)
    if typing.get_origin(hint) is typing.Annotated:
        return alternatives(typing.get_args(hint)[0])
    return (hint,)


def element_type(hint: Any) -> Any:
    """The type of the elements of a tuple; None for other types."""
    return typing.get_args(hint)[0] if typing.get_origin(hint) is tuple else None


def is_structure(hint: Any) -> bool:
    """Whether values of this type are written as JSON."""
    return all(
        isinstance(each, type) and issubclass(each, Structure) for each in alternatives(hint)
    )


def from_text(name: str, hint: Any, text: str) -> Any:
    """A value from an argument of the command line; ``@FILE`` is the content of a file.

    Raises:
        ClientError: the text is not valid, or the file cannot be read.
    """
    data = _content(text)
    if isinstance(data, bytes) and bytes in alternatives(hint):
        return data
    if isinstance(data, bytes):
        try:
            text = data.decode()
        except UnicodeDecodeError:
            raise ClientError(f"{name}: {text[1:]} is not a text file") from None
    if not is_structure(hint):
        return from_json(name, hint, text.removesuffix("\n"))
    try:
        return from_json(name, hint, json.loads(text))
    except json.JSONDecodeError as error:
        raise ClientError(f"{name}: not JSON: {error}") from None


def _content(text: str) -> str | bytes:
    if not text.startswith(FILE_PREFIX):
        return text
    try:
        return Path(text[1:]).read_bytes()
    except OSError as error:
        raise ClientError(f"{text[1:]}: {error.strerror}") from None


def from_json(name: str, hint: Any, data: Any) -> Any:
    """A value of an annotated type from JSON. ClientError, which starts with ``name``, if it is none."""
    element = element_type(hint)
    if element is not None:
        if not isinstance(data, list):
            raise ClientError(f"{name}: expected a list, not {type(data).__name__}")
        return tuple(
            from_json(f"{name}[{index}]", element, each) for index, each in enumerate(data)
        )
    types = alternatives(hint)
    if is_structure(hint):
        return _structure(name, types, data)
    if isinstance(data, dict) and len(data) == 1 and next(iter(data)) in _structures(types):
        return _structure(name, tuple(_structures(types).values()), data)
    problem = None
    for kind in types:
        try:
            return _scalar(kind, data)
        except ClientError as error:
            problem = error
        except (ValueError, OverflowError, TypeError):
            continue
    if problem is not None and len(types) == 1:
        raise ClientError(f"{name}: {problem}")
    expected = " or ".join(getattr(kind, "__name__", str(kind)) for kind in types)
    raise ClientError(f"{name}: {data!r} is not valid; expected {expected}")


def _structures(types: tuple[Any, ...]) -> dict[str, type[Structure]]:
    """The structures among some types, by their names."""
    return {
        kind.__name__: kind
        for kind in types
        if isinstance(kind, type) and issubclass(kind, Structure)
    }


def _structure(name: str, types: tuple[Any, ...], data: Any) -> Structure:
    if not isinstance(data, dict):
        raise ClientError(f"{name}: expected a JSON object, not {type(data).__name__}")
    by_name = _structures(types)
    if len(types) == 1 and set(data) != set(by_name):
        return _fields(name, types[0], data)
    [key] = data if len(data) == 1 else [""]
    if key not in by_name:
        raise ClientError(f"{name}: expected an object with one key of {', '.join(by_name)}")
    return _fields(f"{name}.{key}", by_name[key], data[key])


def _fields(name: str, cls: type[Structure], data: Any) -> Structure:
    if not isinstance(data, dict):
        raise ClientError(f"{name}: expected a JSON object, not {type(data).__name__}")
    hints = typing.get_type_hints(cls)
    declared = {field.name: field for field in fields(cls) if field.name != "extensions"}
    unknown = [key for key in data if key not in declared]
    if unknown:
        raise ClientError(f"{name}: no field {unknown[0]!r}; it has {', '.join(declared)}")
    missing = [
        key for key, field in declared.items() if field.default is MISSING and key not in data
    ]
    if missing:
        raise ClientError(f"{name}: the field {missing[0]!r} is missing")
    return cls(**{key: from_json(f"{name}.{key}", hints[key], each) for key, each in data.items()})


def _scalar(kind: Any, data: Any) -> Any:
    if kind is Attributes:
        return attributes({key: _attribute(key, each) for key, each in _expect(data, dict).items()})
    if kind is Attribute:
        [(key, value)] = _expect(data, dict).items()
        return Attribute(attribute_key(key), _attribute(key, value))
    if isinstance(kind, type) and issubclass(kind, OpenEnum):
        return member_of(kind, _expect(data, str))
    if isinstance(kind, type) and issubclass(kind, OpenMask):
        return mask_of(kind, _expect(data, str))
    if kind not in _SCALARS:
        raise ClientError("this field cannot be given on the command line")
    return _SCALARS[kind](data)


def _attribute(name: str, value: Any) -> Any:
    if isinstance(value, list):
        return [_attribute(name, each) for each in value]
    return attribute_value(name, value) if isinstance(value, str) else value


def _expect(data: Any, kind: type) -> Any:
    if not isinstance(data, kind):
        raise ClientError(f"expected {kind.__name__}, not {type(data).__name__}")
    return data


def _boolean(data: Any) -> bool:
    named = {"true": True, "yes": True, "false": False, "no": False}
    if isinstance(data, bool):
        return data
    if str(data).lower() not in named:
        raise ValueError("not a Boolean")
    return named[str(data).lower()]


def _date(data: Any) -> datetime:
    date = datetime.fromisoformat(_expect(data, str))
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def _integer(data: Any) -> int:
    if isinstance(data, bool):
        raise TypeError("not an Integer")
    return int(data)


_SCALARS: dict[Any, Callable[[Any], Any]] = {
    bool: _boolean,
    int: _integer,
    str: lambda data: _expect(data, str),
    bytes: bytes.fromhex,
    datetime: _date,
}
