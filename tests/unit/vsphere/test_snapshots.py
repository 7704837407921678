"""Snapshots and linked clones: what disks hold, which keys lock which layer, what is refused."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from kmipkit_vsphere.host import disk, machine, snapshots, volume
from kmipkit_vsphere.host.host import Host
from kmipkit_vsphere.host.layers import GRAIN
from kmipkit_vsphere.model.crypto_spec import CryptoSpecKind
from kmipkit_vsphere.model.errors import (
    AlreadyExists,
    DamagedData,
    EncryptionKeyRequired,
    InvalidArgument,
    InvalidState,
    NotFound,
    ResourceInUse,
)
from kmipkit_vsphere.model.keys import CryptoKeyId, CryptoKeyPlain, Secret

SIZE = 3 * GRAIN + 4096
"""Its last grain is not a whole one."""
FIRST = CryptoKeyId("KMS", "key-1")
SECOND = CryptoKeyId("KMS", "key-2")
NAME = "Gehälter 2026"
UPGRADE = 'before "the" upgrade, 100 % sure'


def keys_for(host: Host, *key_ids: CryptoKeyId) -> None:
    """Encryption mode, and keys whose bytes follow from their ids."""
    if not host.keys.crypto.list_keys():
        host.keys.crypto.prepare()
        host_key = CryptoKeyId("KMS", "host")
        host.keys.enable(CryptoKeyPlain(host_key, "AES-256", Secret(b"h" * 32)))
    for key_id in key_ids:
        data = key_id.key_id.encode().ljust(32, b".")
        host.keys.add(CryptoKeyPlain(key_id, "AES-256", Secret(data)))


def start(folder: Path) -> Host:
    host = Host.start("esx01", folder)
    keys_for(host, FIRST, SECOND)
    return host


@pytest.fixture(params=[pytest.param("plain", marks=pytest.mark.long), "encrypted"])
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Host]:
    made = start(tmp_path / "esx01")
    made.machines.create(NAME, SIZE)
    if request.param == "encrypted":
        made.machines.reconfigure(NAME, CryptoSpecKind.ENCRYPT, FIRST)
    yield made
    made.close()


@pytest.fixture
def encrypted(tmp_path: Path) -> Iterator[Host]:
    made = start(tmp_path / "esx01")
    made.machines.create(NAME, SIZE)
    made.machines.reconfigure(NAME, CryptoSpecKind.ENCRYPT, FIRST)
    yield made
    made.close()


def content(host: Host, name: str = NAME, number: int = 0) -> bytes:
    return host.guests.read_disk(name, 0, host.guests.disk_size(name, number).size, number)


def files(host: Host, name: str = NAME) -> set[str]:
    return {path.name for path in (host.datastore.folder / name).iterdir()}


def tree(host: Host) -> dict[str, str | None]:
    """Each snapshot by name, and the name of the one that it follows."""
    listed = {s.snapshot_id: s for s in host.machines.info(NAME).snapshots}
    return {s.name: listed[s.parent].name if s.parent else None for s in listed.values()}


# What disks hold ---------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [40, pytest.param(300, marks=pytest.mark.long)])
def test_any_history_of_snapshots_reads_as_a_model_does(host: Host, steps: int) -> None:
    """Writes of odd sizes at odd places between snapshots, reverts and removals, in any order."""
    chance = random.Random(4)
    present, saved = bytearray(SIZE), dict[str, bytes]()
    for step in range(steps):
        names = list(saved)
        match chance.choice(["write", "write", "write", "create", "revert", "remove", "restart"]):
            case "write":
                offset = chance.randrange(SIZE - 1)
                data = chance.randbytes(chance.randint(1, min(GRAIN + 700, SIZE - offset)))
                host.guests.write_disk(NAME, offset, data)
                present[offset : offset + len(data)] = data
            case "create" if len(names) < 6:
                name = f"snapshot {step}"
                host.snapshots.create(NAME, name)
                saved[name] = bytes(present)
            case "revert" if names:
                name = chance.choice(names)
                host.snapshots.revert(NAME, name)
                present[:] = saved[name]
            case "remove" if names:
                name = chance.choice(names)
                host.snapshots.remove(NAME, name)
                del saved[name]
            case "restart":
                host.machines.lock(NAME)
        assert content(host) == present, step
    for name, data in saved.items():
        host.snapshots.revert(NAME, name)
        assert content(host) == data
    host.snapshots.remove_all(NAME)
    assert content(host) == data
    info = host.machines.info(NAME)
    assert (info.snapshots, info.consolidation_needed) == ([], False)
    assert len(files(host)) == 4, "one layer, and the home"


def test_snapshots_branch_and_removal_leaves_the_others(host: Host) -> None:
    for letter in "abc":
        host.guests.write_disk(NAME, 0, letter.encode())
        host.snapshots.create(NAME, letter)
    host.snapshots.revert(NAME, "b")
    host.guests.write_disk(NAME, 0, b"d")
    host.snapshots.create(NAME, "d")
    assert tree(host) == {"a": None, "b": "a", "c": "b", "d": "b"}
    assert [s.name for s in host.machines.info(NAME).snapshots if s.is_current] == ["d"]
    host.snapshots.remove(NAME, "b")
    assert tree(host) == {"a": None, "c": "a", "d": "a"}
    for letter in "acd":
        host.snapshots.revert(NAME, letter)
        assert content(host)[:1] == letter.encode()
    host.snapshots.remove(NAME, "a", children=True)
    assert tree(host) == {}
    assert content(host)[:1] == b"d"
    assert len(files(host)) == 4


def test_every_disk_is_in_a_snapshot_and_comes_back(host: Host) -> None:
    host.machines.add_disk(NAME, SIZE, 512, None)
    host.guests.write_disk(NAME, 5, b"second", 1)
    host.snapshots.create(NAME, "both")
    host.guests.write_disk(NAME, 5, b"changed", 1)
    host.machines.remove_disk(NAME, 1)
    host.snapshots.create(NAME, "one")
    host.machines.add_disk(NAME, 4096, 512, None)
    host.snapshots.revert(NAME, "both")
    assert host.machines.info(NAME).disks == [0, 1]
    assert content(host, number=1)[5:11] == b"second"
    host.snapshots.revert(NAME, "one")
    assert host.machines.info(NAME).disks == [0]


def test_a_snapshot_has_the_memory_of_a_machine_that_is_on(host: Host) -> None:
    with pytest.raises(InvalidArgument, match="powered off"):
        host.snapshots.create(NAME, "off", memory=True)
    host.power.power_on(NAME)
    host.guests.write_memory(NAME, 0, b"a password")
    info = host.snapshots.create(NAME, "on", memory=True)
    assert (info.power_state, info.snapshots[0].has_memory) == ("poweredOn", True)
    host.guests.write_memory(NAME, 0, b"another...")
    host.snapshots.create(NAME, "disks only")
    host.power.power_off(NAME)
    assert host.snapshots.revert(NAME, "on").power_state == "poweredOn"
    assert host.guests.read_memory(NAME, 0, 10) == b"a password"
    assert host.snapshots.revert(NAME, "disks only").power_state == "poweredOff"
    saved = b"".join(path.read_bytes() for path in host.datastore.folder.glob("*/*.vmem"))
    assert (b"a password" in saved) is not bool(info.key_ids), "it is encrypted as the machine is"


def test_a_revert_restores_the_virtual_tpm(encrypted: Host) -> None:
    before = encrypted.tpms.add(NAME)
    encrypted.snapshots.create(NAME, "with TPM")
    encrypted.tpms.remove(NAME)
    encrypted.snapshots.create(NAME, "without")
    after = encrypted.snapshots.revert(NAME, "with TPM")
    assert after.tpm_endorsement_key == before.tpm_endorsement_key
    assert not encrypted.snapshots.revert(NAME, "without").has_tpm


def test_names_of_snapshots(host: Host) -> None:
    host.snapshots.create(NAME, UPGRADE, 'two\nlines, "quoted"\u2028')
    [snapshot] = host.machines.info(NAME).snapshots
    assert (snapshot.name, snapshot.description) == (UPGRADE, 'two\nlines, "quoted"\u2028')
    host.snapshots.create(NAME, UPGRADE)
    with pytest.raises(InvalidArgument, match="use an id, of 1, 2"):
        host.snapshots.revert(NAME, UPGRADE)
    host.snapshots.revert(NAME, "1")
    with pytest.raises(NotFound):
        host.snapshots.revert(NAME, "3")
    for name in ("", " x", "a\nb", "x" * 81):
        with pytest.raises(InvalidArgument, match="not a valid name"):
            host.snapshots.create(NAME, name)


def test_not_too_many_snapshots_follow_one_another(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert snapshots.MAX_DEPTH == 32
    monkeypatch.setattr(snapshots, "MAX_DEPTH", 3)
    for number in range(3):
        host.snapshots.create(NAME, f"s{number}")
    with pytest.raises(InvalidState, match="more than 3 snapshots"):
        host.snapshots.create(NAME, "s3")
    host.snapshots.revert(NAME, "s1")
    host.snapshots.create(NAME, "s3")


# Keys --------------------------------------------------------------------------------------------


def test_r36_r41_r47_each_layer_has_a_data_key_of_its_own_and_names_the_key_that_locks_it(
    encrypted: Host,
) -> None:
    for number in range(3):
        encrypted.guests.write_disk(NAME, 0, b"secret" * 100)
        encrypted.snapshots.create(NAME, f"s{number}")
    info = encrypted.machines.info(NAME)
    assert len(info.layers) == 4
    assert {layer.key_id for layer in info.layers} == {FIRST}
    assert [snapshot.key_ids for snapshot in info.snapshots] == [[FIRST]] * 3
    files = encrypted.datastore.machine(NAME)
    keys = encrypted.keys.crypto.keys()
    deks = [volume.data_key(keys, files.uuid).reveal() for volume in files.volumes]
    assert len(set(deks)) == len(deks) == 8
    raw = b"".join(path.read_bytes() for path in files.folder.iterdir())
    assert b"secretsecret" not in raw
    assert not any(dek in raw for dek in deks)


def test_the_layers_of_a_plain_disk_are_plain(host: Host) -> None:
    host.machines.add_disk(NAME, SIZE, 512, None, plain=True)
    info = host.snapshots.create(NAME, "s")
    assert {layer.key_id for layer in info.layers if layer.disk == 1} == {None}
    assert info.mixed_disks == []


REFUSED = (CryptoSpecKind.DEEP_RECRYPT, CryptoSpecKind.DECRYPT)


def test_a_shallow_rekey_gives_every_layer_of_one_line_the_new_key(encrypted: Host) -> None:
    for number in range(3):
        encrypted.guests.write_disk(NAME, 0, str(number).encode())
        encrypted.snapshots.create(NAME, f"s{number}")
    for kind in REFUSED:
        with pytest.raises(InvalidState, match=r"has snapshots .*remove-all-snapshots"):
            encrypted.machines.reconfigure(NAME, kind, SECOND)
    info = encrypted.machines.reconfigure(NAME, CryptoSpecKind.SHALLOW_RECRYPT, SECOND)
    assert info.key_ids == [SECOND], "the first key is not needed any more"
    encrypted.machines.lock(NAME)
    encrypted.keys.remove(FIRST)
    for number in range(3):
        encrypted.snapshots.revert(NAME, f"s{number}")
        assert content(encrypted)[:1] == str(number).encode()
    encrypted.snapshots.remove_all(NAME)
    encrypted.machines.reconfigure(NAME, CryptoSpecKind.DECRYPT)
    assert content(encrypted)[:1] == b"2"


def test_no_rekey_where_snapshots_branch(encrypted: Host) -> None:
    encrypted.snapshots.create(NAME, "a")
    encrypted.snapshots.create(NAME, "b")
    encrypted.snapshots.revert(NAME, "a")
    with pytest.raises(InvalidState, match=r"branch.*remove-snapshot"):
        encrypted.machines.reconfigure(NAME, CryptoSpecKind.SHALLOW_RECRYPT, SECOND)
    encrypted.snapshots.remove(NAME, "b")
    encrypted.machines.reconfigure(NAME, CryptoSpecKind.SHALLOW_RECRYPT, SECOND)


def test_a_plain_machine_with_snapshots_is_not_encrypted(tmp_path: Path) -> None:
    host = start(tmp_path)
    host.machines.create(NAME, SIZE)
    host.snapshots.create(NAME, "s")
    with pytest.raises(InvalidState, match="has snapshots"):
        host.machines.reconfigure(NAME, CryptoSpecKind.ENCRYPT, FIRST)
    host.snapshots.remove_all(NAME)
    host.machines.reconfigure(NAME, CryptoSpecKind.ENCRYPT, FIRST)
    host.close()


def test_a_rekey_that_fails_half_way_leaves_layers_with_different_keys(
    encrypted: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    encrypted.snapshots.create(NAME, "s")
    real, calls = volume.Volume.recrypt_shallow, []

    def third_fails(self: volume.Volume, *args: Any) -> None:
        calls.append(self.use)
        if len(calls) == 3:
            raise OSError("the datastore is gone")
        real(self, *args)

    with monkeypatch.context() as patch, suppress(OSError):
        patch.setattr(volume.Volume, "recrypt_shallow", third_fails)
        encrypted.machines.reconfigure(NAME, CryptoSpecKind.SHALLOW_RECRYPT, SECOND)
    info = encrypted.machines.info(NAME)
    assert (info.mixed_disks, set(info.key_ids)) == ([0], {FIRST, SECOND})
    again = encrypted.machines.reconfigure(NAME, CryptoSpecKind.SHALLOW_RECRYPT, SECOND)
    assert (again.mixed_disks, again.key_ids) == ([], [SECOND])


def test_a_missing_key_of_one_layer_locks_the_disk_and_says_which_layer(encrypted: Host) -> None:
    encrypted.machines.create("other", SIZE)
    encrypted.snapshots.create(NAME, "s")
    layer = encrypted.datastore.machine(NAME).chains[0][0]
    keys = encrypted.keys.crypto.keys()
    new = volume.NewKey(keys[SECOND], SECOND, layer.machine_id)
    layer.volume.recrypt_shallow(keys, new)
    encrypted.machines.lock(NAME)
    encrypted.keys.remove(SECOND)
    info = encrypted.machines.unlock(NAME)
    assert info.locked_disks == [0]
    assert layer.file in info.locked_reasons[0]
    with pytest.raises(EncryptionKeyRequired, match=f"{layer.file} is locked"):
        encrypted.power.power_on(NAME)
    encrypted.power.power_on("other")


def test_a_layer_of_another_disk_does_not_open(encrypted: Host) -> None:
    encrypted.machines.add_disk(NAME, SIZE, 512, None)
    encrypted.snapshots.create(NAME, "s")
    first, second = (encrypted.datastore.machine(NAME).chains[n][0].volume for n in (0, 1))
    encrypted.machines.lock(NAME)
    lines = first.descriptor.read_text(), second.descriptor.read_text()
    locators = [[line for line in text.splitlines() if "bundle" in line] for text in lines]
    first.descriptor.write_text(lines[0].replace(locators[0][0], locators[1][0]))
    with pytest.raises(DamagedData):
        encrypted.machines.unlock(NAME)


# Crashes -----------------------------------------------------------------------------------------


class Crash(BaseException):
    """The host is killed."""


@contextmanager
def killed_at(step: int) -> Iterator[list[str]]:
    """Kill the host at one of the changes of files that are made inside."""
    made: list[str] = []
    patch = pytest.MonkeyPatch()

    def counted(module: Any, name: str) -> None:
        real = getattr(module, name)

        def replacement(*args: Any, **kwargs: Any) -> Any:
            made.append(name)
            if len(made) == step:
                raise Crash
            return real(*args, **kwargs)

        patch.setattr(module, name, replacement)

    counted(machine, "write_durably")
    counted(volume, "write_durably")
    counted(disk, "_write_fully")
    counted(Path, "unlink")
    try:
        yield made
    finally:
        patch.undo()


CHANGES: dict[str, Callable[[Host], Any]] = {
    "create": lambda host: host.snapshots.create(NAME, "new"),
    "revert": lambda host: host.snapshots.revert(NAME, "a"),
    "remove a": lambda host: host.snapshots.remove(NAME, "a"),
    "remove b": lambda host: host.snapshots.remove(NAME, "b"),
    "remove all": lambda host: host.snapshots.remove_all(NAME),
    "write": lambda host: host.guests.write_disk(NAME, 2 * GRAIN, b"w" * 9000),
}


def three_states(folder: Path) -> Host:
    host = start(folder)
    host.machines.create(NAME, SIZE)
    host.machines.reconfigure(NAME, CryptoSpecKind.ENCRYPT, FIRST)
    host.guests.write_disk(NAME, 100, b"a" * GRAIN)
    host.snapshots.create(NAME, "a")
    host.guests.write_disk(NAME, GRAIN + 7, b"b" * GRAIN)
    host.snapshots.create(NAME, "b")
    host.guests.write_disk(NAME, 0, b"c")
    return host


@pytest.mark.parametrize("points", [2, pytest.param(1000, marks=pytest.mark.long)])
@pytest.mark.parametrize("change", CHANGES)
def test_a_crash_at_any_point_leaves_the_state_before_or_after(
    tmp_path: Path, change: str, points: int
) -> None:
    host = three_states(tmp_path / "0")
    before = content(host)
    with killed_at(0) as made:
        CHANGES[change](host)
    after, count = content(host), len(made)
    host.close()
    assert count >= 2
    every = range(1, count + 1)
    steps = every if count <= points else random.Random(change).sample(every, points)
    for step in steps:
        folder = tmp_path / str(step)
        host = three_states(folder)
        with killed_at(step), pytest.raises(Crash):
            CHANGES[change](host)
        host.close()
        host = start(folder)
        expected = {before, after} if change != "write" else None
        found = content(host)
        if expected is None:  # a write that was not acknowledged may be there in part
            assert found[: 2 * GRAIN] == before[: 2 * GRAIN]
        else:
            assert found in expected, step
        check_saved_states(host)
        host.close()


def check_saved_states(host: Host) -> None:
    """Whatever snapshots there are hold what they held; then all goes away without a trace."""
    expected = {"a": b"\0" + b"a" * 10, "b": b"a" * 10}
    for snapshot in host.machines.info(NAME).snapshots:
        host.snapshots.revert(NAME, str(snapshot.snapshot_id))
        data = content(host)
        if snapshot.name == "a":
            assert data[99:110] == expected["a"]
            assert data[2 * GRAIN : 2 * GRAIN + 4] == bytes(4)
        elif snapshot.name == "b":
            assert data[100:110] == expected["b"]
            assert data[2 * GRAIN - 1 : 2 * GRAIN + 4] == b"b" * 5
    host.snapshots.remove_all(NAME)
    assert not host.machines.info(NAME).consolidation_needed
    assert len(files(host)) == 4, files(host)


# Clones ------------------------------------------------------------------------------------------


def test_a_full_clone_of_a_snapshot_is_independent(host: Host) -> None:
    host.guests.write_disk(NAME, 0, b"old")
    host.snapshots.create(NAME, "s")
    host.guests.write_disk(NAME, 0, b"new")
    for name, snapshot, expected in (("of s", "s", b"old"), ("present", None, b"new")):
        host.machines.clone(NAME, name, snapshot=snapshot)
        assert content(host, name)[:3] == expected
        info = host.machines.info(name)
        assert (info.parents, info.snapshots, len(info.layers)) == ([], [], 1)
        assert info.key_ids == host.machines.info(NAME).key_ids
        assert info.uuid != host.machines.info(NAME).uuid
    host.machines.delete(NAME)
    assert content(host, "of s")[:3] == b"old"


def test_a_linked_clone_shares_the_disks_of_its_parent(host: Host) -> None:
    host.guests.write_disk(NAME, 0, b"shared")
    with pytest.raises(InvalidState, match="take one first"):
        host.machines.link(NAME, "clone")
    host.snapshots.create(NAME, "s")
    host.guests.write_disk(NAME, 0, b"parent")
    info = host.machines.link(NAME, "clone")
    assert info.parents == [NAME]
    assert content(host, "clone")[:6] == b"shared"
    host.guests.write_disk("clone", 0, b"child!")
    assert content(host)[:6] == b"parent"
    host.snapshots.create("clone", "of the clone")
    host.machines.link("clone", "grandchild")
    assert content(host, "grandchild")[:6] == b"child!"
    host.machines.clone("grandchild", "independent")
    for victim in (NAME, "clone"):
        with pytest.raises(ResourceInUse, match="linked clones stand on the disks"):
            host.machines.delete(victim)
    with pytest.raises(ResourceInUse, match="linked clones of Gehälter 2026 need this snapshot"):
        host.snapshots.remove_all(NAME)
    with pytest.raises(InvalidState, match="linked clone of"):
        host.migration.quiesce("grandchild")
    with pytest.raises(InvalidState, match="cannot move away"):
        host.migration.quiesce(NAME)
    host.machines.delete("grandchild")
    host.machines.delete("clone")
    host.snapshots.remove_all(NAME)
    host.machines.delete(NAME)
    assert content(host, "independent")[:6] == b"child!"


def test_layers_below_a_linked_clone_stay_until_it_is_gone(host: Host) -> None:
    for letter in "ab":
        host.guests.write_disk(NAME, 0, letter.encode())
        host.snapshots.create(NAME, letter)
    host.machines.link(NAME, "clone", "b")
    host.guests.write_disk(NAME, 0, b"c")
    host.snapshots.remove(NAME, "a")
    assert (content(host, "clone")[:1], content(host)[:1]) == (b"b", b"c")
    assert not host.machines.info(NAME).consolidation_needed, "nothing can be merged now"
    host.machines.delete("clone")
    assert host.machines.info(NAME).consolidation_needed
    host.snapshots.consolidate(NAME)
    assert not host.machines.info(NAME).consolidation_needed
    host.snapshots.revert(NAME, "b")
    assert content(host)[:1] == b"b"


def test_the_keys_of_linked_clones(encrypted: Host) -> None:
    encrypted.snapshots.create(NAME, "s")
    same = encrypted.machines.link(NAME, "same")
    assert (same.key_ids, same.mixed_disks) == ([FIRST], [])
    other = encrypted.machines.link(NAME, "other", key_id=SECOND)
    assert (other.key_ids, other.mixed_disks) == ([SECOND, FIRST], [0])
    for name in ("same", "other", NAME):
        with pytest.raises(InvalidState, match="linked clone"):
            encrypted.machines.reconfigure(name, CryptoSpecKind.SHALLOW_RECRYPT, SECOND)
    encrypted.machines.unlock("other")
    encrypted.machines.lock("other")
    encrypted.machines.lock(NAME)
    encrypted.keys.remove(FIRST)
    info = encrypted.machines.unlock("other")
    assert info.locked_disks == [0]
    assert f"{NAME}.vmdk is locked" in info.locked_reasons[0]
    references = {(r.key_id, r.name) for r in encrypted.key_references()}
    assert (FIRST, "other") in references, "a clone uses the keys of its parent"


def test_a_machine_that_is_on_is_open_again_after_a_clone_and_after_a_failure(host: Host) -> None:
    host.power.power_on(NAME)
    host.machines.clone(NAME, "copy")
    host.snapshots.create(NAME, "s")
    for wrong in (
        lambda: host.machines.clone(NAME, "copy"),
        lambda: host.snapshots.revert(NAME, "unknown"),
        lambda: host.snapshots.create(NAME, ""),
    ):
        with pytest.raises((AlreadyExists, NotFound, InvalidArgument)):
            wrong()
        info = host.machines.info(NAME)
        assert info.power_state == "poweredOn"
        assert info.crypto_state in ("plain", "unlocked")


def test_a_linked_clone_without_its_parent_is_damaged_and_can_be_deleted(host: Host) -> None:
    host.snapshots.create(NAME, "s")
    host.machines.link(NAME, "clone")
    (host.datastore.folder / NAME).rename(host.datastore.folder / "elsewhere")
    [info] = [info for info in host.machines.list_all() if info.name == "clone"]
    assert info.crypto_state == "invalid"
    assert f"the layers of the machine {NAME} are missing" in (info.problem or "")
    host.machines.delete("clone")


@pytest.mark.parametrize(
    "hint", ["../../etc/passwd", "/etc/passwd", "..", "../.hidden/x", "a/b", ""]
)
def test_a_disk_cannot_name_a_layer_outside_the_datastore(host: Host, hint: str) -> None:
    host.snapshots.create(NAME, "s")
    path = host.datastore.machine(NAME).disk.descriptor
    lines = path.read_text().splitlines()
    path.write_text(
        "".join(
            f"{f'parentFileNameHint = {chr(34)}{hint}{chr(34)}' if 'parentFile' in line else line}\n"
            for line in lines
        )
    )
    with pytest.raises(DamagedData, match=r"outside the datastore"):
        host.machines.info(NAME)


def test_layers_in_a_circle_are_damage(host: Host) -> None:
    host.snapshots.create(NAME, "s")
    path = host.datastore.machine(NAME).disk.descriptor
    text = path.read_text()
    path.write_text(text.replace(f'Hint = "{NAME}.vmdk"', f'Hint = "{path.name}"'))
    with pytest.raises(DamagedData, match="circle"):
        host.machines.info(NAME)
