"""Running jobs concurrently, with plain errors instead of groups."""

from collections.abc import Awaitable, Callable
from typing import Any

import trio


async def run_all(*jobs: Callable[[], Awaitable[Any]]) -> list[Any]:
    """Run all jobs at the same time; their results in order, or the error of the first to fail.

    A group of errors, which a nursery raises, would force every caller to look inside it.
    """
    results: list[Any] = [None] * len(jobs)

    async def run(position: int, job: Callable[[], Awaitable[Any]]) -> None:
        results[position] = await job()

    try:
        async with trio.open_nursery() as nursery:
            for position, job in enumerate(jobs):
                nursery.start_soon(run, position, job)
    except BaseExceptionGroup as group:
        raise _first(group) from None
    return results


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
