"""The time that an exchange may take, on a clock that the test sets."""

import pytest
from kmipkit_client.deadline import Deadline


def test_the_remaining_time_shrinks_and_ends() -> None:
    now = 100.0
    deadline = Deadline(2.5, lambda: now)
    assert deadline.remaining() == 2.5
    now = 102.0
    assert deadline.remaining() == 0.5
    now = 102.5
    with pytest.raises(TimeoutError):
        deadline.remaining()


def test_a_part_of_the_time_ends_no_later_than_the_whole() -> None:
    now = 100.0
    whole = Deadline(10, lambda: now)
    assert whole.within(3).remaining() == 3
    now = 108.0
    assert whole.within(3).remaining() == 2
    assert Deadline(clock=lambda: now).within(4).remaining() == 4, "no limit of its own"
