"""How long clients were without service, and what the report says of it."""

import json

import pytest

from drill import report
from drill.checker import Finding, Kind
from drill.drilling import Plan, Result
from drill.history import Action, Operation, Outcome
from drill.outages import Window, answers, longest_gap

WINDOW = Window("node-kill", "kms1", 10.0, 20.0)


@pytest.mark.parametrize(
    ("times", "gap"),
    [
        ([9.0, 11.0, 12.0, 19.0, 21.0], 7.0),
        # It counts from the last answer before the fault to the first one after it.
        ([9.0, 21.0], 12.0),
        # What is before or after it does not count.
        ([1.0, 9.5, 10.5, 20.5, 29.0], 10.0),
        # Whoever has no answer any more waits until the end.
        ([9.0], 21.0),
        ([], 30.0),
    ],
)
def test_the_longest_gap(times: list[float], gap: float) -> None:
    assert longest_gap(times, WINDOW, end=30.0) == gap


def operation(outcome: Outcome, ended: float, client: str = "uses-ordered-1") -> Operation:
    return Operation(client, Action.GET, "key", ended - 0.1, ended, outcome, "one")


def test_a_refusal_is_service_and_a_failure_is_none() -> None:
    """A client that is told why not is served; one that is told to come again is not."""
    history = [operation(outcome, number) for number, outcome in enumerate(Outcome)]
    assert answers(history) == {"uses-ordered-1": [0, 1]}


def result(*findings: Finding, gap: float = 1.0) -> Result:
    times = [9.0, 9.0 + gap, *(9.0 + gap + number for number in range(1, 20))]
    history = [
        operation(Outcome.DONE, time, client)
        for client in ("uses-ordered-1", "changes-ordered-0")
        for time in times
    ]
    plan = Plan(seed=1, faults=("node-kill",), seconds=None, clients=2, workers=1)
    return Result(plan, 30.0, history, [WINDOW], findings, [], {}, 1, 0)


def test_a_missed_goal_is_said() -> None:
    [reached], [missed] = report.rows(result()), report.rows(result(gap=6.0))
    assert (reached.using, reached.changing, reached.is_reached) == (1.0, 1.0, True)
    assert (missed.using, missed.is_reached) == (6.0, False)
    assert "**missed**" in report.text(result(gap=6.0))


def test_what_is_lost_is_said_to_people_and_to_programs() -> None:
    lost = result(Finding(Kind.LOST, "key-7", (operation(Outcome.DONE, 1.0),)))
    assert not report.is_good(lost)
    assert "key-7: lost" in report.text(lost)
    [finding] = json.loads(json.dumps(report.document(lost)))["findings"]
    assert (finding["kind"], finding["object"]) == ("lost", "key-7")
    assert report.is_good(result())
    assert "Nothing acknowledged is lost" in report.text(result())
