"""The OpenAPI description of a role's methods, made from the declarations of their messages.

The docstrings of requests and answers are its texts. ``security`` names what a caller needs beside a
certificate: a role or privileges.
"""

import inspect
from collections.abc import Iterable
from functools import cache
from http import HTTPStatus
from typing import Any, Final, Protocol

from kmipkit import __version__
from kmipkit_vsphere.model.encoding import json_schema
from kmipkit_vsphere.model.errors import FAULTS
from kmipkit_vsphere.model.message import Message
from kmipkit_vsphere.rpc.call import Request
from kmipkit_vsphere.rpc.faults import PROBLEM, Problem, faults_by_status

CALLER: Final = "/caller"
"""The path at which a role says who it takes its caller for."""
_SCHEME: Final = "mutualTLS"


class CallerInfo(Message):
    """Who makes a call: the name in the certificate, and the roles that it has here."""

    name: str
    roles: list[str]


class Described(Protocol):
    """What the description needs of a row."""

    @property
    def request(self) -> type[Request[Any]]:
        """The request of the method."""

    @property
    def needs(self) -> tuple[str, ...]:
        """What the caller must have: a role, or privileges."""

    @property
    def entity(self) -> str:
        """The object on which the privileges are needed, or an empty text."""


def describe(title: str, rows: Iterable[Described]) -> dict[str, Any]:
    """The description, as JSON has it."""
    rows = tuple(rows)
    types = [row.request for row in rows], [row.request.answer() for row in rows]
    schemas, components = json_schema([*types[0], *types[1], Problem, CallerInfo])
    return {
        "openapi": "3.1.0",
        "info": {
            "title": title,
            "version": __version__,
            "description": "Calls of one role of the laboratory: JSON over HTTPS, with a"
            " certificate on both sides.",
        },
        "paths": {
            CALLER: {"get": _caller(schemas[-1])},
            **{
                row.request.path(): _path(row, request, answer, components)
                for row, request, answer in zip(rows, schemas, schemas[len(rows) :], strict=False)
            },
        },
        "components": {
            "schemas": components,
            "responses": _responses(),
            "securitySchemes": {
                _SCHEME: {
                    "type": "mutualTLS",
                    "description": "A certificate of the authority of the roles; the name in it"
                    " decides what its owner may call.",
                }
            },
        },
    }


@cache
def repeated_fields(kind: type[Request[Any]]) -> frozenset[str]:
    """The fields of a request that are lists: in the query of a URL they are repeated."""
    [schema], components = json_schema([kind])
    properties = _resolve(schema, components)["properties"]
    return frozenset(name for name, inner in properties.items() if _is_list(inner))


def _is_list(schema: dict[str, Any]) -> bool:
    return any(kind.get("type") == "array" for kind in schema.get("anyOf", [schema]))


def _resolve(schema: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    name = str(schema["$ref"]).rpartition("/")[2]
    resolved: dict[str, Any] = components[name]
    return resolved


def _caller(answer: dict[str, Any]) -> dict[str, Any]:
    return {
        "operationId": "caller",
        "tags": ["caller"],
        "summary": "Show who the role takes its caller for.",
        "description": "Needs nothing but a trusted certificate.",
        "security": [{_SCHEME: []}],
        "responses": _all_responses(answer),
    }


def _path(
    row: Described, request: dict[str, Any], answer: dict[str, Any], components: dict[str, Any]
) -> dict[str, Any]:
    method = row.request.method()
    operation = {
        "tags": [_area(row.request)],
        **_texts(row),
        "security": [{_SCHEME: list(row.needs)}],
        "responses": _all_responses(answer),
    }
    body = {"required": True, "content": {"application/json": {"schema": request}}}
    path: dict[str, Any] = {"post": {"operationId": method, **operation, "requestBody": body}}
    if row.request.is_query:
        fields = _resolve(request, components)
        path["get"] = {
            "operationId": f"get{method}",
            **operation,
            "parameters": [
                {
                    "name": name,
                    "in": "query",
                    "required": name in fields["required"],
                    "schema": schema,
                }
                for name, schema in fields["properties"].items()
            ],
        }
    return path


def _area(request: type[Request[Any]]) -> str:
    """The subject of a request: the name of the file that declares it, or of its package."""
    *_, package, module = request.__module__.split(".")
    return (package if module == "calls" else module).replace("_", " ")


def _texts(row: Described) -> dict[str, str]:
    summary, _, more = (inspect.getdoc(row.request) or "").partition("\n\n")
    where = f" on `{row.entity}`" if row.entity else ""
    needs = f"Needs {' and '.join(row.needs)}{where}."
    return {"summary": summary.replace("\n", " "), "description": f"{more}\n\n{needs}".lstrip()}


def _all_responses(answer: dict[str, Any]) -> dict[str, Any]:
    content = {"application/json": {"schema": answer}}
    return {
        "200": {"description": "The answer.", "content": content},
        **{str(status.value): _reference(status) for status in faults_by_status()},
        "default": {"$ref": "#/components/responses/Problem"},
    }


# Faults ------------------------------------------------------------------------------------------


def _name(status: HTTPStatus) -> str:
    return status.phrase.replace(" ", "")


def _reference(status: HTTPStatus) -> dict[str, str]:
    return {"$ref": f"#/components/responses/{_name(status)}"}


def _responses() -> dict[str, Any]:
    problem = {"$ref": "#/components/schemas/Problem"}
    responses: dict[str, Any] = {
        "Problem": {
            "description": "The request is not one that HTTP, or this path, allows.",
            "content": {PROBLEM: {"schema": problem}},
        }
    }
    for status, names in faults_by_status().items():
        faults = {"properties": {"status": {"const": status.value}, "fault": {"enum": [*names]}}}
        texts = (f"{name}: {inspect.getdoc(FAULTS[name])}" for name in names)
        responses[_name(status)] = {
            "description": "\n\n".join(texts),
            "content": {PROBLEM: {"schema": {"allOf": [problem, faults]}}},
        }
    return responses
