"""The compiled codec: one function per class, version and direction, built on first use.

The plan of a class becomes the text of a function that expects the fields in their order. For anything
else it raises ``Fallback``, and the reference codec decides. The functions are fast because tag and
type are compared as one number, because one check at the end of a structure finds every overrun
inside, and because instances are filled through their slots: a frozen ``__init__`` would take a third
of the time.
"""

import linecache
from collections.abc import Callable
from typing import Any

from kmipkit.errors import LocalProtocolError, RemoteProtocolError
from kmipkit.model.attribute import Attributes
from kmipkit.model.attribute_field_types import AttributeListType, AttributeType
from kmipkit.model.code_generation import (
    GENERIC_LIMITS,
    Fallback,
    Namespace,
    head,
    leave_to_reference,
    read_lines,
    write_lines,
)
from kmipkit.model.compiled_attributes import (
    attribute_list_reader,
    attribute_list_writer,
    attribute_reader,
    attribute_writer,
)
from kmipkit.model.field_types import ChoiceType, DependentType, FieldType, GenericType, Place
from kmipkit.model.memo import memoized
from kmipkit.model.plan import plan
from kmipkit.model.reference import FieldPlan, StructureType
from kmipkit.model.structure import Structure, setters
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.versions import Version
from kmipkit.ttlv import binary
from kmipkit.ttlv.tree import Item

Reader = Callable[[bytes, int, int, Any], Any]
"""(message, first byte, end, selector) -> value."""
Writer = Callable[[Any], bytes]


def _indent(lines: tuple[str, ...] | list[str], by: int = 1) -> list[str]:
    return ["    " * by + line for line in lines]


def _build(names: Namespace, lines: list[str], name: str, title: str) -> Callable[..., Any]:
    """The function of a text; tracebacks and debuggers can show its lines."""
    source = "\n".join(lines) + "\n"
    filename = f"<kmipkit codec: {title}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    return names.build(source, name, filename)


# --- reading -----------------------------------------------------------------------------------


@memoized
def structure_reader(cls: type[Structure], version: Version) -> Reader:
    """The function that reads the inside of a structure: (message, first byte, end, outer)."""
    names = Namespace()
    body: list[str] = ["obj = new(cls)", "set_extensions(obj, ())"]
    names.objects.update(new=object.__new__, cls=cls)
    names.objects.update({f"set_{name}": put for name, put in setters(cls).items()})
    # The local variables with values that select the class of another field.
    variables = {"outer": "outer"}
    selectors = {name for field in plan(cls, version) for name in (field.by, field.passes)}
    head_is_read = False
    for field in plan(cls, version):
        lines, head_is_read = _read_field(field, names, variables, head_is_read)
        body += lines
        if field.name in selectors:
            body.append(f"f_{field.name} = v")
            variables[field.name] = f"f_{field.name}"
    # Every item moves ``pos`` by its own length, so an item that ends beyond the structure, a missing
    # item and a surplus item all show in the comparison of ``pos`` and ``end``.
    body += ["if pos != end: raise Fallback", "return obj"]
    text = ["def read(buf, pos, end, outer):", *_indent(body)]
    read = _build(names, text, "read", f"read {cls.__name__} {version}")
    return read if cls.REPEATS is None else _remembering(read, cls.REPEATS)


MAX_REMEMBERED = 512
"""Values of one structure and version that are kept."""
_MAX_SIZE = 256
"""Bytes of their encoding."""


def _remembering(read: Reader, may_keep: Callable[[Any], bool]) -> Reader:
    """A reader that returns the same value for the same bytes; values are immutable."""
    known: dict[bytes, Any] = {}

    def read_once(buf: bytes, pos: int, end: int, outer: Any) -> Any:
        content = buf[pos:end]
        value = known.get(content)
        if value is None:
            value = read(buf, pos, end, outer)
            if end - pos <= _MAX_SIZE and may_keep(value):
                if len(known) >= MAX_REMEMBERED:
                    known.clear()
                known[content] = value
        return value

    return read_once


_READ_HEAD = "head, length = read_head(buf, pos) if pos < end else (0, 0)"


def _read_field(
    field: FieldPlan, names: Namespace, variables: dict[str, str], head_is_read: bool
) -> tuple[list[str], bool]:
    """The text for a field, and whether ``head`` is the head of the next item afterwards.

    An optional field must read the head of the next item to know whether it is present. If it is not,
    ``head`` remains for the field that follows, so that no head is read twice.
    """
    store = f"set_{field.name}(obj, v)"
    if not field.forms:
        default = names.add("default", field.default)
        return [f"v = {default}", store], head_is_read
    outer = variables.get(field.by or field.passes, "None")
    cases = _cases(field, names, outer)
    load = [] if head_is_read else [_READ_HEAD]
    if field.repeated or field.spread:
        values = "tuple(values)"
        if field.spread:
            values = "Attributes(tuple(values))"
            names.objects["Attributes"] = Attributes
        loop = [
            "while True:",
            *_indent(_branches(cases, ["break"], ["values.append(v)", _READ_HEAD])),
        ]
        repeated = ["values = []", *loop, f"v = {values}"]
        missing = "raise Fallback" if field.required else f"v = {names.add('none', field.default)}"
        heads = ", ".join(str(number) for number, _ in cases)
        # Most repeated fields are absent. Those need no list.
        text = [f"if head in ({heads},):", *_indent(repeated), f"else: {missing}"]
        return [*load, *text, store], True
    if field.required:
        return [*load, *_branches(cases, ["raise Fallback"], []), store], False
    default = names.add("default", field.default)
    return [*load, *_branches(cases, [f"v = {default}"], [_READ_HEAD]), store], True


def _branches(
    cases: list[tuple[int, tuple[str, ...]]], otherwise: list[str], after: list[str]
) -> list[str]:
    lines: list[str] = []
    for number, case in cases:
        lines.append(f"{'elif' if lines else 'if'} head == {number}:")
        lines += _indent([*case, *after])
    return [*lines, "else:", *_indent(otherwise)]


def _cases(field: FieldPlan, names: Namespace, outer: str) -> list[tuple[int, tuple[str, ...]]]:
    return [
        case
        for form in field.forms
        for case in _read_cases(form.field_type, form.tag, names, outer)
    ]


def _read_cases(
    field_type: FieldType, tag: int, names: Namespace, outer: str
) -> list[tuple[int, tuple[str, ...]]]:
    """For each item type that the field type accepts: tag and type as one number, and the text."""
    if isinstance(field_type, ChoiceType):
        return [
            (head(tag, item_type), lines)
            for item_type, option in field_type.by_type.items()
            for number, lines in _read_cases(option, tag, names, outer)
            if number == head(tag, item_type)
        ]
    lines = read_lines(field_type, names)
    if lines is not None:
        return [(head(tag, item_type), lines) for item_type in field_type.item_types]
    if isinstance(field_type, StructureType):
        inside = names.add("inside", structure_reader(field_type.cls, field_type.version))
        ends = ("start = pos + 8", "pos = start + length")
        return [(head(tag, ItemType.STRUCTURE), (*ends, f"v = {inside}(buf, start, pos, {outer})"))]
    reader = names.add("reader", item_reader(field_type))
    call = f"v = {reader}(buf, pos, stop, {outer})"
    padded = ("stop = pos + 8 + length + (-length & 7)", call, "pos = stop")
    # A structure itself has no padding (KMIP 1.4 §9.1.1.3).
    structure_text = (
        "if length & 7: raise Fallback",
        "stop = pos + 8 + length",
        call,
        "pos = stop",
    )
    return [
        (head(tag, item_type), structure_text if item_type is ItemType.STRUCTURE else padded)
        for item_type in field_type.item_types
    ]


def item_reader(field_type: FieldType) -> Reader:
    """The function that reads a whole item of a field type: (message, first byte, end, selector)."""
    match field_type:
        case StructureType():
            inside = structure_reader(field_type.cls, field_type.version)
            return lambda buf, pos, stop, outer: inside(buf, pos + 8, stop, outer)
        case DependentType():
            return _dependent_reader(field_type)
        case AttributeType():
            return attribute_reader(field_type, value_reader)
        case AttributeListType():
            return attribute_list_reader(field_type, value_reader)
    return _generic_reader(field_type)


def _dependent_reader(field_type: DependentType) -> Reader:
    readers: dict[Any, Reader] = {}

    def read(buf: bytes, pos: int, stop: int, selector: Any) -> Any:
        reader = readers.get(selector)
        if reader is None:
            selected_type = field_type.resolve(selector)
            reader = item_reader(selected_type)
            # Unknown codes are resolved each time. Otherwise a peer could fill the table, and a
            # vendor's class that is registered later would not be used.
            if getattr(selector, "is_named", True) or not isinstance(selected_type, GenericType):
                readers[selector] = reader
        return reader(buf, pos, stop, None)

    return read


def _generic_reader(field_type: FieldType) -> Reader:
    place = Place(judge=leave_to_reference)

    def read(buf: bytes, pos: int, stop: int, outer: Any) -> Any:
        if stop > len(buf):
            raise Fallback
        try:
            item = binary.decode(buf[pos:stop], GENERIC_LIMITS)
            return field_type.read(item, place, outer)
        except RemoteProtocolError as error:
            # Its offset is relative to this item; the reference codec finds the one in the message.
            raise Fallback from error

    return read


@memoized
def value_reader(field_type: FieldType, tag: int) -> dict[int, Callable[[bytes, int, int], Any]]:
    """Functions (message, first byte, end of item) -> value, by tag and type of the item."""
    names = Namespace()
    readers: dict[int, Callable[[bytes, int, int], Any]] = {}
    for number, lines in _read_cases(field_type, tag, names, "None"):
        body = ["length, = read_length(buf, pos + 4)", *lines, "if pos != end: raise Fallback"]
        text = ["def read(buf, pos, end):", *_indent([*body, "return v"])]
        names.objects["read_length"] = _read_length
        readers[number] = _build(names, text, "read", f"read value {number:#x}")
    return readers


def _read_length(buf: bytes, pos: int) -> tuple[int]:
    return (int.from_bytes(buf[pos : pos + 4], "big"),)


# --- writing -----------------------------------------------------------------------------------


@memoized
def structure_writer(cls: type[Structure], version: Version, strict: bool) -> Writer:
    """The function that encodes the inside of a structure."""
    names = Namespace()
    # The compiled function cannot write extensions, and would omit the fields of a subclass.
    body = ["if obj.__class__ is not cls or obj.extensions: raise Fallback", "out = []"]
    body.append("put = out.append")
    names.objects.update(cls=cls)
    for field in plan(cls, version):
        body += _write_field(field, names, strict)
    body.append("return b''.join(out)")
    text = ["def write(obj):", *_indent(body)]
    mode = "strict" if strict else "lenient"
    return _build(names, text, "write", f"write {cls.__name__} {version} {mode}")


def _write_field(field: FieldPlan, names: Namespace, strict: bool) -> list[str]:
    load = f"v = obj.{field.name}"
    if not field.forms:
        if not strict:
            return []
        is_set = "v is not None" if field.default is None else "v"
        return [load, f"if {is_set}: raise Fallback"]
    value = _write_value(field, names, strict)
    if field.spread:
        missing = ["if not v: raise Fallback"] if field.required else []
        return [load, *missing, "for v in v.items if v else ():", *_indent(value)]
    if field.repeated:
        missing = ["if not v: raise Fallback"] if field.required else []
        return [load, *missing, "for v in v:", *_indent(value)]
    if field.required:
        return [load, *value]
    return [load, "if v is not None:", *_indent(value)]


def _write_value(field: FieldPlan, names: Namespace, strict: bool) -> list[str]:
    if len(field.forms) == 1:
        form = field.forms[0]
        # A required field cannot be left out.
        needs_value = strict or (field.required and not field.many)
        lines = write_lines(form.field_type, form.tag, names, strict=needs_value)
        if lines is not None:
            return list(lines)
        if isinstance(form.field_type, StructureType):
            inside = structure_writer(form.field_type.cls, form.field_type.version, strict)
            put_head = f"put(put_head({head(form.tag, ItemType.STRUCTURE)}, len(v)))"
            return [f"v = {names.add('inside', inside)}(v)", put_head, "put(v)"]
        item = f"{names.add('writer', item_writer(form.field_type, form.tag, strict))}(v)"
        if strict or not needs_value:
            return [f"put({item})"]
        return [f"v = {item}", "if not v: raise Fallback", "put(v)"]
    # A choice of structures, such as the managed objects: the class determines the tag.
    table = {
        form.field_type.cls: item_writer(form.field_type, form.tag, strict)
        for form in field.forms
        if isinstance(form.field_type, StructureType)
    }
    return [f"put({names.add('writers', table)}[v.__class__](v))"]


def item_writer(field_type: FieldType, tag: int, strict: bool) -> Writer:
    """The function that encodes a whole item of a field type; no bytes if the item is left out."""
    match field_type:
        case StructureType():
            return _framed(structure_writer(field_type.cls, field_type.version, strict), tag)
        case DependentType():
            return _dependent_writer(field_type, tag, strict)
        case ChoiceType():
            return _choice_writer(field_type, tag, strict)
        case AttributeType():
            return attribute_writer(field_type, tag, strict, value_writer)
        case AttributeListType():
            return attribute_list_writer(field_type, tag, strict, value_writer)
    return _reference_writer(field_type, tag, strict)


def _framed(inside: Writer, tag: int) -> Writer:
    prefix = head(tag, ItemType.STRUCTURE).to_bytes(4, "big")

    def write(value: Any) -> bytes:
        content = inside(value)
        return prefix + len(content).to_bytes(4, "big") + content

    return write


def _dependent_writer(field_type: DependentType, tag: int, strict: bool) -> Writer:
    writers: dict[type, Writer] = {Item: _reference_writer(GenericType(), tag, strict)}

    def write(value: Any) -> bytes:
        writer = writers.get(value.__class__)
        if writer is None:
            writer = item_writer(field_type.type_of_class(value.__class__), tag, strict)
            writers[value.__class__] = writer
        return writer(value)

    return write


def _choice_writer(field_type: ChoiceType, tag: int, strict: bool) -> Writer:
    options = [(option, value_writer(option, tag, strict)) for option in field_type.options]

    def write(value: Any) -> bytes:
        for option, writer in options:
            if option.accepts(value):
                return writer(value)
        raise Fallback

    return write


def _reference_writer(field_type: FieldType, tag: int, strict: bool) -> Writer:
    place = Place(strict=strict)

    def write(value: Any) -> bytes:
        try:
            item = field_type.write(tag, value, place)
        except LocalProtocolError as error:
            # Its path begins at this item; the reference codec finds the path from the message.
            raise Fallback from error
        return b"" if item is None else binary.encode(item)

    return write


@memoized
def value_writer(field_type: FieldType, tag: int, strict: bool) -> Writer:
    """Like :func:`item_writer`, but also for primitive types."""
    names = Namespace()
    lines = write_lines(field_type, tag, names, strict=strict)
    if lines is None:
        return item_writer(field_type, tag, strict)
    text = ["def write(v):", *_indent(["out = []", "put = out.append", *lines])]
    text += _indent(["return b''.join(out)"])
    return _build(names, text, "write", f"write value {tag:#x}")
