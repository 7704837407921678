"""The native key provider: R2, R5, R10, R11, R30, R45, R46, its states and its backup."""

import base64
import subprocess
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from kmipkit_vsphere.calls.host import GetCryptoKeyStatus
from kmipkit_vsphere.host.service import host_calls
from kmipkit_vsphere.model.crypto_spec import CryptoSpecKind
from kmipkit_vsphere.model.encoding import convert, to_builtins
from kmipkit_vsphere.model.errors import (
    AlreadyExists,
    DamagedData,
    EncryptionKeyRequired,
    InvalidArgument,
    InvalidState,
    NoPermission,
    NotFound,
    ResourceInUse,
)
from kmipkit_vsphere.model.keys import CryptoKeyId, Secret, SecretText
from kmipkit_vsphere.providers.native import NativeSpec
from kmipkit_vsphere.vcenter import native_backup
from vsphere_scene import PretendedTPM, Scene, ask, play


async def cluster(s: Scene, *hosts: str) -> None:
    await s.call("CreateCluster", name="prod")
    for name in hosts:
        s.start_host(name)
        await s.call("AddHost", name=name, address="h", port=1, parent="cluster/prod")


async def backup(s: Scene, provider: str = "NKP", password: str | None = "geheim") -> bytes:
    more = {"password": password} if password else {}
    prepared = await s.call("ExportProvider", provider=provider, **more)
    token = prepared["location"]["downloadToken"]["token"]
    return base64.b64decode(await s.call("DownloadBackup", token=token))


async def colour(s: Scene, provider: str = "NKP") -> str:
    [status] = await s.call("RetrieveKmipServersStatus", clusters=[provider])
    return str(status["overallStatus"])


async def native(s: Scene, *hosts: str) -> bytes:
    """A provider that is in use on all hosts, and its backup."""
    await cluster(s, *(hosts or ("a", "b")))
    await s.call("CreateNativeProvider", provider="NKP", anyHost=True)
    return await backup(s)


def kdk(s: Scene, provider: str = "NKP") -> bytes:
    import json

    kept = s.store.secrets.get(f"kdk/{provider}")
    assert kept is not None
    return base64.b64decode(json.loads(kept.reveal())["keyDerivationKey"])


def test_r02_r05_no_key_server_takes_part(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await native(s)
        await s.call("CreateVM", host="a", name="db1", diskSize=4096, encrypt=True)
        s.reboot("a")
        assert s.host("a").machines.info("db1").crypto_state == "unlocked"
        assert s.servers == {}, "no key server was ever there to speak to"
        s.add_server("kms1")
        with pytest.raises(InvalidArgument, match="no key servers"):
            await s.add_kms("NKP", "kms1")
        assert s.servers["kms1"].seen.connections == []

    play(tmp_path, test).close()


def test_r10_every_host_of_the_cluster_gets_the_same_primary_key(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await native(s, "a", "b", "c")
        made = await s.call("ListKmsClusters")
        for name in "abc":
            [held] = s.host(name).info().key_providers
            assert str(held.key_id) == made[0]["keyId"]
            kept = s.host(name).config.get("nativeProviders")["NKP"]["keyDerivationKey"]
            assert base64.b64decode(kept) == kdk(s)

    play(tmp_path, test).close()


def test_r11_r45_r46_hosts_make_and_find_keys_without_vcenter(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await native(s)
        await s.call("ConfigureCryptoKey", host="a")
        s.store.close()  # vCenter is gone
        host = s.host("a")
        host.machines.create("new", 4096)
        info = host.machines.reconfigure("new", CryptoSpecKind.ENCRYPT, CryptoKeyId("NKP", ""))
        assert info.key_ids[0].key_id, "an internal key, made by the host"
        foreign = CryptoKeyId("KMS", "1")
        asked = GetCryptoKeyStatus([*info.key_ids, foreign])
        kinds = [found.management_type for found in await ask(host_calls(host), asked)]
        assert kinds == ["internal", "external"]
        host.guests.write_disk("new", 0, b"secret")
        host = s.reboot("a")
        assert host.keys.crypto.state.value == "safe"
        assert host.guests.read_disk("new", 0, 6) == b"secret"
        assert s.calls[-1][1] != "AddKey"
        s.start_vcenter()

    play(tmp_path, test).close()


def test_r45_vcenter_pushes_no_key_for_a_machine(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await native(s)
        await s.call("CreateVM", host="a", name="db1", diskSize=4096)
        s.calls.clear()
        key = await s.call("EncryptVM", name="db1")
        assert "AddKey" not in {method for _, method in s.calls}
        [status] = await s.call("QueryCryptoKeyStatus", keyIds=[key], checkKeyBitMap=3)
        assert (status["reason"], status["encryptedVMs"]) == ("KeyStateManagedByNKP", ["db1"])
        with pytest.raises(InvalidState, match="vCenter cannot generate keys"):
            await s.call("GenerateKey", keyProvider="NKP")
        other = await s.call("RecryptVM", name="db1")
        assert other != key

    play(tmp_path, test).close()


def test_r30_the_primary_key_is_random_and_has_256_bits(tmp_path: Path) -> None:
    specs = [NativeSpec.new("NKP", tpm_required=False) for _ in range(3)]
    assert {len(spec.kdk) for spec in specs} == {32}
    assert len({spec.kdk.reveal() for spec in specs}) == 3
    for spec in specs:
        assert spec.kdk.reveal().hex() not in repr(spec)


def test_r30_a_key_is_found_again_by_its_id_on_any_host(tmp_path: Path) -> None:
    spec = NativeSpec("NKP", UUID(int=1), Secret(bytes(range(32))))
    key = spec.new_key()
    again = convert(to_builtins(spec), NativeSpec).key(key.key_id)
    assert again.key_data == key.key_data
    assert spec.new_key().key_id != key.key_id
    blob = bytearray(base64.b64decode(key.key_id.key_id))
    for position in range(len(blob)):
        blob[position] ^= 1
        altered = CryptoKeyId("NKP", base64.b64encode(blob).decode())
        with pytest.raises(DamagedData):
            spec.key(altered)
        blob[position] ^= 1
    with pytest.raises(DamagedData, match="another primary key"):
        NativeSpec("NKP", UUID(int=2), Secret(bytes(range(32)))).key(key.key_id)
    for bad in ("", "not base64!", "AAAA"):
        with pytest.raises(DamagedData):
            spec.key(CryptoKeyId("NKP", bad))


def test_states_red_before_the_backup_yellow_while_pushed_green_then(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await cluster(s, "a", "b")
        s.hosts["b"] = None
        await s.call("CreateNativeProvider", provider="NKP", anyHost=True)
        assert await colour(s) == "red"
        await s.call("CreateVM", host="a", name="db1", diskSize=4096)
        with pytest.raises(InvalidState, match="not backed up"):
            await s.call("EncryptVM", name="db1")
        await backup(s)
        assert await colour(s) == "yellow"
        s.start_host("b")
        await s.vcenter.natives.push_all()
        assert await colour(s) == "green"
        s.start_host("c")
        await s.call("AddHost", name="c", address="h", port=1, parent="cluster/prod")
        assert s.host("c").info().key_providers, "a host that joins later gets it"
        types = [event["eventTypeId"] for event in await s.events()]
        assert "com.vmware.vc.kms.crypto.NotBackedUp" in types
        assert "com.vmware.vc.kms.crypto.AllBackedUp" in types

    play(tmp_path, test).close()


def test_a_missing_backup_is_told_again_once_a_day(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await s.call("CreateNativeProvider", provider="NKP")

        async def told() -> int:
            s.vcenter.natives.remind()
            return len(await s.events(eventTypeId="kms.crypto.NotBackedUp"))

        first = await told()
        assert await told() == first
        s.pass_time(hours=25)
        assert await told() == first + 1

    play(tmp_path, test).close()


def test_hosts_without_a_tpm_are_passed_over_where_one_is_required(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await cluster(s, "plain")
        s.start_host("tpm", PretendedTPM())
        await s.call("AddHost", name="tpm", address="h", port=1, parent="cluster/prod")
        await s.call("CreateNativeProvider", provider="NKP")
        await backup(s)
        assert await colour(s) == "green"
        assert s.host("plain").info().key_providers == []
        assert s.host("tpm").info().key_providers
        await s.call("CreateVM", host="plain", name="db1", diskSize=4096)
        with pytest.raises(InvalidState, match="does not have the key provider"):
            await s.call("EncryptVM", name="db1")
        secret = kdk(s)
        for path in (s.folder / "tpm").rglob("*"):
            assert path.is_dir() or secret not in path.read_bytes()

    play(tmp_path, test).close()


def test_a_backup_restores_the_provider_on_a_new_vcenter(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        data = await native(s)
        await s.call("CreateVM", host="a", name="db1", diskSize=4096, encrypt=True)
        s.host("a").guests.write_disk("db1", 0, b"secret")
        key = (await s.call("ListKmsClusters"))[0]["keyId"]
        # Everything but the datastore and the backup is lost.
        s.store.close()
        for path in s.folder.glob("vcenter*"):
            path.unlink()
        for name in ("configuration.sealed", "configuration.key"):
            (s.folder / "a" / name).unlink()
        s.start_vcenter()
        s.reboot("a")
        with pytest.raises(EncryptionKeyRequired):
            s.host("a").guests.read_disk("db1", 0, 6)
        await cluster(s, "b")
        await s.call("AddHost", name="a", address="h", port=1, parent="cluster/prod")

        async def restore(**more: Any) -> Any:
            return await s.call("ImportProvider", backup=base64.b64encode(data).decode(), **more)

        with pytest.raises(InvalidArgument, match="password is wrong"):
            await restore(password="falsch")
        trial = await restore(password="geheim", dryRun=True)
        assert not trial["restored"]
        assert await s.call("ListKmsClusters") == [], (
            "a dry run and a wrong password change nothing"
        )
        done = await restore(password="geheim")
        assert (done["keyId"], done["restored"]) == (key, True)
        assert not (await restore(password="geheim"))["restored"], "it is here already"
        await s.call("RegisterVM", host="a", name="db1")
        assert s.host("a").guests.read_disk("db1", 0, 6) == b"secret"

    play(tmp_path, test).close()


def test_another_provider_of_the_same_name_is_a_conflict(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        data = await native(s)
        await s.call("DeleteNativeProvider", provider="NKP")
        await s.call("CreateNativeProvider", provider="NKP", anyHost=True)
        text = base64.b64encode(data).decode()
        with pytest.raises(AlreadyExists, match="another primary key"):
            await s.call("ImportProvider", backup=text, password="geheim")

    play(tmp_path, test).close()


def test_a_provider_in_use_is_deleted_by_force_only_and_is_gone_from_hosts(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await native(s)
        await s.call("CreateVM", host="a", name="db1", diskSize=4096, encrypt=True)
        with pytest.raises(ResourceInUse, match="db1"):
            await s.call("DeleteNativeProvider", provider="NKP")
        users = await s.call("DeleteNativeProvider", provider="NKP", force=True)
        assert "db1" in users
        assert s.host("a").info().key_providers == []
        assert s.store.secrets.get("kdk/NKP") is None
        with pytest.raises(NotFound):
            await s.call("ExportProvider", provider="NKP")

    play(tmp_path, test).close()


def test_a_download_token_is_good_once_and_for_a_minute(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await s.call("CreateNativeProvider", provider="NKP")
        prepared = await s.call("ExportProvider", provider="NKP")
        assert "no password" in prepared["warning"]
        token = prepared["location"]["downloadToken"]["token"]
        assert prepared["location"]["url"].endswith(".p12")
        await s.call("DownloadBackup", token=token)
        with pytest.raises(NoPermission, match="used already"):
            await s.call("DownloadBackup", token=token)
        late = await s.call("ExportProvider", provider="NKP")
        s.pass_time(seconds=61)
        with pytest.raises(NoPermission):
            await s.call("DownloadBackup", token=late["location"]["downloadToken"]["token"])

    play(tmp_path, test).close()


def test_the_backup_is_opened_by_openssl_which_finds_the_primary_key(tmp_path: Path) -> None:
    """What an administrator without any program of ours can do with the file."""
    from datetime import UTC, datetime

    spec = NativeSpec.new("NKP", tpm_required=True)
    file = tmp_path / "NKP.p12"
    file.write_bytes(native_backup.write(spec, datetime.now(UTC), SecretText(b"geheim")))

    def openssl(*arguments: str, data: bytes | None = None) -> bytes:
        command = ["openssl", *arguments]
        return subprocess.run(command, input=data, capture_output=True, check=True).stdout

    password = ("-passin", "pass:geheim")
    key = openssl("pkcs12", "-in", str(file), *password, "-nodes", "-nocerts")
    assert b"PRIVATE KEY" in key
    (tmp_path / "key.pem").write_bytes(key)
    certificate = openssl("pkcs12", "-in", str(file), *password, "-nokeys")
    from cryptography import x509

    content = native_backup._content(x509.load_pem_x509_certificate(certificate))
    assert content.provider == "NKP"
    (tmp_path / "sealed").write_bytes(content.encrypted_key_derivation_key)
    options = [
        part
        for option in ("rsa_padding_mode:oaep", "rsa_oaep_md:sha256", "rsa_mgf1_md:sha256")
        for part in ("-pkeyopt", option)
    ]
    key_file, sealed = str(tmp_path / "key.pem"), str(tmp_path / "sealed")
    found = openssl("pkeyutl", "-decrypt", "-inkey", key_file, "-in", sealed, *options)
    assert found == spec.kdk.reveal()
    wrong = subprocess.run(
        ["openssl", "pkcs12", "-in", str(file), "-passin", "pass:falsch", "-nodes"],
        capture_output=True,
        check=False,
    )
    assert wrong.returncode != 0


@pytest.mark.parametrize("data", [b"", b"not a file", bytes(2000)])
def test_files_that_are_no_backup(data: bytes) -> None:
    with pytest.raises(InvalidArgument):
        native_backup.read(data, SecretText(b"geheim"))


# What REST clients ask for -----------------------------------------------------------------------

NEW_ID = "0f0e0d0c-1111-4222-8333-444455556666"


def test_a_new_primary_key_leaves_old_machines_readable(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        old_backup = await native(s)
        await s.call("CreateVM", host="a", name="db1", diskSize=4096, encrypt=True)
        s.host("a").guests.write_disk("db1", 0, b"payroll")
        first = kdk(s)
        updated = await s.call("ReplacePrimaryKey", provider="NKP", keyId=NEW_ID)
        assert (updated["keyId"], updated["missingHosts"]) == (NEW_ID, [])
        assert kdk(s) != first
        [event] = await s.events(eventTypeId="kms.crypto.NotBackedUpAfterUpdate")
        assert event["userName"] == "administrator"
        assert await colour(s) == "red"
        with pytest.raises(InvalidState, match="not backed up"):
            await s.call("CreateVM", host="a", name="db2", diskSize=4096, encrypt=True)
        saved = await backup(s)
        assert await colour(s) == "green"
        await s.call("CreateVM", host="a", name="db2", diskSize=4096, encrypt=True)
        for used in (NEW_ID, NEW_ID.upper()):
            with pytest.raises(InvalidArgument, match="already"):
                await s.call("ReplacePrimaryKey", provider="NKP", keyId=used)
        s.reboot("a")
        assert s.host("a").guests.read_disk("db1", 0, 7) == b"payroll"
        states = [s.host("a").machines.info(name).crypto_state for name in ("db1", "db2")]
        assert states == ["unlocked", "unlocked"]

        await s.call("DeleteNativeProvider", provider="NKP", force=True)
        content = {"password": "geheim", "backup": base64.b64encode(saved).decode()}
        tried = await s.call("ImportProvider", dryRun=True, tpmRequired=True, **content)
        assert (tried["restored"], tried["tpmRequired"]) == (False, True)
        restored = await s.call("ImportProvider", **content)
        assert (restored["keyId"], restored["tpmRequired"]) == (NEW_ID, False)
        assert restored["exportTime"] == "2026-11-24T12:00:00Z"
        s.reboot("a")
        assert s.host("a").guests.read_disk("db1", 0, 7) == b"payroll", "the earlier key is back"
        assert old_backup != saved

    play(tmp_path, test).close()


def test_a_host_that_was_away_gets_the_new_primary_key_later(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await native(s)
        away, s.hosts["b"] = s.hosts["b"], None
        updated = await s.call("ReplacePrimaryKey", provider="NKP")
        assert updated["missingHosts"] == ["b"]
        s.hosts["b"] = away
        [present] = await s.call("ListHostProviders", host="b")
        assert (present["provider"], present["health"]) == ("NKP", "WARNING")
        await s.vcenter.natives.push_all()
        [present] = await s.call("ListHostProviders", host="b")
        assert present["health"] == "ERROR", "as the provider itself: not backed up"
        await backup(s)
        [present] = await s.call("ListHostProviders", host="b")
        assert (present["managementType"], present["health"]) == ("nativeProvider", "OK")

    play(tmp_path, test).close()


def test_a_primary_key_that_is_given(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await cluster(s, "a")
        given = {"keyId": NEW_ID, "keyDerivationKey": base64.b64encode(b"d" * 32).decode()}
        made = await s.call("CreateNativeProvider", provider="NKP", anyHost=True, **given)
        assert (made["keyId"], kdk(s)) == (NEW_ID, b"d" * 32)
        given["keyDerivationKey"] = base64.b64encode(b"d" * 31).decode()
        with pytest.raises(InvalidArgument, match="32 bytes"):
            await s.call("CreateNativeProvider", provider="OTHER", **given)
        assert [known["provider"] for known in await s.call("ListNativeProviders")] == ["NKP"]

    play(tmp_path, test).close()


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ({}, ["NKP", "fresh"]),
        ({"providers": ["fresh", "KMS", "missing"]}, ["fresh"]),
        ({"health": ["OK"]}, ["NKP"]),
        ({"health": ["ERROR", "WARNING"]}, ["fresh"]),
        ({"providers": ["NKP"], "health": ["ERROR"]}, []),
    ],
)
def test_native_providers_are_listed_with_their_health(
    tmp_path: Path, selection: dict[str, list[str]], expected: list[str]
) -> None:
    async def test(s: Scene) -> None:
        await native(s)
        await s.call("CreateNativeProvider", provider="fresh", anyHost=True)
        s.add_server("kms1")
        await s.add_kms("KMS", "kms1")
        found = await s.call("ListNativeProviders", **selection)
        assert [known["provider"] for known in found] == expected
        one = await s.call("GetNativeProvider", provider="fresh")
        assert (one["health"], one["hasBackup"]) == ("ERROR", False)
        for name, error in (("KMS", InvalidArgument), ("missing", NotFound)):
            with pytest.raises(error):
                await s.call("GetNativeProvider", provider=name)

    play(tmp_path, test).close()
