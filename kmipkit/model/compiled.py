"""The compiled codec: one function per class, version and direction, built on first use.

From the plan of a class the text of a function is made that expects the fields in their order and
knows nothing else. Whatever it does not expect makes it give up, and the reference codec decides.
Tag and type are compared as one number; a structure checks once that it ends where it should,
which covers every overrun inside; instances are filled through their slots, because a frozen
``__init__`` would cost a third of the decoding.
"""

import linecache
from collections.abc import Callable
from dataclasses import fields
from typing import Any

from kmipkit.model.attribute import Attributes
from kmipkit.model.attribute_field_types import AttributeKind, AttributeListKind
from kmipkit.model.code_generation import Names, Unusual, head, read_lines, write_lines
from kmipkit.model.compiled_attributes import (
    attribute_list_reader,
    attribute_list_writer,
    attribute_reader,
    attribute_writer,
)
from kmipkit.model.field_types import Generic, Kind, OneOf, Place, Selected
from kmipkit.model.memo import memoized
from kmipkit.model.plan import plan
from kmipkit.model.reference import FieldPlan, Nested
from kmipkit.model.structure import Structure
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.versions import Version
from kmipkit.ttlv import binary
from kmipkit.ttlv.limits import Limits
from kmipkit.ttlv.tree import Item

Reader = Callable[[bytes, int, int, Any], Any]
"""(message, first byte, end, value handed in) -> value."""
Writer = Callable[[Any], bytes]

INSIDE = Limits(max_depth=16)
"""Limits for a generic item inside a message; a deeper one is left to the reference codec."""


def _indent(lines: tuple[str, ...] | list[str], by: int = 1) -> list[str]:
    return ["    " * by + line for line in lines]


def _built(names: Names, lines: list[str], name: str, title: str) -> Callable[..., Any]:
    """The function of a text that tracebacks and debuggers can show."""
    source = "\n".join(lines) + "\n"
    filename = f"<kmipkit codec: {title}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    return names.build(source, name, filename)


# --- reading -----------------------------------------------------------------------------------


@memoized
def structure_reader(cls: type[Structure], version: Version) -> Reader:
    """The function that reads the inside of a structure: (message, first byte, end, outer)."""
    names = Names()
    body: list[str] = ["obj = new(cls)", "set_extensions(obj, ())"]
    names.namespace.update(new=object.__new__, cls=cls)
    for slot in fields(cls):
        names.namespace[f"set_{slot.name}"] = vars(_owner(cls, slot.name))[slot.name].__set__
    handed = {"outer": "outer"}
    selectors = {field.by for field in plan(cls, version)} | {
        field.passes for field in plan(cls, version)
    }
    loaded = False
    for field in plan(cls, version):
        lines, loaded = _read_field(field, names, handed, loaded)
        body += lines
        if field.name in selectors:
            body.append(f"f_{field.name} = v")
            handed[field.name] = f"f_{field.name}"
    body += ["if pos != end: raise Unusual", "return obj"]
    text = ["def read(buf, pos, end, outer):", *_indent(body)]
    return _built(names, text, "read", f"read {cls.__name__} {version}")


def _owner(cls: type, name: str) -> type:
    return next(base for base in cls.__mro__ if name in vars(base))


_LOAD = "head, length = read_head(buf, pos) if pos < end else (0, 0)"


def _read_field(
    field: FieldPlan, names: Names, handed: dict[str, str], loaded: bool
) -> tuple[list[str], bool]:
    """The text for one field, and whether ``head`` is that of the next item afterwards."""
    store = f"set_{field.name}(obj, v)"
    if not field.forms:
        default = names.add("default", field.default)
        return [f"v = {default}", store], loaded
    outer = handed.get(field.by or field.passes, "None")
    cases = _cases(field, names, outer)
    load = [] if loaded else [_LOAD]
    if field.repeated or field.spread:
        values = "tuple(values)"
        if field.spread:
            values = "Attributes(tuple(values))"
            names.namespace["Attributes"] = Attributes
        loop = ["while True:", *_indent(_branches(cases, ["break"], ["values.append(v)", _LOAD]))]
        gathered = ["values = []", *loop, f"v = {values}"]
        missing = "raise Unusual" if field.required else f"v = {names.add('none', field.default)}"
        heads = ", ".join(str(number) for number, _ in cases)
        text = [f"if head in ({heads},):", *_indent(gathered), f"else: {missing}"]
        return [*load, *text, store], True
    if field.required:
        return [*load, *_branches(cases, ["raise Unusual"], []), store], False
    default = names.add("default", field.default)
    return [*load, *_branches(cases, [f"v = {default}"], [_LOAD]), store], True


def _branches(
    cases: list[tuple[int, tuple[str, ...]]], otherwise: list[str], after: list[str]
) -> list[str]:
    lines: list[str] = []
    for number, case in cases:
        lines.append(f"{'elif' if lines else 'if'} head == {number}:")
        lines += _indent([*case, *after])
    return [*lines, "else:", *_indent(otherwise)]


def _cases(field: FieldPlan, names: Names, outer: str) -> list[tuple[int, tuple[str, ...]]]:
    return [case for form in field.forms for case in _kind_cases(form.kind, form.tag, names, outer)]


def _kind_cases(
    kind: Kind, tag: int, names: Names, outer: str
) -> list[tuple[int, tuple[str, ...]]]:
    """Per item type that the kind accepts: tag and type as one number, and the text."""
    if isinstance(kind, OneOf):
        return [
            (head(tag, item_type), lines)
            for item_type, option in kind.by_type.items()
            for number, lines in _kind_cases(option, tag, names, outer)
            if number == head(tag, item_type)
        ]
    lines = read_lines(kind, names)
    if lines is not None:
        return [(head(tag, item_type), lines) for item_type in kind.types]
    if isinstance(kind, Nested):
        inside = names.add("inside", structure_reader(kind.cls, kind.version))
        ends = ("start = pos + 8", "pos = start + length")
        return [(head(tag, ItemType.STRUCTURE), (*ends, f"v = {inside}(buf, start, pos, {outer})"))]
    reader = names.add("reader", item_reader(kind))
    call = f"v = {reader}(buf, pos, stop, {outer})"
    padded = ("stop = pos + 8 + length + (-length & 7)", call, "pos = stop")
    # A structure has no padding of its own (KMIP 1.4 §9.1.1.3): its items have.
    whole = ("if length & 7: raise Unusual", "stop = pos + 8 + length", call, "pos = stop")
    return [
        (head(tag, item_type), whole if item_type is ItemType.STRUCTURE else padded)
        for item_type in kind.types
    ]


def item_reader(kind: Kind) -> Reader:
    """The function that reads a whole item of a kind: (message, first byte, end, handed in)."""
    match kind:
        case Nested():
            inside = structure_reader(kind.cls, kind.version)
            return lambda buf, pos, stop, outer: inside(buf, pos + 8, stop, outer)
        case Selected():
            return _selected_reader(kind)
        case AttributeKind():
            return attribute_reader(kind, value_reader)
        case AttributeListKind():
            return attribute_list_reader(kind, value_reader)
    return _generic_reader(kind)


def _selected_reader(kind: Selected) -> Reader:
    readers: dict[Any, Reader] = {}

    def read(buf: bytes, pos: int, stop: int, selector: Any) -> Any:
        reader = readers.get(selector)
        if reader is None:
            chosen = kind.resolve(selector)
            reader = item_reader(chosen)
            # Codes that nobody knows are resolved each time: a peer cannot fill the table, and a
            # vendor's class that is registered later is found.
            if getattr(selector, "is_named", True) or not isinstance(chosen, Generic):
                readers[selector] = reader
        return reader(buf, pos, stop, None)

    return read


def _generic_reader(kind: Kind) -> Reader:
    place = Place()

    def read(buf: bytes, pos: int, stop: int, outer: Any) -> Any:
        if stop > len(buf):
            raise Unusual
        try:
            item = binary.decode(buf[pos:stop], INSIDE)
            return kind.read(item, place, outer)
        except Exception as error:
            raise Unusual from error

    return read


@memoized
def value_reader(kind: Kind, tag: int) -> dict[int, Callable[[bytes, int, int], Any]]:
    """Functions (message, first byte, end of item) -> value, by tag and type of the item."""
    names = Names()
    readers: dict[int, Callable[[bytes, int, int], Any]] = {}
    for number, lines in _kind_cases(kind, tag, names, "None"):
        body = ["length, = read_length(buf, pos + 4)", *lines, "if pos != end: raise Unusual"]
        text = ["def read(buf, pos, end):", *_indent([*body, "return v"])]
        names.namespace["read_length"] = _read_length
        readers[number] = _built(names, text, "read", f"read value {number:#x}")
    return readers


def _read_length(buf: bytes, pos: int) -> tuple[int]:
    return (int.from_bytes(buf[pos : pos + 4], "big"),)


# --- writing -----------------------------------------------------------------------------------


@memoized
def structure_writer(cls: type[Structure], version: Version, strict: bool) -> Writer:
    """The function that gives the inside of a structure as bytes."""
    names = Names()
    body = ["if obj.__class__ is not cls or obj.extensions: raise Unusual", "out = []"]
    body.append("put = out.append")
    names.namespace.update(cls=cls)
    for field in plan(cls, version):
        body += _write_field(field, names, strict)
    body.append("return b''.join(out)")
    text = ["def write(obj):", *_indent(body)]
    mode = "strict" if strict else "lenient"
    return _built(names, text, "write", f"write {cls.__name__} {version} {mode}")


def _write_field(field: FieldPlan, names: Names, strict: bool) -> list[str]:
    take = f"v = obj.{field.name}"
    if not field.forms:
        if not strict:
            return []
        absent = "v is not None" if field.default is None else "v"
        return [take, f"if {absent}: raise Unusual"]
    value = _write_value(field, names, strict)
    if field.spread:
        missing = ["if not v: raise Unusual"] if field.required else []
        return [take, *missing, "for v in v.items if v else ():", *_indent(value)]
    if field.repeated:
        missing = ["if not v: raise Unusual"] if field.required else []
        return [take, *missing, "for v in v:", *_indent(value)]
    if field.required:
        return [take, *value]
    return [take, "if v is not None:", *_indent(value)]


def _write_value(field: FieldPlan, names: Names, strict: bool) -> list[str]:
    if len(field.forms) == 1:
        form = field.forms[0]
        lines = write_lines(form.kind, form.tag, names, strict=strict)
        if lines is not None:
            return list(lines)
        if isinstance(form.kind, Nested):
            inside = structure_writer(form.kind.cls, form.kind.version, strict)
            put_head = f"put(put_head({head(form.tag, ItemType.STRUCTURE)}, len(v)))"
            return [f"v = {names.add('inside', inside)}(v)", put_head, "put(v)"]
        return [f"put({names.add('writer', item_writer(form.kind, form.tag, strict))}(v))"]
    table = {
        form.kind.cls: item_writer(form.kind, form.tag, strict)
        for form in field.forms
        if isinstance(form.kind, Nested)
    }
    return [f"put({names.add('writers', table)}[v.__class__](v))"]


def item_writer(kind: Kind, tag: int, strict: bool) -> Writer:
    """The function that gives a whole item of a kind as bytes, empty where it is left out."""
    match kind:
        case Nested():
            return _framed(structure_writer(kind.cls, kind.version, strict), tag)
        case Selected():
            return _selected_writer(kind, tag, strict)
        case OneOf():
            return _one_of_writer(kind, tag, strict)
        case AttributeKind():
            return attribute_writer(kind, tag, strict, value_writer)
        case AttributeListKind():
            return attribute_list_writer(kind, tag, strict, value_writer)
    return _reference_writer(kind, tag, strict)


def _framed(inside: Writer, tag: int) -> Writer:
    prefix = head(tag, ItemType.STRUCTURE).to_bytes(4, "big")

    def write(value: Any) -> bytes:
        content = inside(value)
        return prefix + len(content).to_bytes(4, "big") + content

    return write


def _selected_writer(kind: Selected, tag: int, strict: bool) -> Writer:
    writers: dict[type, Writer] = {Item: _reference_writer(Generic(), tag, strict)}

    def write(value: Any) -> bytes:
        writer = writers.get(value.__class__)
        if writer is None:
            writer = item_writer(kind.kind_of_class(value.__class__), tag, strict)
            writers[value.__class__] = writer
        return writer(value)

    return write


def _one_of_writer(kind: OneOf, tag: int, strict: bool) -> Writer:
    options = [(option, value_writer(option, tag, strict)) for option in kind.options]

    def write(value: Any) -> bytes:
        for option, writer in options:
            if option.accepts(value):
                return writer(value)
        raise Unusual

    return write


def _reference_writer(kind: Kind, tag: int, strict: bool) -> Writer:
    place = Place(strict=strict)

    def write(value: Any) -> bytes:
        try:
            item = kind.write(tag, value, place)
        except Exception as error:
            raise Unusual from error
        return b"" if item is None else binary.encode(item)

    return write


@memoized
def value_writer(kind: Kind, tag: int, strict: bool) -> Writer:
    """Like :func:`item_writer`, for primitive kinds as well."""
    names = Names()
    lines = write_lines(kind, tag, names, strict=strict)
    if lines is None:
        return item_writer(kind, tag, strict)
    text = ["def write(v):", *_indent(["out = []", "put = out.append", *lines])]
    text += _indent(["return b''.join(out)"])
    return _built(names, text, "write", f"write value {tag:#x}")
