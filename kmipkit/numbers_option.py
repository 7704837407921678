"""Types of options that take numbers; apart from :mod:`kmipkit.cli`, which imports no command."""

import math
from typing import Any

import click

YEAR = 31_536_000
"""Seconds: more than anybody waits for, and few enough to be counted in nanoseconds."""


class NumberRange(click.FloatRange):
    """A number within bounds. What is not a number (``nan``) is within all bounds for click."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The number, or a usage error."""
        number: float = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is not a number.", param, ctx)
        return number


def seconds(*, least: float = 0.001) -> NumberRange:
    """A time that somebody waits, a year at most."""
    return NumberRange(least, YEAR)
