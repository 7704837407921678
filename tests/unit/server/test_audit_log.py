"""The audit log through crashes, failed commits and full disks: no change without its record, and no
record without its change that does not say so."""

import errno
import os
import shutil
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import stores
import trio
from audited import AuditedLaboratory
from kmipkit_client import OperationFailed, calls
from kmipkit_server.audit import service
from kmipkit_server.audit.files import log_files
from kmipkit_server.audit.query import NOT_COMMITTED, Filter, search
from kmipkit_server.audit.records import Cause, Event
from kmipkit_server.audit.reservation import ROOM
from kmipkit_server.audit.service import Audit
from kmipkit_server.audit.verification import Problem, verify
from kmipkit_server.store.errors import StoreError

from kmipkit.spec.enums import CryptographicAlgorithm, ResultReason
from kmipkit.spec.masks import CryptographicUsageMask as Mask

PATIENCE = 300
"""Seconds until a test counts as hanging."""

CREATE = calls.create(CryptographicAlgorithm.AES, 128, Mask.ENCRYPT, None, None)


def fetch(identifier: str) -> Any:
    return calls.get(identifier, None, None, None)


@pytest.fixture
def laboratory(tmp_path: Path) -> Iterator[AuditedLaboratory]:
    laboratory = AuditedLaboratory(tmp_path / "data")
    yield laboratory
    laboratory.close()


def reopened(laboratory: AuditedLaboratory) -> AuditedLaboratory:
    """The same data directory after a restart."""
    laboratory.close()
    return AuditedLaboratory(laboratory.folder)


def events(laboratory: AuditedLaboratory) -> list[Event]:
    return [each.event for each in laboratory.entries() if each.event is not Event.CHECKPOINT]


async def nothing(_: Audit) -> None:
    """Only a start and a stop."""


# --- changes and their records ---------------------------------------------------------------------


def test_a_change_that_is_not_committed_says_so(
    laboratory: AuditedLaboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = type(laboratory.database)
    commit = kind.commit

    def full(_: object) -> None:
        raise StoreError("the disk is full")

    async def work(_: Audit) -> list[Any]:
        monkeypatch.setattr(kind, "commit", full)
        [failed] = await laboratory.request(CREATE)
        monkeypatch.setattr(kind, "commit", commit)
        [created] = await laboratory.request(CREATE)
        return [failed, created]

    failed, created = laboratory.run(work)
    assert isinstance(failed, OperationFailed)
    assert events(laboratory) == [
        Event.OPERATION, Event.NOT_COMMITTED, Event.OPERATION, Event.OPERATION,
    ]  # fmt: skip
    assert not laboratory.verify().problems
    found = search(log_files(laboratory.directory), Filter(operation="create"))
    assert [match.outcome for match in found] == [NOT_COMMITTED, "failed", "success"]
    assert found[1].entry.reason == "General Failure"
    assert found[2].entry.objects == (created,)


@pytest.mark.sqlite
def test_a_change_that_a_crash_prevents_is_marked_at_the_next_start(
    laboratory: AuditedLaboratory,
) -> None:
    """The record is in the log, and the transaction is not in the database."""
    before = laboratory.folder / "before"
    before.mkdir()

    async def work(_: Audit) -> None:
        await laboratory.request(CREATE)
        with sqlite3.connect(laboratory.folder / "db") as source:
            copy = sqlite3.connect(before / "db")
            source.backup(copy)
            copy.close()
        source.close()
        await laboratory.request(CREATE)
        await laboratory.request(CREATE)

    laboratory.run(work, crash=True)
    laboratory.close()
    shutil.copy(before / "db", laboratory.folder / "db")
    restarted = AuditedLaboratory(laboratory.folder)
    restarted.run(nothing)
    found = search(log_files(restarted.directory), Filter(operation="create"))
    assert [match.outcome for match in found] == ["success", NOT_COMMITTED, NOT_COMMITTED]
    assert not restarted.verify().problems
    restarted = reopened(restarted)
    restarted.run(nothing)
    assert events(restarted).count(Event.NOT_COMMITTED) == 1, "it is said once"
    restarted.close()


def cut_last(laboratory: AuditedLaboratory, records: int) -> None:
    """Lose the last records, as a machine without power does."""
    path = log_files(laboratory.directory)[-1].path
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-records]))


@pytest.mark.parametrize("is_same_boot", [True, False])
def test_records_of_changes_that_the_disk_has_lost_come_back_from_the_store(
    laboratory: AuditedLaboratory, monkeypatch: pytest.MonkeyPatch, is_same_boot: bool
) -> None:
    async def work(_: Audit) -> str:
        await laboratory.request(CREATE)
        await laboratory.request(fetch("missing"))
        await laboratory.request(fetch("missing"))
        [key] = await laboratory.request(CREATE)
        return str(key)

    key = laboratory.run(work, crash=True)
    cut_last(laboratory, 3)  # two Gets and a Create
    restarted = reopened(laboratory)
    if not is_same_boot:
        monkeypatch.setattr(service, "_boot_id", lambda: "another")
    restarted.run(nothing)
    found = search(log_files(restarted.directory), Filter(object=key))
    assert [match.entry.operation for match in found] == ["Create"]
    assert found[0].entry.again
    [lost] = [each for each in restarted.entries() if each.event is Event.LOST]
    assert lost.count == 2
    report = restarted.verify()
    assert bool(report.problems) is is_same_boot, "only a machine without power loses records"
    assert any("are lost" in text for text in (*map(str, report.problems), *report.notes))
    restarted.close()


def test_a_record_cut_in_half_is_dropped(laboratory: AuditedLaboratory) -> None:
    async def work(_: Audit) -> None:
        await laboratory.request(fetch("missing"))

    laboratory.run(work, crash=True)
    path = log_files(laboratory.directory)[-1].path
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"n":99,"time":"20')
    restarted = reopened(laboratory)
    restarted.run(nothing)
    assert path.read_bytes().startswith(whole)
    assert not restarted.verify().problems
    restarted.close()


def test_an_empty_file_of_a_crash_is_replaced(laboratory: AuditedLaboratory) -> None:
    laboratory.run(nothing)
    count = len(laboratory.entries())
    (laboratory.directory / f"audit-{count + 1:012d}.jsonl").touch()
    restarted = reopened(laboratory)
    restarted.run(nothing)
    assert not restarted.verify().problems
    assert len(log_files(restarted.directory)) == 1
    restarted.close()


def test_settings_do_not_pile_up(laboratory: AuditedLaboratory) -> None:
    async def work(audit: Audit) -> None:
        for _ in range(5):
            await laboratory.request(CREATE)
            await audit.log.sync()

    laboratory.run(work)
    assert len(laboratory.expected().hashes) <= 3, "the checkpoint, and the last transactions"


# --- files -------------------------------------------------------------------------------------------


def test_a_new_file_begins_when_the_old_one_is_large(laboratory: AuditedLaboratory) -> None:
    async def work(audit: Audit) -> None:
        for _ in range(3):
            for _ in range(5):
                await laboratory.request(fetch("missing"))
            await audit._maintain()

    laboratory.run(work, file_size=2000)
    files = log_files(laboratory.directory)
    assert len(files) == 4
    entries = laboratory.entries()
    assert [each.n for each in entries] == list(range(1, len(entries) + 1))
    assert not laboratory.verify().problems
    older = verify(files[:2], laboratory.verifier)
    assert not older.problems
    newer = verify(files[2:], laboratory.verifier, laboratory.expected())
    assert not newer.problems, "it begins at a signed checkpoint"
    assert any("older files are not here" in note for note in newer.notes)
    gap = verify([files[0], *files[2:]], laboratory.verifier)
    assert any("were removed" in str(problem) for problem in gap.problems)


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (Problem("worker-2", 0, 0, None, "the log is missing"), "worker-2: the log is missing"),
        (Problem("", 0, 0, None, "the log is missing"), "the log is missing"),
        (Problem("a.jsonl", 0, 0, None, "the file is empty"), "a.jsonl: the file is empty"),
        (
            Problem("a.jsonl", 7, 9, datetime(2026, 11, 29, tzinfo=UTC), "its hash is wrong"),
            "a.jsonl:7: record 9 (2026-11-29 00:00:00.000000 UTC): its hash is wrong",
        ),
    ],
)
def test_a_problem_says_where_as_far_as_that_is_known(problem: Problem, text: str) -> None:
    """The message about a whole log began with two colons, and no place."""
    assert str(problem) == text


def test_a_new_file_begins_after_a_day_and_old_ones_are_deleted(
    laboratory: AuditedLaboratory,
) -> None:
    async def work(audit: Audit) -> None:
        for _ in range(5):
            await laboratory.request(fetch("missing"))
            laboratory.pass_time(days=1)
            await audit._maintain()

    laboratory.run(work, file_age=timedelta(days=1), keep=timedelta(days=3))
    entries = laboratory.entries()
    removed = [each for each in entries if each.event is Event.REMOVED]
    assert [each.count for each in removed] == [1] * len(removed) != []
    assert removed[-1].last + 1 == entries[0].n
    assert not laboratory.verify().problems


def test_the_server_notices_that_its_file_is_cut_or_deleted(laboratory: AuditedLaboratory) -> None:
    async def work(audit: Audit) -> None:
        await laboratory.request(fetch("missing"))
        path = log_files(laboratory.directory)[-1].path
        os.truncate(path, 100)
        await audit._maintain()
        await laboratory.request(fetch("missing"))
        log_files(laboratory.directory)[-1].path.unlink()
        await audit._maintain()
        await laboratory.request(fetch("missing"))

    laboratory.run(work)
    assert events(laboratory)[-2:] == [Event.TAMPERED, Event.OPERATION]
    assert any("the server noted" in str(each) for each in laboratory.verify().problems)


def test_a_log_whose_files_are_gone_is_a_problem(laboratory: AuditedLaboratory) -> None:
    laboratory.run(nothing)
    shutil.rmtree(laboratory.directory)
    laboratory.directory.mkdir()
    [problem] = laboratory.verify().problems
    assert "the log is missing" in str(problem)
    restarted = reopened(laboratory)
    restarted.run(nothing)
    assert restarted.verify().problems, "a new log does not hide it"
    restarted.close()


def test_the_log_of_another_database_is_left_alone(
    laboratory: AuditedLaboratory, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Such as after all but the log was removed, to begin with an empty store."""
    laboratory.run(nothing)
    old_key = laboratory.verifier
    laboratory.close()
    new = AuditedLaboratory(tmp_path / "new")
    shutil.copytree(laboratory.directory, new.directory)
    [old] = log_files(new.directory)
    before = old.path.read_bytes()
    new.run(nothing)
    assert "of another database" in caplog.text
    assert old.path.read_bytes() == before
    assert new.verify().problems, "it has another key"
    assert not verify([old], old_key).problems
    old.path.rename(tmp_path / old.path.name)
    assert not new.verify().problems
    new.close()


def test_the_age_of_a_file_counts_over_a_restart(laboratory: AuditedLaboratory) -> None:
    async def maintain(audit: Audit) -> None:
        await audit._maintain()

    laboratory.run(nothing, file_age=timedelta(days=1))
    laboratory.close()
    later = AuditedLaboratory(laboratory.folder, now=laboratory.now + timedelta(days=1))
    later.run(maintain, file_age=timedelta(days=1))
    assert len(log_files(later.directory)) == 2
    later.close()


# --- when records cannot be written ------------------------------------------------------------------


class FullDisk:
    """Makes all writing of the log fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    def __enter__(self) -> None:
        write = os.write

        def fail(descriptor: int, data: bytes) -> int:
            if data.startswith(b'{"n"'):
                write(descriptor, data[: len(data) // 2])
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return write(descriptor, data)

        self._monkeypatch.setattr(os, "write", fail)

    def __exit__(self, *_: object) -> None:
        self._monkeypatch.undo()


def test_nothing_is_served_while_nothing_can_be_recorded(
    laboratory: AuditedLaboratory,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def work(_: Audit) -> list[Any]:
        [key] = await laboratory.request(CREATE)
        await laboratory.request(fetch(key))
        with FullDisk(monkeypatch):
            refused = [
                *await laboratory.request(fetch(key)),
                *await laboratory.request(CREATE),
                *await laboratory.request(fetch("missing")),
            ]
        [material] = await laboratory.request(fetch(key))
        assert material is not None
        [located] = await laboratory.request(calls.locate(None, None, None, None, None, None))
        assert located.ids == (key,), "the refused Create has changed nothing"
        return refused

    for error in laboratory.run(work):
        assert isinstance(error, OperationFailed)
        assert error.reason is ResultReason.GENERAL_FAILURE
        assert "audit log" in str(error)
    [interruption] = [each for each in laboratory.entries() if each.event is Event.INTERRUPTION]
    assert interruption.count >= 3
    report = laboratory.verify()
    assert not report.problems
    assert any("were refused" in note for note in report.notes)
    lines = [record.getMessage() for record in caplog.records]
    assert sum("cannot be written" in line for line in lines) == 1
    assert sum("is written again" in line for line in lines) == 1


def test_a_log_is_written_again_without_any_request(
    laboratory: AuditedLaboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients use another server as long as this one refuses: nobody would ask it."""

    async def work(audit: Audit) -> None:
        written = trio.Event()
        audit.log.listeners.append(lambda lines: written.set())
        with FullDisk(monkeypatch):
            [refused] = await laboratory.request(CREATE)
            assert isinstance(refused, OperationFailed)
            assert audit.log.refusing_since is not None
        with trio.fail_after(PATIENCE):
            await written.wait()
        assert audit.log.refusing_since is None

    laboratory.run(work)
    assert events(laboratory) == [Event.INTERRUPTION]
    assert not laboratory.verify().problems


def test_room_for_records_is_kept_on_the_disk(laboratory: AuditedLaboratory) -> None:
    """So that keys can be fetched for a while when something else fills the disk."""

    async def work(audit: Audit) -> tuple[int, int]:
        audit.log.rotate()
        status = log_files(laboratory.directory)[-1].path.stat()
        return status.st_blocks * 512 - status.st_size, status.st_size

    room, size = laboratory.run(work)
    if not room > size:
        pytest.skip("this file system cannot reserve room")
    assert room >= ROOM // 2
    for file in log_files(laboratory.directory):
        status = file.path.stat()
        assert status.st_blocks * 512 < status.st_size + ROOM // 2, "it is given back at the end"


def test_by_configuration_the_server_goes_on(
    laboratory: AuditedLaboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(_: Audit) -> list[Any]:
        [key] = await laboratory.request(CREATE)
        with FullDisk(monkeypatch):
            results = [*await laboratory.request(fetch(key)), *await laboratory.request(CREATE)]
        await laboratory.request(fetch(key))
        return results

    results = laboratory.run(work, refuses=False)
    assert not any(isinstance(each, OperationFailed) for each in results)
    [interruption] = [each for each in laboratory.entries() if each.event is Event.INTERRUPTION]
    assert interruption.count == 2
    assert "without being recorded" in interruption.message
    assert not laboratory.verify().problems


def test_records_that_do_not_reach_the_disk_stop_service(
    laboratory: AuditedLaboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = os.fdatasync

    def fail(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    async def work(_: Audit) -> list[Any]:
        monkeypatch.setattr(os, "fdatasync", fail)
        results = await laboratory.request(fetch("missing"))
        monkeypatch.setattr(os, "fdatasync", sync)
        return [*results, *await laboratory.request(fetch("missing"))]

    first, second = laboratory.run(work, durable=True)
    assert "audit log" in str(first)
    assert "no object has" in str(second)


@pytest.mark.parametrize("durable", [True, False])
def test_a_response_waits_for_the_disk_if_it_is_to(
    laboratory: AuditedLaboratory, monkeypatch: pytest.MonkeyPatch, durable: bool
) -> None:
    monkeypatch.setattr(service, "SYNC_SECONDS", 1000.0)

    async def work(audit: Audit) -> tuple[int, int]:
        for _ in range(3):
            await laboratory.request(fetch("missing"))
        return audit.log.synced.number, audit.log.position.number

    synced, written = laboratory.run(work, durable=durable)
    assert (synced == written) is durable


def test_records_are_synced_soon(laboratory: AuditedLaboratory) -> None:
    async def work(audit: Audit) -> None:
        await laboratory.request(fetch("missing"))
        with trio.fail_after(60):
            await audit._synced.wait()
        assert audit.log.synced == audit.log.position

    laboratory.run(work)


# --- checkpoints -------------------------------------------------------------------------------------


def test_checkpoints_are_made_at_intervals_if_there_are_records(
    laboratory: AuditedLaboratory,
) -> None:
    async def work(audit: Audit) -> None:
        await laboratory.request(fetch("missing"))
        for _ in range(3):
            await audit._maintain()

    laboratory.run(work, checkpoint=timedelta(0))
    causes = [each.cause for each in laboratory.entries() if each.cause is not None]
    assert causes == [Cause.FILE, Cause.START, Cause.INTERVAL, Cause.STOP]
    report = laboratory.verify()
    assert (report.checkpoints, report.signed) == (4, report.last)


def test_a_restart_goes_on_with_the_same_file_and_key(laboratory: AuditedLaboratory) -> None:
    laboratory.run(nothing)
    restarted = reopened(laboratory)
    restarted.run(nothing)
    [file] = log_files(restarted.directory)
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert restarted.directory.stat().st_mode & 0o777 == 0o700
    report = restarted.verify()
    assert not report.problems
    assert report.checkpoints == 5
    restarted.close()


def test_a_damaged_setting_prevents_a_start(laboratory: AuditedLaboratory) -> None:
    laboratory.run(nothing)
    laboratory.close()
    stores.sql(laboratory.folder, "UPDATE settings SET value = ? WHERE name = 'audit'", bytes(8))
    restarted = AuditedLaboratory(laboratory.folder)
    with pytest.raises(BaseException) as error:
        restarted.run(nothing)
    assert "was changed in the database" in str(error.value)
    restarted.close()
