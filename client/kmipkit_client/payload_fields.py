"""The fields of a request payload as arguments and options of a command, and payloads as text."""

import dataclasses
import typing
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import click

from kmipkit.model import operations
from kmipkit.model.attribute import Attribute, Attributes, VendorName, attribute_key
from kmipkit.model.codec import to_tree
from kmipkit.model.structure import Structure
from kmipkit.spec.enumeration import OpenEnum, OpenMask
from kmipkit.spec.enums import Operation
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import Version
from kmipkit.terminal import echo
from kmipkit.ttlv import json
from kmipkit.ttlv.printer import format_item
from kmipkit.ttlv.tree import Item
from kmipkit_client.errors import ClientError
from kmipkit_client.json_values import alternatives, element_type, from_text, is_structure
from kmipkit_client.parsing import parse_attributes
from kmipkit_client.values import adjustment, attribute, attributes

IDENTIFIERS = ("unique_identifier", "private_key_unique_identifier")
_ATTRIBUTE = "Attribute, by its standard name, or x-NAME for a custom attribute"


class PayloadFields:
    """The fields of the request payload of an operation."""

    def __init__(self, name: str) -> None:
        self.operation = Operation[name]
        row = operations.row(self.operation)
        payload = row.request(row.since) if row is not None else None
        assert payload is not None  # the table of commands has operations of the standard only
        self._class: type[Structure] = payload
        self._hints = typing.get_type_hints(payload)
        self._declared = [
            field for field in dataclasses.fields(payload) if field.name != "extensions"
        ]

    def parameters(self) -> Iterator[click.Parameter]:
        """An argument for the identifier or the only required field, an option for each other field."""
        for field in self._declared:
            if self._is_argument(field):
                yield click.Argument([field.name], metavar=_metavar(field.name))
            else:
                yield self._option(field)

    def _is_required(self, field: "dataclasses.Field[Any]") -> bool:
        return field.default is dataclasses.MISSING and self._hints[field.name] is not Attributes

    def _is_argument(self, field: "dataclasses.Field[Any]") -> bool:
        first = self._declared[0].name
        if first in IDENTIFIERS:
            return field.name == first
        required = [each for each in self._declared if each.default is dataclasses.MISSING]
        return required == [field] and self._is_required(field)

    def _option(self, field: "dataclasses.Field[Any]") -> click.Option:
        types = alternatives(self._hints[field.name])
        name = f"--{field.name.replace('_', '-')}"
        is_required = self._is_required(field)
        if Attributes in types:
            note = f"{_ATTRIBUTE}; may be repeated."
            return click.Option(
                [name.removesuffix("s"), field.name], multiple=True, metavar="NAME=VALUE", help=note
            )
        if Attribute in types:
            return click.Option(
                [name, field.name],
                required=is_required,
                metavar="NAME=VALUE",
                help=f"{_ATTRIBUTE}.",
            )
        element = element_type(self._hints[field.name])
        notes = [_note(element or self._hints[field.name]), "May be repeated." if element else ""]
        return click.Option(
            [name, field.name],
            required=is_required,
            multiple=element is not None,
            metavar=_kind(element or self._hints[field.name]),
            help=" ".join(filter(None, notes)) or None,
        )

    def payload(self, texts: dict[str, Any]) -> Structure:
        """The payload from the texts of arguments and options. ClientError if one is not valid."""
        values = {
            field.name: self._value(field.name, texts[field.name])
            for field in self._declared
            if texts[field.name] not in (None, ()) or self._hints[field.name] is Attributes
        }
        return self._class(**values)

    def _value(self, name: str, text: Any) -> Any:
        hint = self._hints[name]
        types = alternatives(hint)
        field = next(each for each in self._declared if each.name == name)
        label = _metavar(name) if self._is_argument(field) else f"--{name.replace('_', '-')}"
        if Attributes in types:
            return attributes(parse_attributes(text))
        if Attribute in types:
            [(key, [value])] = parse_attributes([text]).items()
            return attribute(key, value)
        element = element_type(hint)
        if element is not None:
            return tuple(_one(label, element, each) for each in text)
        return _one(label, hint, text)


def _one(label: str, hint: Any, text: str) -> Any:
    types = alternatives(hint)
    if VendorName in types:
        return attribute_key(text)
    if types == (Item,):
        if not text.lstrip("-").isdecimal():
            raise ClientError(f"{label}: {text!r} is not an integer")
        return adjustment(int(text))
    return from_text(label, hint, text)


_KINDS = ((bytes, "HEX"), (bool, "BOOLEAN"), (str, "TEXT"), (int, "INTEGER"), (datetime, "DATE"))
_MAX_NAMES = 12


def _kind(hint: Any) -> str:
    """What to write for a value, in the help."""
    types = alternatives(hint)
    if is_structure(hint):
        return "JSON"
    if _named_values(types):
        return "NAME"
    return next((text for kind, text in _KINDS if kind in types), "TEXT")


def _note(hint: Any) -> str:
    """The names of an enumeration or mask, if they are few."""
    names = _named_values(alternatives(hint))
    return f"{', '.join(names)}." if 0 < len(names) <= _MAX_NAMES else ""


def _named_values(types: tuple[Any, ...]) -> list[str]:
    [first, *others] = types
    if others or not isinstance(first, type):
        return []
    if issubclass(first, OpenEnum):
        return [member.name for member in first]
    return [bit.name for bit in first.bits()] if issubclass(first, OpenMask) else []


def _metavar(name: str) -> str:
    return "IDENTIFIER" if name in IDENTIFIERS else name.upper()


def show(payload: Any, version: Version, as_json: bool, show_secrets: bool) -> None:
    """Print the payload of a response, if it has any field; secrets only if asked for."""
    if payload is None:
        return
    tree = to_tree(payload, version, tag=Tag.RESPONSE_PAYLOAD)
    if as_json:
        echo(json.dump(tree, redact=not show_secrets).rstrip("\n"))
    elif tree.value:
        echo(format_item(tree, show_secrets=show_secrets).rstrip("\n"))
