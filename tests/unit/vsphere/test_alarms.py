"""Alarms: what raises and clears each of them, who acknowledges them, and that they last."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from kmipkit_certs.authority import Authority, Purpose
from kmipkit_client import calls
from kmipkit_vsphere.model.certificates import to_der
from kmipkit_vsphere.model.errors import (
    InvalidState,
    NoPermission,
    NotFound,
    VSphereError,
)
from kmipkit_vsphere.vcenter.alarm_definitions import DEFINITIONS, PREFIX
from kmipkit_vsphere.vcenter.calls.events import AlarmName
from kmipkit_vsphere.vcenter.host_connections import LOST_AFTER
from vsphere_scene import Scene, play

from kmipkit.spec.enums import RevocationReasonCode

Step = Callable[[Scene], Awaitable[None]]
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


async def poll(s: Scene) -> None:
    await s.vcenter.poll_health()


async def rounds(s: Scene) -> None:
    await s.vcenter.run_background_tasks()


async def revoke(s: Scene, key: str) -> None:
    await s.ask_kms(calls.revoke(key, RevocationReasonCode.CESSATION_OF_OPERATION, None, None))


def key_of(s: Scene, machine: str = "db1") -> str:
    key = s.store.inventory.machine(machine).key_id
    assert key is not None
    return key.key_id


# What raises an alarm, and what clears it -----------------------------------------------------------


async def server_down(s: Scene) -> None:
    s.servers["kms1"].is_up = False
    await poll(s)


async def server_up(s: Scene) -> None:
    s.servers["kms1"].is_up = True
    await poll(s)


async def server_removed(s: Scene) -> None:
    await s.call("RemoveKmipServer", clusterId="KMS", serverName="kms1")
    await rounds(s)


async def provider_removed(s: Scene) -> None:
    await s.call("UnregisterKmsCluster", clusterId="KMS")
    await rounds(s)


def certificate_for(days: int) -> Step:
    async def shown(s: Scene) -> None:
        authority = Authority.create("ca", "ecdsa-p256", NOW)
        issued = authority.issue("kms1", Purpose.SERVER, NOW, days=days)
        s.servers["kms1"].certificate_shown = to_der(issued.certificate)
        await poll(s)

    return shown


async def old_client_certificate(s: Scene) -> None:
    await s.call("IssueClientCert", clusterId="KMS")
    s.pass_time(days=700)
    await poll(s)


async def new_client_certificate(s: Scene) -> None:
    await s.call("IssueClientCert", clusterId="KMS")
    await poll(s)


async def native_provider(s: Scene) -> None:
    await s.call("CreateCluster", name="prod")
    await s.call("CreateNativeProvider", provider="NKP", anyHost=True)


async def backup(s: Scene) -> None:
    prepared = await s.call("ExportProvider", provider="NKP")
    await s.call("DownloadBackup", token=prepared["location"]["downloadToken"]["token"])


async def native_removed(s: Scene) -> None:
    await s.call("DeleteNativeProvider", provider="NKP")


async def key_gone(s: Scene) -> None:
    await s.call("EncryptVM", name="db1")
    await revoke(s, key_of(s))
    s.reboot("esx01")
    await rounds(s)


async def key_removed(s: Scene) -> None:
    key = {"providerId": "KMS", "keyId": key_of(s)}
    await s.call("RemoveKeys", keyIds=[key], force=True)


async def machine_gone(s: Scene) -> None:
    await s.call("DestroyVM", name="db1")
    await poll(s)


async def host_key_unreachable(s: Scene) -> None:
    await s.call("EncryptVM", name="db1")
    s.servers["kms1"].is_up = False
    s.reboot("esx01")
    await rounds(s)


async def server_up_again(s: Scene) -> None:
    s.servers["kms1"].is_up = True
    await rounds(s)


async def host_removed(s: Scene) -> None:
    await s.call("UnregisterVM", name="db1")
    await s.call("RemoveHost", name="esx01")


async def host_down(s: Scene) -> None:
    s.host().close()
    s.hosts["esx01"] = None
    for _ in range(LOST_AFTER):
        await rounds(s)


async def host_up(s: Scene) -> None:
    s.start_host("esx01")
    await rounds(s)


async def host_reconnected(s: Scene) -> None:
    s.start_host("esx01")
    await s.call("ReconnectHost", name="esx01")


async def disabled_mode(s: Scene) -> None:
    await s.call("EncryptVM", name="db1")
    s.host().keys.crypto.disable()
    with pytest.raises(InvalidState):
        await s.call("PowerOnVM", name="db1")


async def mode_enabled(s: Scene) -> None:
    s.reboot("esx01")
    await s.call("ReconnectHost", name="esx01")


async def host_key_gone(s: Scene) -> None:
    host_key = (await s.call("ConfigureCryptoKey", host="esx01"))["keyId"]
    await revoke(s, host_key)
    s.store.providers.set_default(None)
    s.reboot("esx01")
    await rounds(s)


async def default_again(s: Scene) -> None:
    s.store.providers.set_default("KMS")
    await rounds(s)


async def altered_bundle(s: Scene) -> None:
    await s.call("EncryptVM", name="db1")
    s.host().machines.lock("db1")
    vmx = s.host().datastore.machine("db1").home.descriptor
    text = vmx.read_text()
    (s.folder / "saved").write_text(text)
    at = text.index("%2d256,") + 60
    vmx.write_text(text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :])
    report = await s.call("CheckIntegrity", name="db1")
    assert not report["isWhole"]


async def restored_bundle(s: Scene) -> None:
    s.host().datastore.machine("db1").home.descriptor.write_text((s.folder / "saved").read_text())
    assert (await s.call("CheckIntegrity", name="db1")) == {"isWhole": True, "problems": []}


async def mixed_clone(s: Scene) -> None:
    await s.call("EncryptVM", name="db1")
    await s.call("CreateSnapshot", name="db1", snapshot="s")
    await s.call("CloneVM", name="db1", newName="db2", linked=True, keyProvider="KMS")


async def clone_gone(s: Scene) -> None:
    await s.call("DestroyVM", name="db2")


async def unconsolidated(s: Scene) -> None:
    await s.call("CreateSnapshot", name="db1", snapshot="a")
    await s.call("CreateSnapshot", name="db1", snapshot="b")
    await s.call("CloneVM", name="db1", newName="db2", linked=True)
    await s.call("RemoveSnapshot", name="db1", snapshot="a")
    await s.call("DestroyVM", name="db2")
    await s.call("CreateSnapshot", name="db1", snapshot="c")


async def consolidated(s: Scene) -> None:
    await s.call("ConsolidateDisks", name="db1")


async def not_compliant(s: Scene) -> None:
    await s.call("CreateStoragePolicy", name="p")
    await s.call("SetStoragePolicy", name="db1", policy="p")
    await s.call("UpdateStoragePolicy", policy="p", encrypt=True)
    await s.call("CheckCompliance")


async def compliant(s: Scene) -> None:
    await s.call("SetStoragePolicy", name="db1", policy="p")


async def locked(s: Scene) -> None:
    await key_gone(s)


async def unregistered(s: Scene) -> None:
    await s.call("UnregisterVM", name="db1")


CASES: list[tuple[AlarmName, str, str, Step, Step]] = [
    (AlarmName.KEY_SERVER_CONNECTION, "keyServer/KMS/kms1", "red", server_down, server_up),
    (AlarmName.KEY_SERVER_CONNECTION, "keyServer/KMS/kms1", "red", server_down, server_removed),
    (AlarmName.KEY_PROVIDER_HEALTH, "provider/KMS", "red", server_down, server_up),
    (AlarmName.KEY_PROVIDER_HEALTH, "provider/KMS", "red", server_down, provider_removed),
    (
        AlarmName.KEY_PROVIDER_HEALTH,
        "provider/KMS",
        "yellow",
        certificate_for(45),
        certificate_for(300),
    ),
    (
        AlarmName.CERTIFICATE,
        "keyServer/KMS/kms1",
        "yellow",
        certificate_for(45),
        certificate_for(61),
    ),
    (AlarmName.CERTIFICATE, "keyServer/KMS/kms1", "red", certificate_for(30), certificate_for(61)),
    (
        AlarmName.CERTIFICATE,
        "provider/KMS",
        "red",
        old_client_certificate,
        new_client_certificate,
    ),
    (AlarmName.NATIVE_PROVIDER_BACKUP, "provider/NKP", "red", native_provider, backup),
    (AlarmName.NATIVE_PROVIDER_BACKUP, "provider/NKP", "red", native_provider, native_removed),
    (AlarmName.KEY_MISSING, "key/KMS/", "red", key_gone, key_removed),
    (AlarmName.KEY_MISSING, "key/KMS/", "red", key_gone, machine_gone),
    (AlarmName.MACHINE_LOCKED, "machine/db1", "red", locked, machine_gone),
    (AlarmName.MACHINE_LOCKED, "machine/db1", "red", locked, unregistered),
    (
        AlarmName.HOST_NEEDS_ENCRYPTION,
        "host/esx01",
        "red",
        host_key_unreachable,
        server_up_again,
    ),
    (AlarmName.HOST_NEEDS_ENCRYPTION, "host/esx01", "red", host_key_unreachable, host_removed),
    (AlarmName.HOST_CONNECTION, "host/esx01", "red", host_down, host_up),
    (AlarmName.HOST_CONNECTION, "host/esx01", "red", host_down, host_reconnected),
    (AlarmName.HOST_NEEDS_ENCRYPTION, "host/esx01", "red", disabled_mode, mode_enabled),
    (AlarmName.HOST_KEY_MISSING, "host/esx01", "red", host_key_gone, default_again),
    (AlarmName.MACHINE_INTEGRITY, "machine/db1", "red", altered_bundle, restored_bundle),
    (AlarmName.MIXED_KEYS, "machine/db2", "yellow", mixed_clone, clone_gone),
    (AlarmName.CONSOLIDATION_NEEDED, "machine/db1", "yellow", unconsolidated, consolidated),
    (AlarmName.POLICY_COMPLIANCE, "machine/db1", "yellow", not_compliant, compliant),
]


async def alarm(s: Scene, name: AlarmName, entity: str) -> dict[str, Any] | None:
    for found in await s.call("ListAlarms"):
        shown = f"{found['entity']['type']}/{found['entity']['name']}"
        if found["alarm"] == name and shown.startswith(entity):
            return dict(found)
    return None


FURTHER_ENDS = (server_removed, provider_removed, native_removed, unregistered, host_removed)
"""Other ways in which an alarm ends, after the usual one."""


@pytest.mark.parametrize(
    ("name", "entity", "colour", "begin", "end"),
    [
        pytest.param(*case, marks=pytest.mark.long) if case[4] in FURTHER_ENDS else case
        for case in CASES
    ],
    ids=[f"{case[0]} {case[3].__name__} {case[4].__name__}" for case in CASES],
)
def test_an_alarm_begins_lasts_over_a_restart_and_ends(
    tmp_path: Path, name: AlarmName, entity: str, colour: str, begin: Step, end: Step
) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        assert await alarm(s, name, entity) is None
        await begin(s)
        raised = await alarm(s, name, entity)
        assert raised is not None
        assert raised["color"] == colour
        assert raised["message"]
        definition = DEFINITIONS[name]
        assert raised["color"] in definition.colours
        assert raised["eventTypeId"].removeprefix(PREFIX).startswith((*definition.raised_by, ""))
        s.restart_vcenter()
        assert await alarm(s, name, entity) == raised
        await end(s)
        assert await alarm(s, name, entity) is None

    play(tmp_path, test).close()


OF_A_TRUST_AUTHORITY = (
    AlarmName.HOST_ATTESTATION,
    AlarmName.TRUST_AUTHORITY,
    AlarmName.PRIMARY_KEY,
)
"""They begin and end in test_trust_alarms."""


def test_every_alarm_has_a_definition_and_a_test() -> None:
    here = {case[0] for case in CASES}
    assert set(DEFINITIONS) == set(AlarmName) == here | set(OF_A_TRUST_AUTHORITY)


def test_the_definitions_are_listed(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        listed = {item["alarm"]: item for item in await s.call("ListAlarmDefinitions")}
        assert set(listed) == set(AlarmName)
        assert listed["machineLocked"]["raisedBy"] == [f"{PREFIX}vm.Crypto.VMLocked"]

    play(tmp_path, test).close()


def test_a_request_that_a_key_server_serves_ends_its_alarm(tmp_path: Path) -> None:
    """Before the next poll; one of another server, or a refused one, does not."""

    async def test(s: Scene) -> None:
        await s.prepare()
        await s.call("EncryptVM", name="db1")
        await server_down(s)
        s.add_server("kms2", s.make_laboratory("second"))
        await s.add_kms("SECOND", "kms2")
        await s.call("GenerateKey", keyProvider="SECOND")
        assert await alarm(s, AlarmName.KEY_SERVER_CONNECTION, "keyServer")
        s.servers["kms1"].is_up = True
        s.reboot("esx01")
        await s.call("ReconnectHost", name="esx01")
        assert await alarm(s, AlarmName.KEY_SERVER_CONNECTION, "keyServer") is None

    play(tmp_path, test).close()


# Acknowledging -----------------------------------------------------------------------------------


def test_who_acknowledged_an_alarm_and_when_is_known(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        await server_down(s)
        await s.call("SetPermission", entity="/", principal="eve", role="ReadOnly")
        params = {"alarm": "keyServerConnection", "entity": "keyServer/KMS/kms1"}
        with pytest.raises(NoPermission, match=r"Alarm\.Acknowledge"):
            await s.call("AcknowledgeAlarm", "eve", **params)
        before = await alarm(s, AlarmName.KEY_SERVER_CONNECTION, "keyServer")
        assert before is not None
        assert before["acknowledgedBy"] is None
        s.pass_time(minutes=5)
        await s.call("AcknowledgeAlarm", **params)
        await poll(s)
        s.restart_vcenter()
        known = await alarm(s, AlarmName.KEY_SERVER_CONNECTION, "keyServer")
        assert known == {
            **before,
            "acknowledgedBy": "administrator",
            "acknowledgedAt": "2026-11-24T12:05:00+00:00",
        }
        [event] = await s.events(eventTypeId="vim.event.AlarmAcknowledgedEvent")
        assert (event["userName"], event["entity"]["name"]) == ("administrator", "KMS/kms1")
        with pytest.raises(NotFound, match="has no alarm"):
            await s.call("AcknowledgeAlarm", alarm="machineLocked", entity="machine/db1")
        await server_up(s)
        await server_down(s)
        again = await alarm(s, AlarmName.KEY_SERVER_CONNECTION, "keyServer")
        assert again is not None
        assert again["acknowledgedBy"] is None, "it is another occurrence"

    play(tmp_path, test).close()


def test_an_alarm_that_becomes_worse_is_acknowledged_again(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        await certificate_for(45)(s)
        params = {"alarm": "certificate", "entity": "keyServer/KMS/kms1"}
        await s.call("AcknowledgeAlarm", **params)
        s.pass_time(days=1)
        await poll(s)
        known = await alarm(s, AlarmName.CERTIFICATE, "keyServer")
        assert known is not None
        assert known["acknowledgedBy"] == "administrator"
        s.pass_time(days=20)
        await poll(s)
        worse = await alarm(s, AlarmName.CERTIFICATE, "keyServer")
        assert worse is not None
        assert (worse["color"], worse["acknowledgedBy"]) == ("red", None)

    play(tmp_path, test).close()


def test_a_missing_backup_is_acknowledged_for_a_day(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await native_provider(s)
        await poll(s)
        assert await alarm(s, AlarmName.KEY_PROVIDER_HEALTH, "provider/NKP") is None, (
            "one is enough"
        )
        params = {"alarm": "nativeProviderBackup", "entity": "provider/NKP"}
        await s.call("AcknowledgeAlarm", **params)
        for hours, who in ((23, "administrator"), (2, None)):
            s.pass_time(hours=hours)
            await poll(s)
            known = await alarm(s, AlarmName.NATIVE_PROVIDER_BACKUP, "provider/NKP")
            assert known is not None
            assert known["acknowledgedBy"] == who

    play(tmp_path, test).close()


# Others ------------------------------------------------------------------------------------------


def test_an_alarm_of_the_first_format_is_still_one_and_ends(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        uuid = s.store.inventory.machine("db1").uuid
        text = (
            '{"entity":{"type":"machine","name":"db1","uuid":"' + uuid + '"},"eventTypeId":'
            '"vm.Crypto.VMLocked.KeyMissingOnKMS","message":"it is locked","since":"2026-11-01"}'
        )
        s.store.providers.set_setting("alarm/machine/db1", text)
        s.restart_vcenter()
        [known] = await s.call("ListAlarms")
        assert (known["alarm"], known["color"]) == ("machineLocked", "red")
        await s.call("UnregisterVM", name="db1")
        assert await s.call("ListAlarms") == []

    play(tmp_path, test).close()


def test_an_alarm_of_the_second_format_has_its_color(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        await not_compliant(s)
        [(name, text)] = s.store.providers.settings("alarm/").items()
        assert '"color":"yellow"' in text
        s.store.providers.set_setting(name, text.replace('"color"', '"colour"'))
        s.restart_vcenter()
        [known] = await s.call("ListAlarms")
        assert (known["alarm"], known["color"]) == ("policyCompliance", "yellow")

    play(tmp_path, test).close()


def test_red_alarms_are_listed_first(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        await not_compliant(s)
        await server_down(s)
        colours = [found["color"] for found in await s.call("ListAlarms")]
        assert colours == ["red", "red", "yellow"]

    play(tmp_path, test).close()


def test_damage_that_unlocking_finds_is_an_event_once_and_so_is_its_end(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        await s.call("EncryptVM", name="db1")
        disk = s.host().datastore.machine("db1").disk.data
        data = disk.read_bytes()
        disk.write_bytes(data[:-512])
        s.reboot("esx01")
        for _ in range(3):
            await rounds(s)
        [event] = await s.events(eventTypeId="crypto.IntegrityCheckFailed")
        assert event["keyId"] == key_of(s)
        assert "db1-flat.vmdk" in event["message"]
        disk.write_bytes(data)
        await rounds(s)
        assert len(await s.events(eventTypeId="crypto.IntegrityCheckPassed")) == 1
        assert await s.call("ListAlarms") == []

    play(tmp_path, test).close()


def test_the_integrity_of_every_layer_is_checked(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        await s.call("EncryptVM", name="db1")
        await s.call("AddTPM", name="db1")
        await s.call("CreateSnapshot", name="db1", snapshot="s")
        assert (await s.call("CheckIntegrity", name="db1"))["isWhole"]
        folder = s.host().datastore.folder / "db1"
        for file in ("db1.vmdk", "db1-000001.vmdk", "db1-Snapshot1.vmsn"):
            path = folder / file
            text = path.read_text()
            at = text.index("%2d256,") + 60
            path.write_text(text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :])
            report = await s.call("CheckIntegrity", name="db1")
            assert not report["isWhole"], file
            path.write_text(text)
        await s.call("SetPermission", entity="/", principal="eve", role="NoCryptoAdmin")
        with pytest.raises(NoPermission, match=r"Cryptographer\.Access"):
            await s.call("CheckIntegrity", "eve", name="db1")

    play(tmp_path, test).close()


def test_a_key_that_is_not_accepted_by_a_host_is_an_event_about_the_host(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        await s.call("EncryptVM", name="db1")
        s.reboot("esx01")  # it is not in encryption mode
        with pytest.raises(VSphereError):
            await s.call("CreateSnapshot", name="db1", snapshot="s")
        assert await s.events(eventTypeId="host.Crypto.HostCryptoDisabled")
        await rounds(s)
        assert await s.call("ListAlarms") == []

    play(tmp_path, test).close()
