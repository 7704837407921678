"""Work in steps: between them, others may go first.

Work for the store may be a generator that yields where it can be interrupted, such as between the
items of a message. On the event loop, it lets the other tasks go first whenever it has used its slice
of time, so that a message with many items does not delay the messages of others.
"""

from collections.abc import Callable, Generator
from time import perf_counter
from types import GeneratorType
from typing import Any, TypeVar

import trio

_Result = TypeVar("_Result")

Steps = Generator[None, None, _Result]
"""Work that yields where it can be interrupted, and returns its result."""

SLICE = 0.0003
"""Seconds on the event loop after which the other tasks go first."""


class Abandoned(Exception):
    """The work was given up between two steps, since nobody waits for its result."""


def _never() -> bool:
    return False


async def finish(result: Any, is_abandoned: Callable[[], bool] = _never) -> Any:
    """The result of work on the event loop; Abandoned if nobody waits for it any more."""
    if not isinstance(result, GeneratorType):
        return result
    try:
        end = perf_counter() + SLICE
        while True:
            try:
                next(result)
            except StopIteration as stop:
                return stop.value
            if perf_counter() >= end:
                await trio.lowlevel.checkpoint()
                # Tasks that became ready during the slice run at the same time as this one, in any
                # order; after a second checkpoint, all of them have run.
                await trio.lowlevel.checkpoint()
                if is_abandoned():
                    raise Abandoned
                end = perf_counter() + SLICE
    finally:
        result.close()


def finish_in_thread(result: Any, is_abandoned: Callable[[], bool] = _never) -> Any:
    """The same in a thread, which others need not wait for."""
    if not isinstance(result, GeneratorType):
        return result
    try:
        while True:
            try:
                next(result)
            except StopIteration as stop:
                return stop.value
            if is_abandoned():
                raise Abandoned
    finally:
        result.close()
