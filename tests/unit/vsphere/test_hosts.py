"""Hosts between vCenter and machines: R8, R20, R21, R36 to R41, R47, outages and operations."""

import base64
from pathlib import Path
from typing import Any

import pytest
from kmipkit_client import calls
from kmipkit_vsphere.host.core_dumps import open_exported
from kmipkit_vsphere.model.crypto_spec import CryptoSpecKind
from kmipkit_vsphere.model.errors import (
    DamagedData,
    EncryptionKeyRequired,
    HostUnreachable,
    InvalidArgument,
    InvalidState,
    KeyNotUsable,
    KeyServerUnreachable,
    NoPermission,
    NotFound,
    ResourceInUse,
)
from kmipkit_vsphere.model.keys import CryptoKeyId, CryptoKeyPlain, Secret
from vsphere_scene import PretendedTPM, Scene, play

from kmipkit.spec.enums import RevocationReasonCode

PATTERN = "Gehälter 2026: Ada 120000 €; ".encode() * 20


def key_id(answer: dict[str, Any]) -> CryptoKeyId:
    return CryptoKeyId(answer["providerId"], answer["keyId"])


def contents(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def spellings(key: bytes) -> tuple[bytes, ...]:
    return key, key.hex().encode(), base64.b64encode(key)


async def encrypted(s: Scene) -> CryptoKeyId:
    """db1 holds the pattern and is encrypted."""
    await s.prepare()
    s.host().guests.write_disk("db1", 1000, PATTERN)
    return key_id(await s.call("EncryptVM", name="db1"))


def read(s: Scene, host: str = "esx01", machine: str = "db1") -> bytes:
    return s.host(host).guests.read_disk(machine, 1000, len(PATTERN))


def test_r08_r21_r38_the_key_goes_from_the_key_server_by_vcenter_to_the_host(
    tmp_path: Path,
) -> None:
    async def test(s: Scene) -> None:
        key = await encrypted(s)
        assert ("esx01", "AddKey") in s.calls, "pushed, not pulled (R38)"
        assert s.host().keys.crypto.key(key) == Secret(await s.key_on_kms(key.key_id))
        s.reboot("esx01")
        s.forget()
        await s.call("CryptoUnlock", name="db1")
        assert s.kmip.count("GET") == 2, "the host key and the machine's key"
        assert s.host().keys.crypto.key(key) == Secret(await s.key_on_kms(key.key_id))

    play(tmp_path, test).close()


def test_r20_a_host_holds_no_credentials_of_the_key_server_and_no_key_on_disk(
    tmp_path: Path,
) -> None:
    async def test(s: Scene) -> None:
        key = await encrypted(s)
        await s.call("IssueClientCert", clusterId="KMS")
        secret = await s.key_on_kms(key.key_id)
        stored = contents(s.folder / "esx01")
        pair = s.vcenter.crypto.providers.trust.client_pair("KMS")
        assert pair is not None
        certificate, private = pair
        for line in certificate.splitlines()[1:3] + private.reveal().decode().splitlines()[1:3]:
            assert line.encode() not in stored
        assert not any(spelling in stored for spelling in spellings(secret))
        assert b"192.0.2.7" not in stored, "nor does it know where the key server is"

    play(tmp_path, test).close()


def test_r36_r47_keys_of_the_key_server_only_lock_data_keys_which_the_host_makes(
    tmp_path: Path,
) -> None:
    async def test(s: Scene) -> None:
        await encrypted(s)
        await s.call("AddDisk", name="db1", diskSize=8192)
        host = s.host()
        machine = host.datastore.machine("db1")
        keys = [
            volume.data_key(host.keys.crypto.keys(), machine.uuid) for volume in machine.volumes
        ]
        texts = [key.reveal() for key in keys]
        assert len(texts) == 3 == len(set(texts)), "one for the home and one for each disk"
        for cached in host.keys.crypto.keys().values():
            assert not any(cached.reveal() in text for text in texts)
        stored = contents(s.folder)
        assert not any(spelling in stored for text in texts for spelling in spellings(text))
        clear = host.datastore.machine("db1").disk.data.read_bytes()
        assert PATTERN[:32] not in clear

    play(tmp_path, test).close()


def test_r39_a_host_that_is_not_safe_takes_no_key(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        key = CryptoKeyPlain(CryptoKeyId("KMS", "k"), "AES-256", Secret(bytes(32)))
        with pytest.raises(InvalidState, match="incapable"):
            s.host().keys.add(key)
        await s.call("EncryptVM", name="db1")
        assert s.host().keys.crypto.state.value == "safe", "vCenter switches the mode on by itself"
        s.host().keys.add(key)

    play(tmp_path, test).close()


def test_r41_what_a_guest_wrote_is_not_on_the_datastore(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        s.host().guests.write_disk("db1", 1000, PATTERN)
        assert PATTERN in contents(s.host().datastore.folder), "the search finds plain text"
        # The blocks of the plain disk, which nobody can find any more by a name on the datastore.
        blocks = s.folder / "blocks"
        blocks.hardlink_to(s.host().datastore.machine("db1").disk.data)
        await s.call("EncryptVM", name="db1")
        assert PATTERN[:24] not in blocks.read_bytes(), "overwritten, not only unlinked"
        s.host().guests.write_disk("db1", 9000, PATTERN)
        stored = contents(s.host().datastore.folder)
        assert PATTERN[:24] not in stored
        assert read(s) == PATTERN

    play(tmp_path, test).close()


# Outages: the table of vsphere.md §2.8 -----------------------------------------------------------


def test_host_reboot_vcenter_fetches_all_keys_again(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await encrypted(s)
        s.reboot("esx01")
        with pytest.raises(EncryptionKeyRequired):
            read(s)
        await s.vcenter.hosts.synchronise_restarted()
        assert read(s) == PATTERN

    play(tmp_path, test).close()


def test_key_server_down_what_runs_goes_on_and_nothing_new_begins(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await encrypted(s)
        await s.call("CreateVM", host="esx01", name="web1", diskSize=4096)
        s.servers["kms1"].is_up = False
        await s.call("PowerOnVM", name="db1")
        await s.call("PowerOffVM", name="db1")
        await s.call("PowerOnVM", name="db1")
        assert read(s) == PATTERN, "a power cycle on the same host needs no key server"
        with pytest.raises(KeyServerUnreachable):
            await s.call("EncryptVM", name="web1")
        with pytest.raises(KeyServerUnreachable):
            await s.call("RecryptVM", name="db1")
        assert s.host().machines.info("web1").crypto_state == "plain"
        [status] = await s.call("RetrieveKmipServersStatus")
        assert status["overallStatus"] == "red"
        s.reboot("esx01")
        with pytest.raises(KeyServerUnreachable):
            await s.call("CryptoUnlock", name="db1")
        s.servers["kms1"].is_up = True
        await s.vcenter.hosts.synchronise_restarted()
        assert read(s) == PATTERN

    play(tmp_path, test).close()


def test_key_gone_from_the_key_server_works_until_the_host_reboots(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        key = await encrypted(s)
        await s.call("CloneVM", name="db1", newName="db2")
        code = RevocationReasonCode.CESSATION_OF_OPERATION
        await s.ask_kms(calls.revoke(key.key_id, code, None, None))
        await s.ask_kms(calls.destroy(key.key_id))
        assert read(s) == PATTERN
        await s.call("CloneVM", name="db1", newName="db3")
        s.reboot("esx01")
        await s.vcenter.hosts.synchronise_restarted()
        with pytest.raises(KeyNotUsable):
            await s.call("CryptoUnlock", name="db1")
        events = await s.events(eventTypeId="kms.crypto.SendKeyError.KeyMissingOnKMS")
        assert key.key_id in {event["keyId"] for event in events}

    play(tmp_path, test).close()


def test_r20_persistence_needs_a_tpm_and_unlocks_without_vcenter(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await encrypted(s)
        with pytest.raises(InvalidState, match="TPM"):
            await s.call("SetKeyPersistence", host="esx01", enable=True)
        s.start_host("esx02", PretendedTPM())
        await s.call("AddHost", name="esx02", address="h", port=1)
        await s.call("CreateVM", host="esx02", name="db2", diskSize=4096)
        await s.call("SetKeyPersistence", host="esx02", enable=True)
        key = key_id(await s.call("EncryptVM", name="db2"))
        s.host("esx02").guests.write_disk("db2", 0, b"kept")
        stored = contents(s.folder / "esx02")
        assert not any(spelling in stored for spelling in spellings(await s.key_on_kms(key.key_id)))
        s.forget()
        s.reboot("esx02")
        assert s.host("esx02").guests.read_disk("db2", 0, 4) == b"kept"
        assert s.kmip == []
        await s.call("SetKeyPersistence", host="esx02", enable=False, removeAllStoredKeys=True)
        s.reboot("esx02")
        with pytest.raises(EncryptionKeyRequired):
            s.host("esx02").guests.read_disk("db2", 0, 4)

    play(tmp_path, test).close()


def test_another_tpm_does_not_open_what_a_stolen_disk_holds(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        s.start_host("esx02", PretendedTPM())
        s.host("esx02").config.set("name", "value")
        s.tpms["esx02"] = PretendedTPM()
        with pytest.raises(KeyError):
            s.reboot("esx02")
        s.hosts.clear()

    play(tmp_path, test).close()


# Operations --------------------------------------------------------------------------------------


@pytest.mark.parametrize("deep", [False, True])
def test_reencryption_gives_a_new_key_and_keeps_the_data(tmp_path: Path, deep: bool) -> None:
    async def test(s: Scene) -> None:
        old = await encrypted(s)
        before = s.host().datastore.machine("db1").disk.data.read_bytes()
        new = key_id(await s.call("RecryptVM", name="db1", deep=deep))
        assert new != old
        assert s.host().datastore.machine("db1").key_ids() == [new]
        assert (s.host().datastore.machine("db1").disk.data.read_bytes() == before) is not deep
        assert read(s) == PATTERN
        s.reboot("esx01")
        await s.vcenter.hosts.synchronise_restarted()
        assert old not in s.host().keys.crypto.list_keys()
        assert read(s) == PATTERN

    play(tmp_path, test).close()


def test_shallow_works_while_the_machine_is_on_and_deep_does_not(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await encrypted(s)
        await s.call("PowerOnVM", name="db1")
        await s.call("RecryptVM", name="db1")
        for method, more in (("RecryptVM", {"deep": True}), ("DecryptVM", {})):
            with pytest.raises(InvalidState, match="powered off"):
                await s.call(method, name="db1", **more)
        await s.call("PowerOffVM", name="db1")
        await s.call("RecryptVM", name="db1", deep=True)
        assert read(s) == PATTERN

    play(tmp_path, test).close()


def test_a_reencryption_that_failed_half_way_goes_on_with_the_same_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(s: Scene) -> None:
        old = await encrypted(s)
        machine = s.host().datastore.machine("db1")
        real = type(machine.disk).recrypt_shallow

        def fails(self: Any, keys: Any, new: Any) -> None:
            if self.use == "disk":
                raise DamagedData("the datastore went away")
            real(self, keys, new)

        with monkeypatch.context() as patch:
            patch.setattr(type(machine.disk), "recrypt_shallow", fails)
            with pytest.raises(DamagedData):
                await s.call("RecryptVM", name="db1")
        mixed = s.host().datastore.machine("db1").key_ids()
        assert old in mixed
        assert len(mixed) == 2, "both keys are needed now"
        s.reboot("esx01")
        await s.vcenter.hosts.synchronise_restarted()
        assert read(s) == PATTERN
        new = key_id(await s.call("RecryptVM", name="db1"))
        assert s.host().datastore.machine("db1").key_ids() == [new]
        assert new in mixed, "no further key was made"

    play(tmp_path, test).close()


def test_decryption_gives_plain_text_back_and_the_machine_still_moves_encrypted(
    tmp_path: Path,
) -> None:
    async def test(s: Scene) -> None:
        await encrypted(s)
        await s.call("DecryptVM", name="db1")
        assert PATTERN in contents(s.host().datastore.folder)
        info = s.host().machines.info("db1")
        assert (info.crypto_state, info.migrate_encryption) == ("plain", "required")
        assert (await s.call("ListVMs"))[0]["keyIds"] == []
        await s.call("SetMigrateEncryption", name="db1", migrateEncryption="disabled")
        await s.call("EncryptVM", name="db1")
        with pytest.raises(InvalidState, match="always"):
            await s.call("SetMigrateEncryption", name="db1", migrateEncryption="disabled")

    play(tmp_path, test).close()


def test_disks_before_the_home_when_decrypting_and_after_it_when_encrypting(
    tmp_path: Path,
) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        with pytest.raises(InvalidState, match="only if its machine is"):
            await s.call("EncryptVM", name="db1", parts=["disk"])
        await s.call("EncryptVM", name="db1", parts=["home"])
        assert not s.host().datastore.machine("db1").disk.is_encrypted()
        await s.call("EncryptVM", name="db1")
        with pytest.raises(InvalidState, match="disks first: disk"):
            await s.call("DecryptVM", name="db1", parts=["home"])
        await s.call("DecryptVM", name="db1", parts=["disk"])
        await s.call("DecryptVM", name="db1", parts=["home"])
        with pytest.raises(InvalidArgument, match="no disk7"):
            await s.call("EncryptVM", name="db1", parts=["disk7"])

    play(tmp_path, test).close()


def test_a_clone_has_the_same_keys_and_goes_its_own_way(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        key = await encrypted(s)
        await s.call("AddDisk", name="db1", diskSize=4096)
        s.host().guests.write_disk("db1", 0, b"second", disk=1)
        await s.call("CloneVM", name="db1", newName="db2")
        assert s.host().datastore.machine("db2").key_ids() == [key]
        assert s.host().datastore.machine("db2").uuid != s.host().datastore.machine("db1").uuid
        assert read(s, machine="db2") == PATTERN
        assert s.host().guests.read_disk("db2", 0, 6, disk=1) == b"second"
        await s.call("RecryptVM", name="db2", deep=True)
        s.host().guests.write_disk("db2", 1000, b"changed")
        assert read(s) == PATTERN

    play(tmp_path, test).close()


def test_a_disk_with_another_key_keeps_its_machine_off_until_the_key_is_there(
    tmp_path: Path,
) -> None:
    async def test(s: Scene) -> None:
        await encrypted(s)
        s.add_server("other", s.make_laboratory("others"))
        await s.add_kms("OTHER", "other")
        info = await s.call("AddDisk", name="db1", diskSize=4096, keyProvider="OTHER")
        assert {key["providerId"] for key in info["keyIds"]} == {"KMS", "OTHER"}
        s.servers["other"].is_up = False
        s.reboot("esx01")
        await s.vcenter.hosts.synchronise_restarted()
        with pytest.raises(KeyServerUnreachable):
            await s.call("PowerOnVM", name="db1")
        info = s.host().machines.unlock("db1")
        assert (info.crypto_state, info.locked_disks) == ("unlocked", [1])
        with pytest.raises(EncryptionKeyRequired, match="disk 1 of db1 is encrypted"):
            s.host().power.power_on("db1")
        assert read(s) == PATTERN
        await s.call("RemoveDisk", name="db1", disk=1)
        await s.call("PowerOnVM", name="db1")

    play(tmp_path, test).close()


def test_a_machine_is_registered_on_another_host_and_its_key_sent_there(tmp_path: Path) -> None:
    """The files were moved by hand; a rebuilt vCenter serves them under the same provider id."""

    async def test(s: Scene) -> None:
        await encrypted(s)
        s.start_host("esx02")
        await s.call("AddHost", name="esx02", address="h", port=1)
        await s.call("UnregisterVM", name="db1")
        (s.host().datastore.folder / "db1").rename(s.host("esx02").datastore.folder / "db1")
        await s.call("SetRole", name="admin", basedOn="NoCryptoAdmin")
        await s.call("SetPermission", principal="ada", role="admin")
        with pytest.raises(NoPermission, match="RegisterVM"):
            await s.call("RegisterVM", "ada", host="esx02", name="db1")
        await s.call("RegisterVM", host="esx02", name="db1")
        assert read(s, "esx02") == PATTERN
        assert s.host("esx02").keys.crypto.state.value == "safe"
        (s.host("esx02").datastore.folder / "db1").rename(
            s.host("esx02").datastore.folder / "renamed"
        )
        with pytest.raises(InvalidArgument, match="no machine renamed"):
            await s.call("RegisterVM", host="esx02", name="renamed")

    play(tmp_path, test).close()


def test_a_machine_that_uses_an_unknown_provider_stays_locked_with_a_reason(
    tmp_path: Path,
) -> None:
    async def test(s: Scene) -> None:
        await encrypted(s)
        await s.call("UnregisterVM", name="db1")
        await s.call("UnregisterKmsCluster", clusterId="KMS")
        s.reboot("esx01")
        s.add_server("kms2")
        await s.add_kms("OTHERNAME", "kms2")
        with pytest.raises(NotFound, match="no key provider KMS"):
            await s.call("RegisterVM", host="esx01", name="db1")
        await s.add_kms("KMS", "kms1")
        await s.call("UnregisterVM", name="db1")
        await s.call("RegisterVM", host="esx01", name="db1")
        assert read(s) == PATTERN

    play(tmp_path, test).close()


# Encryption mode and clusters --------------------------------------------------------------------


def test_the_machines_key_goes_to_every_safe_host_of_the_cluster(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        await s.call("CreateCluster", name="prod")
        for name in ("a", "b", "c"):
            s.start_host(name)
            await s.call("AddHost", name=name, address="h", port=1, parent="cluster/prod")
        await s.call("CreateVM", host="a", name="web", diskSize=4096)
        key = key_id(await s.call("EncryptVM", name="web"))
        assert key in s.host("a").keys.crypto.list_keys()
        assert s.host("b").keys.crypto.state.value == "incapable", (
            "only the chosen host is switched"
        )
        await s.call("SetCryptoMode", name="prod", cryptoMode="forceEnable")
        assert {s.host(name).keys.crypto.state.value for name in "abc"} == {"safe"}
        key = key_id(await s.call("RecryptVM", name="web"))
        for name in "abc":
            assert key in s.host(name).keys.crypto.list_keys()
        s.start_host("d")
        await s.call("AddHost", name="d", address="h", port=1, parent="cluster/prod")
        assert s.host("d").keys.crypto.state.value == "safe", "joins safe hosts"
        s.hosts["c"] = None
        await s.call("RecryptVM", name="web")

    play(tmp_path, test).close()


def test_encryption_mode_is_left_only_without_encrypted_machines(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await encrypted(s)
        with pytest.raises(ResourceInUse, match="db1"):
            await s.call("DisableCrypto", host="esx01")
        await s.call("DecryptVM", name="db1")
        await s.call("DisableCrypto", host="esx01")
        assert s.host().keys.crypto.state.value == "pendingIncapable"
        with pytest.raises(InvalidState):
            s.host().machines.reconfigure("db1", CryptoSpecKind.ENCRYPT, CryptoKeyId("KMS", "x"))
        with pytest.raises(InvalidState, match="enable-encryption"):
            await s.call("EncryptVM", name="db1")
        await s.call("ConfigureCryptoKey", host="esx01")
        assert s.host().keys.crypto.state.value == "safe"
        await s.call("EncryptVM", name="db1")

    play(tmp_path, test).close()


def test_a_host_that_does_not_answer_is_told_and_gets_its_keys_later(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await encrypted(s)
        host = s.host()
        s.hosts["esx01"] = None
        with pytest.raises(HostUnreachable):
            await s.call("CryptoUnlock", name="db1")
        await s.vcenter.hosts.synchronise_restarted()
        s.hosts["esx01"] = host
        s.reboot("esx01")
        await s.vcenter.hosts.synchronise_restarted()
        assert read(s) == PATTERN

    play(tmp_path, test).close()


# Core dumps --------------------------------------------------------------------------------------


def test_core_dumps_are_encrypted_and_relocked_when_the_host_key_changes(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        key = await encrypted(s)
        old = s.host().keys.crypto.host_key_id
        await s.call("PowerOnVM", name="db1")
        s.host().power.memory("db1")[: len(PATTERN)] = PATTERN
        of_machine = await s.call("DumpCore", host="esx01", world="db1")
        assert key_id(of_machine["keyId"]) == key, "a machine's dump is under its own key"
        of_host = s.host().dumper.dump("hostd", PATTERN)
        assert of_host.key_id == old
        assert PATTERN[:24] not in contents(s.folder / "esx01" / "coredumps")
        [event] = await s.events(eventTypeId="esx.problem.application.core.dumped.encrypted")
        assert event["keyId"] == key.key_id
        assert event["arguments"]["file"] == of_machine["file"]
        changed = await s.call("ChangeHostKey", host="esx01")
        assert set(changed["relocked"]) >= {of_host.file}
        assert s.host().keys.crypto.host_key_id == key_id(changed["keyId"]) != old
        assert s.host().dumps.read(of_host.file, s.host().keys.crypto.keys()) == PATTERN
        sent = await s.call("ExportCoreDump", host="esx01", file=of_host.file, password="pässwort")
        assert open_exported(base64.b64decode(sent), "pässwort") == PATTERN
        with pytest.raises(DamagedData):
            open_exported(base64.b64decode(sent), "another")

    play(tmp_path, test).close()


def test_an_old_dump_is_unreadable_without_its_key_and_a_plain_host_dumps_plain(
    tmp_path: Path,
) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        plain = s.host().dumper.dump("hostd", b"plain text")
        assert plain.key_id is None
        await s.call("ConfigureCryptoKey", host="esx01")
        dump = s.host().dumper.dump("hostd", PATTERN)
        host = s.reboot("esx01")
        with pytest.raises(EncryptionKeyRequired):
            host.dumps.read(dump.file, host.keys.crypto.keys())
        assert host.dumps.read(plain.file, {}) == b"plain text"
        with pytest.raises(NotFound):
            host.dumps.read("../host.json", {})

    play(tmp_path, test).close()
