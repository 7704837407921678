"""A clock that goes back does not bring a key back to life.

Otherwise whoever can set the clock, or a broken battery in the machine, could make a deactivated key
encrypt again, and a key be used for longer than its owner has decided.
"""

import logging
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from kmipkit_client import calls
from kmipkit_server.engine.clock import TOLERANCE, SteadyClock
from laboratory import START, Laboratory, reasons

from kmipkit.model.attributes import CryptographicParameters
from kmipkit.spec.enums import BlockCipherMode, CryptographicAlgorithm, State
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag

BOTH = CryptographicUsageMask.ENCRYPT | CryptographicUsageMask.DECRYPT
DAY = timedelta(days=1)
LONG_AGO = datetime.fromtimestamp(0, UTC)
ECB = CryptographicParameters(block_cipher_mode=BlockCipherMode.ECB)


def create() -> Any:
    dates = {Tag.ACTIVATION_DATE: START, Tag.DEACTIVATION_DATE: START + DAY}
    return calls.create(CryptographicAlgorithm.AES, 128, BOTH, None, dates)


def state(server: Laboratory, key: str) -> State:
    value: State = server.ask(calls.get_attributes(key, ("State",))).get(Tag.STATE)
    return value


def encrypt(key: str) -> Any:
    return calls.encrypt(key, bytes(16), ECB, None, None)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelno == logging.WARNING]


def located(server: Laboratory, expected: State) -> tuple[str, ...]:
    call = calls.locate(None, None, {"State": expected}, None, None, None)
    ids: tuple[str, ...] = server.ask(call).ids
    return ids


@pytest.mark.parametrize("has_restarted", [True, False])
def test_a_deactivated_key_stays_deactivated(
    tmp_path: Path, has_restarted: bool, caplog: pytest.LogCaptureFixture
) -> None:
    server = Laboratory(tmp_path / "data")
    with closing(server):
        key = server.ask(create())
        assert server.ask(encrypt(key))
        server.pass_time(days=2)
        server.ask(create())  # any request that writes notes the time
        assert state(server, key) is State.DEACTIVATED
        if not has_restarted:
            server.now = START
            check_that_it_stays_deactivated(server, key)
    if has_restarted:
        with closing(Laboratory(tmp_path / "data", now=START)) as server:
            check_that_it_stays_deactivated(server, key)
    [warning] = warnings(caplog)
    assert "the clock went back by 2 days, 0:00:0" in warning


def check_that_it_stays_deactivated(server: Laboratory, key: str) -> None:
    assert state(server, key) is State.DEACTIVATED
    assert key in located(server, State.DEACTIVATED)
    assert located(server, State.ACTIVE) == ()
    assert reasons(server.batch(encrypt(key))) == ["WRONG_KEY_LIFECYCLE_STATE"]


def test_a_failed_request_notes_no_time_that_others_miss(tmp_path: Path) -> None:
    with closing(Laboratory(tmp_path / "data")) as server:
        server.ask(create())
        server.pass_time(days=2)
        server.batch(calls.destroy("missing"))
        assert server.store.newest_time == START
        server.ask(create())
        assert server.store.newest_time == START + 2 * DAY


def test_a_clock_that_was_ahead_by_mistake_has_a_way_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Or all keys with a Deactivation Date were lost by one wrong setting."""
    with closing(Laboratory(tmp_path / "data", now=START + 10_000 * DAY)) as server:
        server.ask(calls.create(CryptographicAlgorithm.AES, 128, BOTH, None, None))
    (tmp_path / "data" / "root.key.counter").unlink()
    with closing(Laboratory(tmp_path / "data")) as server:
        assert state(server, server.ask(create())) is State.ACTIVE
    [warning] = warnings(caplog)
    assert (
        "root.key.counter is missing: the database and the clock are taken as they are" in warning
    )


# --- the clock by itself -------------------------------------------------------------------------


class Machine:
    """A machine whose clock can be set, while time passes."""

    def __init__(self) -> None:
        self.time = START
        self.elapsed = 100.0
        self.clock = SteadyClock(lambda: self.time, LONG_AGO, lambda: self.elapsed)

    def wait(self, **duration: float) -> datetime:
        self.time += timedelta(**duration)
        self.elapsed += timedelta(**duration).total_seconds()
        return self.clock()


def test_a_right_clock_is_followed(caplog: pytest.LogCaptureFixture) -> None:
    machine = Machine()
    assert machine.wait() == START
    assert machine.wait(hours=1) == START + timedelta(hours=1)
    machine.time += DAY
    assert machine.wait() == machine.time
    assert not caplog.text


def test_a_small_correction_lets_the_time_stand_still(caplog: pytest.LogCaptureFixture) -> None:
    machine = Machine()
    machine.wait()
    machine.time -= TOLERANCE
    assert machine.wait() == START
    assert machine.wait(seconds=TOLERANCE.total_seconds() / 2) == START
    assert machine.wait(seconds=TOLERANCE.total_seconds()) == machine.time > START
    assert not caplog.text


def test_time_passes_while_the_clock_is_behind(caplog: pytest.LogCaptureFixture) -> None:
    """Or tickets would not expire, and asynchronous requests would wait for ever."""
    caplog.set_level(logging.INFO)
    machine = Machine()
    machine.wait()
    machine.time -= DAY
    assert machine.wait(hours=1) == START + timedelta(hours=1)
    assert machine.wait(hours=1) == START + timedelta(hours=2)
    machine.time += 3 * DAY
    assert machine.wait(hours=1) == machine.time
    assert [record.message for record in caplog.records] == [
        "the clock went back by 1 day, 0:00:00: until it has caught up, the time is counted"
        " from 2026-11-23 13:00:00+00:00, so that no key becomes active again",
        "the clock has caught up",
    ]
