"""What the normal run takes of a repetition: something of each row. ``make test-long`` runs it all."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest
from hypothesis import settings

LONG, SHORT = "long", "short"
"""Profiles of hypothesis: how many examples a property is tested with."""
EXAMPLES = {LONG: 100, SHORT: 40}


def examples(number: int) -> int:
    """So many with ``make test-long``, and 2 of 5 in the normal run."""
    return -(-number * settings().max_examples // EXAMPLES[LONG])


def spread(
    rows: Iterable[Any],
    columns: Sequence[Any],
    belongs: Callable[[Any, Any], bool] = lambda row, column: True,
    name: Callable[[Any], str] = str,
) -> list[Any]:
    """Each row with each column that belongs to it, as parameters of a test.

    The normal run has each row with one column, another for each row in turn, so that each column has
    its rows as well; the other combinations are ``long``.
    """
    parameters = []
    for number, row in enumerate(rows):
        own = [column for column in columns if belongs(row, column)]
        for place, column in enumerate(own):
            marks = () if place == number % len(own) else pytest.mark.long
            parameters.append(pytest.param(row, column, marks=marks, id=f"{name(row)}-{column}"))
    return parameters
