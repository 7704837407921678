"""Jobs that one process does for all: a lease that cannot be had must not end the server."""

import errno
import logging
import os
from pathlib import Path
from typing import Any

import pytest
import trio
from kmipkit_server.store.leases import run_with
from kmipkit_server.store.sqlite.leases import FileLease
from trio.testing import MockClock


def test_a_process_with_too_many_open_files_tries_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Many clients are no reason for a worker to end; an operator reads of it once."""
    failures = [OSError(errno.EMFILE, "Too many open files")] * 3
    original = os.open

    def opened(path: Any, *arguments: Any, **options: Any) -> int:
        if str(path).endswith(".lease") and failures:
            raise failures.pop()
        return original(path, *arguments, **options)

    monkeypatch.setattr(os, "open", opened)
    done: list[str] = []

    async def job() -> None:
        done.append("done")
        await trio.lowlevel.checkpoint()

    async def work() -> None:
        await run_with(FileLease(tmp_path / "db.job.lease"), job)

    trio.run(work, clock=MockClock(autojump_threshold=0.05))
    assert done == ["done"]
    [record] = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert "db.job.lease: Too many open files" in record.getMessage()
