"""Following the log as it is written, over the end of a file."""

import threading
from itertools import islice
from pathlib import Path

from audited import AuditedLaboratory
from kmipkit_client import calls
from kmipkit_server.audit import following
from kmipkit_server.audit.files import folder_of, lines_from_end, log_files, name_of
from kmipkit_server.audit.logs import last, logs_in, search
from kmipkit_server.audit.query import Filter, Match
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


def test_the_logs_of_all_workers_are_one_for_who_reads_them(tmp_path: Path) -> None:
    """Also that of a worker which begins while somebody follows."""
    laboratory = AuditedLaboratory(tmp_path / "data")

    async def work(_: Audit) -> None:
        for _number in range(3):
            await laboratory.request(calls.get("missing", None, None, None))

    laboratory.run(work)
    laboratory.close()
    [file] = log_files(laboratory.directory)
    lines = file.path.read_bytes()
    followed = following.new(laboratory.directory, interval=0.001)
    folder = folder_of(laboratory.directory, name_of(2))
    folder.mkdir()
    (folder / file.path.name).write_bytes(lines.replace(b',"time"', b',"log":"worker-2","time"'))
    count = len(lines.splitlines())
    assert [match.entry.log for match in islice(followed, count)] == ["worker-2"] * count
    found = logs_in(laboratory.directory)
    assert [log.name for log in found] == ["", "worker-2"]
    matches = search(found, Filter(operation="get"))
    assert len(matches) == 6
    assert [each.entry.time for each in matches] == sorted(each.entry.time for each in matches)
    assert search(found, Filter(operation="get"), 2) == matches[-2:]
    assert last(found, 2 * count)[-1].entry.event is Event.CHECKPOINT
    later = Filter(operation="get", after={"": 10**6, "worker-2": matches[-2].entry.n})
    assert {each.entry.log for each in search(found, later)} <= {"worker-2"}
