"""Machines whose hosts or files are not as they should be, and what a crash leaves behind."""

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from kmipkit_vsphere.host.host import Host
from kmipkit_vsphere.host.machine import COPY, INCOMING, LEAVING, staging_folder
from kmipkit_vsphere.model.errors import (
    AlreadyExists,
    HostUnreachable,
    InvalidArgument,
    InvalidState,
    VSphereError,
)
from kmipkit_vsphere.model.keys import CryptoKeyId, escaped
from kmipkit_vsphere.nbd.export import Export
from kmipkit_vsphere.rpc.tls import Credentials
from kmipkit_vsphere.vcenter.calls import ROWS
from kmipkit_vsphere.vcenter.clones import CloneRecord, Clones
from kmipkit_vsphere.vcenter.command_line import text
from kmipkit_vsphere.vmotion.staging import Manifest, ManifestFile, StagedMachine
from vsphere_scene import Scene, play

MIB = 1 << 20


@pytest.fixture
def host(tmp_path: Path) -> Any:
    made = Host.start("esx01", tmp_path / "esx01")
    made.machines.create("db1", MIB)
    yield made
    made.close()


# Disks -------------------------------------------------------------------------------------------


def test_a_disk_is_added_after_one_was_removed(host: Host) -> None:
    host.machines.add_disk("db1", MIB, 512, None)
    host.guests.write_disk("db1", 0, b"old", 1)
    for _ in range(3):
        host.machines.remove_disk("db1", 1)
        info = host.machines.add_disk("db1", MIB, 512, None)
        assert info.disks == [0, 1]
        assert host.guests.read_disk("db1", 0, 3, 1) == bytes(3), "another disk, which is empty"
        host.guests.write_disk("db1", 0, b"new", 1)
    first = host.datastore.folder / "db1" / "db1_1-flat.vmdk"
    assert first.read_bytes()[:3] == b"old", "the files of the removed one stay"


def test_two_guests_that_write_parts_of_one_sector_both_succeed(host: Host) -> None:
    def write(first: int) -> None:
        for offset in range(first, 512, 2):
            host.guests.write_disk("db1", offset, b"x")

    threads = [threading.Thread(target=write, args=(first,)) for first in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert host.guests.read_disk("db1", 0, 512) == b"x" * 512


# What a crash leaves -----------------------------------------------------------------------------


@pytest.mark.parametrize("purpose", [INCOMING, COPY])
def test_what_a_killed_copy_left_is_removed_at_the_next_start(tmp_path: Path, purpose: str) -> None:
    host = Host.start("esx01", tmp_path)
    host.machines.create("db1", MIB)
    host.close()
    left = staging_folder(tmp_path / "datastore", "db2", purpose, "8f3a-1")
    left.mkdir()
    (left / "db2-flat.vmdk").write_bytes(b"x")
    again = Host.start("esx01", tmp_path)
    assert [path.name for path in again.datastore.folder.iterdir()] == ["db1"]
    again.machines.clone("db1", "db2")
    again.close()


def test_a_machine_that_leaves_stays_until_vcenter_decides(tmp_path: Path) -> None:
    host = Host.start("esx01", tmp_path)
    left = staging_folder(host.datastore.folder, "db1", LEAVING, "1")
    left.mkdir()
    host.close()
    again = Host.start("esx01", tmp_path)
    assert left.exists()
    with pytest.raises(AlreadyExists, match="on its way"):
        again.machines.create("db1", MIB)
    again.close()


def test_a_failed_clone_leaves_nothing(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfile", full)
    with pytest.raises(VSphereError):
        host.machines.clone("db1", "db2")
    assert [path.name for path in host.datastore.folder.iterdir()] == ["db1"]


def test_one_machine_with_an_impossible_name_hides_none_of_the_others(host: Host) -> None:
    folder = host.datastore.folder / ("x" * 100)
    folder.mkdir()
    (folder / f"{folder.name}.vmx").write_text("nothing\n")
    infos = {info.name: str(info.crypto_state) for info in host.machines.list_all()}
    assert infos == {"db1": "plain", folder.name: "invalid"}


def test_a_clone_that_the_host_completed_after_vcenter_had_ended_is_found(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        key = await s.call("EncryptVM", name="db1")
        ask = s.vcenter.hosts.call

        async def call(host: Any, request: Any) -> Any:
            answer = await ask(host, request)
            if type(request).__name__ == "CloneMachine":
                raise HostUnreachable("vCenter was killed here")
            return answer

        s.vcenter.hosts.call = call  # type: ignore[assignment,method-assign]
        with pytest.raises(HostUnreachable):
            await s.call("CloneVM", name="db1", newName="db2")
        s.restart_vcenter()
        [record] = Clones(s.store).all()
        assert record.new_name == "db2"
        await s.vcenter.run_background_tasks()
        copy = s.store.inventory.machine("db2")
        assert copy.key_id == CryptoKeyId(key["providerId"], key["keyId"])
        assert Clones(s.store).all() == []

    play(tmp_path, test).close()


def test_a_clone_that_never_was_made_is_forgotten(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        clones = Clones(s.store)
        record = CloneRecord("db1", "db2", "esx01", [], s.now)
        with pytest.raises(HostUnreachable), clones.running(record):
            raise HostUnreachable("down")
        await s.vcenter.run_background_tasks()
        assert clones.all() == [record], "the host may still be making it"
        s.pass_time(minutes=11)
        await s.vcenter.run_background_tasks()
        assert clones.all() == []
        await s.call("CloneVM", name="db1", newName="db2")

    play(tmp_path, test).close()


# Names at the target of a migration --------------------------------------------------------------


def test_a_name_that_is_taken_at_the_target_stops_a_migration_before_it_begins(
    tmp_path: Path,
) -> None:
    async def test(s: Scene) -> None:
        await s.prepare("esx01", "esx02")
        await s.call("EncryptVM", name="db1")
        s.host("esx02").machines.create("db1", MIB)
        s.forget()
        with pytest.raises(AlreadyExists, match="esx02 has another machine db1"):
            await s.call("MigrateVM", name="db1", target="esx02")
        assert s.kmip == []
        assert s.host("esx02").keys.crypto.state == "incapable"
        assert s.host("esx01").machines.info("db1").crypto_state == "unlocked"

    play(tmp_path, test).close()


def test_a_name_is_reserved_while_a_machine_arrives(host: Host) -> None:
    manifest = Manifest("web", False, 0, (ManifestFile("web.vmx", 0),))
    staged = StagedMachine(host.datastore.folder, "id1", manifest)
    for make in (host.machines.create, lambda name, _: host.machines.clone("db1", name)):
        with pytest.raises(AlreadyExists, match="on its way"):
            make("web", MIB)
    staged.discard()
    host.machines.create("web", MIB)
    with pytest.raises(AlreadyExists):
        StagedMachine(host.datastore.folder, "id2", manifest)


def test_an_arriving_machine_does_not_replace_one(host: Host) -> None:
    staged = StagedMachine(host.datastore.folder, "id1", Manifest("web", False, 0, ()))
    (host.datastore.folder / "web").mkdir()
    with pytest.raises(AlreadyExists):
        staged.commit()


# While a host is down ----------------------------------------------------------------------------


def test_machines_are_listed_while_a_host_is_down(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await s.prepare("esx01", "esx02")
        await s.call("CreateVM", host="esx02", name="web1", diskSize=4096)
        key = await s.call("EncryptVM", name="db1")
        s.hosts["esx01"] = None
        first, second = await s.call("ListVMs")
        assert (first["name"], first["cryptoState"], first["powerState"]) == (
            "db1",
            "unknown",
            "unknown",
        )
        assert "esx01" in first["problem"]
        assert first["keyIds"] == [key]
        assert (second["name"], second["cryptoState"]) == ("web1", "plain")

    play(tmp_path, test).close()


def test_a_machine_whose_files_are_gone_is_listed(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        s.host().datastore.delete("db1")
        [machine] = await s.call("ListVMs")
        assert machine["problem"] == "host esx01 has no such machine"

    play(tmp_path, test).close()


@pytest.mark.parametrize("state", ["on", "registered"])
def test_files_that_are_in_use_are_not_deleted(tmp_path: Path, state: str) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        if state == "on":
            await s.call("PowerOnVM", name="db1")
            with pytest.raises(InvalidState, match="powered on"):
                await s.call("DestroyVM", name="db1")
        with pytest.raises(VSphereError, match="registered"):
            await s.call("DeleteFiles", host="esx01", name="db1")
        assert s.host().machines.info("db1")

    play(tmp_path, test).close()


# Provider ids ------------------------------------------------------------------------------------


@pytest.mark.parametrize("provider", ["a/b", "/", "a%2fb", "50%", "a", "ü/ß"])
def test_key_ids_are_read_back_as_they_are_written(provider: str) -> None:
    key = CryptoKeyId(provider, "wrapped:1:ab/cd")
    assert CryptoKeyId.parse(str(key)) == key
    assert "/" not in escaped(provider)


def test_a_provider_with_a_slash_works_and_does_not_touch_its_namesake(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        s.add_server("kms1")
        await s.add_kms("A/B", "kms1", password="secret")
        await s.add_kms("A", "kms1", password="other")
        s.start_host("esx01")
        await s.call("AddHost", name="esx01", address="h", port=1)
        await s.call("CreateVM", host="esx01", name="db1", diskSize=4096)
        key = await s.call("EncryptVM", name="db1", keyProvider="A/B")
        assert key["providerId"] == "A/B"
        s.host().power.power_on("db1")
        with pytest.raises(InvalidState):
            await s.call("RecryptVM", name="db1", deep=True)
        s.host().power.power_off("db1")
        [begun] = s.store.inventory.next_keys().values()
        await s.call("UnregisterKmsCluster", clusterId="A")
        again = await s.call("RecryptVM", name="db1", deep=True, keyProvider="A/B")
        assert again["keyId"] == begun.key_id
        s.reboot("esx01")
        await s.vcenter.run_background_tasks()
        assert s.host().machines.info("db1").crypto_state == "unlocked"
        assert s.store.secrets.get("password/A%2fB/kms1") is not None

    play(tmp_path, test).close()


# Output ------------------------------------------------------------------------------------------


def test_numbers_are_numbers_and_only_truth_is_yes_or_no() -> None:
    shown = text({"one": 1, "zero": 0, "yes": True, "no": False, "none": None, "list": [0, 1]})
    assert shown.splitlines() == [
        "one: 1",
        "zero: 0",
        "yes: yes",
        "no: no",
        "none: none",
        "list:",
        "  0",
        "  1",
    ]


def test_reasons_are_lines_however_the_answer_holds_them() -> None:
    shown = text({"reasons": ("kms1: no answer", "kms2: no password"), "servers": ()})
    assert shown.splitlines() == [
        "reasons:",
        "  kms1: no answer",
        "  kms2: no password",
        "servers: none",
    ]


def test_the_answer_to_the_creation_of_an_encrypted_machine_is_its_state(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        created = await s.call(
            "CreateVM", host="esx01", name="Büro 8", diskSize=4096, moreDisks=[8192], encrypt=True
        )
        assert [disk["keyId"] for disk in created["diskDescriptions"]] == created["keyIds"] * 2
        assert created["migrateEncryption"] == "required"
        [listed] = [vm for vm in await s.call("ListVMs") if vm["name"] == "Büro 8"]
        assert created == {name: listed[name] for name in created}

    play(tmp_path, test).close()


# Events ------------------------------------------------------------------------------------------

READS = ("List", "Retrieve", "Get", "Query", "Has", "Is", "Export", "TrustAuthorityHealth")


def test_each_change_of_a_provider_or_of_trust_is_an_event() -> None:
    """Either the row says so, or the handler writes an event with more in it."""
    own = {
        *("CreateNativeProvider", "DownloadBackup", "ImportProvider", "DeleteNativeProvider"),
        *("UpdateNativeProvider", "ReplacePrimaryKey"),
        "RegisterKmipServer",
        *("TrustAuthorityRemediate", "RemediateTrustedCluster"),
    }
    kinds = ("ManageKeyServers", "TrustedAdmin.", "Authorization.")
    for row in ROWS:
        method = row.request.method()
        if any(kind in row.privilege for kind in kinds) and not method.startswith(READS):
            assert row.records or method in own, method


@pytest.mark.parametrize(
    ("method", "parameters"),
    [
        ("RemoveKmipServer", {"clusterId": "KMS", "serverName": "kms1"}),
        ("UnregisterKmsCluster", {"clusterId": "KMS"}),
        ("RegisterKmsCluster", {"clusterId": "TKP"}),
        ("SetDefaultKmsCluster", {"clusterId": "KMS"}),
        ("ClearDefaultKmsCluster", {}),
        ("GenerateSelfSignedClientCert", {"clusterId": "KMS"}),
    ],
)
def test_changes_are_events_with_user_and_provider(
    tmp_path: Path, method: str, parameters: dict[str, str]
) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        await s.call(method, **parameters)
        *_, event = await s.events()
        assert (event["operation"], event["userName"], event["result"]) == (
            method,
            "administrator",
            "success",
        )
        assert event["keyId"]
        if "clusterId" in parameters:
            assert event["entity"]["name"] == parameters["clusterId"]
            with pytest.raises(VSphereError):
                await s.call("RemoveKmipServer", clusterId="KMS", serverName="?")
            *_, event = await s.events()
            assert (event["operation"], event["result"]) == ("RemoveKmipServer", "failure")

    play(tmp_path, test).close()


# NBD ---------------------------------------------------------------------------------------------


def export(**more: Any) -> Export:
    files = Credentials(Path("c"), Path("k"), Path("a"))
    return Export("esx01", ("h", 1), files, "db 1", port=10809, **more)


@pytest.mark.parametrize("address", ["0.0.0.0", "192.0.2.1", "::", "kms.example.org", ""])
def test_r42_a_disk_is_not_offered_to_the_network_without_tls(address: str) -> None:
    with pytest.raises(InvalidArgument, match="--tls-certificates"):
        export(listen=address)
    export(listen=address, tls_certificates=Path("pki"))


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1"])
def test_a_disk_is_offered_on_loopback(address: str) -> None:
    assert export(listen=address)


def test_the_library_is_not_loaded_for_help() -> None:
    code = (
        "import sys, kmipkit_vsphere.cli_disks;"
        "print([m for m in ('trio', 'cryptography') if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
