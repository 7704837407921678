"""From an HTTP request to the typed request of a route. What cannot be read is refused.

Messages of errors name the field and what was expected, never the value: it may be a password.
"""

import re
from collections.abc import Mapping
from functools import cache
from http import HTTPStatus
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from kmipkit_server.administration.problems import Refused, bad_request, forbidden
from kmipkit_server.administration.routes import AnyRoute, Request
from kmipkit_server.net.application import WebRequest

JSON = "application/json"
MAX_FIELDS = 64
"""Fields in the query of a URL."""


def require_no_browser(request: WebRequest) -> None:
    """Refuse what a page of another site can make a browser send with the administrator's certificate.

    A browser names the site of the page, or says that it is another one (Fetch Metadata). The server
    grants nothing to other sites (CORS), has no cookies, and does not take types of bodies that a form
    can send.
    """
    headers = dict(request.headers)
    origin = headers.get(b"origin")
    if origin is not None and origin.partition(b"://")[2] != headers.get(b"host"):
        raise forbidden("requests from pages of other sites are refused")
    if headers.get(b"sec-fetch-site", b"none") not in (b"none", b"same-origin"):
        raise forbidden("requests from pages of other sites are refused")


def read(route: AnyRoute, request: WebRequest, path_fields: Mapping[str, str]) -> Request:
    """The request with its parameters. Refused if it is not as declared."""
    _, _, query = request.target.partition("?")
    if route.method == "GET":
        if request.body:
            raise bad_request("a request that reads has its parameters in the URL, and no body")
        fields = _query(query, route.request)
    else:
        if query:
            raise bad_request(
                "a request that changes has its parameters in its body, not in the URL"
            )
        fields = _body(request)
    for name in path_fields:
        if name in fields:
            raise bad_request(f"{name} is in the path already")
    values = {**fields, **_from_path(route.request, path_fields)}
    try:
        # What is in the URL is text, whatever its type.
        converted: Request = msgspec.convert(values, route.request, strict=route.method != "GET")
    except msgspec.ValidationError as error:
        raise bad_request(_explained(error)) from None
    return converted


def _from_path(kind: type[Request], path_fields: Mapping[str, str]) -> dict[str, Any]:
    """The parameters in the path, which are text there as well."""
    values = {}
    for field in msgspec.structs.fields(kind):
        if field.name in path_fields:
            try:
                text = path_fields[field.name]
                values[field.name] = msgspec.convert(text, field.type, strict=False)
            except msgspec.ValidationError as error:
                explained = _explained(error)
                raise bad_request(f"the parameter {field.name}: {explained}") from None
    return values


def _query(query: str, kind: type[Request]) -> dict[str, Any]:
    try:
        pairs = parse_qsl(
            query,
            keep_blank_values=True,
            strict_parsing=bool(query),
            errors="strict",
            max_num_fields=MAX_FIELDS,
        )
    except ValueError:
        raise bad_request("the query of the URL is malformed") from None
    lists = repeated_fields(kind)
    fields: dict[str, Any] = {}
    for name, value in pairs:
        if name in lists:
            fields.setdefault(name, []).append(value)
        elif name in fields:
            raise bad_request("a parameter is given twice")
        else:
            fields[name] = value
    return fields


@cache
def repeated_fields(kind: type[Request]) -> frozenset[str]:
    """The fields that are lists: in the query of a URL they are repeated."""
    return frozenset(
        field.name
        for field in msgspec.structs.fields(kind)
        if isinstance(msgspec.inspect.type_info(field.type), msgspec.inspect.VarTupleType)
    )


def _body(request: WebRequest) -> dict[str, Any]:
    if not request.body:
        return {}
    _require_json(request)
    try:
        fields = msgspec.json.decode(request.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise bad_request("the body is not JSON") from None
    if not isinstance(fields, dict):
        raise bad_request("the body must be a JSON object")
    return fields


def _require_json(request: WebRequest) -> None:
    values = [value for name, value in request.headers if name == b"content-type"]
    kind, _, parameters = (values[0] if len(values) == 1 else b"").partition(b";")
    charset = parameters.strip().lower().replace(b'"', b"")
    if kind.strip().lower() != JSON.encode() or charset not in (b"", b"charset=utf-8"):
        raise Refused(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"the body must be JSON in UTF-8, and Content-Type must be {JSON}",
        )


def _explained(error: msgspec.ValidationError) -> str:
    """Which parameter is wrong. An invalid value of an enumeration is left out of msgspec's text."""
    text, _, place = str(error).partition(" - at ")
    if text.startswith("Invalid enum value"):
        text = "Invalid value"
    where = place.strip("`").removeprefix("$").removeprefix(".")
    plain = _IN_QUOTES.sub(_in_words, text)
    for technical, word in _PHRASES.items():
        plain = plain.replace(technical, word)
    return f"the parameter {where}: {plain.lower()}" if where else plain[:1].lower() + plain[1:]


_IN_QUOTES = re.compile("`([^`]*)`")
_TYPES: Mapping[str, str] = MappingProxyType(
    {
        "str": "text",
        "int": "a whole number",
        "float": "a number",
        "bool": "true or false",
        "array": "a list",
        "object": "an object",
        "datetime": "a time with its zone",
    }
)
_PHRASES: Mapping[str, str] = MappingProxyType(
    {
        "Object missing required field ": "the parameter is missing: ",
        "Object contains unknown field ": "there is no parameter ",
    }
)
"""Words of msgspec, as people who send requests know them."""


def _in_words(quoted: re.Match[str]) -> str:
    return " or ".join(_TYPES.get(each, each) for each in quoted[1].split(" | "))
