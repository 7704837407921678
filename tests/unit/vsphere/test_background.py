"""Background work never ends its process, whatever it raises; the 300 s loop on a moved clock."""

import logging
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest
import trio
import trio.testing
from kmipkit_vsphere.calls.host import HostInfo
from kmipkit_vsphere.model.defects import contained
from kmipkit_vsphere.model.errors import InvalidState, KeyServerUnreachable
from kmipkit_vsphere.model.records import ServerRecord
from kmipkit_vsphere.providers.key_server import TLSKeyServer
from kmipkit_vsphere.roles.process import repeat
from kmipkit_vsphere.roles.vcenter import POLL_INTERVAL, _key_servers, background
from kmipkit_vsphere.rpc import channel
from kmipkit_vsphere.vcenter.key_server_trust import Trust
from kmipkit_vsphere.vcenter.vcenter import VCenter
from vsphere_scene import Scene, play

LOG = logging.getLogger("kmipkit.vsphere.test")


class Defect(Exception):
    """Not one of ours: nobody catches it by its name."""


def raising(error: BaseException) -> Callable[..., Any]:
    async def work(*_: Any, **__: Any) -> NoReturn:
        raise error

    return work


@pytest.mark.parametrize(
    "error",
    [
        InvalidState("the reason"),
        Defect("secret"),
        OSError(28, "No space left on device"),
        ssl.SSLError("x"),
        ExceptionGroup("many", [ValueError("secret"), KeyError("secret")]),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_failure_is_contained_and_logged_without_its_text(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    with contained(LOG, "host esx01"):
        raise error
    [record] = caplog.records
    assert record.getMessage().startswith("host esx01")
    assert "secret" not in record.getMessage()
    assert ("the reason" in record.getMessage()) is isinstance(error, InvalidState)


def test_cancellation_is_not_contained() -> None:
    async def test() -> None:
        with trio.move_on_after(0) as scope, contained(LOG, "work"):
            await trio.sleep_forever()
        assert scope.cancelled_caught

    trio.run(test)


def moved(rounds: int, interval: float, test: Callable[[], Awaitable[None]]) -> list[float]:
    """The times at which repeated work ran, on a clock that the test moves."""
    clock = trio.testing.MockClock()
    times: list[float] = []

    async def work() -> None:
        times.append(trio.current_time() - began)
        await test()

    async def run() -> None:
        nonlocal began
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(repeat, "work", work, interval)
            for _ in range(rounds):
                await trio.testing.wait_all_tasks_blocked()
                clock.jump(interval)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()

    began = 0.0
    trio.run(run, clock=clock)
    return times


def test_work_is_repeated_after_every_failure() -> None:
    assert moved(3, 300, raising(Defect())) == [0, 300, 600, 900]


# The poll --------------------------------------------------------------------------------------


async def poll_until(s: Scene, seconds: float, clock: trio.testing.MockClock) -> list[float]:
    """Run vCenter's background for so long, on the moved clock; when the polls were."""
    polls: list[float] = []
    poll, began = s.vcenter.poll_health, trio.current_time()

    async def recorded() -> None:
        polls.append(trio.current_time() - began)
        await poll()

    s.vcenter.poll_health = recorded  # type: ignore[method-assign]
    async with trio.open_nursery() as nursery:
        for task in background(s.vcenter):
            nursery.start_soon(task)
        while trio.current_time() - began < seconds:
            await trio.testing.wait_all_tasks_blocked(0.01)
            clock.jump(5)
        await trio.testing.wait_all_tasks_blocked(0.01)
        nursery.cancel_scope.cancel()
    return polls


def on_moved_clock(folder: Path, test: Callable[[Scene, Any], Awaitable[None]]) -> Scene:
    clock = trio.testing.MockClock()
    return play(folder, lambda s: test(s, clock), clock=clock)


def test_key_servers_are_polled_every_300_seconds(tmp_path: Path) -> None:
    async def test(s: Scene, clock: trio.testing.MockClock) -> None:
        await s.prepare()
        assert await poll_until(s, 905, clock) == [300, 600, 900]
        assert s.kmip.count("DISCOVER_VERSIONS") == 2 * 3, "a and b at each poll (§3.4)"

    assert POLL_INTERVAL == 300
    on_moved_clock(tmp_path, test).close()


@pytest.mark.parametrize("error", [Defect(), OSError(13, "denied"), InvalidState("closed")])
def test_a_provider_in_trouble_ends_neither_the_poll_nor_the_others(
    tmp_path: Path, error: Exception
) -> None:
    async def test(s: Scene, clock: trio.testing.MockClock) -> None:
        await s.prepare()
        s.add_server("kms2")
        await s.add_kms("SECOND", "kms2")
        s.servers["kms1"].connect = raising(error)  # type: ignore[method-assign]
        s.forget()
        assert await poll_until(s, 605, clock) == [300, 600]
        assert s.servers["kms2"].seen.connections, "the next provider was polled"
        first, second = await s.call("RetrieveKmipServersStatus")
        assert (first["overallStatus"], second["overallStatus"]) == ("red", "green")
        assert first["reasons"]
        events = await s.events(eventTypeId="kms.crypto.Unreachable")
        assert len(events) == 1, "the change is an event, once"

    on_moved_clock(tmp_path, test).close()


@pytest.mark.parametrize("part", ["hosts.synchronise_restarted", "natives.push_all"])
def test_one_part_of_a_round_does_not_keep_the_others_from_running(
    tmp_path: Path, part: str
) -> None:
    async def test(s: Scene) -> None:
        owner, name = part.split(".")
        setattr(getattr(s.vcenter, owner), name, raising(Defect()))
        done: list[str] = []

        async def settle_all() -> None:
            done.append("settled")

        s.vcenter.migrations.settle_all = settle_all  # type: ignore[method-assign]
        await s.vcenter.run_background_tasks()
        assert done == ["settled"]

    play(tmp_path, test).close()


def test_one_host_does_not_keep_the_others_from_their_keys(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await s.prepare("esx01", "esx02")
        await s.call("CreateVM", host="esx02", name="db2", diskSize=8192)
        for name in ("db1", "db2"):
            await s.call("EncryptVM", name=name)
        s.reboot("esx01")
        s.reboot("esx02")
        ask = s.vcenter.hosts.call

        async def call(host: Any, request: Any) -> Any:
            if host.name == "esx01" and isinstance(request, HostInfo):
                raise Defect
            return await ask(host, request)

        s.vcenter.hosts.call = call  # type: ignore[assignment,method-assign]
        await s.vcenter.run_background_tasks()
        assert s.host("esx01").machines.info("db1").crypto_state == "locked"
        assert s.host("esx02").machines.info("db2").crypto_state == "unlocked"

    play(tmp_path, test).close()


# A user without a password ---------------------------------------------------------------------


def test_a_user_without_a_password_is_a_reason_and_no_error(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        trust = Trust(s.store, lambda: s.now)
        dial = _key_servers(s.store, trust)
        await s.prepare()
        s.vcenter.crypto.providers._dial = dial
        info = {"name": "kms9", "address": "127.0.0.1", "port": 1, "userName": "vc"}
        answer = await s.call("RegisterKmipServer", clusterId="SECOND", info=info)
        assert "password of user vc is missing" in answer["problem"]
        with pytest.raises(KeyServerUnreachable, match="password"):
            await dial("SECOND", ServerRecord("kms9", "127.0.0.1", 1, user_name="vc")).connect()
        assert len(await s.call("RetrieveKmipServersStatus")) == 2
        await s.vcenter.poll_health()
        [status] = await s.call("RetrieveKmipServersStatus", clusters=["SECOND"])
        assert status["overallStatus"] == "red"
        assert "password of user vc is missing" in status["reasons"][0]
        assert s.vcenter.crypto.providers.infos(), "it can be listed, changed and removed"
        await s.call("UnregisterKmsCluster", clusterId="SECOND")

    play(tmp_path, test).close()


@pytest.mark.parametrize("damage", ["server_certificates", "client_certificate"])
def test_damaged_settings_of_a_provider_are_its_reason(tmp_path: Path, damage: str) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        s.vcenter.crypto.providers._dial = _key_servers(s.store, Trust(s.store, lambda: s.now))
        value = ("nonsense",) if damage == "server_certificates" else "nonsense"
        s.store.providers.change("KMS", **{damage: value})
        [status] = await s.call("RetrieveKmipServersStatus")
        assert status["overallStatus"] == "red"
        assert status["reasons"]
        await s.vcenter.poll_health()

    play(tmp_path, test).close()


def test_a_second_server_serves_while_the_first_lacks_its_password(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        s.add_server("kms2")
        await s.add_kms("KMS", "kms2")
        good = s.servers["kms2"]

        def dial(_provider: str, server: ServerRecord) -> Any:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            bad = TLSKeyServer("kms1", "127.0.0.1", 1, context, problem="no password")
            return good if server.name == "kms2" else bad

        s.vcenter.crypto.providers._dial = dial
        await s.call("EncryptVM", name="db1")
        [status] = await s.call("RetrieveKmipServersStatus")
        assert status["overallStatus"] == "yellow"

    play(tmp_path, test).close()


# The roles' own servers ------------------------------------------------------------------------


def test_a_connection_that_cannot_be_prepared_does_not_end_the_server(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def test() -> None:
        def context() -> ssl.SSLContext:
            raise InvalidState("cannot use the certificate")

        server = channel.Server({}, {}, context)
        for _ in range(2):
            ours, theirs = trio.testing.memory_stream_pair()
            await server.handle(theirs)
            assert await ours.receive_some() == b""

    trio.run(test)
    assert "cannot use the certificate" in caplog.text


def test_vcenter_has_both_tasks(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        assert isinstance(s.vcenter, VCenter)
        assert len(background(s.vcenter)) == 2

    play(tmp_path, test).close()
