"""The log as text and as JSON: one line for each event, in UTC, whatever clients send."""

import io
import json
import logging
import os
import re
from collections.abc import Iterator

import pytest
from kmipkit_server import logs

HOSTILE = "größe \x1b[2J\r\n{}\"'\\ \u202e\u2028 \x9b 鍵"
TIME = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@pytest.fixture(autouse=True)
def _own_log() -> Iterator[None]:
    logger = logging.getLogger(logs.LOGGER)
    before = logger.handlers[:], logger.propagate, logger.level
    yield
    logger.handlers[:], logger.propagate = before[0], before[1]
    logger.setLevel(before[2])


def written(form: str) -> str:
    stream = io.StringIO()
    logs.configure("INFO", stream, form=form)
    log = logging.getLogger("kmipkit.server")
    log.debug("not shown")
    log.info("%s: refused", HOSTILE)
    log.error("internal error of %s", HOSTILE, exc_info=ValueError(HOSTILE))
    return stream.getvalue()


def test_a_line_of_json_is_one_object_with_all_that_was_logged() -> None:
    lines = written("json").splitlines()
    first, second = map(json.loads, lines)
    assert first["message"] == f"{HOSTILE}: refused"
    assert (first["level"], first["logger"]) == ("info", "kmipkit.server")
    assert TIME.fullmatch(first["time"])
    assert second["level"] == "error"
    assert HOSTILE in second["exception"]
    assert all(line.isprintable() for line in lines)


def test_a_line_of_text_begins_with_the_time_in_utc() -> None:
    lines = written("text").splitlines()
    assert TIME.fullmatch(lines[0].split(" ")[0])
    assert lines[0].split(" ")[1] == "INFO"
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kolkata"])
def test_the_zone_of_the_machine_does_not_matter(
    zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    monkeypatch.setenv("TZ", zone)
    time.tzset()
    record = logging.LogRecord("kmipkit", logging.INFO, "", 0, "x", None, None)
    record.created = 1_700_000_000.25
    try:
        assert logs.OneLine().format(record) == "2023-11-14T22:13:20.250Z INFO x"
    finally:
        monkeypatch.undo()
        time.tzset()


def test_only_a_log_that_another_program_reads_is_json(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    read_end, write_end = os.pipe()
    with (
        open(read_end), open(write_end, "w") as pipe,
        (tmp_path_factory.mktemp("log") / "log").open("w") as file,
    ):  # fmt: skip
        assert logs.is_for_collector(pipe)
        assert not logs.is_for_collector(file)
        assert not logs.is_for_collector(io.StringIO())
        monkeypatch.setenv("JOURNAL_STREAM", "8:1234")
        assert not logs.is_for_collector(pipe), "the journal of systemd shows text"
