"""Generates the calls, methods and commands of the operations that have none written by hand.

    python tools/gen_operations.py [--check]

The table of operations and the declarations of their payloads say all that there is to say: which fields
a request has, of which types, and what the response brings. ``tools/unasync.py`` makes the blocking
methods, and those of batches. With ``--check``, nothing is written, and the exit status is 1 if a file
would change.
"""

import dataclasses
import functools
import operator
import re
import sys
import typing
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from types import NoneType, UnionType
from typing import Any

from kmipkit_client import calls, crypto_calls
from unasync import formatted

from kmipkit.model.attribute import Attributes
from kmipkit.model.objects import ManagedObject
from kmipkit.model.operations import STANDARD, OperationRow
from kmipkit.model.payloads.common import KeyPairResponse
from kmipkit.model.structure import Structure
from kmipkit.model.types import Identifier
from kmipkit.spec.operation_spec import Side
from kmipkit.ttlv.tree import Item

ROOT = Path(__file__).resolve().parent.parent / "client" / "kmipkit_client"

IDENTIFIERS = ("unique_identifier", "private_key_unique_identifier")
IMPLICIT = {
    "extensions",
    "attributes",
    "object_type",
    "private_key_attributes",
    "public_key_attributes",
}
"""Fields of responses that repeat what the client knows."""

SUMMARIES = {"PING": "Check that the server responds (KMIP 2.1 §6.1.36)."}
"""Where the docstring of the payload does not say what the operation does."""

EXAMPLES = {
    "CREATE_KEY_PAIR": "--common-attribute 'Cryptographic Algorithm=RSA'"
    " --common-attribute 'Cryptographic Length=3072'"
    " --private-key-attribute 'Cryptographic Usage Mask=SIGN'"
    " --public-key-attribute 'Cryptographic Usage Mask=VERIFY'",
    "RE_KEY": "IDENTIFIER --offset 0",
    "DERIVE_KEY": "--object-type SYMMETRIC_KEY --unique-identifiers IDENTIFIER --derivation-method HMAC"
    " --derivation-parameters @parameters.json --attribute 'Cryptographic Algorithm=AES'"
    " --attribute 'Cryptographic Length=256'",
    "CHECK": "IDENTIFIER --cryptographic-usage-mask ENCRYPT",
    "MODIFY_ATTRIBUTE": "IDENTIFIER --attribute x-Owner=backup --current-attribute x-Owner=storage",
    "DELETE_ATTRIBUTE": "IDENTIFIER --attribute-reference x-Owner",
    "SET_ATTRIBUTE": "IDENTIFIER --attribute 'Protect Stop Date=2027-01-31'",
    "SIGN": "IDENTIFIER --data @message.bin --cryptographic-parameters @sha256.json",
    "SIGNATURE_VERIFY": "IDENTIFIER --data @message.bin --signature-data @message.sig"
    " --cryptographic-parameters @sha256.json",
    "MAC": "IDENTIFIER --data @message.bin",
    "MAC_VERIFY": "IDENTIFIER --data @message.bin --mac-data @message.mac",
    "RNG_RETRIEVE": "32",
    "HASH": "@sha256.json --data @message.bin",
    "CERTIFY": "IDENTIFIER --attribute x-Owner=storage",
    "RE_CERTIFY": "IDENTIFIER --offset 86400",
    "GET_USAGE_ALLOCATION": "IDENTIFIER --usage-limits-count 1000",
    "VALIDATE": "--unique-identifiers IDENTIFIER --unique-identifiers ISSUER",
    "CANCEL": "2f3a9c",
    "POLL": "2f3a9c",
    "PROCESS": "2f3a9c",
    "RE_KEY_KEY_PAIR": "IDENTIFIER --offset 0",
    "RNG_SEED": "@seed.bin",
    "CREATE_SPLIT_KEY": "--object-type SPLIT_KEY --split-key-parts 3 --split-key-threshold 2"
    " --split-key-method XOR --unique-identifier IDENTIFIER",
    "JOIN_SPLIT_KEY": "--object-type SYMMETRIC_KEY --unique-identifiers PART1 --unique-identifiers PART2",
    "IMPORT": "IDENTIFIER --object-type SECRET_DATA --object @object.json",
    "LOG": "'tape library 7 exchanged'",
    "LOGIN": "--lease-time 3600",
    "LOGOUT": "@ticket.json",
    "DELEGATED_LOGIN": "@rights.json --request-count 10",
    "ADJUST_ATTRIBUTE": "IDENTIFIER --attribute-reference 'Rotate Interval' --adjustment-type INCREMENT"
    " --adjustment-value 3600",
    "SET_ENDPOINT_ROLE": "SERVER",
    "PKCS_11": "C_INITIALIZE --pkcs-11-interface 'V3.0'",
    "INTEROP": "--interop-function BEGIN --interop-identifier TC-1-30",
    "RE_PROVISION": "--certificate-request @request.json",
    "SET_DEFAULTS": "--defaults-information @defaults.json",
    "SET_CONSTRAINTS": "--constraints @constraints.json",
    "CREATE_USER": "--attribute Name=ada",
    "CREATE_GROUP": "--attribute Name=operators",
    "CREATE_CREDENTIAL": "--credential-type PASSWORD --credential @credential.json --attribute Name=ada",
}
"""Arguments for the help of commands that need more than an identifier."""


class Source:
    """The text of types, and the imports that it needs."""

    def __init__(self) -> None:
        self.imports: dict[str, set[str]] = {}

    def name(self, module: str, name: str) -> str:
        self.imports.setdefault(module, set()).add(name)
        return name

    def type(self, hint: Any) -> str:
        if hint in _ALIASES:
            return self.name(*_ALIASES[hint])
        origin, arguments = typing.get_origin(hint), typing.get_args(hint)
        if origin in (UnionType, typing.Union):
            rest = tuple(each for each in arguments if each is not NoneType)
            optional = " | None" if len(rest) < len(arguments) else ""
            inner = functools.reduce(operator.or_, rest)
            if inner in _ALIASES or len(rest) == 1:
                return self.type(inner) + optional
            return " | ".join(map(self.type, rest)) + optional
        if origin is tuple:
            return f"tuple[{self.type(arguments[0])}, ...]"
        if hint in (int, str, bytes, bool):
            return str(hint.__name__)
        return self.name(hint.__module__, hint.__name__)

    def lines(self) -> Iterator[str]:
        for module, names in sorted(self.imports.items()):
            yield f"from {module} import {', '.join(sorted(names))}"


_ALIASES: dict[Any, tuple[str, str]] = {
    Identifier: ("kmipkit.model.types", "Identifier"),
    ManagedObject: ("kmipkit.model.objects", "ManagedObject"),
    datetime: ("datetime", "datetime"),
}


@dataclasses.dataclass
class Parameter:
    """A field of a request as parameter of a function."""

    name: str
    type: str
    default: str
    value: str
    """What the field of the payload gets."""
    is_positional: bool = False

    @property
    def text(self) -> str:
        return f"{self.name}: {self.type}{self.default}"


@dataclasses.dataclass
class Function:
    """One operation as a function."""

    row: OperationRow
    name: str
    summary: str
    parameters: list[Parameter]
    request: str
    result: str
    read: str

    @property
    def signature(self) -> str:
        positional = [each.text for each in self.parameters if each.is_positional]
        keywords = [each.text for each in self.parameters if not each.is_positional]
        return ", ".join(positional + (["*", *keywords] if keywords else []))

    @property
    def passed(self) -> str:
        return ", ".join(
            each.name if each.is_positional else f"{each.name}={each.name}"
            for each in sorted(self.parameters, key=lambda each: not each.is_positional)
        )


COMMANDS_BY_HAND = {
    "CREATE",
    "REGISTER",
    "GET",
    "LOCATE",
    "GET_ATTRIBUTES",
    "ADD_ATTRIBUTE",
    "ACTIVATE",
    "REVOKE",
    "DESTROY",
    "ENCRYPT",
    "DECRYPT",
    "QUERY",
    "DISCOVER_VERSIONS",
}


def rows() -> list[OperationRow]:
    """The operations of clients that have no function written by hand."""
    return [
        row
        for row in STANDARD
        if Side.FROM_CLIENT in row.sides and not _is_written(row.operation.name.lower())
    ]


def _is_written(name: str) -> bool:
    name = {"hash": "digest"}.get(name, name)
    return hasattr(calls, name) or hasattr(crypto_calls, name)


def function(row: OperationRow, source: Source) -> Function:
    """An operation, described by its payloads."""
    request = row.request(row.operation.since)
    assert request is not None
    response = row.response(row.operation.since)
    name = row.operation.name.lower()
    result, read = _result(response, source)
    return Function(
        row,
        "import_" if name == "import" else name,
        _summary(row, request, response),
        _parameters(request, source),
        source.name(request.__module__, request.__name__),
        result,
        read,
    )


def _summary(row: OperationRow, request: type[Structure], response: type[Structure] | None) -> str:
    texts = [SUMMARIES.get(row.operation.name, "")]
    texts += [(cls.__doc__ or "").split("\n")[0] for cls in (request, response) if cls is not None]
    text = next(text for text in texts if text and not text.startswith("No fields"))
    return re.sub(r"\((\d\.\d §)", r"(KMIP \1", text).replace("(3.0", "(KMIP 3.0")


def _parameters(request: type[Structure], source: Source) -> list[Parameter]:
    hints = typing.get_type_hints(request)
    fields = [field for field in dataclasses.fields(request) if field.name != "extensions"]
    required = [field for field in fields if field.default is dataclasses.MISSING]
    parameters = []
    for number, field in enumerate(fields):
        is_identifier = number == 0 and field.name in IDENTIFIERS
        is_only = required == [field] and hints[field.name] is not Attributes
        parameter = _parameter(field, hints[field.name], source)
        if is_identifier:
            parameter = Parameter("identifier", "str", "", "identifier")
        if field.name == "object":  # which is a word of Python; Register has this name, too
            parameter = dataclasses.replace(parameter, name="value", value="value")
        parameter.is_positional = is_identifier or (is_only and fields[0].name not in IDENTIFIERS)
        parameters.append(parameter)
    return parameters


def _parameter(field: "dataclasses.Field[Any]", hint: Any, source: Source) -> Parameter:
    name = field.name
    is_required = field.default is dataclasses.MISSING
    if hint in (Attributes, Attributes | None):
        like = source.name("kmipkit_client.values", "AttributesLike")
        convert = "attributes" if is_required else "optional_attributes"
        return Parameter(name, f"{like} | None", " = None", f"values.{convert}({name})")
    if name == "attribute_reference":
        like = source.name("kmipkit_client.values", "AttributeLike")
        return Parameter(name, like, "", f"attribute_key({name})")
    if hint == Item | None:
        return Parameter(name, "int | None", " = None", f"values.adjustment({name})")
    default = "" if is_required else f" = {field.default!r}"
    return Parameter(name, source.type(hint), default, name)


def _result(response: type[Structure] | None, source: Source) -> tuple[str, str]:
    """The type of the result, and the expression that makes it from the payload."""
    if response is None:
        return source.name("typing", "Any"), "payload"
    if issubclass(response, KeyPairResponse):
        pair = source.name("kmipkit_client.values", "KeyPair")
        fields = ("private_key_unique_identifier", "public_key_unique_identifier")
        return pair, f"KeyPair({', '.join(f'str(payload.{field})' for field in fields)})"
    hints = typing.get_type_hints(response)
    own = [each.name for each in dataclasses.fields(response) if each.name not in IMPLICIT]
    is_whole = "object" in hints or len(own) > 1
    if is_whole:
        return source.name(response.__module__, response.__name__), "payload"
    if not own:
        return "None", "None"
    [field] = own
    if field == "unique_identifier":
        return "str", f"str(payload.{field})"
    if field == "unique_identifiers":
        return "tuple[str, ...]", f"tuple(map(str, payload.{field}))"
    return source.type(hints[field]), f"payload.{field}"


HEAD = '"""{doc}\n\nGenerated by tools/gen_operations.py from the table of operations; do not edit.\n"""\n\n'


def calls_text() -> str:
    """The module of the pure calls."""
    source = Source()
    source.name("kmipkit_client.calls", "Call")
    source.name("kmipkit.spec.enums", "Operation")
    source.name("typing", "Any")
    source.name("kmipkit_client", "values")
    source.name("kmipkit.model.attribute", "attribute_key")
    parts = []
    for row in rows():
        f = function(row, source)
        fields = [
            field.name
            for field in dataclasses.fields(row.request(row.operation.since) or Structure)
        ]
        fields.remove("extensions")
        values = ", ".join(f"{n}={p.value}" for n, p in zip(fields, f.parameters, strict=True))
        parts.append(
            f"def {f.name}({f.signature}) -> Call[{f.result}]:\n"
            f'    """{f.summary}"""\n'
            f"    return _call(Operation.{row.operation.name}, {f.request}({values}),"
            f" lambda payload: {f.read})\n"
        )
    own = (
        "\n\ndef _call(operation: Operation, request: Structure, read: Callable[[Any], T]) -> Call[T]:\n"
        "    return Call(operation, lambda _version: request, read)\n"
    )
    source.name("collections.abc", "Callable")
    source.name("typing", "TypeVar")
    source.name("kmipkit.model.structure", "Structure")
    doc = (
        "Calls of the operations whose requests are their payloads, without anything of their own."
    )
    return (
        HEAD.format(doc=doc)
        + "\n".join(source.lines())
        + '\n\nT = TypeVar("T")\n\n\n'
        + "\n\n".join(parts)
        + own
    )


def methods_text() -> str:
    """The module of the methods of the asynchronous client."""
    source = Source()
    source.name("abc", "ABC")
    source.name("abc", "abstractmethod")
    source.name("typing", "TypeVar")
    source.name("kmipkit_client", "payload_calls")
    source.name("kmipkit_client.calls", "Call")
    parts = []
    for row in rows():
        f = function(row, source)
        signature = f"self, {f.signature}" if f.signature else "self"
        parts.append(
            f"    async def {f.name}({signature}) -> {f.result}:\n"
            f'        """{f.summary}"""\n'
            f"        return await self._call(payload_calls.{f.name}({f.passed}))\n"
        )
    used = "\n".join(parts)
    imports = {
        module: {name for name in names if re.search(rf"\b{name}\b", used)}
        for module, names in source.imports.items()
    }
    imports["abc"] = {"ABC", "abstractmethod"}
    imports.setdefault("typing", set()).add("TypeVar")
    imports["kmipkit_client.calls"] = {"Call"}
    source.imports = {module: names for module, names in imports.items() if names}
    doc = "Methods for the operations whose requests are their payloads."
    return (
        HEAD.format(doc=doc)
        + "\n".join(source.lines())
        + '\n\nT = TypeVar("T")\n\n\n'
        + "class AsyncPayloadOperations(ABC):\n"
        + '    """One method per operation; identifiers are those that the server assigned."""\n\n'
        + "    @abstractmethod\n    async def _call(self, call: Call[T]) -> T:\n"
        + '        """The result of a call; a failure is raised."""\n\n'
        + used
    )


def commands_text() -> str:
    """The module of the commands."""
    source = Source()
    lines = []
    for row in STANDARD:
        if Side.FROM_CLIENT not in row.sides or row.operation.name in COMMANDS_BY_HAND:
            continue
        f = function(row, source)
        name = row.operation.name.lower().replace("_", "-")
        default = "IDENTIFIER" if any(p.name == "identifier" for p in f.parameters) else ""
        example = EXAMPLES.get(row.operation.name, default)
        lines.append(
            f"    {name!r}: CommandRow({row.operation.name!r}, {f.summary!r}, {example!r}),"
        )
    doc = "What ``--help`` says of the commands that follow from the table of operations."
    return (
        HEAD.format(doc=doc)
        + "from typing import NamedTuple\n\n\n"
        + 'class CommandRow(NamedTuple):\n    """One command."""\n\n    operation: str\n    summary: str\n    example: str\n'
        + '    """The arguments of an example."""\n\n\n'
        + "COMMANDS = {\n"
        + "\n".join(lines)
        + "\n}\n"
    )


FILES = {
    ROOT / "payload_calls.py": calls_text,
    ROOT / "_async" / "payload_operations.py": methods_text,
    ROOT / "payload_command_table.py": commands_text,
}


def main(arguments: list[str]) -> int:
    check = "--check" in arguments
    stale = []
    for path, text in FILES.items():
        made = formatted(text(), path)
        if not path.exists() or path.read_text(encoding="utf-8") != made:
            stale.append(path.name)
            if not check:
                path.write_text(made, encoding="utf-8")
    if stale:
        print(f"{'not up to date' if check else 'written'}: {', '.join(stale)}")
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
