"""Mutants of our server: the table of faults that the conformance tester's own suite has to notice.

They are made from the operations and the source, so that new code gets mutants of its own:

* of each handler: every field of its request is ignored, every field of its response left out or
  changed, every failure has another Result Reason, and what changes the store reports success only;
* of each function of the rules (``operations``, ``objects``): one expression of its source is
  replaced. Which of all that are possible is chosen by a hash of its text, so the choice has no bias
  and stays the same while the function does.

:data:`UNSEEN` has the mutants that no tester could notice, each with the reason.
"""

import ast
import dataclasses
import enum
import hashlib
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, get_type_hints
from unittest.mock import patch

import kmipkit_server.objects
import kmipkit_server.operations
from kmipkit_server.engine.registry import ServedOperation
from kmipkit_server.operations.table import STANDARD

from kmipkit.errors import OperationError
from kmipkit.model.attribute import Attributes
from kmipkit.model.structure import Structure, Wire
from kmipkit.spec.enums import Operation, ResultReason
from kmipkit.spec.tags import Tag

Work = Callable[..., Any]


@dataclass(frozen=True)
class Mutant:
    """A named fault: ``wrap`` replaces the handler of an operation, or ``code`` that of a function."""

    name: str
    operation: Operation | None = None
    wrap: Callable[[Work], Work] | None = None
    tag: Tag | None = None
    """The field that is concerned."""
    of_request: bool = False
    """Whether it is a field of the request, not of the response."""
    is_optional: bool = False
    function: FunctionType | None = None
    code: CodeType | None = None

    def rows(self) -> tuple[ServedOperation, ...]:
        """The operations of the server with the fault."""
        if self.wrap is None:
            return STANDARD
        [row] = (row for row in STANDARD if row.operation is self.operation)
        return (*STANDARD, dataclasses.replace(row, handler=self.wrap(row.handler)))

    def install(self) -> None:
        """Replace the function in this process, for all that have imported it."""
        if self.function is not None and self.code is not None:
            function: Any = self.function
            function.__code__ = self.code


# Faults of handlers.


def other_reason(work: Work) -> Work:
    """What fails gives another Result Reason."""

    def handler(call: Any, request: Any) -> Any:
        try:
            return work(call, request)
        except OperationError as error:
            wrong = ResultReason.GENERAL_FAILURE
            if error.reason is wrong:
                wrong = ResultReason.INVALID_FIELD
            raise OperationError(wrong, "mutant") from None

    return handler


def refusing(work: Work) -> Work:
    """What should succeed fails."""

    def handler(call: Any, request: Any) -> Any:
        work(call, request)
        raise OperationError(ResultReason.PERMISSION_DENIED, "mutant")

    return handler


CHANGING = ("update", "remove", "set_setting", "put_entry", "remove_entry")
"""The methods of a transaction that change what is stored."""


def forgetting(work: Work) -> Work:
    """Reports success, and changes neither objects nor settings, tickets and the like."""

    def handler(call: Any, request: Any) -> Any:
        kind = type(call.transaction)
        with ExitStack() as patches:
            for change in CHANGING:
                patches.enter_context(patch.object(kind, change, lambda *_, **__: None))
            return work(call, request)

    return handler


def ignoring(field: "dataclasses.Field[Any]") -> Callable[[Work], Work]:
    """A field of the request is ignored."""

    def wrap(work: Work) -> Work:
        return lambda call, request: work(call, request.replace(**{field.name: _empty(field)}))

    return wrap


def omitting(field: "dataclasses.Field[Any]") -> Callable[[Work], Work]:
    """A field is missing from the response."""

    def wrap(work: Work) -> Work:
        return lambda call, request: work(call, request).replace(**{field.name: _empty(field)})

    return wrap


def changing(field: "dataclasses.Field[Any]") -> Callable[[Work], Work]:
    """A field of the response has another value."""

    def wrap(work: Work) -> Work:
        def handler(call: Any, request: Any) -> Any:
            answer = work(call, request)
            value = changed(getattr(answer, field.name))
            return answer.replace(**{field.name: value})

        return handler

    return wrap


def changed(value: Any) -> Any:
    """Another value of the same type; the same if there is none."""
    return next((change(value) for kind, change in CHANGES if isinstance(value, kind)), value)


def _next(member: Any) -> Any:
    members = list(type(member))
    return members[(members.index(member) + 1) % len(members)]


def _with_another_field(value: Any) -> Any:
    """A structure of which the last field that can change has another value."""
    for field in reversed(dataclasses.fields(value)):
        before = getattr(value, field.name)
        if (after := changed(before)) != before:
            return value.replace(**{field.name: after})
    return value


CHANGES: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (bool, lambda value: not value),
    (enum.Enum, _next),
    (int, lambda value: value + 1),
    (str, lambda value: f"{value}x"),
    (bytes, lambda value: bytes(byte ^ 1 for byte in value) or b"\1"),
    (datetime, lambda value: value + timedelta(days=1)),
    (tuple, lambda value: value[1:]),
    (Attributes, lambda value: Attributes(tuple(value)[1:])),
    (Structure, _with_another_field),
)
"""Another value of each type."""


def _empty(field: "dataclasses.Field[Any]") -> Any:
    return (
        field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
    )


def _tag(field: "dataclasses.Field[Any]", kind: type) -> Tag | None:
    annotation = get_type_hints(kind, include_extras=True)[field.name]
    wires = [each for each in getattr(annotation, "__metadata__", ()) if isinstance(each, Wire)]
    return Tag(wires[0].tag) if wires and wires[0].tag is not None else None


def _fields(kind: type | None) -> Iterator["dataclasses.Field[Any]"]:
    """The fields that the standard has; vendors have all of their own in ``extensions``."""
    fields = dataclasses.fields(kind) if kind is not None else ()  # type: ignore[arg-type]  # of structures
    return (field for field in fields if field.name != "extensions")


def _is_optional(field: "dataclasses.Field[Any]") -> bool:
    missing = dataclasses.MISSING
    return field.default is not missing or field.default_factory is not missing


def _payload(row: ServedOperation, side: str) -> type | None:
    reference = getattr(row.protocol, f"{side}_payload")
    if isinstance(reference, str):
        module, _, name = reference.partition(":")
        return getattr(importlib.import_module(module), name)  # type: ignore[no-any-return]
    return reference  # type: ignore[no-any-return]


def handler_mutants() -> Iterator[Mutant]:
    """The faults of every handler."""
    for row in STANDARD:
        name = row.operation.name.lower()

        def make(fault: str, wrap: Any, tag: Tag | None = None, **how: Any) -> Mutant:
            return Mutant(f"{name}: {fault}", row.operation, wrap, tag, **how)  # noqa: B023 - called at once

        yield make("refuses", refusing)
        yield make("another reason", other_reason)
        if row.writes and not row.creates:
            yield make("forgets", forgetting)
        request, response = _payload(row, "request"), _payload(row, "response")
        for field in _fields(request):
            if _is_optional(field):
                tag = _tag(field, request)  # type: ignore[arg-type]
                yield make(
                    f"ignores {field.name}", ignoring(field), tag, of_request=True, is_optional=True
                )
        for field in _fields(response):
            tag = _tag(field, response)  # type: ignore[arg-type]
            if _is_optional(field):
                yield make(f"omits {field.name}", omitting(field), tag, is_optional=True)
            else:
                yield make(f"changes {field.name}", changing(field), tag)


# Faults of the rules.


class Site:
    """One place of a function's source, and what replaces it."""

    def __init__(self, node: ast.AST, fault: str, new: Callable[[], ast.AST]) -> None:
        self.node, self.fault, self.new = node, fault, new

    @property
    def text(self) -> str:
        return f"{self.fault} {' '.join(ast.unparse(self.node).split())[:100]}"


_OPPOSITE: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}


def _same(node: ast.expr) -> ast.expr:
    return node


def _negated(node: ast.expr) -> ast.expr:
    return ast.UnaryOp(ast.Not(), node)


def sites(function: ast.AST) -> Iterator[Site]:
    """The places of a function that can be mutated."""
    for node in ast.walk(function):
        match node:
            case ast.If(test=test) | ast.IfExp(test=test):
                yield Site(test, "not", partial(_negated, test))
            case ast.comprehension(ifs=[test, *_]):
                yield Site(test, "always", partial(ast.Constant, True))
            case ast.BoolOp(values=[first, *_]):
                yield Site(node, "only the first of", partial(_same, first))
            case ast.Compare(left=left, ops=[op], comparators=right):
                other = _OPPOSITE[type(op)]()
                yield Site(
                    node,
                    "opposite of",
                    partial(ast.Compare, left, [other], right),
                )
            case ast.Attribute(value=ast.Name(id="ResultReason"), attr=attr):
                wrong = "GENERAL_FAILURE" if attr != "GENERAL_FAILURE" else "INVALID_FIELD"
                yield Site(
                    node,
                    "another reason than",
                    partial(ast.Attribute, node.value, wrong, ast.Load()),
                )
            case ast.Raise() | ast.Expr(value=ast.Call()):
                yield Site(node, "no", ast.Pass)


class _Replacing(ast.NodeTransformer):
    def __init__(self, site: Site) -> None:
        self._site = site

    def visit(self, node: ast.AST) -> Any:
        return self._site.new() if node is self._site.node else self.generic_visit(node)


PACKAGES = (kmipkit_server.operations, kmipkit_server.objects)


def modules() -> Iterator[ModuleType]:
    for package in PACKAGES:
        for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            yield importlib.import_module(found.name)


def rule_mutants() -> Iterator[Mutant]:
    """One fault of each function of the rules."""
    for module in modules():
        source = Path(str(module.__file__)).read_text()
        short = module.__name__.removeprefix("kmipkit_server.")
        for path, function in _functions(ast.parse(source)):
            found = _function(module, path)
            if found is None:
                continue
            name = f"{short}.{'.'.join(path)}"
            chosen = min(sites(function), key=lambda site: _hash(name + site.text), default=None)
            if chosen is not None:
                yield Mutant(
                    f"{name}: {chosen.text}",
                    function=found,
                    code=_mutated(source, found, path, chosen),
                )


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _functions(
    tree: ast.AST, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], ast.AST]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield (*path, node.name), node
        elif isinstance(node, ast.ClassDef):
            yield from _functions(node, (*path, node.name))


def _function(module: ModuleType, path: tuple[str, ...]) -> FunctionType | None:
    """The function of the module, without what decorates it."""
    found: Any = module
    for name in path:
        found = inspect.getattr_static(found, name, None)
    if isinstance(found, property):
        found = found.fget
    found = getattr(found, "__func__", found)
    return inspect.unwrap(found) if isinstance(inspect.unwrap(found), FunctionType) else None


def _mutated(source: str, function: FunctionType, path: tuple[str, ...], site: Site) -> CodeType:
    """The code of a function whose source has the fault."""
    tree = ast.parse(source)
    [twin] = (node for at, node in _functions(tree) if at == path)
    same = next(each for each in sites(twin) if each.text == site.text)
    module = ast.fix_missing_locations(_Replacing(same).visit(tree))
    codes = _codes(compile(module, function.__code__.co_filename, "exec"))
    wanted = function.__code__
    return next(
        code
        for code in codes
        if (code.co_qualname, code.co_firstlineno) == (wanted.co_qualname, wanted.co_firstlineno)
    )


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def all_mutants() -> list[Mutant]:
    return [*handler_mutants(), *rule_mutants()]


UNSEEN = {
    "ping: another reason": "the handler has no error of its own",
    "log: another reason": "the handler has no error of its own",
    "query: another reason": "the standard has no error for it (KMIP 1.4 §11.26)",
    "discover_versions: another reason": "the standard has no error for it (KMIP 1.4 §11.27)",
    "cancel: another reason": "the standard has no error for it (KMIP 1.4 §11.28)",
    "rng_retrieve: another reason": "only the generator itself can fail (KMIP 1.4 §11.36)",
    "rng_seed: another reason": "only the generator itself can fail (KMIP 1.4 §11.37)",
    "get_constraints: another reason": "the handler has no error of its own",
    "get_constraints: refuses": "a server may keep it for some accounts (KMIP 2.1 §6.1.22)",
    "query_asynchronous_requests: another reason": "the handler has no error of its own",
    "set_constraints: another reason": "only other accounts are refused (KMIP 2.1 §6.1.52)",
    "set_constraints: refuses": "a server may keep it for some accounts (KMIP 2.1 §6.1.52)",
    "set_defaults: refuses": "a server may keep it for some accounts (KMIP 2.1 §6.1.53)",
    "cancel: changes asynchronous_correlation_value": "any value may be there (Profiles 2.1 §4.1.1)",
    "obtain_lease: changes lease_time": "any value may be there (Profiles 2.1 §4.1.1)",
    "obtain_lease: changes last_change_date": "any value may be there (Profiles 2.1 §4.1.1)",
    "sign: ignores digested_data": "the same as a server without this optional feature",
    "signature_verify: ignores digested_data": "the same as a server without this optional feature",
    "rng_seed: changes data_length": "the server decides what it uses (KMIP 1.4 §4.36)",
}
"""Mutants that no tester can notice, and why."""
