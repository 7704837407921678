"""After a reboot each machine stands by itself: its keys, its event, its alarm (§2.5, §2.8)."""

from pathlib import Path
from typing import Any

import pytest
from kmipkit_client import calls
from kmipkit_vsphere.calls.host import CryptoManagerHostPrepare
from kmipkit_vsphere.model.errors import (
    InvalidState,
    KeyNotUsable,
    KeyServerUnreachable,
    VSphereError,
)
from vsphere_scene import Scene, play

from kmipkit.spec.enums import RevocationReasonCode

DATA = b"payroll"
LOCKED = "vm.Crypto.VMLocked"


async def three(s: Scene) -> dict[str, str]:
    """Machines db1, db2, db3 on esx01, each with a key of its own; their key ids."""
    await s.prepare()
    keys: dict[str, str] = {}
    for name in ("db1", "db2", "db3"):
        if name != "db1":
            await s.call("CreateVM", host="esx01", name=name, diskSize=8192)
        s.host().guests.write_disk(name, 0, DATA)
        keys[name] = (await s.call("EncryptVM", name=name))["keyId"]
    return keys


async def destroy(s: Scene, key: str) -> None:
    await s.ask_kms(calls.revoke(key, RevocationReasonCode.CESSATION_OF_OPERATION, None, None))
    await s.ask_kms(calls.destroy(key))


def state(s: Scene, name: str) -> str:
    return str(s.host().machines.info(name).crypto_state)


async def locked_events(s: Scene) -> list[str]:
    events = await s.events(eventTypeId=LOCKED)
    return [
        f"{event['eventTypeId'].rpartition('.')[2]} {event['entity']['name']}" for event in events
    ]


async def locked_alarms(s: Scene) -> list[dict[str, Any]]:
    return [alarm for alarm in await s.call("ListAlarms") if alarm["alarm"] == "machineLocked"]


async def rounds(s: Scene, count: int = 3) -> None:
    for _ in range(count):
        await s.vcenter.run_background_tasks()


async def destroyed_key(s: Scene, keys: dict[str, str]) -> str:
    await destroy(s, keys["db2"])
    return "KeyMissingOnKMS db2"


async def truncated_disk(s: Scene, _keys: dict[str, str]) -> str:
    disk = s.host().datastore.folder / "db2" / "db2-flat.vmdk"
    disk.write_bytes(disk.read_bytes()[:-512])
    return "KeyMissingOnHost db2"


async def damaged_vmx(s: Scene, _keys: dict[str, str]) -> str:
    (s.host().datastore.folder / "db2" / "db2.vmx").write_text("nothing")
    return "KeyMissingOnHost db2"


async def unknown_provider(s: Scene, _keys: dict[str, str]) -> str:
    vmx = s.host().datastore.folder / "db2" / "db2.vmx"
    vmx.write_text(vmx.read_text().replace("/KMS/", "/OTHER/"))
    return "KMSClusterError db2"


TROUBLES = [destroyed_key, truncated_disk, damaged_vmx, unknown_provider]


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.__name__)
def test_one_bad_machine_keeps_no_other_locked(tmp_path: Path, trouble: Any) -> None:
    async def test(s: Scene) -> None:
        expected = await trouble(s, await three(s))
        s.reboot("esx01")
        await rounds(s)
        assert (state(s, "db1"), state(s, "db3")) == ("unlocked", "unlocked")
        assert await locked_events(s) == [expected], "once, not in each round"
        [alarm] = await locked_alarms(s)
        assert alarm["entity"]["name"] == "db2"
        assert alarm["message"]
        failures = [event for event in await s.events() if event["result"] == "failure"]
        assert len(failures) <= 2, "the push and the machine: neither is repeated"

    play(tmp_path, test).close()


def test_an_unregistered_leftover_gets_no_key_and_keeps_none_away(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        keys = await three(s)
        await s.call("UnregisterVM", name="db2")
        await destroy(s, keys["db2"])
        s.reboot("esx01")
        s.forget()
        await rounds(s)
        assert (state(s, "db1"), state(s, "db3")) == ("unlocked", "unlocked")
        assert await locked_events(s) == []
        assert s.kmip.count("GET") == 3, "the host key and two machines'"
        assert await s.call("ListAlarms") == []

    play(tmp_path, test).close()


def test_an_alarm_lasts_until_the_machine_is_unlocked_also_over_a_restart(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await three(s)
        s.servers["kms1"].is_up = False
        s.reboot("esx01")
        await rounds(s)
        alarms = await locked_alarms(s)
        assert [alarm["entity"]["name"] for alarm in alarms] == ["db1", "db2", "db3"]
        s.restart_vcenter()
        await rounds(s)
        assert len(await locked_events(s)) == 3, "not again after the restart"
        assert len(await locked_alarms(s)) == 3
        s.servers["kms1"].is_up = True
        await rounds(s, 1)
        assert await s.call("ListAlarms") == []
        unlocked = await s.events(eventTypeId="vm.Crypto.VMUnlocked")
        assert [event["entity"]["name"] for event in unlocked] == ["db1", "db2", "db3"]
        await rounds(s)
        assert len(await s.events(eventTypeId="vm.Crypto.VMUnlocked")) == 3

    play(tmp_path, test).close()


@pytest.mark.parametrize("end", ["UnregisterVM", "DestroyVM"])
def test_an_alarm_ends_with_its_machine(tmp_path: Path, end: str) -> None:
    async def test(s: Scene) -> None:
        keys = await three(s)
        await destroy(s, keys["db2"])
        s.reboot("esx01")
        await rounds(s)
        await s.call(end, name="db2")
        assert await locked_alarms(s) == []

    play(tmp_path, test).close()


def test_reconnect_and_unlock_tell_per_machine(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        keys = await three(s)
        await destroy(s, keys["db2"])
        s.reboot("esx01")
        results = {
            result["machine"]: result for result in await s.call("ReconnectHost", name="esx01")
        }
        assert {name: result["unlocked"] for name, result in results.items()} == {
            "db1": True,
            "db2": False,
            "db3": True,
        }
        assert keys["db2"] in results["db2"]["reason"]
        with pytest.raises(KeyNotUsable):
            await s.call("CryptoUnlock", name="db2")
        assert (await s.call("CryptoUnlock", name="db1"))["unlocked"]
        again = await s.call("ReconnectHost", name="esx01")
        assert {result["machine"]: result.get("outcome") for result in again} == {
            "db1": "notLocked",
            "db2": "locked",
            "db3": "notLocked",
        }

    play(tmp_path, test).close()


def test_reconnect_names_the_machines_of_a_host_without_encryption(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        s.start_host("esx09")
        await s.call("AddHost", name="esx09", address="h", port=1)
        assert await s.call("ReconnectHost", name="esx09") == []
        await s.call("CreateVM", host="esx09", name="täglich 2", diskSize=4096)
        [result] = await s.call("ReconnectHost", name="esx09")
        assert (result["machine"], result["outcome"]) == ("täglich 2", "notEncrypted")

    play(tmp_path, test).close()


def test_a_disk_whose_key_is_gone_stays_locked_by_itself(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await three(s)
        s.add_server("kms2", s.make_laboratory("second"))
        await s.add_kms("SECOND", "kms2")
        await s.call("AddDisk", name="db1", diskSize=8192, keyProvider="SECOND")
        s.servers["kms2"].is_up = False
        s.reboot("esx01")
        results = await s.call("ReconnectHost", name="esx01")
        first = next(result for result in results if result["machine"] == "db1")
        assert (first["unlocked"], first["lockedDisks"]) == (True, [1])
        assert "kms2" in first["reason"]
        assert s.host().guests.read_disk("db1", 0, len(DATA)) == DATA
        answer = await s.call("CryptoUnlock", name="db1")
        assert answer["lockedDisks"] == [1]
        with pytest.raises(KeyServerUnreachable):
            await s.call("PowerOnVM", name="db1")
        assert [alarm["entity"]["name"] for alarm in await s.call("ListAlarms")] == ["db1"]
        s.servers["kms2"].is_up = True
        await rounds(s)
        assert await s.call("ListAlarms") == []
        assert s.host().guests.read_disk("db1", 0, 4, 1) == bytes(4)

    play(tmp_path, test).close()


def test_a_provider_that_does_not_answer_is_asked_once_in_a_round(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await three(s)
        s.add_server("kms2", s.make_laboratory("second"))
        await s.add_kms("SECOND", "kms2")
        for number in (4, 5, 6):
            await s.call("CreateVM", host="esx01", name=f"db{number}", diskSize=8192)
            await s.call("EncryptVM", name=f"db{number}", keyProvider="SECOND")
        attempts: list[str] = []
        server = s.servers["kms2"]

        async def connect() -> Any:
            attempts.append("kms2")
            raise KeyServerUnreachable("kms2 is down")

        server.connect = connect  # type: ignore[method-assign]
        s.reboot("esx01")
        await s.vcenter.hosts.synchronise_restarted()
        assert len(attempts) <= 3, "each attempt may take many seconds"
        assert state(s, "db3") == "unlocked"
        assert len(await locked_events(s)) == 3

    play(tmp_path, test).close()


# The host key ----------------------------------------------------------------------------------


def test_a_host_whose_key_is_gone_gets_another_one(tmp_path: Path) -> None:
    """Without a host key no machine of the host could ever be unlocked."""

    async def test(s: Scene) -> None:
        await three(s)
        old = s.store.inventory.host("esx01").key_id
        assert old is not None
        await destroy(s, old.key_id)
        s.reboot("esx01")
        await rounds(s)
        assert [state(s, name) for name in ("db1", "db2", "db3")] == ["unlocked"] * 3
        new = s.store.inventory.host("esx01").key_id
        assert new not in (None, old)
        assert s.host().keys.crypto.host_key_id == new
        [event] = await s.events(eventTypeId="host.Crypto.HostKey.NewKey")
        assert event["eventTypeId"].endswith(".KeyMissingOnKMS")
        assert await s.call("ListAlarms") == []

    play(tmp_path, test).close()


def test_while_the_key_server_is_down_the_host_keeps_its_key_id(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await three(s)
        old = s.store.inventory.host("esx01").key_id
        s.servers["kms1"].is_up = False
        s.reboot("esx01")
        await rounds(s)
        assert s.store.inventory.host("esx01").key_id == old
        failures = [event for event in await s.events() if event["operation"] == "EnableCrypto"]
        assert [event["result"] for event in failures].count("failure") == 1

    play(tmp_path, test).close()


# Races -----------------------------------------------------------------------------------------


def test_a_host_that_returns_by_itself_while_vcenter_looks_is_no_failure(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await three(s)
        key = s.store.inventory.host("esx01").key_id
        assert key is not None
        plain = await s.vcenter.crypto.provider("KMS").fetch(key)
        assert plain is not None
        s.reboot("esx01")
        ask = s.vcenter.hosts.call

        async def call(host: Any, request: Any) -> Any:
            if isinstance(request, CryptoManagerHostPrepare):
                s.host().keys.crypto.prepare()  # as the host's own background work does
                s.host().keys.enable(plain)
            return await ask(host, request)

        s.vcenter.hosts.call = call  # type: ignore[assignment,method-assign]
        await rounds(s, 1)
        assert state(s, "db1") == "unlocked"
        assert not [event for event in await s.events() if event["result"] == "failure"]

    play(tmp_path, test).close()


def test_the_background_leaves_a_machine_alone_that_a_call_works_on(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await three(s)
        s.reboot("esx01")
        async with s.vcenter.hosts._locks.machine("db2"):
            await rounds(s, 1)
            assert (state(s, "db1"), state(s, "db2")) == ("unlocked", "locked")
        await rounds(s, 1)
        assert state(s, "db2") == "unlocked"

    play(tmp_path, test).close()


# --provider ------------------------------------------------------------------------------------


async def refused(s: Scene, method: str, **parameters: Any) -> VSphereError:
    """A call that the host refuses after vCenter has made a key."""
    s.host().power.power_on("db1")
    with pytest.raises(VSphereError) as caught:
        await s.call(method, name="db1", **parameters)
    s.host().power.power_off("db1")
    return caught.value


async def second_provider(s: Scene) -> None:
    s.add_server("kms2", s.make_laboratory("second"))
    await s.add_kms("SECOND", "kms2")


def test_after_a_refused_encryption_another_provider_is_used(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        await second_provider(s)
        await refused(s, "EncryptVM")
        key = await s.call("EncryptVM", name="db1", keyProvider="SECOND")
        assert key["providerId"] == "SECOND"
        assert {key.provider_id for key in s.host().machines.info("db1").key_ids} == {"SECOND"}
        record = s.store.inventory.machine("db1").key_id
        assert record is not None
        assert record.provider_id == "SECOND"

    play(tmp_path, test).close()


@pytest.mark.parametrize("deep", [False, True])
def test_after_a_refused_rekeying_another_provider_is_used(tmp_path: Path, deep: bool) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        await second_provider(s)
        first = await s.call("EncryptVM", name="db1")
        s.hosts["esx01"], host = None, s.hosts["esx01"]
        with pytest.raises(VSphereError):
            await s.call("RecryptVM", name="db1", deep=deep)
        s.hosts["esx01"] = host
        if deep:
            await refused(s, "RecryptVM", deep=True)
        key = await s.call("RecryptVM", name="db1", deep=deep, keyProvider="SECOND")
        assert key["providerId"] == "SECOND"
        assert key != first

    play(tmp_path, test).close()


def test_without_a_provider_the_same_key_is_used_again(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        await s.call("EncryptVM", name="db1")
        await refused(s, "RecryptVM", deep=True)
        [begun] = s.store.inventory.next_keys().values()
        key = await s.call("RecryptVM", name="db1", deep=True)
        assert key["keyId"] == begun.key_id
        assert s.store.inventory.next_keys() == {}

    play(tmp_path, test).close()


def test_a_key_that_was_begun_with_ends_with_its_machine(tmp_path: Path) -> None:
    """The next machine of this name does not get it."""

    async def test(s: Scene) -> None:
        await s.prepare()
        await s.call("EncryptVM", name="db1")
        await refused(s, "RecryptVM", deep=True)
        [begun] = s.store.inventory.next_keys().values()
        await s.call("DestroyVM", name="db1")
        await s.call("CreateVM", host="esx01", name="db1", diskSize=8192)
        await s.call("EncryptVM", name="db1")
        assert (await s.call("RecryptVM", name="db1"))["keyId"] != begun.key_id

    play(tmp_path, test).close()


def test_a_machine_that_is_encrypted_in_part_does_not_get_two_keys_unasked(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        await second_provider(s)
        first = await s.call("EncryptVM", name="db1", parts=["home"])
        s.forget()
        with pytest.raises(InvalidState, match="without another provider"):
            await s.call("EncryptVM", name="db1", keyProvider="SECOND")
        assert s.kmip == [], "no key was made"
        key = await s.call("EncryptVM", name="db1", keyProvider="SECOND", parts=["disk"])
        assert key["providerId"] == "SECOND"
        record = s.store.inventory.machine("db1").key_id
        assert record is not None
        assert record.key_id == first["keyId"], "the machine's key is that of its home"

    play(tmp_path, test).close()


def test_vsan_does_not_ignore_another_provider(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        await second_provider(s)
        await s.call("CreateCluster", name="c")
        s.store.providers.set_setting("vsan/c", "KMS/key1")
        with pytest.raises(InvalidState, match="--rekey"):
            await s.call("EncryptVsan", name="c", keyProvider="SECOND")

    play(tmp_path, test).close()
