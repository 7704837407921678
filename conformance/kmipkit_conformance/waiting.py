"""Cases that wait until a date has come, such as TC-92, whose key is deactivated after two minutes.

The tester does not wait that long: it sends dates that are further in the past, by as much as the case
would wait. Time passes for the key as before, only that it has begun earlier.
"""

from collections.abc import Iterator

from kmipkit.spec.enums import Operation
from kmipkit.ttlv.tree import Item
from kmipkit_conformance.cases import Case, Step
from kmipkit_conformance.placeholders import Now

REMAINING = 5
"""Seconds that the tester still waits. In this time, it must see the state before the date."""

_READING = [Operation.GET_ATTRIBUTES]


def waiting_step(case: Case) -> int | None:
    """The number of the step that waits; None if there is none.

    It reads what the step before it has read, without any operation between them, and expects
    another response: only time can have changed the object.
    """
    for number in range(1, len(case.steps)):
        before, step = case.steps[number - 1], case.steps[number]
        if step.operations == _READING and _is_repeated(before, step):
            return number
    return None


def _is_repeated(before: Step, step: Step) -> bool:
    return before.request == step.request and before.response != step.response


def shift(case: Case) -> int:
    """By how many seconds to move the dates of a case into the past; 0 if it does not wait."""
    number = waiting_step(case)
    if number is None:
        return 0
    offsets = [
        int(value) for step in case.steps[:number] for value in _relative_dates(step.request)
    ]
    return max(max(offsets, default=0) - REMAINING, 0)


def _relative_dates(item: Item) -> Iterator[Now]:
    if isinstance(item.value, tuple):
        for child in item.value:
            yield from _relative_dates(child)
    elif isinstance(item.value, Now):
        yield item.value
