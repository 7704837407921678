"""Who may do what with keys, and what is written down about it (R24, R28, R31 to R35, R40)."""

import csv
import io
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from kmipkit_vsphere.model.errors import DamagedData, InvalidArgument, NoPermission, ResourceInUse
from kmipkit_vsphere.vcenter.authorization import Authorization
from kmipkit_vsphere.vcenter.privileges import CRYPTOGRAPHER, PREDEFINED, Privilege
from vsphere_scene import ADMINISTRATOR, Scene, play

DB1 = {"name": "db1"}
NEEDED: dict[str, tuple[Privilege, dict[str, Any]]] = {
    "EncryptVM": (Privilege.ENCRYPT, DB1),
    "DecryptVM": (Privilege.DECRYPT, DB1),
    "RecryptVM": (Privilege.RECRYPT, DB1),
    "CloneVM": (Privilege.CLONE, {**DB1, "newName": "db2"}),
    "AddDisk": (Privilege.ADD_DISK, {**DB1, "diskSize": 4096}),
    "CryptoUnlock": (Privilege.REGISTER_VM, DB1),
    "ConfigureCryptoKey": (Privilege.REGISTER_HOST, {"host": "esx01"}),
    "ChangeHostKey": (Privilege.REGISTER_HOST, {"host": "esx01"}),
    "DisableCrypto": (Privilege.REGISTER_HOST, {"host": "esx01"}),
    "GenerateKey": (Privilege.MANAGE_KEYS, {}),
    "ListKeys": (Privilege.MANAGE_KEYS, {}),
    "RemoveKeys": (Privilege.MANAGE_KEYS, {"keyIds": []}),
    "QueryCryptoKeyStatus": (Privilege.MANAGE_KEYS, {"keyIds": []}),
    "RetrieveKmipServersStatus": (Privilege.MANAGE_KEY_SERVERS, {}),
    "MarkDefault": (Privilege.MANAGE_KEY_SERVERS, {"clusterId": "KMS"}),
    "CreateNativeProvider": (Privilege.MANAGE_KEY_SERVERS, {"provider": "NKP"}),
    "ExportProvider": (Privilege.MANAGE_KEY_SERVERS, {"provider": "NKP"}),
    "ListKmsClusters": (Privilege.READ_KEY_SERVERS_INFO, {}),
    "DumpCore": (Privilege.DIAGNOSTICS, {"host": "esx01", "world": "hostd"}),
}


async def all_but(s: Scene, missing: Privilege) -> None:
    """The user ada may do everything but what one privilege allows."""
    others = sorted(set(Privilege) - {missing})
    await s.call("SetRole", name="almost", privileges=others)
    await s.call("SetPermission", principal="ada", role="almost")


def state(s: Scene) -> Any:
    """What must not change."""
    return (
        s.vcenter.crypto.list_keys(),
        s.vcenter.crypto.providers.infos(),
        s.store.inventory.machines(),
        s.host().info(),
        s.host().machines.list_all(),
        {
            path: path.read_bytes()
            for path in s.host().datastore.folder.rglob("*")
            if path.is_file()
        },
    )


@pytest.mark.parametrize("method", NEEDED)
def test_r24_without_the_privilege_nothing_is_asked_and_nothing_changes(
    tmp_path: Path, method: str
) -> None:
    privilege, params = NEEDED[method]

    async def test(s: Scene) -> None:
        await s.prepare()
        if method != "EncryptVM":
            await s.call("EncryptVM", name="db1")
        await all_but(s, privilege)
        before = state(s)
        s.forget()
        s.calls.clear()
        with pytest.raises(NoPermission, match=str(privilege)) as caught:
            await s.call(method, "ada", **params)
        assert caught.value.arguments["privilege_id"] == privilege
        assert s.kmip == []
        assert s.calls == [], "no host hears of it either"
        assert state(s) == before
        event = (await s.events())[-1]
        assert (event["userName"], event["operation"]) == ("ada", method)
        assert event["result"] == "failure"
        assert event["arguments"]["privilege_id"] == privilege

    play(tmp_path, test).close()


@pytest.mark.parametrize("kind", ["trusted", "native"])
def test_r28_r31_privileges_are_the_same_for_trusted_and_native_providers(
    tmp_path: Path, kind: str
) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        if kind == "native":
            await s.call("CreateNativeProvider", provider="P", anyHost=True)
        else:
            await s.call("RegisterKmsCluster", clusterId="P")
        await s.call("MarkDefault", clusterId="P")
        await all_but(s, Privilege.ENCRYPT)
        with pytest.raises(NoPermission, match=r"Cryptographer\.Encrypt on machine/db1"):
            await s.call("EncryptVM", "ada", name="db1")

    play(tmp_path, test).close()


def test_r40_switching_a_host_into_encryption_mode_needs_register_host(tmp_path: Path) -> None:
    """Encrypt alone is enough on a safe host, and not on one that must be switched."""

    async def test(s: Scene) -> None:
        await s.prepare()
        await all_but(s, Privilege.REGISTER_HOST)
        s.forget()
        with pytest.raises(NoPermission, match="RegisterHost on host/esx01"):
            await s.call("EncryptVM", "ada", name="db1")
        assert s.kmip == []
        assert s.host().keys.crypto.state.value == "incapable"
        await s.call("ConfigureCryptoKey", host="esx01")
        await s.call("EncryptVM", "ada", name="db1")

    play(tmp_path, test).close()


def test_r32_roles_are_given_to_groups(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        with pytest.raises(NoPermission):
            await s.call("ListVMs", "ada")
        await s.call("SetMember", group="operators", member="ada")
        await s.call("SetPermission", principal="operators", role="NoCryptoAdmin", group=True)
        assert await s.call("ListVMs", "ada")
        with pytest.raises(NoPermission):
            await s.call("EncryptVM", "ada", name="db1")
        await s.call("SetMember", group="crypto", member="ada")
        await s.call("SetRole", name="Encrypter", privileges=sorted(CRYPTOGRAPHER))
        await s.call("SetPermission", principal="crypto", role="Encrypter", group=True)
        await s.call("EncryptVM", "ada", name="db1")
        await s.call("SetMember", group="crypto", member="ada", remove=True)
        with pytest.raises(NoPermission):
            await s.call("DecryptVM", "ada", name="db1")
        with pytest.raises(ResourceInUse, match="crypto"):
            await s.call("RemoveRole", name="Encrypter")

    play(tmp_path, test).close()


def test_r32_no_cryptography_administrator_lacks_all_of_it() -> None:
    role = PREDEFINED["NoCryptoAdmin"]
    assert not role & CRYPTOGRAPHER
    assert Privilege.DIAGNOSTICS not in role
    assert Privilege.ADD_HOST not in role
    assert {Privilege.POWER_ON, Privilege.CREATE_MACHINE, Privilege.MIGRATE_MACHINE} <= role
    assert len(CRYPTOGRAPHER) == 14


def test_the_nearest_object_decides_and_a_users_own_permission_beats_groups(
    tmp_path: Path,
) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        await s.call("CreateFolder", name="finance")
        await s.call("CreateVM", host="esx01", name="pay", diskSize=4096, folder="folder/finance")
        await s.call("SetMember", group="team", member="ada")
        await s.call("SetPermission", principal="team", role="Administrator", group=True)
        entity = {"entity": "folder/finance"}
        await s.call("SetPermission", principal="team", role="NoCryptoAdmin", group=True, **entity)

        async def may(entity: str) -> bool:
            asked = ["Cryptographer.Encrypt"]
            found = await s.call("HasPrivilege", user="ada", entity=entity, privileges=asked)
            return bool(found["Cryptographer.Encrypt"])

        assert await may("machine/db1")
        assert not await may("machine/pay")
        await s.call("SetPermission", principal="ada", role="Administrator", **entity)
        assert await may("machine/pay"), "the user's own permission beats the group's"
        await s.call("SetPermission", principal="ada", role="NoAccess", entity="/", propagate=False)
        assert await may("machine/db1"), "it says nothing of what the root holds"
        with pytest.raises(NoPermission):
            await s.call("ListVMs", "ada")

    play(tmp_path, test).close()


def test_roles_are_made_of_privileges_that_exist(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await s.call("SetRole", name="viewer", basedOn="ReadOnly")
        assert (await s.call("ListRoles"))["viewer"] == ["System.View"]
        with pytest.raises(InvalidArgument, match="no privilege Crypto"):
            await s.call("SetRole", name="odd", privileges=["Crypto.Everything"])
        with pytest.raises(InvalidArgument, match="predefined"):
            await s.call("SetRole", name="Administrator", privileges=[])
        authorization = Authorization(s.store.permissions, frozenset())
        assert authorization.allowed(ADMINISTRATOR, ("/",)) == frozenset()

    play(tmp_path, test).close()


# Events ------------------------------------------------------------------------------------------


async def some_events(s: Scene) -> None:
    await s.prepare()
    await s.call("SetPermission", principal="ada", role="Administrator")
    await s.call("EncryptVM", "ada", name="db1")
    s.pass_time(hours=1)
    await s.call("RecryptVM", name="db1")
    s.servers["kms1"].is_up = False
    with pytest.raises(Exception, match="down"):
        await s.call("RecryptVM", name="db1", deep=True)


def test_r33_r35_each_operation_is_an_event_with_user_time_key_and_operation(
    tmp_path: Path,
) -> None:
    async def test(s: Scene) -> None:
        await some_events(s)
        events = [event for event in await s.events() if event["operation"]]
        assert {"GenerateKey", "EnableCrypto", "AddKey", "Encrypt", "ShallowRecrypt"} <= {
            event["operation"] for event in events
        }
        for event in events:
            for field in ("userName", "createdTime", "keyId", "operation"):
                assert event[field], (field, event)
        assert {event["result"] for event in events} == {"success", "failure"}
        assert (await s.events())[-1]["eventTypeId"] == "com.vmware.vc.vm.crypto.RekeyFail"

    play(tmp_path, test).close()


def test_r34_events_are_exported_and_filtered(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await some_events(s)
        every = await s.events()
        lines = (await s.call("ExportEvents", format="jsonl")).splitlines()
        assert [json.loads(line) for line in lines] == every
        rows = list(csv.DictReader(io.StringIO(await s.call("ExportEvents"))))
        assert [row["eventTypeId"] for row in rows] == [event["eventTypeId"] for event in every]
        assert {row["entityName"] for row in rows} >= {"db1", "esx01", "KMS"}
        by_ada = await s.events(user="ada")
        assert {event["userName"] for event in by_ada} == {"ada"}
        key = by_ada[0]["keyId"]
        assert {event["keyId"] for event in await s.events(keyId=key)} == {key}
        later = await s.events(since="2026-11-24T12:30:00Z")
        earlier = await s.events(until="2026-11-24T12:30:00+00:00")
        assert earlier + later == every
        assert later
        with pytest.raises(InvalidArgument, match="csv, jsonl"):
            await s.call("ExportEvents", format="xml")
        with pytest.raises(InvalidArgument, match="since"):
            await s.events(since="yesterday")

    play(tmp_path, test).close()


def test_names_that_spreadsheets_take_for_formulas_are_made_harmless(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        s.add_server("kms1")
        await s.add_kms("=cmd|' /C calc'!A0", "kms1")
        rows = list(csv.DictReader(io.StringIO(await s.call("ExportEvents"))))
        assert rows[0]["entityName"].startswith("'=")

    play(tmp_path, test).close()


@pytest.mark.parametrize(
    "tamper",
    [
        "UPDATE event SET record = replace(record, 'ada', 'bob')",
        "DELETE FROM event WHERE key = 2",
        "UPDATE event SET key = key + 100",
    ],
)
def test_tampering_with_events_shows(tmp_path: Path, tamper: str) -> None:
    async def test(s: Scene) -> None:
        await some_events(s)
        with closing(sqlite3.connect(s.folder / "vcenter.sqlite3")) as database, database:
            database.execute(tamper)
        with pytest.raises(DamagedData, match="altered, or one is missing"):
            await s.events()

    play(tmp_path, test).close()
