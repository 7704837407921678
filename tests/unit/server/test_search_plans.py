"""No search of a client reads a whole table, whichever attribute it asks for.

The searches are those of ``python -m bench.million``: by each attribute of the standard, by ranges, and
by combinations. SQLite is asked how it carries out each statement that they lead to.
"""

import re
import sqlite3
from collections.abc import Iterator

import pytest
from kmipkit_client import calls, opaque_object
from kmipkit_client.values import ENCRYPT_AND_DECRYPT
from kmipkit_server.store.sql import search
from laboratory import Laboratory

from bench.million import population, queries
from bench.million.population import Population
from bench.million.queries import Query
from kmipkit.model.envelope import decode_response
from kmipkit.spec.enums import CryptographicAlgorithm, ResultStatus

pytestmark = pytest.mark.sqlite

SCAN = re.compile(r"SCAN (objects|attribute_index|kind_index|kinds|[odix])\b")
"""The tables and their aliases; a statement may read all of what it has made itself."""


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    """A server with a thousand objects."""
    server = Laboratory(tmp_path_factory.mktemp("plans"))
    aes = CryptographicAlgorithm.AES
    prototypes = [
        server.record(server.ask(call, identity=population.MAIN))
        for call in (
            calls.create(aes, 256, ENCRYPT_AND_DECRYPT, None, None),
            calls.register(opaque_object(bytes(20)), None, None, None),
        )
    ]
    objects = Population([each for each in prototypes if each is not None and each.material])
    transaction = server.database.begin()
    for record in objects.records(0, queries.SAMPLES):
        transaction.insert(record)
    server.database.commit()
    server.queries = list(queries.queries(objects))  # type: ignore[attr-defined]  # for the tests
    yield server
    server.close()


def plans(server: Laboratory, query: Query) -> Iterator[tuple[str, list[str]]]:
    """The statements of a search, with the steps that SQLite takes."""
    connection: sqlite3.Connection = server.database.reader.connection
    statements: list[str] = []
    connection.set_trace_callback(statements.append)
    try:
        answer, _ = decode_response(server.exchange(query.body, population.MAIN))
    finally:
        connection.set_trace_callback(None)
    [item] = answer.batch_items
    assert item.result_status is ResultStatus.SUCCESS, (query.name, item.result_message)
    for statement in dict.fromkeys(statements):
        if not statement.lstrip().startswith("--"):
            rows = connection.execute(f"EXPLAIN QUERY PLAN {statement}")
            yield statement, [row[3] for row in rows]


@pytest.mark.parametrize("few", [1, search.FEW], ids=["common", "rare"])
def test_no_search_scans_a_table(
    laboratory: Laboratory, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether a criterion counts as one that many objects meet, or as one that few meet."""
    monkeypatch.setattr(search, "FEW", few)
    monkeypatch.setattr(search, "VERY_FEW", min(few, search.VERY_FEW))
    asked: list[Query] = laboratory.queries  # type: ignore[attr-defined]  # see the fixture
    assert len({query.name for query in asked if query.group == "attribute"}) > 90
    for query in asked:
        for statement, steps in plans(laboratory, query):
            scans = [step for step in steps if SCAN.match(step)]
            assert not scans, (query.group, query.name, statement, steps)
