"""Data objects to and from XML, as their declarations say; nothing here knows any one type.

What is written is gated by the version of the client: an element or a type that is newer than it is
left out, because pyVmomi fails on elements that it does not know. ``xsi:type`` is written wherever the
declared type has subclasses, and for every ``anyType``.

What is read may come in any order and with any prefix. Elements that are not declared are settings of
the product which the laboratory does not have: they are ignored.
"""

import base64
import binascii
import logging
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

from lxml import etree

from kmipkit_vsphere.model.errors import InvalidArgument
from kmipkit_vsphere.web_services.versions import Version
from kmipkit_vsphere.web_services.vim25.declaration import (
    STRING,
    TYPES,
    VIM25,
    AnyType,
    DataObject,
    Element,
    Kind,
    Primitive,
    Ref,
    Shape,
    Value,
    VimEnum,
    elements,
    kind_name,
    shape_of_value,
)

XSI: Final = "http://www.w3.org/2001/XMLSchema-instance"
XSD: Final = "http://www.w3.org/2001/XMLSchema"
_TYPE: Final = f"{{{XSI}}}type"
_NIL: Final = f"{{{XSI}}}nil"
_NOT_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_BOUNDS: Final = {"byte": 7, "short": 15, "int": 31, "long": 63}
_SPACE: Final = " \t\r\n"
"""The white space of XML, which the simple types other than strings collapse."""

log = logging.getLogger("kmipkit.vsphere.web_services")


# Writing ------------------------------------------------------------------------------------------


class Writer:
    """Writes values below elements of a tree, for clients of one version."""

    def __init__(self, version: Version) -> None:
        self._version = version

    def write(self, parent: etree._Element, name: str, shape: Shape, value: Any) -> None:
        """One element for a value, or as many as an array has; none for None."""
        if value is None or shape.since > self._version:
            return
        values = value if shape.is_array else (value,)
        for item in values:
            self._write_item(parent, name, shape.kind, item)

    def write_any(self, parent: etree._Element, name: str, value: Any) -> None:
        """An ``anyType`` element, which says what it holds."""
        typed = value if isinstance(value, Value) else Value(shape_of_value(value), value)
        if not typed.shape.is_array:
            self._write_item(parent, name, typed.shape.kind, typed.value, is_any=True)
            return
        item_name = typed.shape.kind_name
        namespace = _namespace_of(typed.shape.kind)
        element = etree.SubElement(parent, name)
        array = f"ArrayOf{item_name[:1].upper()}{item_name[1:]}"
        element.set(_TYPE, _qualified(element, namespace, array))
        for item in typed.value:
            self._write_item(element, f"{{{namespace}}}{item_name}", typed.shape.kind, item)

    def _write_item(
        self, parent: etree._Element, name: str, kind: Kind, value: Any, *, is_any: bool = False
    ) -> None:
        if kind is AnyType:
            self.write_any(parent, name, value)
            return
        element = etree.SubElement(parent, name)
        if isinstance(value, Ref):
            if is_any:
                element.set(_TYPE, _qualified(element, VIM25, "ManagedObjectReference"))
            element.set("type", value.type)
            element.text = xml_text(value.value)
        elif isinstance(value, DataObject):
            self._write_object(element, kind, value, is_any=is_any)
        else:
            if is_any:
                own = XSD if isinstance(kind, Primitive) else _namespace_of(kind)
                element.set(_TYPE, _qualified(element, own, kind_name(kind)))
            element.text = _text_of(value)

    def _write_object(
        self, element: etree._Element, kind: Kind, value: DataObject, *, is_any: bool
    ) -> None:
        own = self.visible(type(value))
        assert isinstance(kind, type)
        if is_any or own is not kind or kind.__subclasses__():
            element.set(_TYPE, _qualified(element, own.namespace, own.__name__))
        for field in elements(own):
            name = f"{{{own.namespace}}}{field.name}"
            self.write(element, name, field.shape, getattr(value, field.attribute))

    def write_fault(self, parent: etree._Element, detail: DataObject) -> None:
        """The element of a fault, named after its type, below ``detail``."""
        kind = self.visible(type(detail))
        tag = f"{{{kind.namespace}}}{kind.__name__}Fault"
        element = etree.SubElement(parent, tag, nsmap={None: kind.namespace})
        self._write_object(element, kind, detail, is_any=True)

    def visible(self, kind: type[DataObject]) -> type[DataObject]:
        """The nearest base class of a type that the client knows."""
        for base in kind.__mro__:
            if issubclass(base, DataObject) and base.since <= self._version:
                return base
        raise TypeError(f"{kind.__name__} is no data object")


def _namespace_of(kind: Kind) -> str:
    return kind.namespace if isinstance(kind, type) and issubclass(kind, DataObject) else VIM25


def _qualified(element: etree._Element, namespace: str, name: str) -> str:
    """A name for ``xsi:type``, with the prefix that its namespace has here."""
    if element.nsmap.get(None) == namespace:
        return name
    prefix = next(prefix for prefix, uri in element.nsmap.items() if uri == namespace)
    return f"{prefix}:{name}"


def _text_of(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return xml_text(str(value))


def xml_text(text: str) -> str:
    """The text without the characters that XML cannot hold, such as control characters."""
    return _NOT_XML.sub("\ufffd", text)


# Reading ------------------------------------------------------------------------------------------


class Reader:
    """Reads values from elements, for a server of one version."""

    def __init__(self, version: Version) -> None:
        self._version = version

    def fields(
        self, parent: etree._Element, declared: Iterable[Element], namespace: str
    ) -> dict[str, Any]:
        """The fields that the children of an element hold, by attribute."""
        by_name = {f"{{{namespace}}}{field.name}": field for field in declared}
        values: dict[str, Any] = {}
        for child in parent:
            field = by_name.get(str(child.tag))
            if field is None:
                log.debug("ignored %s in %s: it is not declared", child.tag, parent.tag)
                continue
            if field.shape.since > self._version:
                raise InvalidArgument(
                    f"{field.name} needs version {field.shape.since} of the API; this is"
                    f" {self._version}",
                    invalid_property=field.name,
                )
            if child.get(_NIL) in ("true", "1"):
                continue
            item = self.read(child, field.shape.kind)
            if field.shape.is_array:
                values.setdefault(field.attribute, []).append(item)
            elif field.attribute in values:
                raise _wrong(field.name, "is given twice")
            else:
                values[field.attribute] = item
        for field in by_name.values():
            if not field.shape.is_optional and field.attribute not in values:
                raise _wrong(field.name, "is missing")
        return {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}

    def read(self, element: etree._Element, kind: Kind) -> Any:
        """The value of an element of a kind."""
        if kind is AnyType:
            return self._read_any(element)
        if kind is Ref:
            return _reference(element)
        if isinstance(kind, Primitive):
            return _simple(element, kind)
        if issubclass(kind, VimEnum):
            return _enumerated(element, kind)
        assert issubclass(kind, DataObject)
        return self._read_object(element, kind)

    def _read_object(self, element: etree._Element, declared: type[DataObject]) -> DataObject:
        kind: type[DataObject] = declared
        written = element.get(_TYPE)
        if written is not None:
            namespace, name = _resolved(element, written)
            named = TYPES.get((namespace, name))
            if named is None and declared.is_open:
                named = declared
            if named is None or not issubclass(named, declared):
                raise _wrong(_local(element), f"cannot be a {name}")
            kind = named
        if kind.is_abstract:
            raise _wrong(_local(element), f"needs an xsi:type, one of those of {kind.__name__}")
        if kind.since > self._version:
            raise _wrong(
                _local(element), f"cannot be a {kind.__name__}: that came with {kind.since}"
            )
        return kind(**self.fields(element, elements(kind), kind.namespace))

    def _read_any(self, element: etree._Element) -> Any:
        namespace, name = _resolved(element, element.get(_TYPE) or "xsd:string")
        if namespace == XSD or element.get(_TYPE) is None:
            return _simple(element, Primitive(name) if namespace == XSD else STRING)
        if name == "ManagedObjectReference":
            return _reference(element)
        if name.startswith("ArrayOf"):
            return tuple(
                self._read_item(child, namespace, name[len("ArrayOf") :]) for child in element
            )
        return self._read_item(element, namespace, name)

    def _read_item(self, element: etree._Element, namespace: str, name: str) -> Any:
        kind = TYPES.get((namespace, name))
        if kind is not None:
            return self._read_object(element, kind)
        if name == "ManagedObjectReference":
            return _reference(element)
        lower = name[:1].lower() + name[1:]
        if lower in _PRIMITIVE_NAMES:
            return _simple(element, Primitive(lower))
        raise _wrong(_local(element), f"cannot be a {name}")


_PRIMITIVE_NAMES: Final = {
    *("string", "boolean", "byte", "short", "int", "long", "float", "double"),
    *("dateTime", "base64Binary"),
}


def _resolved(element: etree._Element, name: str) -> tuple[str, str]:
    """Namespace and local name of a qualified name in an attribute."""
    prefix, colon, local = name.strip(_SPACE).rpartition(":")
    if prefix in ("xsd", "xs") and prefix not in element.nsmap:
        return XSD, local
    return element.nsmap.get(prefix if colon else None) or VIM25, local


def _reference(element: etree._Element) -> Ref:
    value = (element.text or "").strip(_SPACE)
    kind = element.get("type", "")
    if not value or not kind:
        raise _wrong(_local(element), "is not a reference to a managed object")
    return Ref(kind, value)


def _enumerated(element: etree._Element, kind: type[VimEnum]) -> VimEnum:
    text = (element.text or "").strip(_SPACE)
    try:
        return kind(text)
    except ValueError:
        raise _wrong(_local(element), f"is not one of {', '.join(kind)}: {text!r}") from None


def _simple(element: etree._Element, kind: Primitive) -> Any:
    """A value of a simple type; its text collapses white space, except that of strings."""
    if len(element):
        raise _wrong(_local(element), "holds elements instead of a text")
    text = element.text or ""
    if kind.name not in _PRIMITIVE_NAMES or kind.name == "string":
        return text
    try:
        return _converted(text.strip(_SPACE), kind.name)
    except (ValueError, binascii.Error):
        raise _wrong(_local(element), f"is not of type {kind.name}") from None


def _converted(text: str, name: str) -> Any:
    if name == "boolean":
        return _boolean(text)
    if name in _BOUNDS:
        if re.fullmatch(r"[+-]?[0-9]{1,19}", text) is None:
            raise ValueError(text)
        number = int(text)
        if not -(1 << _BOUNDS[name]) <= number < 1 << _BOUNDS[name]:
            raise ValueError(text)
        return number
    if name in ("float", "double"):
        return float(text)
    if name == "base64Binary":
        return base64.b64decode("".join(text.split()), validate=True)
    time = datetime.fromisoformat(text)
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


def _boolean(text: str) -> bool:
    if text not in ("true", "1", "false", "0"):
        raise ValueError(text)
    return text in ("true", "1")


def _local(element: etree._Element) -> str:
    return etree.QName(element).localname


def _wrong(name: str, problem: str) -> InvalidArgument:
    return InvalidArgument(f"{name} {problem}", invalid_property=name)
