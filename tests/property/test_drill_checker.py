"""The checker of histories: what a correct service can show is accepted, and everything else is refused.

A drill whose checker accepts everything would show nothing.
"""

import itertools
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drill.checker import Kind, check
from drill.history import CHANGES, Action, Operation, Outcome
from drill.model import Impossible, step
from kmipkit.spec.enums import State

NAME = "key"


def at(
    begun: float,
    action: Action,
    outcome: Outcome = Outcome.DONE,
    value: str = "",
    *,
    ended: float | None = None,
) -> Operation:
    """An operation that takes half a second, unless it is said when it ends."""
    end = begun + 0.5 if ended is None else ended
    return Operation("client", action, NAME, begun, end, outcome, value)


def kinds(*operations: Operation) -> set[Kind]:
    return {finding.kind for finding in check(operations)}


# --- histories that show a fault -----------------------------------------------------------------

CREATED = at(0, Action.CREATE)
ACTIVATED = at(1, Action.ACTIVATE)
REVOKED = at(2, Action.REVOKE)
UNKNOWN, REFUSED, FAILED = Outcome.UNKNOWN, Outcome.REFUSED, Outcome.FAILED


@pytest.mark.parametrize(
    ("operations", "kind"),
    [
        ([CREATED, at(1, Action.STATE, REFUSED, "OBJECT_NOT_FOUND")], Kind.LOST),
        ([CREATED, at(1, Action.GET, REFUSED, "ITEM_NOT_FOUND")], Kind.LOST),
        ([CREATED, ACTIVATED, REVOKED, at(3, Action.ENCRYPT)], Kind.USED),
        ([CREATED, at(1, Action.COMPROMISE), at(3, Action.ENCRYPT)], Kind.USED),
        ([CREATED, ACTIVATED, at(2, Action.STATE, value="PRE_ACTIVE")], Kind.CONTRADICTION),
        ([CREATED, ACTIVATED, REVOKED, at(3, Action.STATE, value="ACTIVE")], Kind.CONTRADICTION),
        ([CREATED, ACTIVATED, at(2, Action.ACTIVATE)], Kind.CONTRADICTION),
        ([CREATED, at(1, Action.ENCRYPT)], Kind.CONTRADICTION),
        ([CREATED, ACTIVATED, at(2, Action.ENCRYPT, REFUSED)], Kind.CONTRADICTION),
        ([CREATED, ACTIVATED, at(2, Action.DESTROY)], Kind.CONTRADICTION),
        ([CREATED, at(1, Action.DESTROY), at(2, Action.GET)], Kind.CONTRADICTION),
        # A state that one client has seen, and a later one has not: read from an old copy.
        (
            [
                CREATED,
                at(1, Action.ACTIVATE, UNKNOWN),
                at(2, Action.STATE, value="ACTIVE"),
                at(3, Action.STATE, value="PRE_ACTIVE"),
            ],
            Kind.CONTRADICTION,
        ),
        # What has failed must not have been done.
        (
            [CREATED, at(1, Action.ACTIVATE, FAILED), at(2, Action.STATE, value="ACTIVE")],
            Kind.CONTRADICTION,
        ),
        (
            [CREATED, at(1, Action.GET, value="one"), at(2, Action.GET, value="another")],
            Kind.MATERIAL,
        ),
    ],
)
def test_a_fault_is_found(operations: list[Operation], kind: Kind) -> None:
    assert kind in kinds(*operations)


@pytest.mark.parametrize(
    "operations",
    [
        [CREATED, ACTIVATED, at(2, Action.ENCRYPT), at(3, Action.REVOKE)],
        # At the same time: either may be the first.
        [CREATED, ACTIVATED, REVOKED, at(2.1, Action.ENCRYPT)],
        [CREATED, ACTIVATED, REVOKED, at(2.1, Action.ENCRYPT, REFUSED)],
        # Without an answer: done at once, later, or never.
        [CREATED, at(1, Action.ACTIVATE, UNKNOWN), at(2, Action.ENCRYPT)],
        [CREATED, at(1, Action.ACTIVATE, UNKNOWN), at(2, Action.ENCRYPT, REFUSED)],
        [
            CREATED,
            at(1, Action.ACTIVATE, UNKNOWN),
            at(2, Action.STATE, value="PRE_ACTIVE"),
            at(3, Action.STATE, value="ACTIVE"),
        ],
        [at(0, Action.CREATE, UNKNOWN)],
        [at(0, Action.CREATE, UNKNOWN), at(1, Action.STATE, value="PRE_ACTIVE")],
        [CREATED, at(1, Action.ACTIVATE, FAILED), at(2, Action.STATE, value="PRE_ACTIVE")],
        # A key that is revoked can be read: whoever has data of it must be able to read them.
        [CREATED, ACTIVATED, REVOKED, at(3, Action.GET, value="one")],
        [CREATED, at(1, Action.DESTROY), at(2, Action.GET, REFUSED, "OBJECT_DESTROYED")],
    ],
)
def test_what_a_correct_service_may_show_is_accepted(operations: list[Operation]) -> None:
    assert check(operations) == []


def test_one_create_makes_one_object() -> None:
    [finding] = check([CREATED], {NAME: ["id-1", "id-2"]})
    assert finding.kind is Kind.TWICE
    assert not check([CREATED], {NAME: ["id-1"]})


def test_the_evidence_names_what_cannot_be() -> None:
    """Whoever reads the report must see where to look."""
    wrong = at(3, Action.STATE, value="ACTIVE")
    [finding] = check([CREATED, ACTIVATED, REVOKED, wrong])
    assert finding.evidence == (wrong,)
    assert "DEACTIVATED" in finding.detail
    assert str(wrong) in str(finding)


def test_objects_are_independent() -> None:
    """What is wrong with one object is said of it alone."""
    other = replace(CREATED, name="other")
    lost = at(1, Action.STATE, Outcome.REFUSED, "OBJECT_NOT_FOUND")
    assert {finding.name for finding in check([CREATED, other, lost])} == {NAME}


def test_a_long_history_is_checked_quickly() -> None:
    """An hour has some hundred thousand operations: the search must not go astray."""
    many = [
        at(2 + number / 10, Action.STATE, value="ACTIVE", ended=2 + number / 10 + 1)
        for number in range(2000)
    ]
    assert check([CREATED, ACTIVATED, *many]) == []


# --- histories of a correct service --------------------------------------------------------------


@st.composite
def correct_histories(draw: st.DrawFn) -> list[Operation]:
    """What clients see of one object in a service that does everything at some moment in between."""
    actions = draw(st.lists(st.sampled_from(Action), min_size=1, max_size=8))
    state: State | None = None
    history: list[Operation] = []
    for moment, action in enumerate([Action.CREATE, *actions], start=1):
        before = draw(st.floats(0, 3))
        after = draw(st.floats(0, 3))
        value = state.name if action is Action.STATE and state is not None else ""
        done = Operation("c", action, NAME, moment - before, moment + after, Outcome.DONE, value)
        try:
            state = step(state, done)
        except Impossible:
            done = replace(done, outcome=Outcome.REFUSED, value="")
        if draw(st.booleans()) and draw(st.booleans()):
            # Whatever has become of it, the client does not know.
            is_lost = action in CHANGES and done.outcome is Outcome.DONE
            done = replace(done, outcome=Outcome.UNKNOWN if is_lost else Outcome.FAILED)
        history.append(done)
    return history


@given(correct_histories())
def test_correct_histories_are_accepted(history: list[Operation]) -> None:
    assert check(history) == []


def _explains(order: Sequence[Operation], left: Sequence[Operation]) -> bool:
    """Whether operations in this order are possible, without those that are left out."""
    if any(each.outcome is not Outcome.UNKNOWN for each in left):
        return False
    for index, each in enumerate(order):
        for later in order[index + 1 :]:
            if later.outcome is not Outcome.UNKNOWN and later.ended < each.begun:
                return False
    state: State | None = None
    for each in order:
        try:
            state = step(state, each)
        except Impossible:
            return False
    return True


def _has_order(history: Sequence[Operation]) -> bool:
    """The same question, answered by trying everything."""
    relevant = [
        each
        for each in history
        if each.outcome is not Outcome.FAILED
        and (each.is_change or each.outcome is not Outcome.UNKNOWN)
    ]
    return any(
        _explains(order, [each for each in relevant if each not in order])
        for size in range(len(relevant) + 1)
        for order in itertools.permutations(relevant, size)
    )


@st.composite
def any_histories(draw: st.DrawFn) -> list[Operation]:
    """Histories that a faulty service may have as well; no two operations are equal."""
    count = draw(st.integers(1, 5))
    history = [at(0, Action.CREATE)]
    for number in range(count):
        action = draw(st.sampled_from(Action))
        begun = draw(st.integers(0, 6)) + number / 100
        value = draw(st.sampled_from(State)).name if action is Action.STATE else ""
        outcome = draw(st.sampled_from(Outcome))
        ended = begun + draw(st.integers(0, 3)) + 0.5
        history.append(Operation("c", action, NAME, begun, ended, outcome, value))
    return history


@given(any_histories())
def test_the_search_finds_an_order_exactly_if_there_is_one(history: list[Operation]) -> None:
    assert (Kind.CONTRADICTION in kinds(*history)) is not _has_order(history)


# --- a correct history with one fault in it ------------------------------------------------------


@given(correct_histories(), st.data())
def test_a_state_that_never_was_is_found(history: list[Operation], data: st.DataObject) -> None:
    """A server that reads an old copy, or that has lost what it had acknowledged."""
    end = max(each.ended for each in history) + 1
    possible = {
        state for state in State if not check([*history, at(end, Action.STATE, value=state.name)])
    }
    wrong = data.draw(st.sampled_from(sorted(set(State) - possible, key=lambda each: each.name)))
    assert possible or history[0].outcome is not Outcome.DONE
    assert kinds(*history, at(end, Action.STATE, value=wrong.name)) == {Kind.CONTRADICTION}
    unanswered = sum(1 for each in history if each.outcome is Outcome.UNKNOWN)
    assert len(possible) <= 2**unanswered, "what is known leaves one state"


@given(correct_histories())
def test_a_use_after_an_acknowledged_revocation_is_found(history: list[Operation]) -> None:
    end = max(each.ended for each in history)
    revoked = [
        each
        for each in history
        if each.action in (Action.REVOKE, Action.COMPROMISE) and each.outcome is Outcome.DONE
    ]
    found = kinds(*history, at(end + 1, Action.ENCRYPT))
    assert (Kind.USED in found) is bool(revoked)
    if revoked:
        assert Kind.CONTRADICTION in found
