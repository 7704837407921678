"""Following the log as it is written, over the end of a file."""

import threading
from itertools import islice
from pathlib import Path

from audited import AuditedLaboratory
from kmipkit_client import calls
from kmipkit_server.audit import following
from kmipkit_server.audit.files import lines_from_end, log_files
from kmipkit_server.audit.query import Match
from kmipkit_server.audit.records import Event
from kmipkit_server.audit.service import Audit


def test_new_records_are_shown_also_those_of_the_next_files(tmp_path: Path) -> None:
    laboratory = AuditedLaboratory(tmp_path / "data")
    found: list[Match] = []
    is_following = threading.Event()

    def follow() -> None:
        matches = following.new(laboratory.directory, interval=0.001)
        is_following.set()
        found.extend(islice(matches, 9))

    async def work(audit: Audit) -> None:
        thread.start()
        assert is_following.wait(300)
        for _ in range(3):
            await laboratory.request(calls.get("missing", None, None, None))
            audit.log.rotate()

    thread = threading.Thread(target=follow)
    laboratory.run(work)
    thread.join(300)
    laboratory.close()
    numbers = [match.entry.n for match in found]
    assert numbers == list(range(numbers[0], numbers[0] + 9))
    assert sum(match.entry.event is Event.OPERATION for match in found) >= 2


def test_the_last_records_of_several_files(tmp_path: Path) -> None:
    laboratory = AuditedLaboratory(tmp_path / "data")

    async def work(audit: Audit) -> None:
        for _ in range(3):
            await laboratory.request(calls.get("missing", None, None, None))
            audit.log.rotate()

    laboratory.run(work)
    entries = laboratory.entries()
    files = log_files(laboratory.directory)
    for count in (0, 1, 5, len(entries), len(entries) + 5):
        last = following.last(files, count)
        assert [match.entry.n for match in last] == [
            entry.n for entry in entries[max(0, len(entries) - count) :]
        ]
    laboratory.close()


def test_lines_are_read_backwards_whatever_their_length(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    lines = [b"x" * length for length in (1, 65_535, 65_536, 65_537, 200_000, 3, 70_000)]
    path.write_bytes(b"\n".join(lines) + b"\n")
    assert list(lines_from_end(path)) == lines[::-1]
    path.write_bytes(b"\n".join(lines) + b"\nincomplete")
    assert list(lines_from_end(path)) == lines[::-1]
    path.write_bytes(b"incomplete" * 20_000)
    assert list(lines_from_end(path)) == []
