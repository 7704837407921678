"""Group commit: one writer for all connections, one commit for all that has queued up.

Waiting for the disk is what a write costs. While one group's commit waits in a thread, the jobs of
the next gather; they then run one after the other on the event loop, inside one transaction, each
in a savepoint of its own, and all are answered when the disk has them.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import trio

from kmipkit_server.store.base import StoreError, Transaction, TransactionLost

log = logging.getLogger("kmipkit.server")

_Result = TypeVar("_Result")

GROUP = 256
"""Jobs that one commit covers at most."""

QUEUE = 1024
"""Jobs that may wait; more make their submitters wait."""


class Database(Protocol):
    """What a group commit needs of a database: one transaction at a time."""

    def begin(self) -> Transaction:
        """Open the transaction."""

    def commit(self) -> None:
        """Make the transaction durable. May wait for the disk; callable from any thread."""

    def rollback(self) -> None:
        """Give the transaction up."""


@dataclass(slots=True, eq=False)
class _Job:
    run: Callable[[Transaction], Any]
    committed: Callable[[Any], None] | None = None
    done: trio.Event = field(default_factory=trio.Event)
    result: Any = None
    error: BaseException | None = None
    abandoned: bool = False
    slow: bool = False

    def publish(self) -> None:
        """Tell the submitter's callback, whose defect must not cost others their answers."""
        if self.error is None and self.committed is not None:
            try:
                self.committed(self.result)
            except Exception:
                log.exception("defect after a commit")

    def finish(self, error: BaseException | None = None) -> None:
        if error is not None:
            self.error = error
        self.done.set()


class GroupCommit:
    """Runs jobs in transactions of a database; :meth:`run` must be running."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._send, self._receive = trio.open_memory_channel[_Job](QUEUE)

    async def submit(
        self,
        run: Callable[[Transaction], _Result],
        *,
        slow: bool = False,
        committed: Callable[[_Result], None] | None = None,
    ) -> _Result:
        """What ``run`` returns, once its changes are durable.

        ``committed`` is called with the result right after the commit: in the order in which the
        jobs of a group ran, and before any other job runs. What ``run`` raises is raised here, and
        leaves nothing in the store. StoreError when the store fails. A caller that is cancelled
        while it waits cannot know whether the job was done.
        """
        job = _Job(run, committed, slow=slow)
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
            transaction = self._database.begin()
            for job in group:
                if job.slow:  # other writers wait; readers and the event loop do not
                    await trio.to_thread.run_sync(self._run_job, job, transaction)
                else:
                    self._run_job(job, transaction)
            if all(job.error is not None for job in group):
                self._database.rollback()
            else:
                await trio.to_thread.run_sync(self._database.commit)
        except StoreError as error:
            self._give_up()
            for job in group:
                job.finish(error)
        else:
            for job in group:
                job.publish()
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
            self._database.rollback()
