"""The time that an exchange may take, on a clock that the test sets."""

import pytest
from kmipkit_client._network.deadline import Deadline


def test_the_remaining_time_shrinks_and_ends() -> None:
    now = 100.0
    deadline = Deadline(2.5, lambda: now)
    assert deadline.remaining() == 2.5
    now = 102.0
    assert deadline.remaining() == 0.5
    now = 102.5
    with pytest.raises(TimeoutError):
        deadline.remaining()
