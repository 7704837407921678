"""The XML form (Additional Message Encodings 1.0 §6; Profiles 2.1 §5.4).

The reader uses the events of expat, so that nothing is built beyond the limits. Document types, and
with them entities that expand or that refer to files and URLs, are refused: KMIP does not need them.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any
from xml.parsers import expat
from xml.sax.saxutils import quoteattr

from kmipkit.errors import Cause, LocalProtocolError, RemoteProtocolError
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.names import tag_name, tag_number
from kmipkit.ttlv.binary import encode
from kmipkit.ttlv.building import Builder, Placeholder, check_size
from kmipkit.ttlv.limits import DEFAULT_LIMITS, Limits
from kmipkit.ttlv.redaction import REDACTED, in_secret, is_secret
from kmipkit.ttlv.text import TEXTS, TYPE_NAMES, leading, meaning, write_value
from kmipkit.ttlv.tree import Item

NAMESPACE = "urn:oasis:tc:kmip:xmlns"
"""The namespace of elements, which is optional (§6.1.6)."""

_ROOT = "KMIP"
"""An element around several messages, as in the published test cases."""


class _Reader:
    def __init__(self, limits: Limits, placeholder: Placeholder | None) -> None:
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.StartElementHandler = self.start
        parser.EndElementHandler = self.end
        parser.StartDoctypeDeclHandler = self.forbidden
        parser.EntityDeclHandler = self.forbidden
        parser.ExternalEntityRefHandler = self.forbidden
        parser.ProcessingInstructionHandler = self.forbidden
        self.parser = parser
        self.builder = Builder(limits, lambda: parser.CurrentByteIndex, placeholder)
        self.depth = 0
        self.wrapped = False
        self.in_value = False

    def feed(self, text: bytes | str) -> list[Item]:
        try:
            self.parser.Parse(text, True)
        except expat.ExpatError as error:
            message = f"not well-formed XML: {expat.ErrorString(error.code)}"
            raise RemoteProtocolError(
                f"{message} in line {error.lineno}, column {error.offset + 1}",
                cause=Cause.BAD_SYNTAX,
                offset=self.parser.ErrorByteIndex,
            ) from None
        except (LookupError, ValueError) as error:
            # For an encoding that Python does not know, or a lone surrogate in a str.
            raise RemoteProtocolError(f"XML: {error}", cause=Cause.BAD_SYNTAX) from None
        return self.builder.messages

    def start(self, name: str, attributes: dict[str, str]) -> None:
        namespace, _, name = name.rpartition(" ")
        builder = self.builder
        if self.in_value:
            raise builder.error(Cause.BAD_SYNTAX, f"{name[:80]!r} is inside a value")
        if namespace not in ("", NAMESPACE):
            raise builder.error(Cause.BAD_SYNTAX, f"the namespace must be {NAMESPACE}")
        self.depth += 1
        if self.depth == 1 and name == _ROOT:
            self.wrapped = True
            return
        tag = builder.tag(_tag_in(name, attributes))
        item_type = builder.type(attributes.get("type"))
        if item_type is ItemType.STRUCTURE:
            if "value" in attributes:
                message = "a Structure has no attribute 'value'; the type may be missing"
                raise builder.error(Cause.BAD_SYNTAX, message, tag)
            builder.open(tag)
            return
        self.in_value = True
        if "value" not in attributes:
            raise builder.error(Cause.BAD_SYNTAX, "the attribute 'value' is missing", tag)
        builder.text(tag, item_type, attributes["value"])

    def end(self, _name: str) -> None:
        self.depth -= 1
        if self.in_value:
            self.in_value = False
        elif self.depth or not self.wrapped:
            self.builder.close()

    def forbidden(self, *_: Any) -> int:
        raise self.builder.error(
            Cause.BAD_SYNTAX, "document types, entities and processing instructions are not allowed"
        )


def _tag_in(name: str, attributes: dict[str, str]) -> str:
    """The name of an element's tag (§6.1.6); ``x540001`` is the form in the example of §6.1.6.5."""
    if name == "TTLV":
        return attributes.get("tag", "")
    return f"0{name}" if re.fullmatch("x[0-9A-Fa-f]{6}", name) else name


def parse_all(
    text: bytes | str,
    limits: Limits = DEFAULT_LIMITS,
    *,
    placeholder: Placeholder | None = None,
) -> list[Item]:
    """All messages in an XML document: its one element, or those inside a root element ``KMIP``.

    Other text and comments are ignored. ``placeholder`` resolves values such as ``$NOW`` in the
    published test cases; without it they are errors. Raises RemoteProtocolError, with path and byte
    offset, for anything else, and for a message whose binary form exceeds ``limits``.
    """
    check_size(text, limits)
    return _Reader(limits, placeholder).feed(text)


def parse(text: bytes | str, limits: Limits = DEFAULT_LIMITS) -> Item:
    """The one message in an XML document; errors as of :func:`parse_all`."""
    items = parse_all(text, limits)
    if len(items) != 1:
        message = f"expected one message, not {len(items)}"
        raise RemoteProtocolError(message, cause=Cause.BAD_SYNTAX)
    return items[0]


def dump(item: Item, *, redact: bool = False) -> str:
    """The XML of an item, which ends with a line feed.

    With ``redact``, values that may be key material are replaced, and the result cannot be read back.
    Raises LocalProtocolError for a value that has no binary form, and for text with a control
    character, which XML 1.0 does not permit.
    """
    encode(item)
    return "".join(f"{line}\n" for line in _lines(item, (), redact, "", False))


def _lines(
    item: Item, before: Sequence[Item], redact: bool, indent: str, inside: bool
) -> Iterator[str]:
    inside = in_secret(item.tag, inside)
    name, tag = tag_name(item.tag), ""
    if tag_number(name) is None or name.startswith("0x"):
        name, tag = "TTLV", f' tag="0x{item.tag:06X}"'
    if isinstance(item.value, tuple):
        if not item.value:
            yield f"{indent}<{name}{tag}/>"
            return
        yield f"{indent}<{name}{tag}>"
        for index, child in enumerate(item.value):
            yield from _lines(child, leading(item.value, index), redact, indent + "  ", inside)
        yield f"{indent}</{name}>"
        return
    secret = redact and is_secret(item.tag, item.type, inside)
    text = REDACTED if secret else write_value(item, meaning(item.tag, before))
    yield f'{indent}<{name}{tag} type="{TYPE_NAMES[item.type]}" value={_quoted(item, text)}/>'


def _quoted(item: Item, text: str) -> str:
    if item.type in TEXTS and not all(map(_in_xml, text)):
        message = "XML cannot represent a control character in this text"
        raise LocalProtocolError(message, cause=Cause.BAD_VALUE, path=tag_name(item.tag))
    return quoteattr(text, {"\r": "&#13;"})


def _in_xml(char: str) -> bool:
    """Whether XML 1.0 permits a character (§2.2)."""
    return char in "\t\n\r" or (char >= " " and char not in "\ufffe\uffff")
