"""How PostgreSQL carries out the statements of a search: what it reads, with which plans."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kmipkit_server.store.base import LocateQuery
from kmipkit_server.store.postgresql.connection import translated

_PLACEHOLDER = re.compile(r"%\((\w+)\)s")
_TYPES = {int: "bigint", str: "text", bytes: "bytea", list: "text[]"}


@dataclass(frozen=True, slots=True)
class Carried:
    """A statement that was carried out."""

    sql: str
    plan: dict[str, Any]
    """Its root, as EXPLAIN has it."""

    @property
    def rows(self) -> int:
        """The rows that it has read of tables and indexes, also those that it has not used."""
        return sum(_rows(each) for each in self.nodes if each["Node Type"].endswith("Scan"))

    @property
    def scans(self) -> list[str]:
        """The steps that read a table without an index, or a whole index."""
        return [
            each["Node Type"]
            for each in self.nodes
            if "Relation Name" in each and "Index Cond" not in each
        ]

    @property
    def nodes(self) -> Iterator[dict[str, Any]]:
        """All steps of the plan."""
        yield from _nodes(self.plan)


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for each in plan.get("Plans", ()):
        yield from _nodes(each)


def _rows(node: dict[str, Any]) -> int:
    if "Relation Name" not in node:
        return 0
    found = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
    return int(node["Actual Loops"] * found)


def choose(reader: Any, plans: str) -> None:
    """Which plans PostgreSQL uses from now on.

    ``custom`` are made for the values of the statement, and ``generic`` are those that it keeps for
    any values once a statement has been used some times.
    """
    reader.sql.run(f"SET plan_cache_mode = force_{plans}_plan")


def searched(reader: Any, query: LocateQuery) -> tuple[int, list[Carried]]:
    """How many objects a search finds, and its statements."""
    statements = _Statements(reader.sql)
    reader.sql = statements
    try:
        found = len(reader.search(query, in_place=False).ids)
    finally:
        reader.sql = statements.connection
    return found, [_carried(reader.sql.raw, *each) for each in statements.seen]


def looked_up(reader: Any, identifiers: list[str]) -> list[Carried]:
    """The statements that read objects together."""
    statements = _Statements(reader.sql)
    reader.sql = statements
    try:
        found = list(reader.look_up(identifiers))
    finally:
        reader.sql = statements.connection
    assert all(each.record is not None for each in found)
    return [_carried(reader.sql.raw, *each) for each in statements.seen]


class _Statements:
    """A connection that notes what is asked."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.seen: list[tuple[str, Mapping[str, object]]] = []

    def one(self, sql: str, values: Any = ()) -> Any:
        self._note(sql, values)
        return self.connection.one(sql, values)

    def all(self, sql: str, values: Any = ()) -> Any:
        self._note(sql, values)
        return self.connection.all(sql, values)

    def _note(self, sql: str, values: Any) -> None:
        if isinstance(values, dict):
            self.seen.append((sql, dict(values)))
        elif values and isinstance(values[0], list):
            self.seen.append((sql.replace("?", ":listed"), {"listed": values[0]}))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection, name)


def _carried(raw: Any, sql: str, values: Mapping[str, object]) -> Carried:
    from psycopg import sql as composing

    names: list[str] = []

    def numbered(found: re.Match[str]) -> str:
        if found[1] not in names:
            names.append(found[1])
        return f"${names.index(found[1]) + 1}"

    text = _PLACEHOLDER.sub(numbered, translated(sql))
    used = [values[each] for each in names]
    types = ", ".join(_TYPES[type(each)] for each in used)
    listed = composing.SQL(", ").join([composing.Literal(each) for each in used])
    raw.execute(f"PREPARE search {f'({types})' if used else ''} AS {text}")
    explain = composing.SQL("EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) EXECUTE search")
    if used:
        explain += composing.SQL(" (") + listed + composing.SQL(")")
    [(document,)] = raw.execute(explain).fetchall()
    raw.execute("DEALLOCATE search")
    return Carried(text, document[0]["Plan"])
