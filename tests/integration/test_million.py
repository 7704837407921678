"""The benchmarks of docs/scaling.md in their short form, with real servers over TLS.

How long something takes is not for a test to say. That each search works in both kinds of stores, and
that pages show each object once, is; :mod:`test_search_plans` says that no search reads a table.
"""

from pathlib import Path

import pytest
import stores
from kmipkit_certs import development
from kmipkit_certs.clock import system_clock

from bench import connections
from bench.million import population, tables
from bench.million.__main__ import compare, document
from bench.million.measuring import Effort, Result

SHORT = Effort(searches=1, creates=1, create_seconds=0.1)
QUICK = Effort(searches=3, creates=1, create_seconds=0.5)


def compared(store: str, folder: Path, large: int, effort: Effort = SHORT) -> Result:
    """Two stores, the small one with the usual thousand objects."""
    result = compare(store, folder, (1000, large), lambda _: None, effort)
    found = {each.name: each.found for each in result.searches}
    assert found["Name"] == found["Unique Identifier"] == found["Digest"] == (1, 1)
    assert found["Object Group"] == found["State"] == (5, 5)
    assert found["an unknown Name"] == (0, 0)
    assert result.pages.objects == on_line(large) + prototypes(store)
    made = document([result], {})
    assert result.store in tables.goals(made)
    assert tables.groups(made).count("| attribute |") == 1
    return result


def on_line(number: int) -> int:
    """The objects of the account that a Locate without criteria finds."""
    states = population.STATES
    return sum(
        population.is_main(each)
        and each % 50 != 9
        and not states[each // 11 * 7 % len(states)].name.startswith("DESTROYED")
        for each in range(number)
    )


def prototypes(_: str) -> int:
    """The objects that the server itself has made."""
    return 9


def test_a_store_beside_a_larger_one(tmp_path: Path) -> None:
    compared("sqlite", tmp_path, 1500)


@stores.needs_postgresql
def test_a_database_beside_a_larger_one(tmp_path: Path) -> None:
    compared("postgresql", tmp_path, 1100)


@pytest.mark.long
def test_twenty_thousand_objects(tmp_path: Path) -> None:
    """The ratios, with room for a busy machine."""
    result = compared("sqlite", tmp_path, 20_000, QUICK)
    ratios = sorted(each.ratio for each in result.searches if each.is_equal)
    assert ratios[len(ratios) // 2] < 3


def test_connections_that_are_idle_and_active(tmp_path: Path) -> None:
    """All of them get their answers; a machine that permits fewer is told so."""
    pki = tmp_path / "pki"
    development.ensure(pki, hosts=("127.0.0.1",), clients=("admin",), clock=system_clock)
    said: list[str] = []
    result = connections.measure(tmp_path / "data", pki, said.append, (40, 10), 0.5)
    assert (result.idle, result.active) == (40, 10)
    assert result.with_all >= result.before
    assert result.beside.percentile_99 >= result.beside.median > 0
    assert "40 idle" in connections.table(connections.document(result))


def test_a_limit_of_open_files_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pki = tmp_path / "pki"
    development.ensure(pki, hosts=("127.0.0.1",), clients=("admin",), clock=system_clock)
    monkeypatch.setattr(connections.idle, "permitted", lambda _: 20)
    said: list[str] = []
    result = connections.measure(tmp_path / "data", pki, said.append, (40, 10), 0.1)
    assert (result.idle, result.active) == (10, 10)
    assert "permits 20 connections" in said[0]
    assert "ulimit -Hn" in said[0]
