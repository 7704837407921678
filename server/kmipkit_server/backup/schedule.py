"""The backups that a running server makes by itself: when the next is due, and what became of the last.

A backup is made in a thread. When one has failed, the log and the audit log say so, and it is tried
again soon; the age of the last one that succeeded is a metric.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import trio

from kmipkit.errors import KMIPError
from kmipkit_server.audit.records import Event, Outcome, Record
from kmipkit_server.backup.creation import Keys, Made, create
from kmipkit_server.backup.directory import Part, parts
from kmipkit_server.backup.errors import BackupError
from kmipkit_server.backup.service import Plan
from kmipkit_server.config import Config, ConfigError
from kmipkit_server.engine.settings import Clock

log = logging.getLogger("kmipkit.server")

RETRY_SECONDS = 300.0
"""Seconds after which a backup that has failed is tried again, at most."""
WATCH_SECONDS = 60.0
LATE = 2.0
"""A backup is too old if it is so many times as old as it should be."""


run_in_thread = trio.to_thread.run_sync


@dataclass(slots=True)
class Figures:
    """What became of the backups since the start."""

    last: Part | None = None
    """The newest part in the directory."""
    made: int = 0
    failed: int = 0
    failing_since: datetime | None = None
    error: str = ""
    """Why the last attempt has failed; empty if it has not."""
    seconds: float = 0.0
    """How long the last one took."""
    is_running: bool = False


class Backups:
    """Makes the backups of one server."""

    def __init__(
        self,
        config: Config,
        config_file: Path | None,
        keys: Keys,
        clock: Clock,
        record: Callable[[Record], None],
    ) -> None:
        """BackupError if the configuration has recipients that are none."""
        self.figures = Figures()
        self._config_file = config_file
        self._keys = keys
        self._clock = clock
        self._record = record
        self._turn = trio.Lock()
        self._changed = trio.Event()
        self._config = config
        self._plan = plan_of(config, config_file)
        self.figures.last = _newest(self._plan)

    # --- configuration ---------------------------------------------------------------------------

    @property
    def config(self) -> Config:
        """The configuration, as the last reload has left it."""
        return self._config

    @property
    def is_configured(self) -> bool:
        """Whether the server makes backups by itself."""
        return self._plan is not None

    def prepare(self, config: Config) -> Callable[[], Iterable[str]]:
        """A reload: see :class:`kmipkit_server.service.reload.Reloadable`."""
        try:
            plan = plan_of(config, self._config_file)
        except BackupError as error:
            raise ConfigError(f"backup: {error}") from None

        last = _newest(plan)

        def commit() -> Iterable[str]:
            self._config, self._plan, self.figures.last = config, plan, last
            self._changed.set()
            return ()

        return commit

    # --- state -----------------------------------------------------------------------------------

    def age(self) -> float | None:
        """Seconds since the state that the newest backup has; None without any."""
        last = self.figures.last
        if last is None:
            return None
        return max(0.0, (self._clock() - last.manifest.created).total_seconds())

    @property
    def is_late(self) -> bool:
        """Whether the newest backup is too old, or there is none although one has failed."""
        if not self.is_configured:
            return False
        age = self.age()
        if age is None:
            return self.figures.failing_since is not None
        return age > LATE * self._config.backup.every_seconds

    # --- making ----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Make backups when they are due, until cancelled."""
        while True:
            self._changed = trio.Event()
            with trio.move_on_after(self._seconds_left()):
                await self._changed.wait()
                continue
            try:
                await self.make()
            except KMIPError as error:
                log.debug("the backup is tried again: %s", error)

    async def watch(self) -> None:
        """Notice backups that another process of the server has made, until cancelled."""
        while True:
            await trio.sleep(WATCH_SECONDS)
            if self._plan is not None and not self.figures.is_running:
                self.figures.last = await run_in_thread(_newest, self._plan) or self.figures.last

    def _seconds_left(self) -> float:
        """Until the next backup is due."""
        if self._plan is None:
            return float("inf")
        every = self._config.backup.every_seconds
        if self.figures.failing_since is not None:
            return min(RETRY_SECONDS, every)
        age = self.age()
        return 0.0 if age is None else max(0.0, every - age)

    async def make(self, *, is_full: bool = False) -> Made:
        """Make a backup now. KMIPError if that fails; the log and the audit log have the reason."""
        async with self._turn:
            if self._plan is None:
                raise BackupError("the server has no backup.directory in its configuration")
            plan, figures = self._plan, self.figures
            order = plan.order(_go_on)
            if is_full:
                order = order.as_full()
            started = trio.current_time()
            figures.is_running = True
            try:
                made = await run_in_thread(create, order, self._keys, self._clock())
            except KMIPError as error:
                self._failed(str(error))
                raise
            finally:
                figures.is_running = False
            figures.seconds = trio.current_time() - started
            self._succeeded(made)
            return made

    def _succeeded(self, made: Made) -> None:
        figures, manifest = self.figures, made.part.manifest
        if figures.failing_since is not None:
            log.warning("backups are made again")
        figures.last, figures.made = made.part, figures.made + 1
        figures.failing_since, figures.error = None, ""
        log.info(
            "%s backup %d: %s, %d bytes, in %.1f s",
            manifest.kind.value,
            manifest.number,
            made.part.data,
            manifest.size,
            figures.seconds,
        )
        for each in made.removed:
            log.info("the backup %s was removed, because its chain is too old", each.data.name)
        self._record(
            Record(
                time=self._clock(),
                event=Event.BACKUP,
                outcome=Outcome.SUCCESS,
                subject=made.part.data.name,
                duration=round(figures.seconds * 1_000_000),
            )
        )

    def _failed(self, text: str) -> None:
        figures, now = self.figures, self._clock()
        figures.failed += 1
        figures.failing_since = figures.failing_since or now
        figures.error = text
        age = self.age()
        last = "there is none" if age is None else f"the last one is {age / 3600:.1f} hours old"
        log.error("no backup was made: %s; %s", text, last)
        self._record(
            Record(time=now, event=Event.BACKUP, outcome=Outcome.FAILED, message=text[:500])
        )


def plan_of(config: Config, config_file: Path | None) -> Plan | None:
    """What the configuration orders; None if it orders no backups. BackupError if it cannot be done."""
    if config.backup.directory is None:
        return None
    return Plan.of(config, config_file)


def _go_on(_what: str, _done: int, _total: int) -> None:
    """In the thread of a backup: trio.Cancelled if the server stops."""
    trio.from_thread.check_cancelled()


def _newest(plan: Plan | None) -> Part | None:
    """The newest part in the directory."""
    if plan is None or not plan.directory.is_dir():
        return None
    try:
        found = parts(plan.directory)
    except BackupError as error:  # which the next backup says again
        log.warning("%s", error)
        return None
    return found[-1] if found else None
