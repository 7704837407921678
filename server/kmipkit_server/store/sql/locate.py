"""From a Locate query to SQL over the index (KMIP 1.4 §4.9).

Each criterion becomes a look-up in the index. The criterion that most likely few objects meet lists
its objects, and the others check each of them, so that the cost depends on the rarest criterion and
not on the number of objects. The state follows from the dates: the expression here is
:func:`kmipkit.lifecycle.effective_state` in SQL, and a test compares the two.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from kmipkit.lifecycle import DESTROYED_STATES
from kmipkit.spec.enums import ObjectGroupMember, State
from kmipkit.spec.masks import StorageStatusMask
from kmipkit.spec.tags import Tag
from kmipkit.ttlv.tree import Item
from kmipkit_server.store import criteria
from kmipkit_server.store.base import LocateQuery
from kmipkit_server.store.sql.connection import Dialect
from kmipkit_server.store.sql.selects import Select, selects

STATE_NOW = f"""
    CASE WHEN state = {State.PRE_ACTIVE:d} AND activation <= :now
         THEN CASE WHEN deactivation <= :now THEN {State.DEACTIVATED:d} ELSE {State.ACTIVE:d} END
         WHEN state = {State.ACTIVE:d} AND deactivation <= :now THEN {State.DEACTIVATED:d}
         ELSE state END"""


NEVER = "1 = 0"


@dataclass(slots=True)
class Statement:
    """Conditions on objects, and the values of their placeholders."""

    conditions: list[str]
    values: dict[str, object]
    dialect: Dialect
    owner: str = "= :owner"
    """That a column with the number of an owner is that of the query, after the column."""
    uses_index: bool = False
    """Whether an index over attributes finds the objects; otherwise all of the owner are read."""

    def bind(self, value: object) -> str:
        """A new placeholder for a value."""
        name = f"v{len(self.values)}"
        self.values[name] = value
        return f":{name}"


def build_statement(
    query: LocateQuery, owner: int | Collection[int], dialect: Dialect
) -> Statement:
    """The conditions of a query for one owner, or for several."""
    statement = Statement([], {"owner": owner, "now": int(query.now.timestamp())}, dialect)
    if not isinstance(owner, int):
        statement.values["owner"] = dialect.owners(owner)
        statement.owner = dialect.owner_in
    found = conditions_of(statement, query)
    # SQLite cannot know how many objects meet a criterion, so the order here decides: the rarest one
    # is a set (IN), which it computes once, and the others check one object each (EXISTS). As
    # sets, they would list the whole of a group to find one member by its name.
    found.sort(key=lambda select: select.frequency)
    for number, select in enumerate(found):
        as_set = number == 0 or select.is_range
        statement.conditions.append(select.as_set() if as_set else select.of_object())
    # The plus sign keeps the database from using the index over owners, which would read all objects of
    # the owner: the rows of the attribute index have the owner already.
    statement.uses_index = bool(found)
    statement.conditions.append(f"{'+' if found else ''}owner {statement.owner}")
    statement.conditions.append(storage(query))
    return statement


def conditions_of(statement: Statement, query: LocateQuery) -> list[Select]:
    """The look-ups of the criteria in the index; those on columns become conditions of the statement."""
    found: list[Select] = []
    for key, items in criteria.by_attribute(query.criteria).items():
        column = _COLUMNS.get(key) if isinstance(key, Tag) else None
        if column is None:
            found += selects(statement, key, items)
        else:
            statement.conditions += [column.equals(statement, item) for item in items]
    if query.object_group_member == ObjectGroupMember.GROUP_MEMBER_FRESH:
        found += selects(statement, Tag.FRESH, (criteria.FRESH,))
    return found


@dataclass(frozen=True, slots=True)
class _Column:
    """An attribute that is a column of the objects, and the Python type of its values."""

    expression: str
    type: type

    def equals(self, statement: Statement, item: Item) -> str:
        """The condition. No object has a value of another type, or outside 32 bits."""
        value = item.value
        if not isinstance(value, self.type) or (isinstance(value, int) and value >> 32):
            return NEVER
        return f"{self.expression} = {statement.bind(value)}"


_COLUMNS: dict[Tag, _Column] = {
    Tag.UNIQUE_IDENTIFIER: _Column("id", str),
    Tag.OBJECT_TYPE: _Column("+type", int),
    Tag.STATE: _Column(f"({STATE_NOW})", int),
}


_DESTROYED = ", ".join(str(int(state)) for state in sorted(DESTROYED_STATES))

_STORAGE: Mapping[StorageStatusMask, str] = MappingProxyType(
    {
        StorageStatusMask.ON_LINE_STORAGE: f"archived = 0 AND state NOT IN ({_DESTROYED})",
        StorageStatusMask.ARCHIVAL_STORAGE: "archived = 1",
        StorageStatusMask.DESTROYED_STORAGE: f"state IN ({_DESTROYED})",
    }
)


def storage(query: LocateQuery) -> str:
    """The condition on where an object is."""
    mask = criteria.storage_status(query)
    if mask is None:
        return "archived = 0"
    conditions = [condition for bit, condition in _STORAGE.items() if bit in mask]
    return f"({' OR '.join(conditions)})" if conditions else NEVER
