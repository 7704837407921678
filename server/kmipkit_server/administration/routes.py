"""What a route is, and finding the one of a request."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from http import HTTPStatus
from typing import Any, Generic, TypeVar
from urllib.parse import unquote

import msgspec

from kmipkit_server.administration.context import Context, Scope
from kmipkit_server.administration.problems import Refused, bad_request, not_found

PREFIX = "/admin/v1"
"""What all paths begin with."""
DESCRIPTION = f"{PREFIX}/openapi.json"
"""The path of the OpenAPI description."""


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The parameters of a request, those in its path included."""


class Empty(Request, frozen=True):
    """A request without parameters."""


class Who(Enum):
    """Who may use a route."""

    SERVER = auto()
    """Administrators of the server."""
    TENANT = auto()
    """Also administrators of a tenant, for their tenant."""
    ACCOUNT = auto()
    """Also any other account, for what concerns itself."""

    def permits(self, scope: Scope) -> bool:
        """Whether somebody with this scope may."""
        if scope.own is not None:
            return self is Who.ACCOUNT
        return scope.is_server or self is not Who.SERVER


_Request = TypeVar("_Request", bound=Request)
_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class Route(Generic[_Request, _Answer]):
    """A row of the table."""

    method: str
    path: str
    """After :data:`PREFIX`; a part in braces is a field of the request."""
    name: str
    """What it does, in the words of the command; the audit has it as the operation."""
    summary: str
    who: Who
    request: type[_Request]
    answer: type[_Answer]
    handler: Callable[[Context, _Request], Awaitable[_Answer]]
    status: HTTPStatus = HTTPStatus.OK

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts of the path."""
        return tuple(self.path.removeprefix("/").split("/"))

    @property
    def path_fields(self) -> tuple[str, ...]:
        """The fields of the request that are in the path."""
        return tuple(part[1:-1] for part in self.parts if part.startswith("{"))


AnyRoute = Route[Any, Any]


class Routes:
    """The routes by their paths."""

    def __init__(self, rows: Iterable[AnyRoute]) -> None:
        self.rows = tuple(rows)
        self._by_path: dict[tuple[str, ...], dict[str, AnyRoute]] = {}
        for row in self.rows:
            self._by_path.setdefault(row.parts, {})[row.method] = row

    def find(self, method: str, path: str) -> tuple[AnyRoute, Mapping[str, str]]:
        """The route, and the fields in the path. Refused if there is none."""
        parts = _split(path)
        for template, methods in self._by_path.items():
            fields = _match(template, parts)
            if fields is None:
                continue
            if method not in methods:
                allowed = tuple(methods)
                raise Refused(
                    HTTPStatus.METHOD_NOT_ALLOWED,
                    f"this path has only {', '.join(allowed)}",
                    allow=allowed,
                )
            return methods[method], fields
        raise not_found(f"there is no such path; {DESCRIPTION} describes those that there are")


def _split(path: str) -> tuple[str, ...]:
    """The parts of a path, decoded one by one: an escaped slash is no separator."""
    try:
        parts = tuple(
            unquote(part, errors="strict") for part in path.removeprefix(f"{PREFIX}/").split("/")
        )
    except UnicodeDecodeError:
        raise bad_request("the path is not UTF-8") from None
    return parts


def _match(template: tuple[str, ...], parts: tuple[str, ...]) -> Mapping[str, str] | None:
    """The fields of a path; None if it is another one."""
    if len(template) != len(parts):
        return None
    fields = {}
    for expected, part in zip(template, parts, strict=True):
        if expected.startswith("{"):
            if not part:
                return None
            fields[expected[1:-1]] = part
        elif expected != part:
            return None
    return fields
