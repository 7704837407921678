"""Hosts that do not answer: when vCenter says so, how often, and what the web service shows."""

import logging
from functools import partial
from pathlib import Path

import pytest
import trio
import trio.testing
from kmipkit_vsphere.roles.process import repeat
from kmipkit_vsphere.roles.vcenter import BACKGROUND_INTERVAL
from kmipkit_vsphere.vcenter.host_connections import LOST_AFTER
from vsphere_scene import Scene, play

LOST, CONNECTED = "vim.event.HostConnectionLostEvent", "vim.event.HostConnectedEvent"


def stop(s: Scene, name: str) -> None:
    s.host(name).close()
    s.hosts[name] = None


async def looks(s: Scene, count: int) -> None:
    for _ in range(count):
        await s.vcenter.run_background_tasks()


async def written(s: Scene) -> list[tuple[str, str, str]]:
    return [
        (event["eventTypeId"], event["entity"]["name"], event["severity"])
        for event in await s.events(eventTypeId="vim.event.Host")
    ]


async def alarms(s: Scene) -> list[str]:
    return [
        alarm["entity"]["name"]
        for alarm in await s.call("ListAlarms")
        if alarm["alarm"] == "hostConnection"
    ]


@pytest.mark.parametrize("encrypted", [True, False])
def test_a_host_that_stays_silent_has_one_event_and_an_alarm_until_it_answers(
    tmp_path: Path, encrypted: bool
) -> None:
    async def test(s: Scene) -> None:
        await s.prepare("esx01", "esx 2 – Süd")
        if encrypted:
            await s.call("EncryptVM", name="db1")
        stop(s, "esx01")
        await looks(s, LOST_AFTER - 1)
        assert (await written(s), await alarms(s)) == ([], [])
        await looks(s, 1)
        assert (await written(s), await alarms(s)) == ([(LOST, "esx01", "error")], ["esx01"])
        s.restart_vcenter()
        await looks(s, LOST_AFTER + 1)
        assert (len(await written(s)), await alarms(s)) == (1, ["esx01"])
        s.start_host("esx01")
        await looks(s, 2)
        assert await alarms(s) == []
        assert await written(s) == [(LOST, "esx01", "error"), (CONNECTED, "esx01", "info")]

    play(tmp_path, test).close()


def test_calls_that_are_lost_one_at_a_time_are_nothing(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        for _ in range(LOST_AFTER + 1):
            stop(s, "esx01")
            await looks(s, LOST_AFTER - 1)
            s.start_host("esx01")
            await looks(s, 1)
        assert (await written(s), await alarms(s)) == ([], [])

    play(tmp_path, test).close()


def test_a_host_that_is_added_again_starts_anew(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await s.prepare("esx01", "esx02")
        stop(s, "esx02")
        await looks(s, LOST_AFTER - 1)
        await s.call("RemoveHost", name="esx02")
        s.start_host("esx02")
        await s.call("AddHost", name="esx02", address="192.0.2.1", port=1)
        stop(s, "esx02")
        await looks(s, 1)
        assert (await written(s), await alarms(s)) == ([], [])

    play(tmp_path, test).close()


def test_the_alarm_of_a_host_ends_when_it_is_removed(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await s.prepare("esx01", "esx02")
        stop(s, "esx02")
        await looks(s, LOST_AFTER)
        assert await alarms(s) == ["esx02"]
        await s.call("RemoveHost", name="esx02")
        assert await alarms(s) == []

    play(tmp_path, test).close()


def test_a_lost_connection_is_noticed_within_fifteen_seconds(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        stop(s, "esx01")
        work = partial(
            repeat, "background work", s.vcenter.run_background_tasks, BACKGROUND_INTERVAL
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(work)
            await trio.testing.wait_all_tasks_blocked()
            for seconds, lost in ((BACKGROUND_INTERVAL, []), (BACKGROUND_INTERVAL, ["esx01"])):
                clock.jump(seconds)
                await trio.testing.wait_all_tasks_blocked()
                assert await alarms(s) == lost
            nursery.cancel_scope.cancel()

    clock = trio.testing.MockClock()
    play(tmp_path, test, clock=clock).close()


def test_the_log_names_a_host_that_does_not_answer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        stop(s, "esx01")
        with caplog.at_level(logging.WARNING):
            await looks(s, 1)
        assert any("esx01" in record.getMessage() for record in caplog.records)

    play(tmp_path, test).close()
