"""Who looks after the databases: notices that one is gone, ends it for sure, promotes the other one.

In earnest, that is Patroni, repmgr or a service of a cloud. This one is as simple as can be: it
is the only one that decides, and it can pull the plug of a machine (fencing). So the old primary never
serves beside the new one.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psycopg

from drill.database import Database, wait_for

SECONDS_BETWEEN_LOOKS = 1.0
FAILURES = 2
"""Looks in a row that find nothing, until a database is given up."""


class Manager:
    """Keeps one of two databases the primary, and the other one its replica."""

    def __init__(self, primary: Database, replica: Database, note: Callable[[str], None]) -> None:
        """``note`` gets what happens, for people."""
        self.primary = primary
        self.replica = replica
        self.has_replica = True
        """Whether the replica has everything that was acknowledged."""
        self._commits_wait = True
        """Whether the primary waits for the replica."""
        self._note = note
        self._failures = 0
        self._misses = 0
        self._stopped = threading.Event()
        self._deciding = threading.RLock()
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._watch, name="manager", daemon=True)

    def start(self) -> None:
        """Begin to look after the databases."""
        self._thread.start()

    def stop(self) -> None:
        """End it."""
        self._stopped.set()
        self._thread.join()

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Let somebody else decide meanwhile."""
        with self._deciding:
            yield

    def rebuild(self) -> None:
        """Have two databases again: what is not the primary becomes its replica."""
        with self._deciding:
            if self.has_replica:
                return
            self.replica.clone(self.primary)
            self._commits_wait = True
            self.primary.wait_for_replica()
            self.has_replica = True
            self._note(f"{self.replica.name} is the replica of {self.primary.name}")

    def wait_for_decision(self, fault_of: Database) -> None:
        """Wait until a database that has failed is neither the primary nor counted on."""
        wait_for(
            lambda: self.primary is not fault_of and not self.has_replica,
            f"the manager gives {fault_of.name} up",
        )

    def wait_until_alone(self) -> None:
        """Wait until the primary goes on without its replica."""
        wait_for(lambda: not self._commits_wait, f"{self.primary.name} goes on alone")

    def _watch(self) -> None:
        try:
            while not self._stopped.wait(SECONDS_BETWEEN_LOOKS):
                with self._deciding, suppress(psycopg.Error):  # then the next look decides
                    self._look()
        except BaseException as error:  # of any kind: the drill raises it again
            self.error = error

    def _look(self) -> None:
        if self._primary_works():
            self._failures = 0
        else:
            self._failures += 1
            # A replica that is not complete would lose what was acknowledged since.
            if self._failures >= FAILURES and self.has_replica:
                self.fail_over()
            return
        if self.has_replica:
            self._misses = 0 if self.primary.has_synchronous_replica() else self._misses + 1
            # From now on, it must not be promoted.
            self.has_replica = self._misses < FAILURES
        if self._commits_wait and not self.has_replica:
            self._go_on_alone()

    def _primary_works(self) -> bool:
        return not self.primary.disk.is_full and self.primary.answers()

    def fail_over(self) -> None:
        """Promote the replica, when the old primary can do nothing any more."""
        self._failures = 0
        begun = time.monotonic()
        old, new = self.primary, self.replica
        old.kill()
        new.promote()
        self.primary, self.replica, self.has_replica = new, old, False
        self._commits_wait = False  # a replica that was promoted has none of its own
        self._note(
            f"{new.name} is the primary, {time.monotonic() - begun:.1f} s after the decision"
        )

    def _go_on_alone(self) -> None:
        """Have commits not wait for a replica that is gone."""
        self.primary.require_replica(False)
        self._misses, self._commits_wait = 0, False
        self._note(f"{self.replica.name} is gone: {self.primary.name} goes on alone")
