"""Doing two things at once, with errors as if they had been done one after the other."""

from collections.abc import Awaitable, Callable
from typing import Any

import trio


async def together(*jobs: Callable[[], Awaitable[Any]]) -> list[Any]:
    """Run all jobs at the same time; their results in order, or the error of the first to fail.

    A group of errors, which a nursery raises, would force every caller to look inside it.
    """
    results: list[Any] = [None] * len(jobs)

    async def one(position: int, job: Callable[[], Awaitable[Any]]) -> None:
        results[position] = await job()

    try:
        async with trio.open_nursery() as nursery:
            for position, job in enumerate(jobs):
                nursery.start_soon(one, position, job)
    except BaseExceptionGroup as group:
        raise _first(group) from None
    return results


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
