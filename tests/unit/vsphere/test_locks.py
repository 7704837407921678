"""What looks at a state and then changes it is done by one call at a time.

Each test stops a first call between both, and makes a second one then.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from kmipkit_vsphere.model.errors import AlreadyExists
from kmipkit_vsphere.model.records import HostRecord
from kmipkit_vsphere.rpc.call import Request
from kmipkit_vsphere.vcenter.locks import Locks
from vsphere_scene import Scene, play


class Gate:
    """Stops one call of a method, after the host has answered it, until it is opened."""

    def __init__(self, scene: Scene, method: str, number: int = 1) -> None:
        self.reached = trio.Event()
        self.open = trio.Event()
        self._method = method
        self._left = number
        self._real = scene.vcenter.hosts.call
        scene.vcenter.hosts.call = self._call  # type: ignore[method-assign]  # replaced for this test

    async def _call(self, host: HostRecord, request: Request[Any]) -> Any:
        answer = await self._real(host, request)
        if request.method() == self._method:
            self._left -= 1
            if self._left == 0:
                self.reached.set()
                await self.open.wait()
        return answer


Call = Callable[[], Awaitable[Any]]


async def interleave(gate: Gate, lock: trio.Lock, first: Call, second: Call) -> None:
    """Stop the first call at the gate until the second one has ended, or waits for the lock."""
    has_ended = trio.Event()

    async def run_second() -> None:
        await second()
        has_ended.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(first)
        await gate.reached.wait()
        nursery.start_soon(run_second)
        while not (has_ended.is_set() or lock.statistics().tasks_waiting):  # noqa: ASYNC110
            await trio.sleep(0.01)
        gate.open.set()


def locks(s: Scene) -> Locks:
    return s.vcenter.hosts._locks


def test_the_background_task_and_a_call_do_not_both_enable_encryption(tmp_path: Path) -> None:
    """The first encryption, while vCenter looks for hosts that have restarted."""

    async def test(s: Scene) -> None:
        await s.prepare()
        await s.call("ConfigureCryptoKey", host="esx01")
        s.reboot("esx01")
        await interleave(
            Gate(s, "HostInfo", 2),  # the one that says whether the host must be prepared
            locks(s).host("esx01"),
            s.vcenter.hosts.synchronise_restarted,
            lambda: s.call("EncryptVM", name="db1"),
        )
        assert s.host().info().crypto_state == "safe"
        assert s.host().machines.info("db1").crypto_state == "unlocked"
        events = [event for event in await s.events() if event["operation"] == "EnableCrypto"]
        assert [event["result"] for event in events] == ["success", "success"]

    play(tmp_path, test).close()


def test_two_first_encryptions_make_one_host_key(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        await s.call("CreateVM", host="esx01", name="db2", diskSize=16384)
        await interleave(
            Gate(s, "HostInfo"),
            locks(s).host("esx01"),
            lambda: s.call("EncryptVM", name="db1"),
            lambda: s.call("EncryptVM", name="db2"),
        )
        assert len(await s.call("ListKeys")) == 3, "a key of the host and one of each machine"

    play(tmp_path, test).close()


def test_a_host_is_added_once(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        s.start_host("esx01")
        add = {"name": "esx01", "address": "192.0.2.1", "port": 1}
        refusals = []

        async def again() -> None:
            with pytest.raises(AlreadyExists) as caught:
                await s.call("AddHost", **add)
            refusals.append(caught.value.message)

        gate, lock = Gate(s, "HostInfo"), locks(s).host("esx01")
        await interleave(gate, lock, lambda: s.call("AddHost", **add), again)
        assert len(refusals) == 1

    play(tmp_path, test).close()


def test_a_machine_that_is_being_encrypted_does_not_move(tmp_path: Path) -> None:
    """Otherwise either the new host or the new key of the machine would be forgotten."""

    async def test(s: Scene) -> None:
        await s.prepare("esx01", "esx02")
        async with trio.open_nursery() as running:
            for migrations in s.migrations.values():
                running.start_soon(migrations.run)
            await interleave(
                Gate(s, "ReconfigureCrypto"),
                locks(s).machine("db1"),
                lambda: s.call("EncryptVM", name="db1"),
                lambda: s.call("MigrateVM", name="db1", target="esx02"),
            )
            running.cancel_scope.cancel()
        machine = s.store.inventory.machine("db1")
        assert machine.host == "esx02"
        assert machine.key_id is not None
        assert s.host("esx02").machines.info("db1").key_ids == [machine.key_id]

    play(tmp_path, test).close()


def test_a_native_provider_is_not_pushed_to_a_host_after_it_was_deleted(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        s.start_host("esx01")
        await s.call("CreateCluster", name="prod")
        await s.call("AddHost", name="esx01", address="h", port=1, parent="cluster/prod")
        host = s.hosts.pop("esx01")
        await s.call("CreateNativeProvider", provider="NKP", anyHost=True)
        s.hosts["esx01"] = host
        await interleave(
            Gate(s, "HostInfo"),
            locks(s).provider("NKP"),
            s.vcenter.natives.push_all,
            lambda: s.call("DeleteNativeProvider", provider="NKP"),
        )
        assert s.host().info().key_providers == []
        assert not s.store.providers.exists("NKP")

    play(tmp_path, test).close()


def test_two_keys_that_are_made_at_once_share_the_first_wrapping_key(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        s.add_server("kms1")
        await s.add_kms("KMS", "kms1")
        await s.call("ConfigureWrappingKey", clusterId="KMS", rotationInterval=30)
        keys: list[str] = []

        async def generate() -> None:
            answer = await s.call("GenerateKey")
            assert answer["success"], answer
            keys.append(answer["keyId"]["keyId"])

        async with trio.open_nursery() as nursery:
            nursery.start_soon(generate)
            nursery.start_soon(generate)
        assert len({key.rpartition(":")[0] for key in keys}) == 1

    play(tmp_path, test).close()
