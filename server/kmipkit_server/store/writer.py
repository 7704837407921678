"""Group commit: one writer for all connections, one commit for all that has queued up.

Waiting for the disk is what a write costs. While one group's commit waits in a thread, the jobs of
the next gather; they then run one after the other on the event loop, inside one transaction, each
in a savepoint of its own, and all are answered when the disk has them.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

import trio

from kmipkit_server.store.base import Store, StoreError, Transaction, TransactionLost

_Result = TypeVar("_Result")

GROUP = 256
"""Jobs that one commit covers at most."""

QUEUE = 1024
"""Jobs that may wait; more make their submitters wait."""


@dataclass(slots=True, eq=False)
class _Job:
    run: Callable[[Transaction], Any]
    done: trio.Event = field(default_factory=trio.Event)
    result: Any = None
    error: BaseException | None = None
    abandoned: bool = False
    slow: bool = False

    def finish(self, error: BaseException | None = None) -> None:
        if error is not None:
            self.error = error
        self.done.set()


class GroupCommit:
    """Runs jobs in transactions of the store; :meth:`run` must be running."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._send, self._receive = trio.open_memory_channel[_Job](QUEUE)

    async def submit(self, run: Callable[[Transaction], _Result], *, slow: bool = False) -> _Result:
        """What ``run`` returns, once its changes are durable.

        What it raises is raised here, and leaves nothing in the store. StoreError when the store
        fails. Whoever is cancelled while waiting does not know whether the job was done.
        """
        job = _Job(run, slow=slow)
        await self._send.send(job)
        try:
            await job.done.wait()
        except trio.Cancelled:
            job.abandoned = True
            raise
        if job.error is not None:
            raise job.error
        result: _Result = job.result
        return result

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve jobs until :meth:`stop`, and then those that wait."""
        task_status.started()
        async for first in self._receive:
            group = [first]
            while len(group) < GROUP:
                try:
                    group.append(self._receive.receive_nowait())
                except (trio.WouldBlock, trio.EndOfChannel):
                    break
            with trio.CancelScope(shield=True):
                await self._run_group([job for job in group if not job.abandoned])

    async def stop(self) -> None:
        """Take no more jobs; :meth:`run` ends when those that wait are done."""
        await self._send.aclose()

    async def _run_group(self, group: list[_Job]) -> None:
        try:
            transaction = self._store.begin()
            for job in group:
                if job.slow:  # other writers wait; readers and the event loop do not
                    await trio.to_thread.run_sync(self._run_job, job, transaction)
                else:
                    self._run_job(job, transaction)
            if all(job.error is not None for job in group):
                self._store.rollback()
            else:
                await trio.to_thread.run_sync(self._store.commit)
        except StoreError as error:
            self._give_up()
            for job in group:
                job.finish(error)
        else:
            for job in group:
                job.finish()

    def _run_job(self, job: _Job, transaction: Transaction) -> None:
        try:
            with transaction.savepoint():
                job.result = job.run(transaction)
        except TransactionLost:
            raise
        except Exception as error:  # of this job alone: its savepoint has been taken back
            job.error = error

    def _give_up(self) -> None:
        with suppress(StoreError):  # the group has failed already; the next begin will say why
            self._store.rollback()
