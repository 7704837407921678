"""The OpenAPI description of the API, made from the table of routes and the declarations of their types.

The docstrings of the types and of their fields are its texts.
"""

import ast
import inspect
import textwrap
from collections.abc import Iterable
from functools import cache
from http import HTTPStatus
from typing import Any

import msgspec

from kmipkit_server.administration.problems import MEDIA_TYPE, Problem, phrase
from kmipkit_server.administration.routes import PREFIX, AnyRoute, Who

_SCHEME = "mutualTLS"
_REFUSALS = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.CONFLICT,
    HTTPStatus.UNPROCESSABLE_ENTITY,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.SERVICE_UNAVAILABLE,
)
_WHO = {
    Who.SERVER: "Needs an administrator of the server.",
    Who.TENANT: "Needs an administrator of the server, or of a tenant for its accounts.",
    Who.ACCOUNT: (
        "Needs an administrator of the server, or of a tenant for its accounts, or any account for what"
        " concerns itself."
    ),
}


def describe(rows: Iterable[AnyRoute]) -> dict[str, Any]:
    """The description, as JSON has it."""
    rows = tuple(rows)
    types = [*(row.request for row in rows), *(row.answer for row in rows), Problem]
    schemas, components = msgspec.json.schema_components(
        types, ref_template="#/components/schemas/{name}"
    )
    _put_null_last(schemas)
    _put_null_last(components)
    _add_field_texts(types, components)
    paths: dict[str, dict[str, Any]] = {}
    for row, request, answer in zip(rows, schemas, schemas[len(rows) :], strict=False):
        fields = components[request["$ref"].rpartition("/")[2]]
        paths.setdefault(PREFIX + row.path, {})[row.method.lower()] = _operation(
            row, fields, answer
        )
    for row in rows:  # their fields are parameters and bodies of their own
        components.pop(row.request.__name__, None)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Administration of a kmipkit key server",
            "version": "1",
            "description": "Requests of administrators, on the port of KMIP. The client certificate"
            " says who asks. No answer has key material.",
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "responses": _responses(),
            "securitySchemes": {
                _SCHEME: {
                    "type": "mutualTLS",
                    "description": "The certificate of an administrator.",
                }
            },
        },
        "security": [{_SCHEME: []}],
    }


def _put_null_last(schema: Any) -> None:
    """Put null behind the other types of a union: versions of msgspec differ in their order."""
    if isinstance(schema, dict):
        if "anyOf" in schema:
            schema["anyOf"].sort(key=lambda each: each == {"type": "null"})
        schema = list(schema.values())
    if isinstance(schema, list | tuple):
        for each in schema:
            _put_null_last(each)


def _operation(row: AnyRoute, fields: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    properties = dict(fields.get("properties", {}))
    required = set(fields.get("required", ()))
    operation: dict[str, Any] = {
        "operationId": row.name.replace(" ", "_").replace("-", "_"),
        "tags": [row.name.partition(" ")[0]],
        "summary": row.summary,
        "description": _WHO[row.who],
        "responses": {
            str(row.status.value): {
                "description": "The answer.",
                "content": {"application/json": {"schema": answer}},
            },
            **{
                str(status.value): {"$ref": f"#/components/responses/{_name(status)}"}
                for status in _REFUSALS
            },
            "default": {"$ref": "#/components/responses/Problem"},
        },
    }
    parameters = [_parameter(name, "path", properties.pop(name), True) for name in row.path_fields]
    if row.method == "GET":
        parameters += [
            _parameter(name, "query", schema, name in required)
            for name, schema in properties.items()
        ]
    elif properties:
        required -= set(row.path_fields)
        schema = {"type": "object", "properties": properties, "additionalProperties": False}
        if required:
            schema["required"] = sorted(required)
        operation["requestBody"] = {
            "required": bool(required),
            "content": {"application/json": {"schema": schema}},
        }
    if parameters:
        operation["parameters"] = parameters
    return operation


def _parameter(name: str, place: str, schema: dict[str, Any], required: bool) -> dict[str, Any]:
    schema = dict(schema)
    text = schema.pop("description", "")
    described = {"description": text} if text else {}
    return {"name": name, "in": place, "required": required, **described, "schema": schema}


def _name(status: HTTPStatus) -> str:
    return phrase(status).replace(" ", "")


def _responses() -> dict[str, Any]:
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    responses = {
        _name(status): {"description": phrase(status), "content": content} for status in _REFUSALS
    }
    return {"Problem": {"description": "The request is refused.", "content": content}, **responses}


def _add_field_texts(types: Iterable[Any], components: dict[str, Any]) -> None:
    """Describe the fields by the texts under their declarations."""
    for struct in _structs(types):
        component = components.get(struct.__name__)
        if component is None:
            continue
        for base in reversed(struct.__mro__):
            for name, text in field_texts(base).items():
                if name in component.get("properties", {}):
                    component["properties"][name]["description"] = text


def _structs(types: Iterable[Any]) -> set[type]:
    found: set[type] = set()

    def visit(info: Any) -> None:
        if isinstance(info, msgspec.inspect.StructType):
            if info.cls in found:
                return
            found.add(info.cls)
            for field in info.fields:
                visit(field.type)
        elif isinstance(info, msgspec.inspect.UnionType):
            for each in info.types:
                visit(each)
        elif hasattr(info, "item_type"):
            visit(info.item_type)
        elif isinstance(info, msgspec.inspect.DictType):
            visit(info.value_type)

    for each in types:
        visit(msgspec.inspect.type_info(each))
    return found


@cache
def field_texts(kind: type) -> dict[str, str]:
    """The text under each field in the declaration of a class."""
    if not issubclass(kind, msgspec.Struct) or kind is msgspec.Struct:
        return {}
    [node] = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(node, ast.ClassDef)
    texts = {}
    for each, text in zip(node.body, node.body[1:], strict=False):
        if isinstance(each, ast.AnnAssign) and isinstance(text, ast.Expr):
            assert isinstance(each.target, ast.Name)
            assert isinstance(text.value, ast.Constant)
            texts[each.target.id] = " ".join(str(text.value.value).split())
    return texts
