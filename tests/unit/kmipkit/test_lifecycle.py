"""The life of an object: every pair of state and event, the clock, and what a state allows."""

import json
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path

import pytest

from kmipkit.errors import OperationError
from kmipkit.lifecycle import (
    TRANSITIONS,
    Event,
    describe_state,
    effective_state,
    may_process,
    may_protect,
    next_state,
    revocation_event,
)
from kmipkit.spec.enums import ResultReason, RevocationReasonCode, State

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
PAST, FUTURE = NOW - timedelta(seconds=1), NOW + timedelta(seconds=1)
TABLE = Path(__file__).parents[3] / ".." / "shared" / "spec" / "states" / "state-transitions.json"


@pytest.mark.parametrize(("state", "event"), list(product(State, Event)))
def test_each_pair_is_in_the_table_or_an_error(state: State, event: Event) -> None:
    if (state, event) in TRANSITIONS:
        assert next_state(state, event) is TRANSITIONS[state, event]
        return
    with pytest.raises(OperationError) as caught:
        next_state(state, event)
    destroyed = state in {State.DESTROYED, State.DESTROYED_COMPROMISED}
    assert caught.value.reason == (
        ResultReason.OBJECT_DESTROYED if destroyed else ResultReason.WRONG_KEY_LIFECYCLE_STATE
    )
    assert event.value in caught.value.message


def test_the_table_is_the_one_of_the_standard() -> None:
    if not TABLE.is_file():
        pytest.skip("the tables of the standard are not beside the repository")
    read = json.loads(TABLE.read_text(encoding="utf-8"))
    expected = {
        (read["states"][row["from"]], read["states"][row["to"]])
        for row in read["transitions"]
        if row["from"] is not None
    }
    assert {(int(before), int(after)) for (before, _), after in TRANSITIONS.items()} == expected


def test_an_active_object_is_revoked_before_it_is_destroyed() -> None:
    with pytest.raises(OperationError, match="revoke it first"):
        next_state(State.ACTIVE, Event.DESTROY)


@pytest.mark.parametrize(
    ("code", "event"),
    [
        (code, Event.REVOKE_COMPROMISE if "COMPROMISE" in code.name else Event.REVOKE)
        for code in RevocationReasonCode
    ],
)
def test_which_reasons_compromise(code: RevocationReasonCode, event: Event) -> None:
    assert revocation_event(code) is event


@pytest.mark.parametrize(
    ("state", "activation", "deactivation", "expected"),
    [
        (State.PRE_ACTIVE, None, None, State.PRE_ACTIVE),
        (State.PRE_ACTIVE, NOW, None, State.ACTIVE),
        (State.PRE_ACTIVE, NOW, FUTURE, State.ACTIVE),
        (State.PRE_ACTIVE, PAST, NOW, State.DEACTIVATED),
        (State.PRE_ACTIVE, None, PAST, State.PRE_ACTIVE),
        (State.PRE_ACTIVE, FUTURE, PAST, State.PRE_ACTIVE),
        (State.ACTIVE, PAST, FUTURE, State.ACTIVE),
        (State.ACTIVE, PAST, NOW, State.DEACTIVATED),
        (State.DEACTIVATED, PAST, PAST, State.DEACTIVATED),
        (State.COMPROMISED, PAST, PAST, State.COMPROMISED),
        (State.DESTROYED, PAST, PAST, State.DESTROYED),
        (State.DESTROYED_COMPROMISED, PAST, PAST, State.DESTROYED_COMPROMISED),
    ],
)
def test_the_clock_moves_a_state(
    state: State, activation: datetime | None, deactivation: datetime | None, expected: State
) -> None:
    assert effective_state(state, activation, deactivation, NOW) is expected


@pytest.mark.parametrize("state", State)
def test_what_a_state_allows(state: State) -> None:
    assert may_protect(state, NOW) is (state is State.ACTIVE)
    usable = {State.ACTIVE, State.DEACTIVATED, State.COMPROMISED}
    assert may_process(state, NOW) is (state in usable)


@pytest.mark.parametrize(("stop", "expected"), [(FUTURE, True), (NOW, True), (PAST, False)])
def test_protect_stop_date(stop: datetime, expected: bool) -> None:
    assert may_protect(State.ACTIVE, NOW, protect_stop_date=stop) is expected


@pytest.mark.parametrize(("start", "expected"), [(FUTURE, False), (NOW, True), (PAST, True)])
def test_process_start_date(start: datetime, expected: bool) -> None:
    assert may_process(State.ACTIVE, NOW, process_start_date=start) is expected


@pytest.mark.parametrize(
    ("state", "text"),
    [(State.PRE_ACTIVE, "Pre-Active"), (State.DESTROYED_COMPROMISED, "Destroyed Compromised")],
)
def test_names_for_people(state: State, text: str) -> None:
    assert describe_state(state) == text
