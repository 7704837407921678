"""Virtual TPMs: their state is in the encrypted home, and goes where the home goes."""

from pathlib import Path
from typing import Any

import pytest
from kmipkit_vsphere.host import virtual_tpm
from kmipkit_vsphere.host.disk import DiskFile, PlainText
from kmipkit_vsphere.host.virtual_tpm import AREA, SLOT, TPMState
from kmipkit_vsphere.model.errors import (
    AlreadyExists,
    DamagedData,
    InvalidArgument,
    InvalidState,
    NoPermission,
    NotFound,
)
from vsphere_scene import Scene, play

KEY = b"the key of the guest's own disk encryption"


@pytest.fixture
def home(tmp_path: Path) -> Any:
    path = tmp_path / "vm.nvram"
    path.write_bytes(bytes(64 * 1024))
    with DiskFile(path, PlainText()) as file:
        yield file


def slot_of(home: DiskFile) -> int:
    """The slot that was written last."""
    heads = [home.read_at(AREA + number * SLOT, 64) for number in (0, 1)]
    sequences = [int.from_bytes(head[16:24], "big") for head in heads]
    return sequences.index(max(sequences))


def test_the_state_is_read_as_it_was_written(home: DiskFile) -> None:
    for _ in range(3):
        state = TPMState.new()
        virtual_tpm.write(home, state)
        assert virtual_tpm.read(home) == state
    assert home.read_at(0, AREA) == bytes(AREA), "the variables of the firmware are elsewhere"
    virtual_tpm.erase(home)
    with pytest.raises(DamagedData, match="no state of a virtual TPM"):
        virtual_tpm.read(home)


@pytest.mark.parametrize("size", [0, 1, 16, 24, 60, 100])
def test_a_write_that_a_crash_cuts_off_leaves_the_earlier_state(home: DiskFile, size: int) -> None:
    first, second = TPMState.new(), TPMState.new()
    virtual_tpm.write(home, first)
    older = 1 - slot_of(home)
    before = home.read_at(AREA + older * SLOT, SLOT)
    virtual_tpm.write(home, second)
    whole = home.read_at(AREA + older * SLOT, SLOT)
    home.write_at(AREA + older * SLOT, whole[:size] + before[size:])
    assert virtual_tpm.read(home) == first


def test_only_the_tpm_that_sealed_unseals() -> None:
    first, second = TPMState.new(), TPMState.new()
    sealed = first.seal(KEY)
    assert KEY not in sealed
    assert first.unseal(sealed) == KEY
    assert first.endorsement_key() != second.endorsement_key()
    for other, blob in ((second, sealed), (first, sealed[:-1]), (first, b""), (first, sealed[1:])):
        with pytest.raises(InvalidArgument, match="does not unseal"):
            other.unseal(blob)


async def with_tpm(s: Scene, *hosts: str) -> bytes:
    """A machine with a virtual TPM; what its guest sealed."""
    await s.prepare(*hosts)
    await s.call("AddTPM", name="db1", encrypt=True)
    return s.host().tpms.seal("db1", KEY)


def test_a_tpm_needs_an_encrypted_home_and_a_machine_that_is_off(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        await s.call("ConfigureCryptoKey", host="esx01")
        with pytest.raises(InvalidState, match="encrypt it first"):
            await s.call("AddTPM", name="db1")
        await s.call("EncryptVM", name="db1", parts=["home"])
        await s.call("PowerOnVM", name="db1")
        with pytest.raises(InvalidState, match="powered on"):
            await s.call("AddTPM", name="db1")
        with pytest.raises(NotFound, match="has no virtual TPM"):
            s.host().tpms.seal("db1", KEY)
        await s.call("PowerOffVM", name="db1")
        info = await s.call("AddTPM", name="db1")
        assert info["hasTPM"]
        assert len(info["tpmEndorsementKey"]) == 64
        with pytest.raises(AlreadyExists):
            await s.call("AddTPM", name="db1")
        await s.call("PowerOnVM", name="db1")
        with pytest.raises(InvalidState, match="powered on"):
            await s.call("RemoveTPM", name="db1")

    play(tmp_path, test)


def test_the_home_is_encrypted_first_and_only_the_home(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await with_tpm(s)
        assert s.host().machines.info("db1").encrypted_parts == ["home"]
        assert (await s.events(eventTypeId="crypto.Operation"))[-1]["operation"] == "AddTPM"
        state = virtual_tpm.read(s.host()._open.open("db1").home)
        seeds = (state.endorsement_seed.reveal(), state.storage_seed.reveal())
        for path in s.host().datastore.folder.rglob("*"):
            assert path.is_dir() or not any(seed in path.read_bytes() for seed in seeds)

    play(tmp_path, test)


def test_encryption_is_not_removed_while_there_is_a_tpm(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        sealed = await with_tpm(s)
        await s.call("EncryptVM", name="db1", parts=["disk"])
        for parts in (None, ["home"], ["home", "disk"]):
            with pytest.raises(InvalidState, match="remove it first"):
                await s.call("DecryptVM", name="db1", parts=parts)
        await s.call("DecryptVM", name="db1", parts=["disk"])
        await s.call("RecryptVM", name="db1", deep=True)
        assert s.host().tpms.unseal("db1", sealed) == KEY
        info = await s.call("RemoveTPM", name="db1")
        assert not info["hasTPM"]
        with pytest.raises(NotFound):
            await s.call("RemoveTPM", name="db1")
        await s.call("AddTPM", name="db1")
        with pytest.raises(InvalidArgument, match="does not unseal"):
            s.host().tpms.unseal("db1", sealed)
        await s.call("RemoveTPM", name="db1")
        await s.call("DecryptVM", name="db1")

    play(tmp_path, test)


@pytest.mark.parametrize("policy", ["copy", "replace"])
def test_a_clone_has_the_same_tpm_or_a_new_one(tmp_path: Path, policy: str) -> None:
    async def test(s: Scene) -> None:
        sealed = await with_tpm(s)
        source = s.host().machines.info("db1")
        copy = await s.call("CloneVM", name="db1", newName="db2", tpmProvisionPolicy=policy)
        assert copy["hasTPM"]
        info = s.host().machines.unlock("db2")
        assert (info.tpm_endorsement_key == source.tpm_endorsement_key) == (policy == "copy")
        if policy == "copy":
            assert s.host().tpms.unseal("db2", sealed) == KEY
        else:
            with pytest.raises(InvalidArgument, match="does not unseal"):
                s.host().tpms.unseal("db2", sealed)
        assert s.host().tpms.unseal("db1", sealed) == KEY

    play(tmp_path, test)


def test_a_tpm_survives_a_reboot(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        sealed = await with_tpm(s)
        s.reboot("esx01")
        assert s.host().machines.info("db1").tpm_endorsement_key is None, "it is locked"
        await s.call("CryptoUnlock", name="db1")
        assert s.host().tpms.unseal("db1", sealed) == KEY

    play(tmp_path, test)


def test_who_may_not_encrypt_adds_no_tpm_to_a_plain_machine(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        await s.call("SetPermission", entity="/", principal="eve", role="NoCryptoAdmin")
        s.forget()
        with pytest.raises(NoPermission, match=r"Cryptographer\.Encrypt"):
            await s.call("AddTPM", "eve", name="db1", encrypt=True)
        with pytest.raises(InvalidArgument, match="only with --encrypt"):
            await s.call("AddTPM", name="db1", keyProvider="KMS")
        assert not s.kmip

    play(tmp_path, test)
