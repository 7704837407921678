"""Worker processes for computations that take long.

A thread cannot be ended and shares one interpreter lock with the event loop, so these computations
have processes: one whose client is gone, or that is at work when the server stops, is killed. Workers
start when they are first needed, have a low priority, and end when they are idle.
"""

import logging
import math
import multiprocessing
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import trio
import trio_parallel

from kmipkit_server.engine.computing import Outcome, Task, execute
from kmipkit_server.engine.lifeline import follow

log = logging.getLogger("kmipkit.server")

IDLE_SECONDS = 120.0
"""How long a worker without work is kept."""

GRACE_SECONDS = 5.0
"""How long an idle worker has to end when the server stops."""

_NICENESS = 10
"""A tenth of the time of who serves requests, if both want the same processor. With less, a key pair
takes longer than its client waits, on a machine that other programs keep busy."""


class WorkerProcesses:
    """An :class:`.computing.Executor` with processes; use :func:`open_workers`."""

    def __init__(self, context: trio_parallel.WorkerContext) -> None:
        self._context = context
        # The places are limited by those of computing.Computer.
        self._limiter = trio.CapacityLimiter(math.inf)

    async def run(self, task: Task) -> Outcome:
        """See :class:`.computing.Executor`."""
        try:
            outcome: Outcome = await self._context.run_sync(
                execute, task, kill_on_cancel=True, limiter=self._limiter
            )
        except trio_parallel.BrokenWorkerError:
            # Somebody has killed it, such as the system for want of memory.
            return Outcome(defect="the worker process was killed")
        return outcome


@asynccontextmanager
async def open_workers() -> AsyncIterator[WorkerProcesses]:
    """Worker processes, which have ended afterwards."""
    try:
        async with trio_parallel.open_worker_context(
            idle_timeout=IDLE_SECONDS, init=_prepare, grace_period=GRACE_SECONDS
        ) as context:
            yield WorkerProcesses(context)
    except trio_parallel.BrokenWorkerError as error:
        log.warning("a worker process did not end normally: %s", error.args[0])


def _prepare() -> None:
    """Prepare a new worker. It must outlive a signal to all processes of the service (SIGTERM), but not
    the process that it works for."""
    server = multiprocessing.parent_process()
    assert server is not None
    follow(server.sentinel)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with suppress(PermissionError):  # the service manager may forbid it, as many units do
        os.nice(_NICENESS)
