"""The group commit on a connection to PostgreSQL: in a thread, and repeated after a conflict.

While one group is in its transaction, the queue collects the jobs of the next one. The groups of several
nodes run at the same time. A group that meets a conflict with another node's runs again, alone if it
can, so that it cannot meet a second one.
"""

from contextlib import suppress
from time import perf_counter

import trio

from kmipkit_server.store.counters import WriterCounters
from kmipkit_server.store.errors import StoreError, TransactionLost
from kmipkit_server.store.postgresql.database import PostgreSQLDatabase
from kmipkit_server.store.postgresql.errors import Conflict, ConnectionLost
from kmipkit_server.store.slices import finish_in_thread
from kmipkit_server.store.writer import GroupCommit, Job

ATTEMPTS = 5
"""How often a group runs, at most: after conflicts, and after the connection was lost. Alone, it cannot
meet a conflict; but at first, it does not wait for that for long."""


class PostgreSQLWriter(GroupCommit):
    """See :class:`.writer.GroupCommit`."""

    def __init__(
        self, database: PostgreSQLDatabase, counters: WriterCounters | None = None
    ) -> None:
        super().__init__(database, counters)
        self._postgresql = database
        self._is_journal_open = False
        """Whether the journal has written something that may not be committed."""

    async def _carry_out(self, group: list[Job]) -> None:
        for attempt in range(ATTEMPTS):
            try:
                await trio.to_thread.run_sync(self._attempt, group, attempt)
            except (Conflict, ConnectionLost):
                if attempt == ATTEMPTS - 1:
                    raise
                await self._discard()
                for job in group:
                    job.result = job.error = None
            else:
                return

    def _attempt(self, group: list[Job], repetition: int) -> None:
        """Run the jobs in one transaction; in a thread."""
        database, begun = self._postgresql, perf_counter()
        if database.is_uncertain:
            self._settle()
        transaction = database.begin(repetition=repetition)
        for job in group:
            self._run_in_thread(job)
        done = [job.result for job in group if job.error is None]
        if not done:
            database.rollback()
            return
        if self._journal is not None:
            # The journal belongs to the event loop, which must not wait for the database.
            database.transaction.defer_settings()
            self._is_journal_open = True
            trio.from_thread.run_sync(self._journal.write, transaction, done)
        database.commit()
        self._is_journal_open = False
        counters = self.counters
        counters.commits += 1
        counters.is_failing = False
        counters.group_size.observe(len(group))
        counters.commit_seconds.observe(perf_counter() - begun)

    def _run_in_thread(self, job: Job) -> None:
        transaction = self._postgresql.transaction
        try:
            with transaction.savepoint():
                job.result = finish_in_thread(job.run(transaction), lambda: job.is_abandoned)
        except TransactionLost:
            raise
        except Exception as error:
            # As in the group commit: any exception of the job is raised again in submit().
            job.error = error
        # What an operation may have caught is no less a reason to run again.
        transaction.require_whole()

    def _settle(self) -> None:
        """Find out what became of the last group, whose clients have got an error."""
        was_committed = self._postgresql.settle()
        if not was_committed and self._is_journal_open and self._journal is not None:
            trio.from_thread.run_sync(self._journal.rolled_back)
        self._is_journal_open = False

    async def _discard(self) -> None:
        # If the rollback fails as well, the next transaction says why.
        with suppress(StoreError):
            await trio.to_thread.run_sync(self._postgresql.rollback)
        if self._is_journal_open and not self._postgresql.is_uncertain:
            if self._journal is not None:
                self._journal.rolled_back()
            self._is_journal_open = False
