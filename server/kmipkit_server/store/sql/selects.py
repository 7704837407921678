"""The look-ups of one criterion in the index: as a set of objects, and as a check of one object.

An index table has rows (attribute, field, value, member, instance), sorted in this order. So the objects
with one value come in the order of their creation, but those with a value in a range do not. A
check of one object for a range uses an index by objects, which has only the rows that ranges are
asked of: dates, and Usage Limits.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from kmipkit.model.attribute import AttributeKey, VendorName
from kmipkit.spec.attributes import BY_TAG
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.tags import Tag
from kmipkit.ttlv.tree import Item
from kmipkit_server.store import criteria, index
from kmipkit_server.store.criteria import Condition
from kmipkit_server.store.sql.connection import Dialect
from kmipkit_server.store.sql.stretches import Stretch


class Values(Protocol):
    """The values of a statement, and what depends on its database and its owners."""

    dialect: Dialect
    owner: str

    def bind(self, value: object) -> str:
        """A new placeholder for a value."""


def conjunction(conditions: Sequence[str]) -> str:
    """All conditions, as a balanced tree: SQLite limits the depth of an expression to 1000."""
    if len(conditions) <= 2:
        return " AND ".join(conditions)
    half = len(conditions) // 2
    return f"({conjunction(conditions[:half])}) AND ({conjunction(conditions[half:])})"


def exists(select: str) -> str:
    """That a select finds something; no planner turns this condition into a join."""
    return f"EXISTS ({select} LIMIT 1 OFFSET 0)"


@dataclass(frozen=True, slots=True)
class _Table:
    """An index table: of the attributes of objects, or of attribute sets (kinds)."""

    name: str
    member: str
    """The column with the object or the kind to which a row belongs."""
    scope: str
    """The condition with which every look-up begins; ``{owner}`` is :attr:`Values.owner`."""


_OBJECTS = _Table("attribute_index", "object", "{i}.owner {owner} AND ")
_KINDS = _Table("kind_index", "kind", "")

LIMITS = "{attribute} >= '420095' AND {attribute} < '420096'"
"""The condition of the index ``limits_of_object``, which is of one attribute: a planner must see that it
fits. With an equation in its place, SQLite would prepare each statement with ``attribute = :v`` again
whenever its values have changed."""


@dataclass(frozen=True, slots=True)
class _Field:
    """A field of the index and the placeholders of its values: one, or the ends of a range."""

    number: int
    low: str
    high: str | None
    is_text: bool

    def matches(self, row: str) -> str:
        """The condition on a row."""
        value = f"{row}.field = {self.number:d} AND {row}.value"
        if self.high is None:
            return f"{value} = {self.low}"
        return f"{value} BETWEEN {self.low} AND {self.high}"


@dataclass(frozen=True, slots=True)
class Select:
    """The objects with an instance of an attribute that has all fields of a condition.

    The first field finds an instance. The others must be fields of the same instance: an object
    with the links (Next, A) and (Previous, B) does not have the link (Next, B).
    """

    values: Values
    table: _Table
    attribute: str
    """The placeholder of the name."""
    fields: tuple[_Field, ...]
    frequency: int
    """How many objects are likely to meet it: 0 for few, 2 for most."""
    is_date: bool
    repeats: bool
    """Whether an object may have several instances."""

    @property
    def is_shared(self) -> bool:
        """Whether it is about the attribute sets that objects share."""
        return self.table is _KINDS

    @property
    def is_range(self) -> bool:
        """Whether not all rows that it finds come in the order of their objects."""
        return not self.fields or self.fields[0].high is not None

    @property
    def is_text(self) -> bool:
        """Whether it finds the objects with one text."""
        return bool(self.fields) and self.fields[0].is_text and not self.is_range

    def by_field(self) -> Iterator["Select"]:
        """The same with each field as the first one, which finds the instances."""
        for first in self.fields or ():
            others = [each for each in self.fields if each is not first]
            yield self._with((first, *others))
        if not self.fields:
            yield self

    def _with(self, fields: tuple[_Field, ...]) -> "Select":
        frequency = self.frequency if fields[0].is_text else max(self.frequency, 2)
        return Select(
            self.values, self.table, self.attribute, fields, frequency, self.is_date, self.repeats
        )

    def first(self, i: str) -> str:
        """The condition on a row ``i`` of the table that it has the first field."""
        conditions = [f"{self._scope(i)}{i}.attribute = {self.attribute}"]
        conditions += [each.matches(i) for each in self.fields[:1]]
        return " AND ".join(conditions)

    def where(self, i: str) -> str:
        """The condition on a row ``i`` of the table that its instance meets all of it."""
        return conjunction([self.first(i), *self.others(i)])

    def stretch(self, i: str) -> Stretch:
        """The rows ``i`` of the objects of one owner that have the value of the first field."""
        [first, *_] = self.fields
        columns = [f"{i}.{each}" for each in ("owner", "attribute", "field", "value")]
        values = [":owner", self.attribute, f"{first.number:d}", first.low]
        dialect = self.values.dialect
        return Stretch(dialect, f"{self.table.name} {i}", columns, values, f"{i}.object")

    def others(self, i: str) -> list[str]:
        """The conditions on the instance of a row ``i`` that it meets the other fields."""
        return [
            exists(
                f"SELECT 1 FROM {self._indexed(field, row)} WHERE {self._scope(row, field)}"  # noqa: S608 - placeholders
                f"{self._named(field, row)} AND {field.matches(row)}"
                f" AND {row}.{self.table.member} = {i}.{self.table.member}"
                f" AND {row}.instance = {i}.instance"
            )
            for row, field in ((f"{i}_{n}", each) for n, each in enumerate(self.fields[1:]))
        ]

    def rows(self) -> str:
        """The members of all rows that meet it, in no order; each kind once."""
        distinct = "DISTINCT " if self.is_shared else ""
        return f"SELECT {distinct}i.{self.table.member} FROM {self.table.name} i WHERE {self.where('i')}"  # noqa: S608 - placeholders

    def as_set(self) -> str:
        """That the object ``seq`` is among those that meet it, as a set that is computed once."""
        dialect = self.values.dialect
        if not self.is_shared:
            return f"seq IN ({self.rows()})"
        objects = dialect.using("objects o", "objects_of_kind")
        return (
            f"seq IN (SELECT o.seq FROM {objects} WHERE o.owner {self.values.owner}"  # noqa: S608 - placeholders
            f" AND o.kind {dialect.member(self.rows())})"
        )

    def of_object(self) -> str:
        """That the object ``seq`` meets it, as a look-up for this object."""
        if self.is_shared:
            # There are few kinds, so that their set is computed once even for a check per object.
            return f"+kind {self.values.dialect.member(self.rows())}"
        if not self.fields:
            return self.as_set()
        first = self.fields[0]
        where = [
            f"{self._scope('i', first)}{self._named(first, 'i')}",
            first.matches("i"),
            "i.object = seq",
            *self.others("i"),
        ]
        return exists(f"SELECT 1 FROM {self._indexed(first, 'i')} WHERE {conjunction(where)}")  # noqa: S608 - placeholders

    def _scope(self, i: str, of_object: _Field | None = None) -> str:
        scope = self.table.scope.format(i=i, owner=self.values.owner)
        # The plus sign keeps a planner from looking for an object among all with a value in a range.
        return f"+{scope}" if scope and of_object is not None and of_object.high else scope

    def _indexed(self, field: _Field, row: str) -> str:
        """The table as ``row``, for the look-up of a field of a certain object."""
        table = f"{self.table.name} {row}"
        if field.high is None:
            return table
        name = "dates_of_object" if self.is_date else "limits_of_object"
        return self.values.dialect.using(table, name)

    def _named(self, field: _Field, row: str) -> str:
        """The condition on the attribute; for a range, in the words of the index."""
        equal = f"{row}.attribute = {self.attribute}"
        if field.high is None:
            return equal
        if self.is_date:
            return f"{equal} AND {self.values.dialect.is_date.format(value=f'{row}.value')}"
        return f"{equal} AND {LIMITS.format(attribute=f'{row}.attribute')}"


def frequency_of(key: AttributeKey, item: Item) -> int:
    """Names and other texts differ between objects; algorithms, lengths and masks rarely do."""
    if isinstance(item.value, str | bytes | tuple):
        return 0
    return 1 if isinstance(key, VendorName) or item.type is ItemType.DATE_TIME else 2


def selects(values: Values, key: AttributeKey, items: tuple[Item, ...]) -> Iterator[Select]:
    """The selects for the values of one attribute; an object must be in each of them."""
    frequency = frequency_of(key, items[0])
    for condition in criteria.conditions(key, items):
        yield _select(values, condition, 1 if condition.is_range else frequency)


def _select(values: Values, condition: Condition, frequency: int) -> Select:
    spec = BY_TAG.get(condition.key) if isinstance(condition.key, Tag) else None
    # Texts before enumerations, and single values before ranges: the first field should be rare.
    fields = sorted(condition.fields, key=lambda each: (not each.is_exact, not _is_text(each)))
    return Select(
        values,
        _KINDS if condition.key in index.SHARED else _OBJECTS,
        values.bind(index.name_of(condition.key)),
        tuple(
            _Field(
                each.number,
                values.bind(each.low),
                None if each.is_exact and not condition.is_range else values.bind(each.high),
                _is_text(each),
            )
            for each in fields
        ),
        frequency,
        condition.is_range,
        spec is None or spec.multi_instance,
    )


def _is_text(field: criteria.Field) -> bool:
    # The first byte of a value is its type, see :mod:`kmipkit_server.store.index`.
    return field.low[:1] in (b"t", b"b", b"s")
