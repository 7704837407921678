"""Jobs that one process does for all that use a store, such as the rotation of objects."""

from collections.abc import Awaitable, Callable
from typing import Protocol

import trio

PAUSE = 1.0
"""Seconds between two attempts to get a lease, and between two looks whether it is still held."""


class Lease(Protocol):
    """The right to do a job. The methods may wait; they are called in a thread."""

    def take(self) -> bool:
        """Whether this process has the lease now; not if the store fails."""

    def is_held(self) -> bool:
        """Whether this process still has the lease."""

    def release(self) -> None:
        """Give it back; it may be lost already."""


async def run_with(lease: Lease, task: Callable[[], Awaitable[None]]) -> None:
    """Run a task whenever this process has the lease, until it returns.

    If the lease is lost, the task is cancelled, and begins again when this process gets it again.
    """
    try:
        # Nothing tells when another process gives a lease back.
        while not await _attempt(lease, task):  # noqa: ASYNC110
            await trio.sleep(PAUSE)
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(lease.release)


async def _attempt(lease: Lease, task: Callable[[], Awaitable[None]]) -> bool:
    """Whether the task has come to its end."""
    if not await trio.to_thread.run_sync(lease.take):
        return False
    is_done = False
    async with trio.open_nursery() as nursery:

        async def run() -> None:
            nonlocal is_done
            await task()
            is_done = True
            nursery.cancel_scope.cancel()

        nursery.start_soon(run)
        while await trio.to_thread.run_sync(lease.is_held):  # noqa: ASYNC110 - as above
            await trio.sleep(PAUSE)
        nursery.cancel_scope.cancel()
    with trio.CancelScope(shield=True):
        await trio.to_thread.run_sync(lease.release)
    return is_done
