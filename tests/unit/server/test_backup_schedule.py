"""Backups that the server makes by itself: when, and who learns that one has failed."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from backing_up import BEGIN, Backups
from kmipkit_server.audit.records import Event, Outcome, Record
from kmipkit_server.backup import schedule
from kmipkit_server.backup.manifest import Kind
from kmipkit_server.backup.service import manual_keys
from kmipkit_server.config import Config, ConfigError
from kmipkit_server.config.sections import BackupConfig
from kmipkit_server.metrics import collector

HOUR = 3600.0


class Scheduled:
    """The backups of a server in virtual time."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.backups = Backups(folder)
        self.records: list[Record] = []
        self.section = BackupConfig(
            directory=self.backups.directory, recipients=(self.backups.recipient,), **settings
        )

    @property
    def config(self) -> Config:
        return replace(self.backups.config, backup=self.section)

    def open(self) -> tuple[schedule.Backups, Callable[[], Any]]:
        started = trio.current_time()
        begin = self.backups.now

        def clock() -> Any:
            self.backups.now = begin + timedelta(seconds=trio.current_time() - started)
            return self.backups.now

        keys = manual_keys(self.config)
        return schedule.Backups(self.config, None, keys, clock, self.records.append), clock

    def run(
        self, work: Callable[[schedule.Backups], Awaitable[None]], *, is_virtual: bool = True
    ) -> None:
        async def run() -> None:
            opened, clock = self.open()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(opened.run)
                await work(opened)
                clock()  # which a further start goes on from
                nursery.cancel_scope.cancel()

        trio.run(run, clock=trio.testing.MockClock(autojump_threshold=0) if is_virtual else None)

    def hours(self) -> list[float]:
        """When the backups were made, in hours since the beginning."""
        moments = [part.manifest.created for part in self.backups.parts]
        return [round((moment - BEGIN).total_seconds() / HOUR, 1) for moment in moments]


@pytest.fixture
def scheduled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scheduled:
    """Backups in virtual time, which would pass while a thread works: so there is none."""

    async def at_once(work: Callable[..., Any], *arguments: Any) -> Any:
        await trio.lowlevel.checkpoint()
        return work(*arguments)

    monkeypatch.setattr(schedule, "run_in_thread", at_once)
    monkeypatch.setattr(schedule, "_go_on", lambda *_: None)
    return Scheduled(tmp_path, full_hours=4.0)


def test_backups_are_made_when_they_are_due(scheduled: Scheduled) -> None:
    """The first at once, then each after its time, with a full one from time to time."""

    async def six_hours(opened: schedule.Backups) -> None:
        await trio.sleep(5.5 * HOUR)
        assert opened.figures.made == 6
        assert not opened.is_late
        assert opened.age() == pytest.approx(0.5 * HOUR, abs=60)

    scheduled.run(six_hours)
    assert scheduled.hours() == [0, 1, 2, 3, 4, 5]
    kinds = [part.manifest.kind for part in scheduled.backups.parts]
    assert [number for number, kind in enumerate(kinds) if kind is Kind.FULL] == [0, 4]
    assert [(each.event, each.outcome) for each in scheduled.records] == 6 * [
        (Event.BACKUP, Outcome.SUCCESS)
    ]


def test_a_restart_goes_on_with_the_times(scheduled: Scheduled) -> None:
    """And does not begin with a backup, or frequent restarts would be frequent backups."""

    async def half_an_hour(_: schedule.Backups) -> None:
        await trio.sleep(0.5 * HOUR)

    for _ in range(4):
        scheduled.run(half_an_hour)
    assert scheduled.hours() == [0, 1]


def test_a_backup_that_fails_is_tried_again_and_told(
    scheduled: Scheduled, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    create = schedule.create

    def fail(*_: Any) -> Any:
        raise schedule.BackupError("the disk is full")

    async def work(opened: schedule.Backups) -> None:
        await trio.sleep(0.5 * HOUR)
        monkeypatch.setattr(schedule, "create", fail)
        await trio.sleep(2 * HOUR)
        assert opened.is_late
        assert opened.figures.failed > 10
        metrics = {
            (sample.name, *sample.labels.values()): sample.value
            for metric in collector.backups(opened)
            for sample in metric.samples
        }
        assert metrics["kmipkit_backup_late",] == 1
        assert metrics["kmipkit_backup_age_seconds",] == pytest.approx(2.5 * HOUR, abs=60)
        assert metrics["kmipkit_backups_total", "success"] == 1
        assert metrics["kmipkit_backups_total", "failure"] == opened.figures.failed
        monkeypatch.setattr(schedule, "create", create)
        await trio.sleep(schedule.RETRY_SECONDS + 1)
        assert not opened.is_late
        assert opened.figures.failing_since is None

    with caplog.at_level(logging.INFO):
        scheduled.run(work)
    texts = [each.getMessage() for each in caplog.records]
    assert "no backup was made: the disk is full; the last one is 1.0 hours old" in texts
    assert "backups are made again" in texts
    assert any(
        each.outcome is Outcome.FAILED and each.message == "the disk is full"
        for each in scheduled.records
    )


def test_a_reload_changes_the_schedule_or_nothing(scheduled: Scheduled) -> None:
    async def work(opened: schedule.Backups) -> None:
        await trio.sleep(0.5 * HOUR)
        wrong = replace(scheduled.section, recipients=("age1abc",))
        with pytest.raises(ConfigError, match="backup: age1abc is not a public key of age"):
            opened.prepare(replace(scheduled.config, backup=wrong))
        scheduled.section = replace(scheduled.section, every_seconds=900.0)
        opened.prepare(scheduled.config)()
        await trio.sleep(0.5 * HOUR)
        opened.prepare(replace(scheduled.config, backup=BackupConfig()))()
        await trio.sleep(100 * HOUR)
        assert not opened.is_late

    scheduled.run(work)
    assert scheduled.hours()[:3] == [0, 0.5, 0.8]
    assert len(scheduled.hours()) <= 4


def test_a_stop_does_not_wait_for_a_long_backup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its server ends at once, whatever the size of its database."""
    scheduled = Scheduled(tmp_path)
    begun = trio.Event()

    def endless(order: Any, *_: Any) -> Any:
        trio.from_thread.run_sync(begun.set)
        while True:
            order.progress("copying", 0, 1)

    async def work(_: schedule.Backups) -> None:
        await begun.wait()

    monkeypatch.setattr(schedule, "create", endless)
    scheduled.run(work, is_virtual=False)
