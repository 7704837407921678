"""Messages as JSON, and what was wrong with a message that does not fit its type.

An error names the parameter and what it must be, never its value: the value may be a key.
:class:`Secret` is base64 as JSON, :class:`SecretText` is a string.
"""

import base64
import binascii
import re
from collections.abc import Hashable, Sequence
from functools import cache
from typing import Any, Final, TypeVar, cast

import msgspec
from msgspec import inspect

from kmipkit_vsphere.model.errors import InvalidArgument
from kmipkit_vsphere.model.keys import Secret, SecretText

T = TypeVar("T")

NO_PARAMETER: Final = "there is no parameter"
"""How the error about a member that a message does not have begins."""

_PLACE: Final = re.compile(r"(?s).* - at `\$(?P<path>[^`]*)`\Z")
_UNKNOWN: Final = re.compile(
    r"(?s)Object contains unknown field `(?P<name>.*)`( - at `\$[^`]*`)?\Z"
)
_MISSING: Final = re.compile(r"Object missing required field `(?P<name>\w+)`( - at `\$[^`]*`)?\Z")
_STEP: Final = re.compile(r"\.(?P<name>\w+)|\[(?P<index>[^\]]*)\]")


def _to_json(value: object) -> object:
    if isinstance(value, SecretText):
        return value.reveal().decode()
    if isinstance(value, Secret):
        return base64.b64encode(value.reveal()).decode("ascii")
    raise NotImplementedError(f"a {type(value).__name__} has no form as JSON")


def _from_json(kind: type, value: object) -> object:
    if not isinstance(value, str):
        raise TypeError("not a string")
    if kind is SecretText:
        return SecretText(value.encode())
    if kind is Secret:
        try:
            return Secret(base64.b64decode(value, validate=True))
        except (binascii.Error, ValueError):
            raise ValueError("not base64") from None
    raise NotImplementedError(f"a {kind.__name__} has no form as JSON")


_ENCODER: Final = msgspec.json.Encoder(enc_hook=_to_json)


@cache
def _decoder(kind: Hashable) -> "msgspec.json.Decoder[Any]":
    return msgspec.json.Decoder(cast("Any", kind), dec_hook=_from_json)


def encode(value: object) -> bytes:
    """A message, or any value made of such, as compact JSON. Secrets are in it."""
    return _ENCODER.encode(value)


def decode(data: bytes | msgspec.Raw, kind: type[T]) -> T:
    """The message in ``data``.

    Raises :class:`InvalidArgument`, which names the parameter that does not fit.
    """
    try:
        message: T = _decoder(cast("Hashable", kind)).decode(data)
    except msgspec.ValidationError as error:
        raise _invalid(str(error), kind) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise InvalidArgument("this is not JSON in UTF-8") from None
    except RecursionError:
        raise InvalidArgument("the parameters are nested too deeply") from None
    return message


def to_builtins(value: object) -> Any:
    """The value as JSON has it: dictionaries, lists, texts, numbers. Secrets are in it."""
    return msgspec.to_builtins(value, enc_hook=_to_json)


def convert(value: object, kind: type[T]) -> T:
    """The reverse of :func:`to_builtins`; raises :class:`InvalidArgument` as :func:`decode`."""
    try:
        return msgspec.convert(value, kind, dec_hook=_from_json)
    except msgspec.ValidationError as error:
        raise _invalid(str(error), kind) from None


def convert_texts(fields: dict[str, Any], kind: type[T]) -> T:
    """The message whose fields are texts, such as ``5`` and ``true``; errors as :func:`decode`."""
    try:
        return msgspec.convert(fields, kind, strict=False, dec_hook=_from_json)
    except msgspec.ValidationError as error:
        raise _invalid(str(error), kind) from None


def json_schema(kinds: Sequence[Any]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """JSON Schemas of types, and the components that they refer to, as OpenAPI places them."""
    schemas, components = msgspec.json.schema_components(
        kinds, schema_hook=_schema, ref_template="#/components/schemas/{name}"
    )
    # Defaults in them are values of Python so far, such as tuples.
    return decode(encode((schemas, components)), tuple[list[dict[str, Any]], dict[str, Any]])


def _schema(kind: type) -> dict[str, Any]:
    if kind is SecretText:
        return {"type": "string", "format": "password"}
    if kind is Secret:
        return {"type": "string", "contentEncoding": "base64"}
    raise NotImplementedError(f"a {kind.__name__} has no form as JSON")


def _invalid(problem: str, kind: Any) -> InvalidArgument:
    """An error for people from a message of msgspec, of which only the place is used."""
    place = _PLACE.match(problem)
    path = place["path"] if place else ""
    unknown = _UNKNOWN.match(problem)
    if unknown:
        name = f"{path}.{unknown['name'][:100]}".lstrip(".")
        return InvalidArgument(f"{NO_PARAMETER} {name}", invalid_property=name)
    missing = _MISSING.match(problem)
    if missing:
        path += f".{missing['name']}"
    if not path:
        return InvalidArgument("the parameters must be a JSON object")
    parameter = path.lstrip(".")
    return InvalidArgument(
        f"the parameter {parameter} must be {_expected(inspect.type_info(kind), path)}",
        invalid_property=parameter,
    )


def _expected(info: inspect.Type, path: str) -> str:
    for step in _STEP.finditer(path):
        info = _inner(_present(info), step["name"])
    return _describe(_present(info))


def _present(info: inspect.Type) -> inspect.Type:
    """The type of an optional value where the value is present."""
    if isinstance(info, inspect.UnionType):
        return next(kind for kind in info.types if not isinstance(kind, inspect.NoneType))
    return info


def _inner(info: inspect.Type, name: str | None) -> inspect.Type:
    if isinstance(info, inspect.StructType):
        return next(field.type for field in info.fields if field.encode_name == name)
    if isinstance(info, inspect.DictType):
        return info.value_type
    if isinstance(info, inspect.ListType | inspect.VarTupleType):
        return info.item_type
    return inspect.AnyType()


def _describe(info: inspect.Type) -> str:
    match info:
        case inspect.StrType(min_length=low, max_length=high) if high is not None:
            return f"a string of {low or 0} to {high} characters"
        case inspect.IntType(ge=low, le=high) if high is not None:
            return f"an integer from {low or 0} to {high}"
        case inspect.EnumType(cls=members):
            return f"one of {', '.join(str(member.value) for member in members)}"
        case inspect.LiteralType(values=values):
            return f"one of {', '.join(map(str, values))}"
        case inspect.BytesType():
            return "base64"
        case inspect.CustomType(cls=kind) if kind is Secret:
            return "base64"
        case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item):
            return f"a list of {'objects' if isinstance(item, inspect.StructType) else 'strings'}"
        case inspect.DictType(value_type=inspect.StrType()):
            return "an object of strings"
        case _:
            return _DESCRIPTIONS.get(type(info), "an object")


_DESCRIPTIONS: Final[dict[type[inspect.Type], str]] = {
    inspect.StrType: "a string",
    inspect.CustomType: "a string",
    inspect.IntType: "an integer",
    inspect.BoolType: "true or false",
    inspect.UUIDType: "a UUID",
    inspect.DateTimeType: "a time such as 2026-01-31T12:00:00Z",
}
