"""No change makes a request dearer unnoticed: the instructions that the server executes for it.

A loss: a user's key server gets slower with each release, by a few percent that no benchmark shows on
a busy machine. If a request costs more on purpose, ``make instructions`` notes it, and the commit
says why.
"""

import pytest

from bench import instructions


def test_requests_cost_no_more_than_noted() -> None:
    expected = instructions.baseline()
    if expected is None:
        pytest.skip(f"there are no counts for Python {instructions.python()}")
    try:
        counted = instructions.count()
    except instructions.CannotCount as error:
        pytest.skip(str(error))
    assert counted.keys() == expected.keys()
    assert instructions.exceeded(counted, expected) == []


def test_a_dearer_request_is_found() -> None:
    expected = {"Get": 100_000, "Create": 1_000_000}
    assert instructions.exceeded({"Get": 105_000, "Create": 1_060_000}, expected) == [
        "Create: 1,060,000 instructions per request, +6.0%"
    ]
