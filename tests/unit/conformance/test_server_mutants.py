"""The tester's own suite notices faults of our server: ``server_mutants`` says what they are.

``server_mutants.json`` has the case that notices each. The short form plays some mutants with that
case; the long form plays all faults of handlers with all cases. Write the file anew with

    python tests/server_mutant_runner.py --json tests/server_mutants.json
"""

import json
import random
from pathlib import Path

import pytest
from kmipkit_conformance.cases import SUITE, load_all
from kmipkit_server.operations.table import STANDARD
from server_mutant_runner import noticing, run
from server_mutants import UNSEEN, Mutant, all_mutants, handler_mutants

pytestmark = pytest.mark.standard

TABLE: dict[str, str] = json.loads(
    (Path(__file__).parents[2] / "server_mutants.json").read_text(encoding="utf-8")
)
SAMPLE = 10
WANTED = 0.99
"""The share of the mutants that a client can see; all were noticed. New code may bring a survivor."""


def known() -> list[Mutant]:
    """The mutants of handlers of which the table has the case."""
    return [mutant for mutant in handler_mutants() if TABLE.get(mutant.name)]


def test_every_handler_has_mutants() -> None:
    assert {mutant.operation for mutant in handler_mutants()} == {row.operation for row in STANDARD}
    assert len(TABLE) >= 150


def test_the_table_says_that_the_suite_notices_most() -> None:
    visible = [case for name, case in TABLE.items() if name not in UNSEEN]
    assert sum(map(bool, visible)) >= WANTED * len(visible)


def test_what_cannot_be_noticed_is_there() -> None:
    """No reason outlives its mutant."""
    assert set(UNSEEN) <= {mutant.name for mutant in all_mutants()}


@pytest.mark.parametrize(
    "mutant", random.Random(18).sample(known(), SAMPLE), ids=lambda mutant: mutant.name
)
def test_the_case_of_a_mutant_notices_it(mutant: Mutant, tmp_path: Path) -> None:
    cases = list(load_all((SUITE,), frozenset(), (TABLE[mutant.name],)))
    correct = Mutant("none")
    assert not noticing(correct, cases, tmp_path / "correct")
    assert noticing(mutant, cases, tmp_path / "mutant")


@pytest.mark.long
def test_the_suite_notices_most_mutants() -> None:
    results = run(list(handler_mutants()), 2, lambda name, case: None)
    visible = {name: case for name, case in results.items() if name not in UNSEEN}
    assert len(visible) >= 150
    survivors = sorted(name for name, case in visible.items() if not case)
    assert len(survivors) <= (1 - WANTED) * len(visible), survivors
