"""Group commit: one writer for all connections, and one commit for all jobs in the queue.

The cost of a write is waiting for the disk. While the commit of one group waits in a thread, the
queue collects the jobs of the next. These then run one after the other on the event loop, inside one
transaction, each in its own savepoint, and all of them return when the disk has the transaction.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Protocol, TypeVar

import trio

from kmipkit_server.store.base import Journal, StoreError, Transaction, TransactionLost
from kmipkit_server.store.counters import WriterCounters
from kmipkit_server.store.slices import Steps, finish, finish_in_thread

log = logging.getLogger("kmipkit.server")

_Result = TypeVar("_Result")

MAX_GROUP_SIZE = 256
"""Jobs in one commit, at most. Others wait for the commit: a larger group would be a longer wait."""

MAX_QUEUE_LENGTH = 1024
"""Jobs in the queue, at most. Further submitters wait until there is room."""


class Database(Protocol):
    """The database of a group commit: it has one transaction at a time."""

    def begin(self) -> Transaction:
        """Open the transaction."""

    def commit(self) -> None:
        """Make the transaction durable. This waits for the disk; any thread may call it."""

    def rollback(self) -> None:
        """Discard the transaction."""

    @property
    def needs_cleaning(self) -> bool:
        """Whether the files may still contain bytes of what was destroyed."""

    def clean(self) -> None:
        """Remove these bytes. This waits for the disk; any thread may call it."""


@dataclass(slots=True, eq=False)
class _Job:
    run: Callable[[Transaction], Any]
    on_commit: Callable[[Any], None] | None = None
    done: trio.Event = field(default_factory=trio.Event)
    result: Any = None
    error: BaseException | None = None
    is_abandoned: bool = False
    slow: bool = False

    def publish(self) -> None:
        """Call the submitter's callback."""
        if self.error is None and self.on_commit is not None:
            try:
                self.on_commit(self.result)
            except Exception:
                # Only a defect can get here, so any exception is caught: the transaction is
                # durable, and the other jobs of the group must return whatever one callback does.
                log.exception("internal error after a commit")

    def finish(self, error: BaseException | None = None) -> None:
        if error is not None:
            self.error = error
        self.done.set()


def _run_slowly(job: _Job, transaction: Transaction) -> Any:
    return finish_in_thread(job.run(transaction), lambda: job.is_abandoned)


class GroupCommit:
    """Runs jobs in transactions of a database; :meth:`run` must be running."""

    def __init__(self, database: Database, counters: WriterCounters | None = None) -> None:
        self._database = database
        self.counters = counters or WriterCounters()
        self._journal: Journal | None = None
        self._send, self._receive = trio.open_memory_channel[_Job](MAX_QUEUE_LENGTH)

    @property
    def queued(self) -> int:
        """Jobs that wait for the next group, or for room in the queue."""
        statistics = self._receive.statistics()
        return statistics.current_buffer_used + statistics.tasks_waiting_send

    async def submit(
        self,
        run: Callable[[Transaction], _Result | Steps[_Result]],
        *,
        slow: bool = False,
        on_commit: Callable[[_Result], None] | None = None,
    ) -> _Result:
        """Run a job and return its result once its changes are durable.

        ``on_commit`` is called with the result right after the commit: in the order in which the
        jobs of a group ran, and before any other job runs. An exception of ``run`` rolls its
        changes back, and is raised here. StoreError if the store fails. A caller that is cancelled
        meanwhile cannot know whether the job was done.
        """
        submitted = perf_counter()
        job = _Job(run, on_commit, slow=slow)
        try:
            self._send.send_nowait(job)  # without a task switch, if there is room
        except trio.WouldBlock:
            await self._send.send(job)
        try:
            await job.done.wait()
        except trio.Cancelled:
            job.is_abandoned = True  # if it is still in the queue, it is not run
            raise
        if job.error is not None:
            raise job.error
        self.counters.wait_seconds.observe(perf_counter() - submitted)
        result: _Result = job.result
        return result

    async def run(
        self,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
        journal: Journal | None = None,
    ) -> None:
        """Run jobs until :meth:`stop`, and then those that are in the queue."""
        self._journal = journal
        task_status.started()
        async for first in self._receive:
            # There is no waiting for more jobs: the commit before this one was the wait, and a
            # lone client must not pay for a group that never comes.
            group = [first]
            while len(group) < MAX_GROUP_SIZE:
                try:
                    group.append(self._receive.receive_nowait())
                except (trio.WouldBlock, trio.EndOfChannel):
                    break
            # A cancellation between a commit and its callbacks would leave the state in memory
            # behind the store.
            with trio.CancelScope(shield=True):
                await self._run_group([job for job in group if not job.is_abandoned])

    async def stop(self) -> None:
        """Accept no more jobs; :meth:`run` ends when those in the queue are done."""
        await self._send.aclose()

    async def _run_group(self, group: list[_Job]) -> None:
        try:
            transaction = self._database.begin()
            for job in group:
                await self._run_job(job, transaction)
            if all(job.error is not None for job in group):
                self._database.rollback()  # nothing to write, so no wait for the disk
            else:
                await self._commit(group, transaction)
        except StoreError as error:
            # Nothing of the group is durable: each job fails, also one that had succeeded.
            self.counters.failures += 1
            self.counters.is_failing = True
            self._discard()
            for job in group:
                job.finish(error)
        else:
            # All callbacks run before any submitter wakes up, so that the next request of any
            # client sees the state of the whole group.
            for job in group:
                job.publish()
            for job in group:
                job.finish()
            if self._database.needs_cleaning:
                await self._clean()

    async def _commit(self, group: list[_Job], transaction: Transaction) -> None:
        """Make the transaction durable, and what goes along with it."""
        begun = perf_counter()
        if self._journal is not None:
            self._journal.write(transaction, [job.result for job in group if job.error is None])
        await trio.to_thread.run_sync(self._database.commit)
        counters = self.counters
        counters.commits += 1
        counters.is_failing = False
        counters.group_size.observe(len(group))
        counters.commit_seconds.observe(perf_counter() - begun)

    async def _clean(self) -> None:
        """Remove what the group has destroyed from the files, before the next group begins.

        The answers do not wait for it, since one client's Destroy would delay the others of its group.
        """
        try:
            await trio.to_thread.run_sync(self._database.clean)
        except StoreError as error:
            log.warning(
                "destroyed objects are still in the files, until a later attempt: %s", error
            )

    async def _run_job(self, job: _Job, transaction: Transaction) -> None:
        try:
            with transaction.savepoint():
                if job.slow:  # other writers wait for it; readers and the event loop do not
                    job.result = await trio.to_thread.run_sync(_run_slowly, job, transaction)
                else:
                    job.result = await finish(job.run(transaction), lambda: job.is_abandoned)
        except TransactionLost:
            raise
        except Exception as error:
            # Any exception of the job is raised again in submit(), where the caller knows it. Here
            # it only ends this job, whose savepoint has been rolled back.
            job.error = error

    def _discard(self) -> None:
        # The group has failed already; if the rollback fails as well, the next begin says why.
        with suppress(StoreError):
            self._database.rollback()
        if self._journal is not None:
            self._journal.rolled_back()
