"""The host role: encryption mode as a table, the key cache, and machines that lock and unlock."""

from pathlib import Path
from uuid import UUID

import pytest
from kmipkit_vsphere.calls.machines import MachineInfo, MachineState
from kmipkit_vsphere.host.crypto import TRANSITIONS, CryptoManagerHost
from kmipkit_vsphere.host.host import Host
from kmipkit_vsphere.host.machine import MachineProgress
from kmipkit_vsphere.host.volume import NewKey
from kmipkit_vsphere.model.crypto_spec import CryptoSpecKind, CryptoState
from kmipkit_vsphere.model.errors import (
    AlreadyExists,
    DamagedData,
    EncryptionKeyRequired,
    InvalidArgument,
    InvalidState,
    NotFound,
    ResourceInUse,
    VSphereError,
)
from kmipkit_vsphere.model.keys import CryptoKeyId, CryptoKeyPlain, Secret

MIB = 1 << 20
PATTERN = b"THE GUEST'S DATA"


def key(name: str, data: bytes = b"k" * 32) -> CryptoKeyPlain:
    return CryptoKeyPlain(CryptoKeyId("kp", name), "AES-256", Secret(data))


def in_state(state: CryptoState) -> CryptoManagerHost:
    crypto = CryptoManagerHost()
    steps = {
        CryptoState.INCAPABLE: 0,
        CryptoState.PREPARED: 1,
        CryptoState.SAFE: 2,
        CryptoState.PENDING_INCAPABLE: 3,
    }
    calls = [crypto.prepare, lambda: crypto.enable(key("host")), crypto.disable]
    for call in calls[: steps[state]]:
        call()
    assert crypto.state is state
    return crypto


CALLS = {
    "Prepare": lambda crypto: crypto.prepare(),
    "Enable": lambda crypto: crypto.enable(key("host")),
    "ChangeKey": lambda crypto: crypto.change_key(key("host2")),
    "Disable": lambda crypto: crypto.disable(),
    "AddKey": lambda crypto: crypto.add_key(key("vm")),
    "Encrypt": lambda crypto: crypto.check("Encrypt"),
}


@pytest.mark.parametrize("state", list(CryptoState))
@pytest.mark.parametrize("call", sorted(CALLS))
def test_the_state_machine(state: CryptoState, call: str) -> None:
    crypto = in_state(state)
    following = TRANSITIONS.get((state, call))
    if following is None:
        with pytest.raises(InvalidState):
            CALLS[call](crypto)
        assert crypto.state is state
    else:
        CALLS[call](crypto)
        assert crypto.state is following


@pytest.mark.parametrize(
    "state", [CryptoState.INCAPABLE, CryptoState.PREPARED, CryptoState.PENDING_INCAPABLE]
)
def test_r39_a_host_that_is_not_safe_takes_no_keys(state: CryptoState) -> None:
    with pytest.raises(InvalidState) as caught:
        in_state(state).add_key(key("vm"))
    assert caught.value.arguments == {"cryptoState": state.value}


def test_enable_with_another_key_is_refused_on_a_safe_host() -> None:
    crypto = in_state(CryptoState.SAFE)
    with pytest.raises(AlreadyExists):
        crypto.enable(key("other"))
    assert crypto.host_key_id == CryptoKeyId("kp", "host")


def test_a_changed_host_key_keeps_the_old_one_for_old_dumps() -> None:
    crypto = in_state(CryptoState.SAFE)
    crypto.change_key(key("host2"))
    assert crypto.host_key_id == CryptoKeyId("kp", "host2")
    assert crypto.list_keys() == [CryptoKeyId("kp", "host"), CryptoKeyId("kp", "host2")]


def test_keys_are_added_once() -> None:
    crypto = in_state(CryptoState.SAFE)
    crypto.add_key(key("vm"))
    with pytest.raises(AlreadyExists):
        crypto.add_key(key("vm"))


def test_other_data_under_a_known_id_is_refused() -> None:
    crypto = in_state(CryptoState.SAFE)
    with pytest.raises(AlreadyExists):
        crypto.enable(key("host", b"x" * 32))


def test_add_keys_tells_of_each() -> None:
    crypto = in_state(CryptoState.SAFE)
    results = crypto.add_keys([key("a"), key("a"), key("b", b"short")])
    assert [type(result) for result in results] == [type(None), AlreadyExists, InvalidArgument]


def test_removing_keys() -> None:
    crypto = in_state(CryptoState.SAFE)
    added = key("vm")
    crypto.add_key(added)
    crypto.remove_key(added.key_id)
    assert len(added.key_data) == 0
    with pytest.raises(InvalidArgument):
        crypto.remove_key(added.key_id)
    crypto.remove_key(added.key_id, force=True)
    with pytest.raises(ResourceInUse):
        crypto.remove_key(CryptoKeyId("kp", "host"))


@pytest.fixture
def host(tmp_path: Path) -> Host:
    host = Host.start("esx01", tmp_path)
    host.machines.create("vm1", MIB)
    host.guests.write_disk("vm1", 700_000, PATTERN)
    return host


def make_safe(host: Host, *keys: CryptoKeyPlain) -> None:
    host.keys.crypto.prepare()
    host.keys.crypto.enable(key("host"))
    host.keys.crypto.add_keys(keys)


def encrypt(host: Host, progress: MachineProgress | None = None) -> MachineInfo:
    key_id = key("vm").key_id
    return host.machines.reconfigure("vm1", CryptoSpecKind.ENCRYPT, key_id, progress=progress)


def contents(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_a_machine_is_plain_then_encrypted_on_disk(host: Host) -> None:
    assert host.machines.info("vm1").crypto_state is MachineState.PLAIN
    assert PATTERN in contents(host.datastore.folder)
    make_safe(host, key("vm"))
    seen: list[str] = []
    info = encrypt(host, lambda name, a, b: seen.append(name))
    assert info.crypto_state is MachineState.UNLOCKED
    assert set(seen) == {"vm1.nvram", "vm1-flat.vmdk"}
    assert PATTERN not in contents(host.datastore.folder)
    assert host.guests.read_disk("vm1", 700_000, len(PATTERN)) == PATTERN


def test_home_and_disk_have_different_data_keys(host: Host) -> None:
    make_safe(host, key("vm"))
    encrypt(host)
    folder = host.datastore.folder / "vm1"
    zeros = [(folder / name).read_bytes()[:512] for name in ("vm1.nvram", "vm1-flat.vmdk")]
    assert zeros[0] != zeros[1]


def test_a_restart_forgets_all_keys_and_locks_machines(host: Host, tmp_path: Path) -> None:
    make_safe(host, key("vm"))
    encrypt(host)
    host.close()
    restarted = Host.start("esx01", tmp_path)
    assert (restarted.uuid, restarted.keys.crypto.state) == (host.uuid, CryptoState.INCAPABLE)
    assert restarted.boot_id != host.boot_id
    assert restarted.keys.crypto.list_keys() == []
    with pytest.raises(EncryptionKeyRequired) as caught:
        restarted.guests.read_disk("vm1", 0, 10)
    assert caught.value.required_key == [key("vm").key_id]
    assert restarted.machines.info("vm1").crypto_state is MachineState.LOCKED
    make_safe(restarted, key("vm"))
    assert restarted.machines.unlock_all() == ["vm1"]
    assert restarted.guests.read_disk("vm1", 700_000, len(PATTERN)) == PATTERN
    restarted.guests.write_disk("vm1", 0, b"written after the restart")
    assert b"written after" not in contents(tmp_path)


def test_unlock_all_leaves_what_cannot_be_unlocked(host: Host, tmp_path: Path) -> None:
    make_safe(host, key("vm"))
    encrypt(host)
    restarted = Host.start("esx01", tmp_path)
    make_safe(restarted, key("vm", b"x" * 32))
    assert restarted.machines.unlock_all() == []
    with pytest.raises(DamagedData):
        restarted.machines.unlock("vm1")


def test_an_unlocked_machine_goes_on_when_its_key_is_taken_away(host: Host) -> None:
    make_safe(host, key("vm"))
    encrypt(host)
    host.keys.crypto.remove_key(key("vm").key_id, force=True)
    assert host.guests.read_disk("vm1", 700_000, len(PATTERN)) == PATTERN


@pytest.mark.parametrize("prepare", [False, True])
def test_encrypting_needs_a_safe_host_and_the_key(host: Host, prepare: bool) -> None:
    if prepare:
        make_safe(host)
    expected: type[VSphereError] = EncryptionKeyRequired if prepare else InvalidState
    with pytest.raises(expected):
        encrypt(host)
    assert host.guests.read_disk("vm1", 700_000, len(PATTERN)) == PATTERN
    assert PATTERN in contents(host.datastore.folder)


def test_an_encrypted_machine_is_not_encrypted_again(host: Host) -> None:
    make_safe(host, key("vm"))
    encrypt(host)
    with pytest.raises(InvalidState, match="already"):
        encrypt(host)


def test_encrypting_goes_on_after_a_crash_between_home_and_disk(host: Host) -> None:
    make_safe(host, key("vm"))
    machine = host.datastore.machine("vm1")
    machine.home.encrypt(NewKey(key("vm").key_data, key("vm").key_id, machine.uuid))
    encrypt(host)
    assert all(volume.is_encrypted() for volume in host.datastore.machine("vm1").volumes)
    assert host.guests.read_disk("vm1", 700_000, len(PATTERN)) == PATTERN


@pytest.mark.parametrize(
    "name",
    [
        *("", "..", "../vm", "a/b", ".hidden", "x" * 65, " a", "a ", "a.", "-a", 'a"b', "a\\b"),
        *("a\nb", "a\u202eb", "a\u2028b", "a\u00a0b", "\u0301\x07", "名" * 60),
    ],
)
def test_names_that_lead_elsewhere(host: Host, name: str) -> None:
    with pytest.raises(InvalidArgument):
        host.machines.create(name, MIB)
    with pytest.raises(InvalidArgument):
        host.datastore.machine(name)


@pytest.mark.parametrize(
    "name", ["a b", "Löhne 2026", "база 1", "データ", "db (old)", "50%", "x" * 64]
)
def test_names_may_have_spaces_and_any_script(host: Host, name: str) -> None:
    host.machines.create(name, MIB)
    encrypt_named(host, name)
    host.guests.write_disk(name, 5, PATTERN)
    host.machines.add_disk(name, MIB, 512, None)
    host.machines.clone(name, f"{name[:60]} 2")
    host.machines.unlock(f"{name[:60]} 2")
    assert host.guests.read_disk(f"{name[:60]} 2", 5, len(PATTERN)) == PATTERN
    assert {info.name for info in host.machines.list_all()} == {"vm1", name, f"{name[:60]} 2"}


def encrypt_named(host: Host, name: str) -> None:
    make_safe(host, key("vm"))
    host.machines.reconfigure(name, CryptoSpecKind.ENCRYPT, key("vm").key_id)


def test_a_vmx_that_leads_elsewhere(host: Host) -> None:
    vmx = host.datastore.folder / "vm1" / "vm1.vmx"
    vmx.write_text(vmx.read_text().replace("vm1.nvram", "../../host.json"))
    with pytest.raises(DamagedData, match="outside"):
        host.datastore.machine("vm1")


@pytest.mark.parametrize(("size", "sector"), [(0, 512), (1000, 512), (512, 4096), (MIB, 1024)])
def test_sizes_that_do_not_fit(host: Host, size: int, sector: int) -> None:
    with pytest.raises(InvalidArgument):
        host.machines.create("vm2", size, sector)


def test_machines_by_name(host: Host) -> None:
    uuid = UUID(int=7)
    host.machines.create("a", 4096, 4096, uuid)
    assert [(info.name, info.crypto_state.value) for info in host.machines.list_all()] == [
        ("a", "plain"),
        ("vm1", "plain"),
    ]
    assert host.datastore.machine("a").uuid == str(uuid)
    with pytest.raises(AlreadyExists):
        host.machines.create("a", MIB)
    with pytest.raises(NotFound):
        host.datastore.machine("b")


def test_a_damaged_identity_is_told(tmp_path: Path) -> None:
    (tmp_path / "host.json").write_text("{}")
    with pytest.raises(DamagedData, match="UUID"):
        Host.start("esx01", tmp_path)
