"""Disks: XTS-AES-256 by sector, access at any offset, and how plain text becomes ciphertext."""

import contextlib
import errno
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kmipkit_vsphere.host import disk as disk_module
from kmipkit_vsphere.host import journal as journal_module
from kmipkit_vsphere.host import volume as volume_module
from kmipkit_vsphere.host.descriptor import LOCATOR_SETTING, Descriptor
from kmipkit_vsphere.host.disk import DiskFile, PlainText, SectorCipher, reencrypt
from kmipkit_vsphere.host.volume import NewKey, Volume
from kmipkit_vsphere.model.errors import (
    DamagedData,
    EncryptionKeyRequired,
    InvalidArgument,
    InvalidState,
    NoSpace,
)
from kmipkit_vsphere.model.files import write_durably
from kmipkit_vsphere.model.keys import CryptoKeyId, Secret
from lengths import examples

DEK = Secret(bytes(range(64)))
KEK = Secret(b"k" * 32)
KEY = CryptoKeyId("kp", "key-1")
NEW = NewKey(KEK, KEY, "vm")
PATTERN = b"CONFIDENTIAL " * 79  # 1027 bytes: it lies differently in each sector

# IEEE 1619-2007, Annex B, vector 10: XTS-AES-256, sector ff, plain text 00..ff twice.
IEEE_KEY = bytes.fromhex(
    "2718281828459045235360287471352662497757247093699959574966967627"
    "3141592653589793238462643383279502884197169399375105820974944592"
)
IEEE_START = "1c3b3a102f770386e4836c99e370cf9bea00803f5e482357a4ae12d414a3e63b"


def test_the_published_vector() -> None:
    ciphertext = SectorCipher(Secret(IEEE_KEY)).encrypt(0xFF, bytes(range(256)) * 2)
    assert ciphertext[:32].hex() == IEEE_START
    assert SectorCipher(Secret(IEEE_KEY)).decrypt(0xFF, ciphertext) == bytes(range(256)) * 2


@pytest.mark.parametrize(
    ("dek", "sector_size"),
    [
        (Secret(bytes(32)), 512),
        (Secret(b"a" * 64), 512),
        (DEK, 520),
        (Secret(b""), 512),
    ],
    ids=["32 bytes", "equal halves", "odd sector", "no key"],
)
def test_keys_and_sectors_that_do_not_fit(dek: Secret, sector_size: int) -> None:
    with pytest.raises(InvalidArgument):
        SectorCipher(dek, sector_size)


def test_each_sector_is_encrypted_under_its_number() -> None:
    ciphertext = SectorCipher(DEK).encrypt(0, bytes(1024))
    assert ciphertext[:512] != ciphertext[512:]
    assert SectorCipher(DEK).encrypt(1, bytes(512)) == ciphertext[512:]


def test_parts_of_sectors_cannot_be_encrypted() -> None:
    with pytest.raises(InvalidArgument):
        SectorCipher(DEK).encrypt(0, bytes(100))


@pytest.fixture(params=[512, 4096])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> DiskFile:
    plain, path = tmp_path / "plain", tmp_path / "disk"
    plain.write_bytes(bytes(16384))
    reencrypt(plain, path, PlainText(request.param), SectorCipher(DEK, request.param))
    return DiskFile(path, SectorCipher(DEK, request.param))


@settings(max_examples=examples(40), deadline=None)
@given(
    writes=st.lists(
        st.tuples(st.integers(0, 16384), st.binary(max_size=5000)).map(
            lambda write: (write[0], write[1][: 16384 - write[0]])
        ),
        max_size=5,
    ),
    sector_size=st.sampled_from([512, 4096]),
)
def test_reads_see_what_was_written_at_any_offset(
    tmp_path_factory: pytest.TempPathFactory, writes: list[tuple[int, bytes]], sector_size: int
) -> None:
    path = tmp_path_factory.mktemp("disk") / "disk"
    path.write_bytes(bytes(16384))
    expected = bytearray(SectorCipher(DEK, sector_size).decrypt(0, bytes(16384)))
    with DiskFile(path, SectorCipher(DEK, sector_size)) as disk:
        for offset, data in writes:
            disk.write_at(offset, data)
            expected[offset : offset + len(data)] = data
        assert disk.read_at(0, 16384) == expected
        for offset, data in writes:
            assert disk.read_at(offset, len(data)) == expected[offset : offset + len(data)]


def test_a_write_touches_only_the_sectors_it_covers(disk: DiskFile) -> None:
    before = disk.path.read_bytes()
    disk.write_at(8192, b"x")
    disk.flush()
    after = disk.path.read_bytes()
    changed = {n // 4096 for n in range(16384) if before[n] != after[n]}
    assert changed == {2}
    disk.close()


@pytest.mark.parametrize(("offset", "length"), [(-1, 1), (16384, 1), (0, 16385), (5, -1)])
def test_access_outside_the_disk(disk: DiskFile, offset: int, length: int) -> None:
    with disk, pytest.raises(InvalidArgument, match="outside"):
        disk.read_at(offset, length)


def test_a_disk_that_is_no_whole_number_of_sectors(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    path.write_bytes(bytes(700))
    with pytest.raises(DamagedData):
        DiskFile(path, SectorCipher(DEK))
    with pytest.raises(InvalidArgument):
        reencrypt(path, tmp_path / "other", PlainText(), SectorCipher(DEK))


def test_a_disk_that_shrinks_while_it_is_open(disk: DiskFile) -> None:
    disk.path.write_bytes(b"")
    with disk, pytest.raises(DamagedData):
        disk.read_at(0, 512)


def test_a_closed_disk_is_not_read(disk: DiskFile) -> None:
    """The number of its descriptor may stand for another file by then."""
    disk.close()
    for access in (lambda: disk.read_at(0, 1), lambda: disk.write_at(0, b"x"), disk.flush):
        with pytest.raises(InvalidState, match="is closed"):
            access()


def test_two_writes_into_one_sector_are_both_kept(tmp_path: Path) -> None:
    """The second write begins while the first has read the sector and not yet written it."""
    first_has_read, second_waits = threading.Event(), threading.Event()

    class Pausing(PlainText):
        def encrypt(self, first_sector: int, plain: bytes) -> bytes:
            if not first_has_read.is_set():
                first_has_read.set()
                assert second_waits.wait(10), "nothing keeps the second write waiting"
            return plain

    class ObservedLock:
        def __init__(self) -> None:
            self._lock = threading.Lock()

        def __enter__(self) -> None:
            if not self._lock.acquire(blocking=False):
                second_waits.set()
                self._lock.acquire()

        def __exit__(self, *_: object) -> None:
            self._lock.release()

    path = tmp_path / "disk"
    path.write_bytes(bytes(512))
    with DiskFile(path, Pausing()) as disk:
        disk._lock = ObservedLock()  # type: ignore[assignment]  # replaced for this test
        first = threading.Thread(target=disk.write_at, args=(0, b"first"))
        first.start()
        assert first_has_read.wait(10)
        second = threading.Thread(target=disk.write_at, args=(100, b"second"))
        second.start()
        first.join()
        second.join()
        assert disk.read_at(0, 5) == b"first"
        assert disk.read_at(100, 6) == b"second"


def test_a_plain_disk_is_read_and_written_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    path.write_bytes(bytes(1024))
    with DiskFile(path, PlainText()) as disk:
        disk.write_at(500, b"across")
    assert path.read_bytes()[500:506] == b"across"


def plain_volume(folder: Path) -> Volume:
    write_durably(folder / "d.vmdk", '# Disk DescriptorFile\nsectorSize = "512"\n')
    (folder / "d-flat.vmdk").write_bytes((PATTERN * 64)[:65536])
    return Volume(folder / "d.vmdk", folder / "d-flat.vmdk", "disk")


def test_encrypting_leaves_no_plain_text_and_reads_back(tmp_path: Path) -> None:
    volume = plain_volume(tmp_path)
    seen: list[tuple[int, int]] = []
    volume.encrypt(NEW, lambda done, total: seen.append((done, total)))
    assert seen[-1] == (65536, 65536)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d-flat.vmdk", "d.vmdk"]
    assert not any(b"CONFIDENTIAL" in path.read_bytes() for path in tmp_path.iterdir())
    assert volume.key_ids() == [KEY]
    with volume.open({KEY: KEK}, "vm") as disk:
        assert disk.read_at(0, 65536) == (PATTERN * 64)[:65536]


def test_the_old_blocks_are_overwritten(tmp_path: Path) -> None:
    volume = plain_volume(tmp_path)
    (tmp_path / "other-name").hardlink_to(volume.data)
    volume.encrypt(NEW)
    assert (tmp_path / "other-name").read_bytes() == bytes(65536)


def test_an_encrypted_volume_is_not_encrypted_again(tmp_path: Path) -> None:
    volume = plain_volume(tmp_path)
    volume.encrypt(NEW)
    with pytest.raises(InvalidState):
        volume.encrypt(NEW)


def test_without_the_key_the_volume_is_locked(tmp_path: Path) -> None:
    volume = plain_volume(tmp_path)
    volume.encrypt(NEW)
    with pytest.raises(EncryptionKeyRequired) as caught:
        volume.open({CryptoKeyId("kp", "other"): KEK}, "vm")
    assert caught.value.required_key == [CryptoKeyId("kp", "key-1")]


@pytest.mark.parametrize(
    ("kek", "machine"), [(Secret(b"x" * 32), "vm"), (KEK, "another vm")], ids=["key", "machine"]
)
def test_a_wrong_key_or_machine_does_not_open(tmp_path: Path, kek: Secret, machine: str) -> None:
    volume = plain_volume(tmp_path)
    volume.encrypt(NEW)
    with pytest.raises(DamagedData, match="does not open"):
        volume.open({KEY: kek}, machine)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("vmware:key/", "vmware:lock/"),
        lambda text: text.replace("fqid/<VMWARE-NULL>/kp", "fqid/<VMWARE-NULL>/<VMWARE-NULL>"),
        lambda text: text.replace('"512"', '"100"'),
    ],
    ids=["prefix", "no provider", "sector size"],
)
def test_damaged_descriptors(tmp_path: Path, change: Callable[[str], str]) -> None:
    volume = plain_volume(tmp_path)
    volume.encrypt(NEW)
    volume.descriptor.write_text(change(volume.descriptor.read_text()))
    with pytest.raises(DamagedData):
        volume.open({KEY: KEK}, "vm")


class Crash(BaseException):
    """Ends an operation as a power cut would: no handler of ours runs after it."""


STEPS = ("reencrypt", "sync_folder", "write_durably", "overwrite")
OTHER = CryptoKeyId("kp", "key-2")
NEXT = NewKey(Secret(bytes(range(32))), OTHER, "vm")
BOTH = {KEY: KEK, OTHER: NEXT.kek}

OPERATIONS: dict[str, Callable[[Volume], None]] = {
    "encrypt": lambda volume: volume.encrypt(NEW),
    "shallow": lambda volume: volume.recrypt_shallow(BOTH, NEXT),
    "deep": lambda volume: volume.recrypt_deep(BOTH, NEXT),
    "decrypt": lambda volume: volume.decrypt(BOTH, "vm"),
}


def crash_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Let everything that changes a file fail from the n-th time on, as if the host were off."""
    count = iter(range(1000))

    def wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if next(count) >= step:
                raise Crash
            return function(*args, **kwargs)

        return call

    for name in STEPS:
        monkeypatch.setattr(volume_module, name, wrapped(getattr(volume_module, name)))
    monkeypatch.setattr(journal_module, "write_durably", wrapped(journal_module.write_durably))
    for name in ("replace", "unlink"):
        monkeypatch.setattr(Path, name, wrapped(getattr(Path, name)))


@pytest.mark.parametrize("step", range(14))
@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_crash_at_any_step_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: str, step: int
) -> None:
    """Crash before the n-th durable step; afterwards the volume opens, and the call goes on."""
    volume = plain_volume(tmp_path)
    plain = volume.data.read_bytes()
    if operation != "encrypt":
        volume.encrypt(NEW)
    with monkeypatch.context() as patch:
        crash_at(patch, step)
        with contextlib.suppress(Crash):
            OPERATIONS[operation](volume)
    volume.recover()
    with volume.open(BOTH, "vm") as disk:
        assert disk.read_at(0, len(plain)) == plain
    assert volume.is_encrypted() == (plain != volume.data.read_bytes())
    assert operation == "encrypt" or volume.is_encrypted() or operation == "decrypt"
    left = {path.suffix for path in tmp_path.iterdir()} - {".vmdk"}
    assert left <= {".new", ".progress"} if operation in ("encrypt", "deep") else not left
    with contextlib.suppress(InvalidState, DamagedData):  # it is done already
        OPERATIONS[operation](volume)
    with volume.open(BOTH, "vm") as disk:
        assert disk.read_at(0, len(plain)) == plain
    assert {path.suffix for path in tmp_path.iterdir()} == {".vmdk"}


def test_a_long_operation_goes_on_where_a_crash_stopped_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk_module, "CHUNK", 4096)
    monkeypatch.setattr(disk_module, "CHECKPOINT", 16384)
    volume = plain_volume(tmp_path)
    plain = volume.data.read_bytes()
    volume.encrypt(NEW)

    def stop(done: int, _total: int) -> None:
        if done > 40_000:
            raise Crash

    with contextlib.suppress(Crash):
        volume.recrypt_deep(BOTH, NEXT, stop)
    volume.recover()
    assert volume.pending_key_ids() == [OTHER]
    seen: list[int] = []
    volume.recrypt_deep(BOTH, NEXT, lambda done, _total: seen.append(done))
    assert seen[0] == 32768 + 4096, "what was durable is not done again"
    assert volume.key_ids() == [OTHER]
    with volume.open({OTHER: NEXT.kek}, "vm") as disk:
        assert disk.read_at(0, len(plain)) == plain


def test_what_was_written_after_a_crash_is_not_lost_by_going_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk_module, "CHUNK", 4096)
    monkeypatch.setattr(disk_module, "CHECKPOINT", 4096)
    volume = plain_volume(tmp_path)
    volume.encrypt(NEW)

    def stop(done: int, _total: int) -> None:
        if done > 40_000:
            raise Crash

    with contextlib.suppress(Crash):
        volume.recrypt_deep(BOTH, NEXT, stop)
    volume.recover()
    with volume.open(BOTH, "vm") as disk:
        disk.write_at(0, b"written by the guest")
    volume.recrypt_deep(BOTH, NEXT)
    with volume.open(BOTH, "vm") as disk:
        assert disk.read_at(0, 20) == b"written by the guest"


@pytest.mark.parametrize("operation", ["encrypt", "deep", "decrypt"])
def test_a_full_datastore_leaves_the_volume_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    volume = plain_volume(tmp_path)
    plain = volume.data.read_bytes()
    if operation != "encrypt":
        volume.encrypt(NEW)

    def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(disk_module.os, "pwrite", full)
        with pytest.raises(NoSpace, match="no room"):
            OPERATIONS[operation](volume)
    assert {path.suffix for path in tmp_path.iterdir()} == {".vmdk"}, "the room was given back"
    with volume.open(BOTH, "vm") as disk:
        assert disk.read_at(0, len(plain)) == plain


def test_shallow_keeps_the_data_and_deep_changes_it(tmp_path: Path) -> None:
    volume = plain_volume(tmp_path)
    volume.encrypt(NEW)
    first = volume.data.read_bytes()
    volume.recrypt_shallow(BOTH, NEXT)
    assert volume.data.read_bytes() == first
    with pytest.raises(EncryptionKeyRequired):
        volume.open({KEY: KEK}, "vm")
    volume.recrypt_deep(BOTH, NEW)
    assert volume.data.read_bytes() != first


def test_decrypting_leaves_plain_text_and_no_locator(tmp_path: Path) -> None:
    volume = plain_volume(tmp_path)
    plain, text = volume.data.read_bytes(), volume.descriptor.read_text()
    volume.encrypt(NEW)
    volume.decrypt({KEY: KEK}, "vm")
    assert volume.data.read_bytes() == plain
    assert volume.descriptor.read_text() == text


def test_settings_are_changed_and_other_lines_kept() -> None:
    text = '# comment\nCID = "1"\nRW 8 VMFS "d"\n'
    changed = Descriptor.parse(text).with_setting("CID", "2").with_setting(LOCATOR_SETTING, "x")
    assert str(changed) == f'# comment\nCID = "2"\nRW 8 VMFS "d"\n{LOCATOR_SETTING} = "x"\n'


def test_a_setting_cannot_smuggle_in_a_line() -> None:
    with pytest.raises(InvalidArgument):
        Descriptor(()).with_setting("a", 'x"\nb = "y')


@pytest.mark.parametrize("data", [b"\xff\xfe", b"x" * 300_000], ids=["not text", "too long"])
def test_files_that_are_no_descriptor(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "d.vmdk"
    path.write_bytes(data)
    with pytest.raises(DamagedData):
        Descriptor.load(path)
