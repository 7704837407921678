"""The root key file: nobody else reads it, the wrong one is named, and it is never given out."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap_with_padding
from kmipkit_server.vault.base import VaultError
from kmipkit_server.vault.file import ROOT_KEY_SIZE, FileVault

DATA_KEY = bytes(range(32))


@pytest.fixture
def no_umask() -> Iterator[None]:
    """The most careless setting of a system: files are open to all unless a program says no."""
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.usefixtures("no_umask")
def test_the_root_key_was_never_readable_by_others(tmp_path: Path) -> None:
    """Whoever opens the file before its mode is set keeps it open: the mode comes first."""
    path = tmp_path / "root.key"
    seen: list[tuple[int, int]] = []

    def watched(size: int) -> bytes:
        seen.append((mode(path), path.stat().st_size))
        return b"r" * size

    FileVault.open(path, watched)
    assert seen == [(0o600, 0)]
    assert mode(path) == 0o600
    assert path.read_text() == (b"r" * ROOT_KEY_SIZE).hex() + "\n"


def test_the_root_key_reaches_the_disk_before_it_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without this a power cut would leave a database that no root key opens."""
    path = tmp_path / "root.key"
    synced: list[tuple[bool, int]] = []
    real = os.fsync

    def watched(descriptor: int) -> None:
        synced.append((stat.S_ISDIR(os.fstat(descriptor).st_mode), path.stat().st_size))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    FileVault.open(path)
    assert synced == [(False, 65), (True, 65)], "first the file with all its digits, then its name"


def test_the_same_root_key_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "root.key"
    wrapped = FileVault.open(path).wrap(DATA_KEY)
    before = path.read_bytes()
    assert FileVault.open(path).unwrap(wrapped) == DATA_KEY
    assert path.read_bytes() == before


def test_each_file_has_a_root_key_of_its_own(tmp_path: Path) -> None:
    FileVault.open(tmp_path / "a")
    FileVault.open(tmp_path / "b")
    assert (tmp_path / "a").read_bytes() != (tmp_path / "b").read_bytes()


def test_a_data_key_can_be_recovered_without_this_program(tmp_path: Path) -> None:
    """RFC 5649 under the key whose digits are in the file: no form of our own."""
    path = tmp_path / "root.key"
    wrapped = FileVault.open(path).wrap(DATA_KEY)
    assert DATA_KEY not in wrapped
    root_key = bytes.fromhex(path.read_text())
    assert len(root_key) == ROOT_KEY_SIZE
    assert aes_key_unwrap_with_padding(root_key, wrapped) == DATA_KEY


def test_the_wrong_root_key_is_named_and_how_to_help(tmp_path: Path) -> None:
    wrapped = FileVault.open(tmp_path / "right.key").wrap(DATA_KEY)
    with pytest.raises(
        VaultError, match=r"wrong\.key has another root key .*restore the right file"
    ):
        FileVault.open(tmp_path / "wrong.key").unwrap(wrapped)


@pytest.mark.parametrize("at", [0, 8, 39])
def test_an_altered_data_key_is_never_used(tmp_path: Path, at: int) -> None:
    vault = FileVault.open(tmp_path / "root.key")
    wrapped = bytearray(vault.wrap(DATA_KEY))
    wrapped[at] ^= 1
    with pytest.raises(VaultError):
        vault.unwrap(bytes(wrapped))


@pytest.mark.parametrize("size", [0, 7, 17])
def test_a_data_key_of_no_possible_length_is_refused(tmp_path: Path, size: int) -> None:
    with pytest.raises(VaultError):
        FileVault.open(tmp_path / "root.key").unwrap(bytes(size))


@pytest.mark.parametrize("bits", [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o666])
def test_a_root_key_that_others_can_touch_is_refused(tmp_path: Path, bits: int) -> None:
    path = tmp_path / "root.key"
    FileVault.open(path)
    path.chmod(bits)
    with pytest.raises(
        VaultError, match=r"other users have access to .*; run: chmod 600 .*root\.key"
    ):
        FileVault.open(path)


def test_a_root_key_that_only_its_owner_reads_will_do(tmp_path: Path) -> None:
    """Whoever takes the right to write away as well is not punished for it."""
    path = tmp_path / "root.key"
    wrapped = FileVault.open(path).wrap(DATA_KEY)
    path.chmod(0o400)
    assert FileVault.open(path).unwrap(wrapped) == DATA_KEY


@pytest.mark.parametrize(
    "content",
    [b"", b"00" * 31, b"00" * 33, b"00" * 80, b"zz" * 32, b"\xff" * 64, bytes(32)],
    ids=["empty", "short", "long", "far too long", "no hex", "no text", "raw bytes"],
)
def test_a_damaged_root_key_is_neither_used_nor_replaced(tmp_path: Path, content: bytes) -> None:
    """A file in the key's place may be the key, damaged: overwriting it would lose all objects."""
    path = tmp_path / "root.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(
        VaultError, match=r"root\.key does not contain a root key, which has 64 hex"
    ):
        FileVault.open(path)
    assert path.read_bytes() == content


def test_no_error_message_shows_a_root_key(tmp_path: Path) -> None:
    path = tmp_path / "root.key"
    path.write_bytes(b"ab" * 31 + b"\n")
    path.chmod(0o600)
    with pytest.raises(VaultError) as caught:
        FileVault.open(path)
    assert "abab" not in str(caught.value)
    assert "abab" not in repr(caught.value)


def test_a_vault_does_not_show_its_key_when_printed(tmp_path: Path) -> None:
    vault = FileVault.open(tmp_path / "root.key")
    digits = (tmp_path / "root.key").read_text().strip()
    assert digits not in repr(vault)
    assert repr(bytes.fromhex(digits)) not in repr(vault)


@pytest.mark.parametrize("name", ["missing/root.key", "."], ids=["no directory", "a directory"])
def test_a_place_where_no_file_can_be(tmp_path: Path, name: str) -> None:
    with pytest.raises(VaultError, match=str(tmp_path)):
        FileVault.open(tmp_path / name)
