"""Tables of ``kmipkit admin`` on terminals of any width."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kmipkit_server.admin import tables

cells = st.text(max_size=60)


@given(
    rows=st.lists(st.tuples(cells, cells, cells), max_size=4),
    width=st.integers(1, 200),
)
def test_a_table_fits_the_terminal_and_identifiers_stay_whole(rows: Any, width: int) -> None:
    """A line that wraps is hard to read, and half an identifier is of no use."""
    printed: list[str] = []
    header = ("ID", "NAME", "OWNER")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(tables, "echo", printed.append)
        patched.setattr(tables, "terminal_width", lambda: width)
        tables.print_table(header, rows)
        whole = [tables.printable(identifier) for identifier, _, _ in rows]
        least = max(map(len, [*whole, "ID"])) + 2 * (tables.MIN_WIDTH + 2)
    assert len(printed) == len(rows) + 1
    assert all(len(line) <= max(width, least) for line in printed)
    for identifier, line in zip(whole, printed[1:], strict=True):
        assert line.startswith(identifier.rstrip())


def test_what_is_no_terminal_gets_all_of_the_text(capsys: pytest.CaptureFixture[str]) -> None:
    """A script would have half a name."""
    tables.print_table(("NAME",), [("x" * 500,)])
    assert "x" * 500 in capsys.readouterr().out
