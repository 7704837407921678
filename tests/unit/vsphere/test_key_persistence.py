"""Key persistence: on hosts and clusters, over reboots, and when it is switched off (§2.8)."""

from pathlib import Path

import pytest
from kmipkit_client import calls
from kmipkit_vsphere.model.errors import (
    EncryptionKeyRequired,
    InvalidArgument,
    InvalidState,
    NoPermission,
    NotFound,
)
from kmipkit_vsphere.model.keys import CryptoKeyId
from software_tpm import NOW, Maker, SoftwareTPM
from trusted_scene import Whole, whole
from vsphere_scene import PATTERN, PretendedTPM, Scene, play

from kmipkit.spec.enums import RevocationReasonCode


async def cluster(s: Scene) -> None:
    """Two hosts with TPMs and one without, in a cluster with persistence; a machine on the first."""
    s.add_server("kms1")
    await s.add_kms("KMS", "kms1")
    await s.call("CreateCluster", name="prod")
    for name in ("a", "b", "plain"):
        s.start_host(name, None if name == "plain" else PretendedTPM())
        await s.call("AddHost", name=name, address="h", port=1, parent="cluster/prod")
    await s.call("CreateVM", host="a", name="db1", diskSize=16384)


async def enabled(s: Scene) -> CryptoKeyId:
    await cluster(s)
    problems = await s.call("SetClusterKeyPersistence", name="prod", enable=True)
    assert problems.pop("plain") == "key persistence needs a TPM 2.0, and this host has none"
    assert problems == {"a": None, "b": None}
    key = await s.call("EncryptVM", name="db1")
    s.host("a").guests.write_disk("db1", 0, PATTERN)
    return CryptoKeyId("KMS", key["keyId"])


def read(s: Scene) -> bytes:
    return s.host("a").guests.read_disk("db1", 0, len(PATTERN))


def test_a_cluster_with_persistence_needs_nobody_after_a_power_cut(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await enabled(s)
        s.servers["kms1"].is_up = False
        s.store.close()  # vCenter is gone
        s.reboot("a")
        assert read(s) == PATTERN
        s.start_vcenter()

    play(tmp_path, test).close()


def test_the_status_of_every_host(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await enabled(s)
        s.hosts["b"] = None
        status = await s.call("ListKeyPersistence")
        assert status["a"] == {"enabled": True, "storedKeys": 2, "hasTpm": True}
        assert status["plain"] == {"enabled": False, "storedKeys": 0, "hasTpm": False}
        assert list(status["b"]) == ["problem"]

    play(tmp_path, test).close()


def test_a_host_that_joins_the_cluster_later(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await enabled(s)
        for name, tpm in (("c", PretendedTPM()), ("d", None)):
            s.start_host(name, tpm)
            await s.call("AddHost", name=name, address="h", port=1, parent="cluster/prod")
            assert s.host(name).keys.persistence.is_enabled is (tpm is not None)

    play(tmp_path, test).close()


def test_to_disable_it_removes_the_stored_keys(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await enabled(s)
        for call in (
            s.call("SetKeyPersistence", host="a"),
            s.call("SetClusterKeyPersistence", name="prod"),
        ):
            with pytest.raises(InvalidArgument, match="--remove-all-stored-keys"):
                await call
        assert s.host("a").keys.persistence.is_enabled
        problems = await s.call("SetClusterKeyPersistence", name="prod", removeAllStoredKeys=True)
        assert set(problems.values()) == {None}
        assert s.host("a").keys.persistence.count == 0
        assert read(s) == PATTERN, "what is in memory stays"
        s.reboot("a")
        with pytest.raises(EncryptionKeyRequired):
            read(s)
        await s.vcenter.run_background_tasks()
        assert read(s) == PATTERN

    play(tmp_path, test).close()


def test_a_key_that_was_removed_is_not_stored_any_more(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        key = await enabled(s)
        ids = [{"providerId": "KMS", "keyId": key.key_id}]
        await s.call("RemoveKeys", keyIds=ids, force=True)
        s.servers["kms1"].is_up = False
        s.reboot("a")
        with pytest.raises(EncryptionKeyRequired):
            read(s)

    play(tmp_path, test).close()


def test_a_key_that_was_destroyed_on_the_key_server_still_serves(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        key = await enabled(s)
        code = RevocationReasonCode.CESSATION_OF_OPERATION
        await s.ask_kms(calls.revoke(key.key_id, code, None, None))
        await s.ask_kms(calls.destroy(key.key_id))
        s.reboot("a")
        assert read(s) == PATTERN

    play(tmp_path, test).close()


def test_native_keys_are_not_stored(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await enabled(s)
        await s.call("CreateNativeProvider", provider="NKP", anyHost=True)
        prepared = await s.call("ExportProvider", provider="NKP")
        await s.call("DownloadBackup", token=prepared["location"]["downloadToken"]["token"])
        await s.call("CreateVM", host="a", name="db2", diskSize=4096)
        await s.call("EncryptVM", name="db2", keyProvider="NKP")
        stored = list(s.host("a").keys.persistence.stored_keys())
        assert {key.key_id.provider_id for key in stored} == {"KMS"}

    play(tmp_path, test).close()


def test_keys_of_a_trusted_provider_are_stored(tmp_path: Path) -> None:
    async def test(w: Whole) -> None:
        w.workload.tpms["esx01"] = PretendedTPM()
        await w.trusted_host()
        await w.workload.call("SetKeyPersistence", host="esx01", enable=True)
        await w.workload.call("EncryptVM", name="db1")
        for name in w.services:
            w.services[name] = None
        host = w.workload.reboot("esx01")
        assert str(host.machines.info("db1").crypto_state) == "unlocked"

    whole(tmp_path, Maker("TPM maker", NOW), test)


def test_another_tpm_opens_nothing(tmp_path: Path) -> None:
    """A new mainboard: the stored keys are lost, and the message says why."""

    async def test(s: Scene) -> None:
        s.add_server("kms1")
        await s.add_kms("KMS", "kms1")
        s.start_host("a", SoftwareTPM())
        await s.call("AddHost", name="a", address="h", port=1)
        await s.call("SetKeyPersistence", host="a", enable=True)
        await s.call("ConfigureCryptoKey", host="a")
        s.tpms["a"] = SoftwareTPM()
        with pytest.raises(InvalidState, match="refuses to unseal"):
            s.reboot("a")
        for path in (s.folder / "a").glob("configuration.*"):
            path.unlink()  # what the administrator of the host does
        s.start_host("a")
        await s.vcenter.run_background_tasks()
        assert s.host("a").keys.crypto.state.value == "safe"
        assert not s.host("a").keys.persistence.is_enabled

    play(tmp_path, test).close()


def test_who_may_switch_it(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await cluster(s)
        await s.call("SetPermission", entity="/", principal="ada", role="NoCryptoAdmin")
        for method, name in (("SetKeyPersistence", "host"), ("SetClusterKeyPersistence", "name")):
            params = {name: "a" if name == "host" else "prod"}
            with pytest.raises(NoPermission, match="RegisterHost"):
                await s.call(method, "ada", enable=True, **params)
        with pytest.raises(NotFound):
            await s.call("SetClusterKeyPersistence", name="none", enable=True)

    play(tmp_path, test).close()
