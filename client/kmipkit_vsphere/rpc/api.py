"""What a role serves at which path: its methods under ``/api/``, their description, the caller.

``POST /api/METHOD`` takes the fields of the request as a JSON object. A method that only reads also
answers ``GET``, with its fields in the query. The answer is JSON, or a fault
(:mod:`kmipkit_vsphere.rpc.faults`). Neither requests nor answers are logged: some hold keys.
"""

import difflib
import json
import logging
from functools import cached_property
from http import HTTPStatus
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl

from kmipkit_vsphere.model.defects import describe
from kmipkit_vsphere.model.encoding import convert_texts, decode, encode
from kmipkit_vsphere.model.errors import (
    InternalFault,
    InvalidArgument,
    NoPermission,
    NotFound,
    VSphereError,
)
from kmipkit_vsphere.rpc import openapi
from kmipkit_vsphere.rpc.call import API, NOTHING_AT, Request, Row, Rows
from kmipkit_vsphere.rpc.http import JSON, Answer, Call, Head, Refusal

DESCRIPTION: Final = "/openapi.json"
_DOCUMENTS: Final = (DESCRIPTION, openapi.CALLER)
"""Paths that everybody with a certificate may read."""
MAX_FIELDS: Final = 256
"""Fields in the query of a URL."""

log = logging.getLogger("kmipkit.vsphere.rpc")


class Caller(NamedTuple):
    """The name in a caller's certificate, and its roles."""

    name: str
    roles: frozenset[str]


class Api:
    """The methods of a role, and the documents beside them."""

    def __init__(self, rows: Rows, title: str) -> None:
        self._rows = rows
        self._title = title

    def accept(self, head: Head, caller: Caller) -> None:
        """Raise :class:`Refusal` unless the caller can be answered, whatever the body is."""
        row = self._find(head.path)
        allowed = ("POST",) if row else ()
        if row is None or row.request.is_query:
            allowed = ("GET", "HEAD", *allowed)
        if head.method not in allowed:
            methods = ", ".join(allowed)
            problem = f"{head.path} answers {methods}; {head.method} is not one of them"
            status = HTTPStatus.METHOD_NOT_ALLOWED
            raise Refusal(InvalidArgument(problem), status, [("Allow", methods)])
        if head.method == "POST":
            _require_json(head)
        if row is not None and row.role not in caller.roles:
            method = row.request.method()
            raise Refusal(
                NoPermission(f"{caller.name} lacks the role {row.role}, which {method} needs")
            )

    async def answer(self, call: Call, caller: Caller) -> Answer:
        """The answer to a call that was accepted; raises :class:`Refusal` if it cannot be read."""
        row = self._find(call.head.path)
        if row is None:
            return Answer(HTTPStatus.OK, self._document(call.head.path, caller))
        try:
            request = _read(call, row.request)
        except InvalidArgument as problem:
            raise Refusal(problem) from None
        log.info("%s calls %s", caller.name, row.request.method())
        return await _run(row, request, caller)

    def _find(self, path: str) -> Row | None:
        """The row of a path, None for a document; Refusal if there is nothing."""
        if path in _DOCUMENTS:
            return None
        row = self._rows.get(path.removeprefix(API)) if path.startswith(API) else None
        if row is None:
            raise Refusal(NotFound(f"{NOTHING_AT} {path[:100]}; {self._hint(path)}"))
        return row

    def _hint(self, path: str) -> str:
        similar = difflib.get_close_matches(path.rpartition("/")[2][:100], self._rows, 1)
        if similar:
            return f"did you mean {API}{similar[0]}?"
        return f"{DESCRIPTION} describes what there is"

    def _document(self, path: str, caller: Caller) -> bytes:
        if path == openapi.CALLER:
            return encode(openapi.CallerInfo(caller.name, sorted(caller.roles)))
        return self._description

    @cached_property
    def _description(self) -> bytes:
        return encode(openapi.describe(self._title, self._rows.values()))


def _require_json(head: Head) -> None:
    """Refuse other types of bodies: they are also what a page of another site can make a browser send.

    A browser asks first before it sends JSON to another site, and no role allows it.
    """
    kind, _, parameters = head.content_type.partition(";")
    charset = parameters.strip().lower().replace('"', "")
    if kind.strip().lower() != JSON or charset not in ("", "charset=utf-8"):
        problem = f"the body must be JSON in UTF-8, and Content-Type must be {JSON}"
    elif head.content_encoding.lower() not in ("", "identity"):
        problem = "the body must not be compressed"
    else:
        return
    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    raise Refusal(InvalidArgument(problem), status, [("Accept", JSON)])


def _read(call: Call, kind: type[Request[Any]]) -> Request[Any]:
    if call.head.method != "POST":
        return convert_texts(_fields(call.head.query, kind), kind)
    request = decode(call.body, kind)
    _require_unique(call.body)
    return request


def _require_unique(body: bytes) -> None:
    """Refuse JSON that gives a member twice: readers differ in which of them counts."""

    def check(members: list[tuple[str, Any]]) -> None:
        names = [name for name, _ in members]
        if len(set(names)) < len(names):
            name = next(name for name in names if names.count(name) > 1)
            raise InvalidArgument(f"the parameter {name[:100]} is given twice")

    try:
        json.loads(body, object_pairs_hook=check)
    except RecursionError:
        raise InvalidArgument("the parameters are nested too deeply") from None


def _fields(query: str, kind: type[Request[Any]]) -> dict[str, Any]:
    """The fields of a request in the query of a URL; a list is a field that is repeated."""
    try:
        pairs = parse_qsl(
            query,
            keep_blank_values=True,
            strict_parsing=bool(query),
            errors="strict",
            max_num_fields=MAX_FIELDS,
        )
    except ValueError:
        raise InvalidArgument("the query of the URL is malformed") from None
    lists = openapi.repeated_fields(kind)
    fields: dict[str, Any] = {}
    for name, value in pairs:
        if name in lists:
            fields.setdefault(name, []).append(value)
        elif name in fields:
            raise InvalidArgument(f"the parameter {name[:100]} is given twice")
        else:
            fields[name] = value
    return fields


async def _run(row: Row, request: Request[Any], caller: Caller) -> Answer:
    method = row.request.method()
    try:
        return Answer(HTTPStatus.OK, encode(await row.handler(request, caller.name)))
    except VSphereError as fault:
        return Refusal(fault).answer
    except Exception as defect:
        # A defect must not end the other connections. Only its kind and its place are logged: its
        # text could hold what was passed in.
        log.error("%s failed: %s", method, describe(defect))
        return Refusal(InternalFault("an internal error; see the log")).answer
