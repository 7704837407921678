"""Work in steps: between them, others may go first.

Work for the store may be a generator that yields where it can be interrupted, such as between the
items of a message. On the event loop, it gives way whenever it has used its slice of time
(:mod:`kmipkit_server.fairness.shared_loop`), so that a message with many items does not delay the
messages of others.
"""

from collections.abc import Callable, Generator
from types import GeneratorType
from typing import Any, TypeVar

from kmipkit_server.fairness.shared_loop import SLICE, shared_loop

_Result = TypeVar("_Result")

Steps = Generator[None, None, _Result]
"""Work that yields where it can be interrupted, and returns its result."""


class Abandoned(Exception):
    """The work was given up between two steps, since nobody waits for its result."""


def _never() -> bool:
    return False


async def finish(
    result: Any,
    account: str = "",
    is_abandoned: Callable[[], bool] = _never,
    is_urgent: Callable[[], bool] = _never,
) -> Any:
    """The result of work on the event loop for an account; Abandoned if nobody waits for it any more.

    Work is urgent while other accounts wait for its end: then it only lets those go first who have
    arrived, and the loop does not rest.
    """
    if not isinstance(result, GeneratorType):
        return result
    shared = shared_loop()
    clock = shared.clock
    begun = clock()
    try:
        while True:
            try:
                next(result)
            except StopIteration as stop:
                shared.owe(account, clock() - begun)
                return stop.value
            used = clock() - begun
            if used >= SLICE:
                if is_urgent():
                    await shared.hand_over(account)
                else:
                    await shared.give_way(account, used)
                if is_abandoned():
                    raise Abandoned
                begun = clock()
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
