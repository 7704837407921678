"""No search in PostgreSQL reads more than its page and what leads there, whatever the planner estimates.

The searches are those of ``python -m bench.million``, and some for what is rare and old. Each is carried
out as PostgreSQL does it without statistics, with plans that it keeps for all values, and with
statistics, with plans for the values at hand. What counts is how many rows it reads.
"""

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import stores
from kmipkit_client import calls, opaque_object
from kmipkit_client.values import ENCRYPT_AND_DECRYPT
from kmipkit_server.store.base import Criterion, LocateQuery, Record
from kmipkit_server.store.sql import search
from kmipkit_server.store.sql.object_rows import PART
from laboratory import Laboratory
from postgresql_plans import choose, looked_up, searched
from stored_objects import PostgreSQLDirectory

from bench.million import population, processor, queries
from bench.million.population import Population
from kmipkit.model.attribute import Attribute, Attributes
from kmipkit.spec.enums import CryptographicAlgorithm, ObjectType, State
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.tags import Tag
from kmipkit.ttlv.tree import Item

pytestmark = stores.needs_postgresql

OLD, NUMBER = 60, 1500
"""The first objects have what no later one has, as many belong to another account; and all objects."""
GUEST = "guest"
FEW = 20
"""Instead of that of :mod:`.search`, for a store that is smaller than those for which that is."""
MOST = 800
"""Rows that a search reads, at most: half of the objects of the account."""
UNBOUNDED = {"each many, together none"}
"""The group of searches that no index has."""


class Filled(NamedTuple):
    """A database, and what it is asked."""

    directory: PostgreSQLDirectory
    store: Any
    asked: list[tuple[str, LocateQuery]]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    """A database with objects as production has them, that nobody has analyzed."""
    objects = Population(_prototypes(tmp_path_factory.mktemp("prototypes")))
    directory = PostgreSQLDirectory(tmp_path_factory.mktemp("plans"))
    with closing(directory.open()) as store:
        for table in ("objects", "attribute_index", "kinds", "kind_index"):
            directory.sql(f"ALTER TABLE {table} SET (autovacuum_enabled = false)")
        transaction = store.begin()
        for number, record in enumerate(objects.records(0, NUMBER)):
            transaction.insert(_first(record, number) if number < 2 * OLD else record)
        store.commit()
        asked = [
            (f"{each.group}: {each.name}", processor.query_of(each.body, population.MAIN))
            for each in queries.queries(objects)
            if each.group not in UNBOUNDED
        ]
        yield Filled(directory, store, [*asked, *_rare(asked[0][1].now)])


def _prototypes(folder: Path) -> list[Record]:
    with closing(Laboratory(folder)) as server:
        made = [
            server.record(server.ask(call, identity=population.MAIN))
            for call in (
                calls.create(CryptographicAlgorithm.AES, 256, ENCRYPT_AND_DECRYPT, None, None),
                calls.register(opaque_object(bytes(20)), None, None, None),
            )
        ]
        return [each for each in made if each is not None and each.material]


def _first(record: Record, number: int) -> Record:
    """An object with an algorithm and a type that no later one has, or of an account with few."""
    if number >= OLD:
        attributes, owner, object_type = record.attributes, GUEST, record.object_type
    else:
        rest = [each for each in record.attributes if each.key != Tag.CRYPTOGRAPHIC_ALGORITHM]
        old = Attribute(Tag.CRYPTOGRAPHIC_ALGORITHM, CryptographicAlgorithm.BLOWFISH, 0)
        attributes, owner = Attributes((*rest, old)), population.MAIN
        object_type = ObjectType.SECRET_DATA
    state = State.ACTIVE
    return Record(record.id, owner, object_type, state, attributes, record.material or b"material")


def _rare(now: datetime) -> Iterator[tuple[str, LocateQuery]]:
    """What only the first objects have: a search that reads the others finds them last."""
    algorithm = _enumeration(Tag.CRYPTOGRAPHIC_ALGORITHM, CryptographicAlgorithm.BLOWFISH)
    kind = _enumeration(Tag.OBJECT_TYPE, ObjectType.SECRET_DATA)
    active = _enumeration(Tag.STATE, State.ACTIVE)
    for name, criterion in (("algorithm", algorithm), ("type", kind)):
        yield f"old: {name}", LocateQuery(population.MAIN, (criterion,), now, maximum=5)
    for criteria in ((), (active,)):
        yield f"few: {len(criteria)}", LocateQuery(GUEST, criteria, now, maximum=5)


def _enumeration(tag: Tag, value: int) -> Criterion:
    return Criterion(tag, Item(tag, ItemType.ENUMERATION, int(value)))


@pytest.mark.parametrize("plans", ["generic", "custom"])
def test_no_search_reads_more_than_leads_to_its_page(
    filled: Filled, plans: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clerk who looks for one key must not make the database read all of a million."""
    monkeypatch.setattr(search, "FEW", FEW)
    monkeypatch.setattr(search, "VERY_FEW", FEW // 2)
    if plans == "custom":
        filled.directory.sql("ANALYZE")
    choose(filled.store.reader, plans)
    too_much, finding = [], 0
    assert len([name for name, _ in filled.asked if name.startswith("attribute: ")]) > 90
    for name, query in filled.asked:
        found, statements = searched(filled.store.reader, query)
        finding += bool(found)
        rows = sum(each.rows for each in statements)
        scans = [scan for each in statements for scan in each.scans]
        if rows > MOST or scans:
            too_much.append((name, rows, scans, [each.sql for each in statements]))
    assert not too_much
    assert finding > 0.8 * len(filled.asked)


@pytest.mark.parametrize("analyzed", [False, True])
@pytest.mark.parametrize("plans", ["generic", "custom"])
def test_objects_that_are_read_together_are_looked_up(
    filled: Filled, plans: str, analyzed: bool
) -> None:
    """Neither all objects are read for some, nor all owners, attribute sets or settings."""
    if analyzed:
        filled.directory.sql("ANALYZE")
    choose(filled.store.reader, plans)
    query = LocateQuery(population.MAIN, (), filled.asked[0][1].now)
    identifiers = list(filled.store.reader.search(query).ids)[: 2 * PART : 2]
    [statement] = looked_up(filled.store.reader, identifiers)
    assert statement.rows <= 4 * PART, statement.plan
    assert not statement.scans
