"""Objects as a statement reads them: one of them, or as many as a page is made of.

With PostgreSQL a statement takes a round trip, which is longer than all the rest of a look-up. Therefore
what looks at many objects reads them in parts.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Protocol

from kmipkit.spec.enums import ObjectType, State
from kmipkit_server.store.base import REVISION, Record
from kmipkit_server.store.errors import Damaged
from kmipkit_server.store.integrity import Integrity
from kmipkit_server.store.inventory import Found
from kmipkit_server.store.sealing import Sealer
from kmipkit_server.store.sql.connection import Connection, Dialect, Row

PART = 100
"""Objects that one statement reads, at most, since the attributes of all of them are then in memory."""

# A look-up of its own for owner and attribute set: what was removed makes a damaged object, not a
# missing one, and no planner reads the whole of these tables. The revision of the policies comes with
# each object, so that it needs no further look-up.
_SELECT = f"""
    SELECT o.id, (SELECT w.name FROM owners w WHERE w.number = o.owner), o.type, o.state, o.attributes,
        (SELECT k.attributes FROM kinds k WHERE k.number = o.kind), o.data_key, o.nonce, o.mac,
        {{}}, (SELECT value FROM settings WHERE name = '{REVISION}')
    FROM objects o WHERE o.id """  # noqa: S608 - a constant
_WHOLE = _SELECT.format("o.material")
_WITHOUT_MATERIAL = _SELECT.format("NULL")
# For one object, joins are faster. They are outer ones for the same reason.
ONE = f"""
    SELECT o.id, w.name, o.type, o.state, o.attributes, k.attributes, o.data_key, o.nonce, o.mac,
        o.material, (SELECT value FROM settings WHERE name = '{REVISION}')
    FROM objects o LEFT JOIN owners w ON w.number = o.owner LEFT JOIN kinds k ON k.number = o.kind
    WHERE o.id = ?"""  # noqa: S608 - a constant

_TYPES = {int(member): member for member in ObjectType}
_STATES = {int(member): member for member in State}


class View(Protocol):
    """A view of the database, as far as reading objects needs it."""

    @property
    def sql(self) -> Connection: ...
    @property
    def dialect(self) -> Dialect: ...
    @property
    def sealer(self) -> Sealer: ...
    @property
    def integrity(self) -> Integrity: ...


def damaged_object(identifier: str) -> Damaged:
    """The error of an object whose row was changed."""
    return Damaged(
        f"the object {identifier} was changed in the database by another program;"
        " restore it from a backup"
    )


def look_up(
    view: View, identifiers: Iterable[str], *, first: int = PART, with_material: bool = False
) -> Iterator[Found]:
    """The objects with these Unique Identifiers, in the same order, with few statements.

    Args:
        first: How many objects the first statement reads, for who may need no more; each further one
            reads twice as many.
        with_material: Whether the material is read as well. Otherwise it is looked up when it is asked
            for.
    """
    for part in _parts(identifiers, first):
        condition, values = view.dialect.one_of(part)
        select = _WHOLE if with_material else _WITHOUT_MATERIAL
        rows = {row[0]: row for row in view.sql.all(select + condition, values)}
        for identifier in part:
            row = rows.get(identifier)
            yield Found(identifier, None) if row is None else _found(view, row, with_material)


def _parts(identifiers: Iterable[str], first: int) -> Iterator[list[str]]:
    part: list[str] = []
    size = max(1, min(first, PART))
    for identifier in identifiers:
        part.append(identifier)
        if len(part) == size:
            yield part
            part, size = [], min(2 * size, PART)
    if part:
        yield part


def _found(view: View, row: Row, with_material: bool) -> Found:
    identifier = row[0]
    try:
        return Found(identifier, record_of(view, row, with_material))
    except Damaged:
        return Found(identifier, None, is_damaged=True)


def record_of(view: View, row: Row, with_material: bool = True) -> Record:
    """The object of a row. Damaged if it was changed in the database."""
    # The nonce identifies the material, so that all of the object is in the other columns.
    version = row[:-2]
    id_, owner, object_type, state, _, shared, key, nonce, _ = version
    # What is missing in another table shows here.
    is_whole = owner is not None and shared is not None
    attributes = view.integrity.attributes(*version) if is_whole else None
    if attributes is None:
        raise damaged_object(id_)
    sealed, revision = row[-2:]
    material: Callable[[], bytes] | None = None
    if sealed is not None:
        material = partial(view.sealer.open, key, nonce, sealed, id_)
    elif key is not None and not with_material:
        material = partial(_material, view, id_)
    return Record(
        id_,
        owner,
        _TYPES[object_type] if object_type in _TYPES else ObjectType(object_type),
        _STATES[state],
        attributes,
        material,
        version,
        revision,
    )


def _material(view: View, identifier: str) -> bytes:
    row = view.sql.one(ONE, (identifier,))
    material = None if row is None else record_of(view, row).material
    if material is None:
        raise damaged_object(identifier)  # it was there in the same work
    return material
