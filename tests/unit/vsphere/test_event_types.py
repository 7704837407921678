"""Each type of event is written by something: a scenario for every row of the table (§5.3)."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from kmipkit_certs.authority import Authority, Purpose
from kmipkit_client import calls
from kmipkit_vsphere.model.certificates import to_der, to_pem
from kmipkit_vsphere.model.encoding import encode
from kmipkit_vsphere.model.errors import NoSpace, VSphereError
from kmipkit_vsphere.model.keys import CryptoKeyId
from kmipkit_vsphere.vcenter.alarm_definitions import full_id
from kmipkit_vsphere.vcenter.calls.events import Severity
from kmipkit_vsphere.vcenter.event_types import EVENT_TYPES
from kmipkit_vsphere.vcenter.host_connections import LOST_AFTER
from software_tpm import IMAGE, NOW, OTHER, Maker
from trusted_scene import Whole, trusted, whole
from vsphere_scene import PretendedTPM, Scene, migrating, play

from kmipkit.spec.enums import RevocationReasonCode

MACHINE_LAYERS: Final = frozenset({"vm.crypto.DiskchainUsingMixedKeys"})
"""Written about snapshots (test_vcenter_snapshots)."""


@dataclass(frozen=True)
class Scenario:
    types: frozenset[str]
    run: Callable[[Any], Awaitable[None]]
    kind: str = "standard"


SCENARIOS: list[Scenario] = []


def scenario(
    *types: str, kind: str = "standard"
) -> Callable[[Callable[[Any], Awaitable[None]]], Callable[[Any], Awaitable[None]]]:
    def add(run: Callable[[Any], Awaitable[None]]) -> Callable[[Any], Awaitable[None]]:
        SCENARIOS.append(Scenario(frozenset(types), run, kind))
        return run

    return add


async def refused(call: Awaitable[Any]) -> None:
    with pytest.raises(VSphereError):
        await call


async def revoke(s: Scene, key: dict[str, str]) -> None:
    code = RevocationReasonCode.CESSATION_OF_OPERATION
    await s.ask_kms(calls.revoke(key["keyId"], code, None, None))


async def host_key(s: Scene) -> dict[str, str]:
    key = s.store.inventory.host("esx01").key_id
    assert key is not None
    return {"providerId": key.provider_id, "keyId": key.key_id}


async def reboot(s: Scene) -> None:
    s.reboot("esx01")
    await s.vcenter.run_background_tasks()


# Machines and host keys --------------------------------------------------------------------------


@scenario(
    "crypto.Operation",
    "host.Crypto.Enabled",
    "crypto.HostKeyUpdatedEvent",
    "crypto.IntegrityCheckPassed",
    "vm.Crypto.VMUnlocked",
)
async def ordinary_work(s: Scene) -> None:
    await s.call("EncryptVM", name="db1")
    await s.call("ChangeHostKey", host="esx01")
    assert (await s.call("CheckIntegrity", name="db1"))["isWhole"]
    await reboot(s)


@scenario("crypto.IntegrityCheckFailed")
async def a_locked_data_key_of_another_machine(s: Scene) -> None:
    await s.call("EncryptVM", name="db1")
    await s.call("CloneVM", name="db1", newName="db2")
    one, other = [s.host().datastore.folder / name / f"{name}.vmdk" for name in ("db1", "db2")]
    line = re.compile(r"(?m)^encryption.*$")
    [bundle] = line.findall(other.read_text())
    one.write_text(line.sub(lambda _: bundle, one.read_text()))
    checked = await s.call("CheckIntegrity", name="db1")
    assert not checked["isWhole"]
    assert len(checked["problems"]) == 1


@scenario("host.Crypto.HostCryptoDisabled")
async def an_encryption_while_the_mode_is_disabled(s: Scene) -> None:
    await s.call("ConfigureCryptoKey", host="esx01")
    await s.call("DisableCrypto", host="esx01")
    await refused(s.call("EncryptVM", name="db1"))


@scenario(
    "host.Crypto.ReqEnable.KeyMissingOnKMS",
    "host.Crypto.HostKey.NewKey.KeyMissingOnKMS",
    "vm.Crypto.VMLocked.KeyMissingOnKMS",
    "kms.crypto.SendKeyError.KeyMissingOnKMS",
)
async def keys_are_revoked_and_the_host_restarts(s: Scene) -> None:
    key = await s.call("EncryptVM", name="db1")
    await revoke(s, key)
    await revoke(s, await host_key(s))
    await reboot(s)


@scenario(
    "host.Crypto.ReqEnable.KMSClusterError",
    "vm.Crypto.VMLocked.KMSClusterError",
    "kms.crypto.Unreachable",
    "kms.crypto.KeyGenerateFail",
    "vm.crypto.RekeyFail",
    "vim.event.AlarmAcknowledgedEvent",
)
async def the_key_server_is_down_and_the_host_restarts(s: Scene) -> None:
    await s.call("EncryptVM", name="db1")
    s.servers["kms1"].is_up = False
    await s.vcenter.poll_health()
    await s.call("AcknowledgeAlarm", alarm="keyServerConnection", entity="keyServer/KMS/kms1")
    await s.call("GenerateKey")
    await refused(s.call("RecryptVM", name="db1"))
    await reboot(s)


@scenario("vim.event.HostConnectionLostEvent", "vim.event.HostConnectedEvent")
async def a_host_stops_and_starts(s: Scene) -> None:
    s.host().close()
    s.hosts["esx01"] = None
    for _ in range(LOST_AFTER):
        await s.vcenter.run_background_tasks()
    s.start_host("esx01")
    await s.vcenter.run_background_tasks()


@scenario("kms.crypto.SendKeyError.KMSClusterError")
async def the_key_server_is_down_and_one_key_is_missing(s: Scene) -> None:
    key = await s.call("EncryptVM", name="db1")
    s.servers["kms1"].is_up = False
    s.host().machines.lock("db1")
    s.host().keys.remove(CryptoKeyId("KMS", key["keyId"]), force=True)
    await refused(s.call("CryptoUnlock", name="db1"))


@scenario("host.Crypto.HostKey.NewKey.KMSClusterError")
async def the_provider_of_the_host_key_is_gone(s: Scene) -> None:
    await s.call("ConfigureCryptoKey", host="esx01")
    s.add_server("kms2")
    await s.add_kms("NEXT", "kms2")
    await s.call("UnregisterKmsCluster", clusterId="KMS")
    await s.call("SetDefaultKmsCluster", clusterId="NEXT")
    await reboot(s)


@scenario("host.Crypto.SendKeyError.HostError")
async def the_host_does_not_answer(s: Scene) -> None:
    await s.call("ConfigureCryptoKey", host="esx01")
    real = s.vcenter.hosts.call

    async def call(host: Any, request: Any) -> Any:
        if request.method() == "ChangeKey":
            s.hosts["esx01"], stopped = None, s.hosts["esx01"]
            try:
                return await real(host, request)
            finally:
                s.hosts["esx01"] = stopped
        return await real(host, request)

    s.vcenter.hosts.call = call  # type: ignore[method-assign]
    await refused(s.call("ChangeHostKey", host="esx01"))


@scenario("vm.crypto.NoDiskSpace")
async def the_datastore_is_full(s: Scene) -> None:
    def full(*_: Any) -> None:
        raise NoSpace("there is no room on the datastore")

    await s.call("ConfigureCryptoKey", host="esx01")
    s.host().machines.reconfigure = full  # type: ignore[method-assign, assignment]
    await refused(s.call("EncryptVM", name="db1"))


@scenario("HostTpmConfigEncryptionEvent")
async def a_host_with_a_tpm(s: Scene) -> None:
    s.start_host("esx02", PretendedTPM())
    await s.call("AddHost", name="esx02", address="h", port=1)


@scenario(
    *(
        f"esx.problem.{world}.core.dumped{suffix}"
        for world in ("hostd", "vpxa", "application")
        for suffix in ("", ".encrypted")
    )
)
async def core_dumps(s: Scene) -> None:
    for _ in range(2):
        for world in ("hostd", "vpxa", "db1"):
            await s.call("DumpCore", host="esx01", world=world)
        await s.call("EncryptVM", name="db1") if not s.host().keys.crypto.list_keys() else None


# Key providers -----------------------------------------------------------------------------------


@scenario(
    "kms.crypto.Vendor", "vecs.KMSClientCertExpirationEvent", "vecs.KMSServerCertExpirationEvent"
)
async def certificates_that_expire(s: Scene) -> None:
    await s.call("RegisterKmipServer", clusterId="NEXT", info={"name": "kms1", "address": "k"})
    await s.call("IssueClientCert", clusterId="KMS")
    issued = Authority.create("ca", "ecdsa-p256", s.now).issue("k", Purpose.SERVER, s.now)
    s.servers["kms1"].certificate_shown = to_der(issued.certificate)
    s.pass_time(days=800)
    await s.vcenter.poll_health()


@scenario("kms.crypto.NotBackedUp", "kms.crypto.AllBackedUp", "kms.crypto.NotBackedUpAfterUpdate")
async def a_native_provider(s: Scene) -> None:
    await native(s)
    await s.call("UpdateNativeProvider", provider="NKP", anyHost=False)


@scenario("vm.Crypto.VMLocked.KeyMissingOnHost")
async def a_host_lost_its_native_provider(s: Scene) -> None:
    await native(s)
    key = await s.call("EncryptVM", name="db2", keyProvider="NKP")
    s.host("esx02").keys.sources.remove("NKP")
    s.host("esx02").machines.lock("db2")
    s.host("esx02").keys.remove(CryptoKeyId("NKP", key["keyId"]), force=True)
    await refused(s.call("CryptoUnlock", name="db2"))


async def native(s: Scene) -> None:
    """A native provider, and a host in a cluster that has it."""
    await s.call("CreateCluster", name="prod")
    s.start_host("esx02")
    await s.call("AddHost", name="esx02", address="h", port=1, parent="cluster/prod")
    await s.call("CreateVM", host="esx02", name="db2", diskSize=4096)
    await s.call("CreateNativeProvider", provider="NKP", anyHost=True)
    prepared = await s.call("ExportProvider", provider="NKP")
    await s.call("DownloadBackup", token=prepared["location"]["downloadToken"]["token"])


# Migration ---------------------------------------------------------------------------------------


@scenario(
    "vm.VmHotMigratingWithEncryptionEvent", "vm.VmMigratingWithEncryptionEvent", kind="migrating"
)
async def migrations(s: Scene) -> None:
    await s.call("EncryptVM", name="db1")
    await s.call("MigrateVM", name="db1", target="b")
    await s.call("PowerOnVM", name="db1")
    await s.call("MigrateVM", name="db1", target="a")


# Trust Authority ---------------------------------------------------------------------------------


async def poll(w: Whole) -> None:
    await w.workload.vcenter.poll_health()


@scenario("TaHostAttestPassEvent", "TaHostAttestUnsetEvent", kind="workload")
async def a_host_that_is_attested_and_then_down(w: Whole) -> None:
    await trusted(w)
    await poll(w)
    w.workload.hosts["esx01"] = None
    await poll(w)


@scenario(
    "TaHostAttestFailEvent",
    "host.TPMAttestationFailedEvent",
    "vm.Crypto.VMLocked.TAKeyMissingOnHost",
    kind="workload",
)
async def a_host_with_an_unknown_image(w: Whole) -> None:
    await trusted(w)
    await w.workload.call("EncryptVM", name="db1")
    await w.ta("ImportImage", manifest=encode(OTHER).decode())
    await w.ta("RemoveImage", name=IMAGE.name, version=IMAGE.version)
    w.authority.pass_time(hours=9)
    await poll(w)
    [event] = await w.workload.events(eventTypeId="TaHostAttestFailEvent")
    assert "ESXi 8.0.3" in event["message"]
    [alarm] = await w.workload.call("ListAlarms")
    assert (alarm["entity"]["name"], alarm["message"]) == ("esx01", event["message"])
    w.use(w.workload.reboot("esx01"))
    await w.workload.vcenter.run_background_tasks()


@scenario(
    "kms.crypto.TrustAuthority.ClusterNotAvailable",
    "vm.Crypto.VMLocked.TAKMSClusterUnavaliable",
    kind="workload",
)
async def no_service_answers(w: Whole) -> None:
    await trusted(w)
    await w.workload.call("EncryptVM", name="db1")
    for name in w.services:
        w.services[name] = None
    w.authority.pass_time(hours=9)
    await poll(w)
    w.use(w.workload.reboot("esx01"))
    await w.workload.vcenter.run_background_tasks()


@scenario("TrustAuthority.HostNotConfigured", "TrustAuthority.DecommissionHost", kind="workload")
async def a_host_that_is_decommissioned(w: Whole) -> None:
    await trusted(w)
    await w.workload.call("DecommissionHost", "trust-admin", host="esx01")
    w.workload.host().trusted = None
    await poll(w)


@scenario("TrustAuthority.StsCertificatesChange", kind="workload")
async def the_certificates_of_the_workload_change(w: Whole) -> None:
    await trusted(w)
    await poll(w)
    w.workload.vcenter.trusted_clusters.authorities = "others"
    await poll(w)


@scenario("TrustAuthority.StsCertificatesChange", kind="authority")
async def another_principal_is_imported(w: Whole) -> None:
    certificate = Authority.create("ca", "ecdsa-p256", w.authority.now).certificate
    await w.ta("ImportPrincipal", name="workload", certificate=to_pem(certificate))


@scenario(
    "kms.crypto.TrustAuthority.ClusterNotAvailable",
    "kms.crypto.TrustAuthority.ClusterUnhealthy",
    kind="authority",
)
async def services_go_away(w: Whole) -> None:
    for name in ("ta1", "ta2"):
        w.services[name] = None
        await w.authority.vcenter.poll_health()


@scenario(
    "kms.crypto.TrustAuthority.KmsUnhealthy",
    "TrustAuthority.KMSClientCertExpirationEvent",
    "TrustAuthority.KMSServerCertExpirationEvent",
    kind="authority",
)
async def the_key_servers_of_a_trust_authority(w: Whole) -> None:
    w.authority.servers["kms1"].is_up = False
    w.authority.pass_time(days=4000)
    for _ in range(2):
        await w.authority.vcenter.poll_health()
    for kind in ("Client", "Server"):
        events = await w.authority.events(eventTypeId=f"TrustAuthority.KMS{kind}CertExp")
        assert len(events) == 1, "once"


# The table ---------------------------------------------------------------------------------------


def test_every_type_has_a_scenario() -> None:
    covered = frozenset[str]().union(*(scenario.types for scenario in SCENARIOS))
    assert covered | MACHINE_LAYERS == set(EVENT_TYPES)


@pytest.fixture(scope="module")
def maker() -> Maker:
    return Maker("TPM maker", NOW)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.run.__name__)
def test_its_events_are_written_with_severity_and_arguments(
    tmp_path: Path, maker: Maker, scenario: Scenario
) -> None:
    async def check(s: Scene) -> None:
        events = await s.events()
        for event_type in scenario.types:
            row = EVENT_TYPES[event_type]
            found = [event for event in events if event["eventTypeId"] == full_id(event_type)]
            assert found, (event_type, [event["eventTypeId"] for event in events])
            for event in found:
                if row.severity is not Severity.INFO:
                    assert event["severity"] in (row.severity, Severity.ERROR, Severity.WARNING)
                missing = [name for name in row.arguments if not event["arguments"].get(name)]
                assert not missing, (event_type, missing)
                assert event["message"]
                assert event["userName"]

    async def standard(s: Scene) -> None:
        await s.prepare()
        await scenario.run(s)
        await check(s)

    async def trust(w: Whole) -> None:
        await scenario.run(w)
        await check(w.workload if scenario.kind == "workload" else w.authority)

    async def moved(s: Scene) -> None:
        await scenario.run(s)
        await check(s)

    if scenario.kind == "standard":
        play(tmp_path, standard).close()
    elif scenario.kind == "migrating":
        migrating(tmp_path, moved)
    else:
        whole(tmp_path, maker, trust)


def test_the_table_is_listed_with_full_identifiers(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        rows = await s.call("ListEventTypes")
        assert [row["id"] for row in rows] == [full_id(name) for name in EVENT_TYPES]
        assert all(row["description"] for row in rows)

    play(tmp_path, test).close()


def test_a_type_that_is_not_in_the_table_cannot_be_written(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        with pytest.raises(KeyError):
            s.vcenter.crypto.event_log.add("crypto.Operatoin", "?", user="ada")

    play(tmp_path, test).close()
