"""What the normal run leaves to ``make test-long``: never a whole row of a table."""

from hypothesis import given
from hypothesis import strategies as st
from lengths import examples, spread


def normal(parameters: list[object]) -> list[tuple[object, ...]]:
    """The values of the parameters that are not long."""
    return [each.values for each in parameters if not each.marks]  # type: ignore[attr-defined]


@given(st.lists(st.integers(), unique=True, max_size=20), st.integers(1, 8))
def test_each_row_and_each_column_is_in_the_normal_run(rows: list[int], width: int) -> None:
    columns = range(width)
    every = spread(rows, columns)
    assert {each.values for each in every} == {(row, column) for row in rows for column in columns}
    assert [row for row, _ in normal(every)] == rows
    assert {column for _, column in normal(every)} == set(columns[: len(rows)])


def test_a_row_has_one_of_its_own_columns() -> None:
    every = spread("abc", range(4), lambda row, column: column > 1)
    assert normal(every) == [("a", 2), ("b", 3), ("c", 2)]
    assert len(every) == 6


def test_a_property_has_at_least_one_example() -> None:
    assert 1 == examples(1) < examples(10) <= 10
