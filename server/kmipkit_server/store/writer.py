"""Group commit: one writer for all connections, and one commit for all jobs in the queue.

The cost of a write is waiting for the disk. While the commit of one group waits in a thread, the
queue collects the jobs of the next. These then run one after the other on the event loop, inside one
transaction, and all of them return when the disk has the transaction.

A job that fails must leave nothing behind. Savepoints would see to that, but each copies the pages that
its job changes, which takes a fifth of the time of a Create. So the jobs of a group run without; if one
fails, the group runs again with a savepoint for each, as do the next groups.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Protocol, TypeVar

import trio

from kmipkit_server.fairness.shared_loop import SLICE, shared_loop
from kmipkit_server.store.base import Journal, Transaction
from kmipkit_server.store.counters import WriterCounters
from kmipkit_server.store.errors import NotDurable, StoreError, TransactionLost
from kmipkit_server.store.slices import Steps, finish, finish_in_thread

log = logging.getLogger("kmipkit.server")

_Result = TypeVar("_Result")

MAX_GROUP_SIZE = 256
"""Jobs in one commit, at most. Others wait for the commit: a larger group would be a longer wait."""

GROUPS_WITH_SAVEPOINTS = 32
"""Groups that run with savepoints after one in which a job has failed: few clients whose requests are
always refused must not make all others run twice."""

MAX_QUEUE_LENGTH = 1024
"""Jobs in the queue, at most. Further submitters wait until there is room."""


class Database(Protocol):
    """The database of a group commit: it has one transaction at a time."""

    def begin(self) -> Transaction:
        """Open the transaction."""

    @property
    def commits_at_once(self) -> bool:
        """Whether a commit does not wait for the disk, so that it can run on the event loop."""

    def commit(self) -> None:
        """End the transaction, which others may see then; any thread may call it."""

    def flush(self) -> None:
        """Make durable what is committed, if it is not; NotDurable if that fails. This waits for the
        disk; any thread may call it."""

    def rollback(self) -> None:
        """Discard the transaction."""

    @property
    def needs_cleaning(self) -> bool:
        """Whether the files may still contain bytes of what was destroyed."""

    def clean(self) -> None:
        """Remove these bytes. This waits for the disk; any thread may call it."""


class Turns(Protocol):
    """Whose turn it is to write, among several processes."""

    async def take(self) -> None:
        """Wait for the turn."""

    @property
    def is_awaited(self) -> bool:
        """Whether another process waits for its turn."""

    def release(self) -> None:
        """Give it to the next process."""


@dataclass(slots=True, eq=False)
class Job:
    """Work that a client waits for."""

    run: Callable[[Transaction], Any]
    on_commit: Callable[[Any], None] | None = None
    done: trio.Event = field(default_factory=trio.Event)
    result: Any = None
    error: BaseException | None = None
    is_abandoned: bool = False
    slow: bool = False
    account: str = ""
    """For whom it is; the server itself has no name."""

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


def _run_slowly(job: Job, transaction: Transaction) -> Any:
    return finish_in_thread(job.run(transaction), lambda: job.is_abandoned)


class GroupCommit:
    """Runs jobs in transactions of a database; :meth:`run` must be running."""

    def __init__(
        self,
        database: Database,
        counters: WriterCounters | None = None,
        turns: Turns | None = None,
    ) -> None:
        """``turns`` are those of the processes that write to the database, if there are several."""
        self._database = database
        self._turns = turns
        self.counters = counters or WriterCounters()
        self._journal: Journal | None = None
        self._groups_with_savepoints = 0
        """How many of the next groups run with savepoints."""
        self._accounts: dict[str, int] = {}
        """How many jobs each account waits for."""
        self._send, self._receive = trio.open_memory_channel[Job](MAX_QUEUE_LENGTH)

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
        account: str = "",
        on_commit: Callable[[_Result], None] | None = None,
    ) -> _Result:
        """Run a job and return its result once its changes are durable.

        ``on_commit`` is called with the result right after the commit: in the order in which the
        jobs of a group ran, and before any other job runs. An exception of ``run`` rolls its
        changes back, and is raised here. StoreError if the store fails. A caller that is cancelled
        meanwhile cannot know whether the job was done.
        """
        submitted = perf_counter()
        job = Job(run, on_commit, slow=slow, account=account)
        accounts = self._accounts
        accounts[account] = accounts.get(account, 0) + 1
        try:
            try:
                self._send.send_nowait(job)  # without a task switch, if there is room
            except trio.WouldBlock:
                await self._send.send(job)
            await job.done.wait()
        except trio.Cancelled:
            job.is_abandoned = True  # if it is still in the queue, it is not run
            raise
        finally:
            accounts[account] -= 1
            if not accounts[account]:
                del accounts[account]
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
            # A cancellation between a commit and its callbacks would leave the state in memory
            # behind the store.
            with trio.CancelScope(shield=True):
                await self._run_in_turn(first)

    async def _run_in_turn(self, first: Job) -> None:
        if self._turns is not None:
            await self._turns.take()
        try:
            await self._run_group(self._group(first))
        finally:
            self._end_turn()

    def _end_turn(self) -> None:
        """Let the next process write, if that has not been done."""
        if self._turns is not None:
            self._turns.release()

    def _group(self, first: Job) -> list[Job]:
        """A job, and those that have queued up behind it."""
        # There is no waiting for more jobs: the commit before this one was the wait, and a lone
        # client must not pay for a group that never comes.
        group = [first]
        while len(group) < MAX_GROUP_SIZE:
            try:
                group.append(self._receive.receive_nowait())
            except (trio.WouldBlock, trio.EndOfChannel):
                break
        return [job for job in group if not job.is_abandoned]

    async def stop(self) -> None:
        """Accept no more jobs; :meth:`run` ends when those in the queue are done."""
        await self._send.aclose()

    async def _run_group(self, group: list[Job]) -> None:
        try:
            await self._carry_out(group)
        except NotDurable as error:
            # What others may have seen cannot be discarded.
            self._note_failure()
            await self._publish(group, error)
        except StoreError as error:
            # Nothing of the group is durable: each job fails, also one that had succeeded.
            self._note_failure()
            await self._discard()
            for job in group:
                job.finish(error)
        else:
            await self._publish(group)

    def _note_failure(self) -> None:
        self.counters.failures += 1
        self.counters.is_failing = True

    async def _publish(self, group: list[Job], error: NotDurable | None = None) -> None:
        """Tell the submitters of what is committed."""
        # All callbacks run before any submitter wakes up, so that the next request of any
        # client sees the state of the whole group.
        for job in group:
            job.publish()
        for job in group:
            job.finish(error)
        if self._database.needs_cleaning:
            await self._clean()

    async def _carry_out(self, group: list[Job]) -> None:
        """Run the jobs in a transaction, and make it durable."""
        transaction = self._database.begin()
        if not await self._run_without_savepoints(group, transaction):
            for job in group:
                await self._run_job(job, transaction)
        if all(job.error is not None for job in group):
            self._database.rollback()  # nothing to write, so no wait for the disk
        else:
            await self._commit(group, transaction)

    async def _run_without_savepoints(self, group: list[Job], transaction: Transaction) -> bool:
        """Run the jobs, unless they are to have savepoints; whether that has been all.

        It has not if one of several jobs has failed: then the transaction is empty again.
        """
        if self._groups_with_savepoints:
            self._groups_with_savepoints -= 1
            return False
        if any(job.slow for job in group):  # too dear to run twice
            return False
        shared = shared_loop()
        begun = shared.clock()
        for job in group:
            used = shared.clock() - begun
            if used >= SLICE and shared.is_asked_by_others:
                # The rest of the group waits for the end of this.
                await shared.hand_over(job.account)
                begun = shared.clock()
            try:
                await self._finish(job, transaction)
            except TransactionLost:
                raise
            except Exception as error:  # any, as in _run_job()
                if len(group) == 1:
                    job.error = error
                    return True
                self._groups_with_savepoints = GROUPS_WITH_SAVEPOINTS
                self._database.rollback()
                self._database.begin()
                return False
        return True

    async def _commit(self, group: list[Job], transaction: Transaction) -> None:
        """Make the transaction durable, and what goes along with it."""
        begun = perf_counter()
        if self._journal is not None:
            self._journal.write(transaction, [job.result for job in group if job.error is None])
        if self._database.commits_at_once:
            # The way to a thread and back would make the other processes wait longer for their turn.
            self._commit_in_turn()
            await trio.to_thread.run_sync(self._database.flush)
        else:
            await trio.to_thread.run_sync(self._write)
        counters = self.counters
        counters.commits += 1
        counters.is_failing = False
        counters.group_size.observe(len(group))
        counters.commit_seconds.observe(perf_counter() - begun)

    def _write(self) -> None:
        """In a thread: commit, let the next process write, and wait for the disk."""
        self._commit_in_turn()
        self._database.flush()

    def _commit_in_turn(self) -> None:
        self._database.commit()
        if not self._database.needs_cleaning:  # which takes a turn as well
            self._end_turn()

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

    async def _run_job(self, job: Job, transaction: Transaction) -> None:
        try:
            with transaction.savepoint():
                if job.slow:  # other writers wait for it; readers and the event loop do not
                    job.result = await trio.to_thread.run_sync(_run_slowly, job, transaction)
                else:
                    await self._finish(job, transaction)
        except TransactionLost:
            raise
        except Exception as error:
            # Any exception of the job is raised again in submit(), where the caller knows it. Here
            # it only ends this job, whose savepoint has been rolled back.
            job.error = error

    async def _finish(self, job: Job, transaction: Transaction) -> None:
        """Run a job on the event loop."""
        job.result = await finish(
            job.run(transaction),
            job.account,
            lambda: job.is_abandoned,
            self._is_awaited_by_others,
        )

    def _is_awaited_by_others(self) -> bool:
        """Whether other accounts, or other processes, wait for the end of the group."""
        return len(self._accounts) > 1 or (self._turns is not None and self._turns.is_awaited)

    async def _discard(self) -> None:
        # The group has failed already; if the rollback fails as well, the next begin says why.
        with suppress(StoreError):
            self._database.rollback()
        if self._journal is not None:
            self._journal.rolled_back()
