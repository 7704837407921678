"""The lines of a capture: what is written is read, also from a file that was cut off."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmipkit.captures import CLIENT, SERVER, Entry, Heading, is_capture, read
from kmipkit.errors import RemoteProtocolError

HEADING = Heading("2026-11-29T08:00:00Z", "kms:5696")
_FIELDS = {"connection": st.integers(1, 1 << 40), "time": st.text(max_size=30)}
messages = st.builds(
    Entry,
    **_FIELDS,
    sender=st.sampled_from([CLIENT, SERVER]),
    version=st.text(max_size=5),
    redacted=st.integers(0, 1000),
    message=st.binary(min_size=1, max_size=40),
)
notes = st.builds(Entry, **_FIELDS, note=st.text(max_size=40))


def written(entries: list[Entry]) -> bytes:
    return b"".join(f"{line.line()}\n".encode() for line in [HEADING, *entries])


@given(st.lists(st.one_of(messages, notes), max_size=5))
def test_what_is_written_is_read(entries: list[Entry]) -> None:
    data = written(entries)
    assert is_capture(data)
    assert list(read(data.splitlines(keepends=True))) == entries


@given(st.lists(messages, min_size=1, max_size=3), st.data())
def test_a_capture_that_was_cut_off_has_all_before(
    entries: list[Entry], data: st.DataObject
) -> None:
    whole = written(entries)
    start = len(written(entries[:-1]))
    cut = whole[: data.draw(st.integers(start, len(whole) - 2))]
    assert list(read(cut.splitlines(keepends=True))) == entries[:-1]


@pytest.mark.parametrize(
    "line", ["x", "[]", "1", "{}", '{"connection": 1, "time": "", "message": "4"}']
)
def test_a_line_that_is_none_is_named(line: str) -> None:
    lines = [f"{HEADING.line()}\n".encode(), f"{line}\n".encode()]
    with pytest.raises(RemoteProtocolError, match=re.escape("line 2 is not a line of a capture")):
        list(read(lines))


def test_a_later_format_is_refused() -> None:
    line = HEADING.line().replace('"kmipkit_capture": 1', '"kmipkit_capture": 2').encode()
    with pytest.raises(RemoteProtocolError, match="the capture has the format 2"):
        list(read([line]))


def test_a_message_is_not_in_the_repr() -> None:
    entry = Entry(connection=1, time="t", sender=CLIENT, message=b"a secret key")
    assert repr(entry) == "Entry(1, t, '12 bytes from the client')"
