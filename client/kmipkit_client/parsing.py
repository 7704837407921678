"""From words on the command line to values of KMIP, and back."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar, get_args

from kmipkit.model.attribute import Attributes, attribute_name
from kmipkit.model.attributes import ATTRIBUTE_TYPES, CryptographicParameters, Name
from kmipkit.model.structure import Structure, field_names
from kmipkit.spec.attributes import BY_NAME
from kmipkit.spec.enumeration import OpenEnum, OpenMask
from kmipkit.spec.enums import BlockCipherMode, CryptographicAlgorithm, RevocationReasonCode
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.ttlv.tree import Item
from kmipkit_client.errors import ClientError

_Enum = TypeVar("_Enum", bound=OpenEnum)
TAG_BYTES = 16


def _member(kind: type[_Enum], text: str) -> _Enum:
    name = text.strip().upper().replace("-", "_").replace(" ", "_")
    try:
        return kind[name]
    except KeyError:
        known = ", ".join(member.name for member in kind)
        raise ClientError(f"{text!r} is none of {known}") from None


def algorithm_of(text: str) -> CryptographicAlgorithm:
    """A Cryptographic Algorithm by name. ClientError if there is none of this name."""
    return _member(CryptographicAlgorithm, text)


def reason_of(text: str) -> RevocationReasonCode:
    """A Revocation Reason Code by name. ClientError if there is none of this name."""
    return _member(RevocationReasonCode, text)


def usage_mask(text: str) -> CryptographicUsageMask:
    """A mask from names with commas between them. ClientError for an unknown name."""
    known = {bit.name: bit.value for bit in CryptographicUsageMask.bits()}
    total = 0
    for word in text.replace(",", " ").split():
        name = word.upper().replace("-", "_")
        if name not in known:
            raise ClientError(f"{word!r} is none of {', '.join(known)}")
        total |= known[name]
    return CryptographicUsageMask(total)


def gcm() -> CryptographicParameters:
    """AES-GCM with the full tag."""
    return CryptographicParameters(block_cipher_mode=BlockCipherMode.GCM, tag_length=TAG_BYTES)


def attribute_value(name: str, text: str) -> Any:
    """The value of an attribute from text. ClientError where text cannot say it."""
    row = BY_NAME.get(name)
    if row is None or row.tag not in ATTRIBUTE_TYPES:
        if not name.startswith(("x-", "y-")):
            raise ClientError(f"there is no attribute {name!r}; custom ones begin with x-")
        return text
    kind = ATTRIBUTE_TYPES[row.tag]
    types = get_args(kind) or (kind,)
    for candidate in types:
        if candidate is Name or candidate is str:
            return text
        if isinstance(candidate, type) and issubclass(candidate, OpenEnum):
            return _member(candidate, text)
        if isinstance(candidate, type) and issubclass(candidate, OpenMask):
            return usage_mask(text)
    try:
        return _plain(types, text)
    except ValueError:
        raise ClientError(f"{text!r} cannot be a value of {name}") from None


def _plain(types: tuple[Any, ...], text: str) -> Any:
    if bool in types:
        return {"true": True, "yes": True, "false": False, "no": False}[text.lower()]
    if datetime in types:
        moment = datetime.fromisoformat(text)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return int(text)


def described(attributes: Attributes) -> dict[str, Any]:
    """Attributes as data that JSON knows; several instances as a list."""
    found: dict[str, list[Any]] = {}
    for attribute in attributes:
        found.setdefault(attribute_name(attribute.key), []).append(_data(attribute.value))
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


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
        return [_data(one) for one in value]
    if isinstance(value, Structure):
        parts = ((name, getattr(value, name)) for name in field_names(type(value)))
        return {name: _data(part) for name, part in parts if part not in (None, ())}
    return repr(value) if isinstance(value, Item) else value


def lines(value: Any, indent: str = "") -> Iterator[str]:
    """Data for people: a line for each value."""
    if isinstance(value, dict):
        for name, inner in value.items():
            nested = isinstance(inner, dict) or (
                isinstance(inner, list) and any(isinstance(one, dict) for one in inner)
            )
            if nested:
                yield f"{indent}{name}:"
                yield from lines(inner, indent + "  ")
            else:
                yield f"{indent}{name}: {_words(inner)}"
    elif isinstance(value, list):
        for inner in value:
            yield from lines(inner, indent)
    else:
        yield f"{indent}{_words(value)}"


def _words(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def write_secret(path: Path, data: bytes) -> None:
    """Write a new file that only its owner may read. ClientError if it exists."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ClientError(f"{path}: exists already; it is not overwritten") from None
    except OSError as error:
        raise ClientError(f"{path}: {error.strerror}") from None
    with os.fdopen(handle, "wb") as file:
        file.write(data)
