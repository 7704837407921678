"""Backups: all of a server comes back, at each point of time, or it is said why not."""

import errno
import io
import os
import shutil
import sqlite3
import stat
import subprocess
import tarfile
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyrage
import pytest
from backing_up import BEGIN, MATERIAL, Backups, names
from hypothesis import given
from hypothesis import strategies as st
from kmipkit_certs.authority import Purpose
from kmipkit_certs.directory import Directory
from kmipkit_server.backup import encryption, restoring
from kmipkit_server.backup.creation import Order, create, silent
from kmipkit_server.backup.directory import Part, chain_at
from kmipkit_server.backup.errors import BackupError
from kmipkit_server.backup.manifest import Kind
from kmipkit_server.backup.root_key import INCLUDED, open_named, place_of
from kmipkit_server.backup.service import manual_keys
from kmipkit_server.config import Config
from kmipkit_server.config.sections import StoreConfig
from kmipkit_server.store.errors import StoreError
from kmipkit_server.store.root_keys import Entry
from kmipkit_server.store.sqlite.database import SQLiteDatabase
from kmipkit_server.store.sqlite.snapshot import PREFIX
from kmipkit_server.vault.uri import RootKeyURI
from stored_objects import SECRET, insert, record

from kmipkit.model.attribute import Attributes


@pytest.fixture
def backups(tmp_path: Path) -> Backups:
    return Backups(tmp_path)


def test_each_backup_can_be_restored_as_it_was(backups: Backups) -> None:
    """An increment has what has changed, and restores all that was there."""
    expected = {}
    for number in range(4):
        backups.store(*(f"{number}-{each}" for each in range(50)))
        backups.create()
        expected[backups.now] = names(backups.data)
    assert [part.manifest.kind for part in backups.parts] == [Kind.FULL, *3 * [Kind.INCREMENT]]
    for number, (moment, stored) in enumerate(expected.items()):
        restored = backups.restore(f"restored-{number}", at=moment)
        assert names(backups.restored(f"restored-{number}")) == stored
        assert restored.findings.materials == len(stored)
    assert backups.restored("restored-3").get("3-49")


@given(steps=st.lists(st.tuples(st.integers(0, 40), st.booleans()), min_size=1, max_size=5))
def test_whatever_changes_between_backups_is_in_them(
    steps: list[tuple[int, bool]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    backups = Backups(tmp_path_factory.mktemp("backups") / "all")
    backups.create()
    for number, (count, is_full) in enumerate(steps):
        with backups.data.opened() as database:
            transaction = database.begin()
            for each in range(count):
                transaction.insert(record(f"{number}-{each}"))
            if number % 2 and (old := transaction.get("first")):
                transaction.remove(old)
            database.commit()
        backups.create(is_full=is_full)
    restored = backups.folder / "restored"
    shutil.rmtree(restored, ignore_errors=True)
    # The material in these records is no object of KMIP, which only a full check minds.
    with closing(sqlite3.connect(backups.data.database)) as database:
        expected = list(database.iterdump())
    with pytest.raises(BackupError) if any(count for count, _ in steps) else _nothing():
        backups.restore()
    assembled = _assembled(backups, restored)
    with closing(sqlite3.connect(assembled)) as database:
        assert list(database.iterdump()) == expected


def _nothing() -> Any:
    from contextlib import nullcontext

    return nullcontext()


def _assembled(backups: Backups, folder: Path) -> Path:
    from kmipkit_server.backup.assembly import assemble
    from kmipkit_server.backup.encryption import load_identities

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    chain = chain_at(backups.directory, None)
    return assemble(chain, load_identities([backups.identity]), folder, silent).database


def test_a_writer_goes_on_while_a_backup_is_made(backups: Backups) -> None:
    """The backup has one state of the database, and no transaction waits for it."""
    written: list[str] = []
    with backups.data.opened() as database:

        def progress(_what: str, _done: int, _of: int) -> None:
            written.append(f"meanwhile-{len(written)}")
            insert(database, record(written[-1]))

        backups.create(progress=progress)
    assert written
    backups.restore()
    assert names(backups.restored()) == {"first"}


def test_nothing_secret_is_written_in_clear(backups: Backups) -> None:
    """Neither by a backup nor by its verification: whoever finds the files has no key."""
    root_key = backups.data.root_key.read_bytes()
    certificates = backups.data.path / "certs"
    certificates.mkdir()
    (certificates / "ca.key").write_bytes(b"the private key of the authority")
    secrets = (root_key.strip(), bytes.fromhex(root_key.decode()), SECRET, b"private key")
    seen: set[Path] = set()

    def look(*_progress: object) -> None:
        for place in (backups.directory, backups.folder / "scratch"):
            for path in place.rglob("*"):
                if path.is_file():
                    seen.add(path)
                    assert not any(secret in path.read_bytes() for secret in secrets), path

    backups.create(progress=look)
    backups.verify(progress=look)
    look()
    assert any(path.suffix == ".age" for path in seen)
    assert any(path.is_relative_to(backups.folder / "scratch") for path in seen)
    assert not list((backups.folder / "scratch").iterdir()), "nothing stays of a verification"


def test_only_the_user_can_read_backups_and_what_is_restored(backups: Backups) -> None:
    backups.create()
    backups.restore()
    for place in (backups.directory, backups.restored().path):
        for path in (place, *place.rglob("*")):
            assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path


# --- parts that do not fit -------------------------------------------------------------------------


def remove(part: Part, _other: Part) -> None:
    part.path.unlink()
    part.data.unlink()


def remove_data(part: Part, _other: Part) -> None:
    part.data.unlink()


def exchange_data(part: Part, other: Part) -> None:
    shutil.copy(other.data, part.data)


def exchange(part: Part, other: Part) -> None:
    for one, two in ((part.path, other.path), (part.data, other.data)):
        first, second = one.read_bytes(), two.read_bytes()
        one.write_bytes(second)
        two.write_bytes(first)


def replace_number(part: Part, other: Part) -> None:
    numbers = (f'"number":{part.manifest.number},', f'"number":{other.manifest.number},')
    part.path.write_bytes(part.text.replace(*(number.encode() for number in numbers)))
    other.path.write_bytes(other.text.replace(*(number.encode() for number in reversed(numbers))))


def change_data(part: Part, _other: Part) -> None:
    data = bytearray(part.data.read_bytes())
    data[-40] ^= 1
    part.data.write_bytes(data)


def cut_data(part: Part, _other: Part) -> None:
    part.data.write_bytes(part.data.read_bytes()[:-1])


def lengthen_data(part: Part, _other: Part) -> None:
    part.data.write_bytes(part.data.read_bytes() + b"\0")


def change_manifest(part: Part, _other: Part) -> None:
    part.path.write_bytes(part.text.replace(b'"objects":', b'"objects":1'))


def forge(part: Part, _other: Part) -> None:
    """Data of others, encrypted to the same recipient, with a manifest that says so."""
    other = Backups(part.path.parent.parent / "forged")
    recipient = str(
        encryption.load_identities([part.path.parent.parent / "identity"]).keys[0].to_public()
    )
    for _ in range(part.manifest.number):
        other.create(recipients=encryption.recipients([recipient]))
    forged = other.parts[-1]
    shutil.copy(forged.data, part.data)
    text = part.text.replace(part.manifest.sha256.encode(), forged.manifest.sha256.encode())
    part.path.write_bytes(text)


DAMAGES = (
    remove, remove_data, exchange_data, exchange, replace_number, change_data, cut_data, lengthen_data,
    change_manifest, forge,
)  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_part_that_is_missing_exchanged_or_changed_is_told(
    backups: Backups, damage: Any, number: int
) -> None:
    """Also the last one, which no other part refers to."""
    for each in range(3):
        backups.store(*(f"{each}-{name}" for name in range(40)))
        backups.create()
    found = backups.parts
    damage(found[number], found[1 if number != 1 else 2])
    try:
        problems = backups.verify().problems
    except BackupError as error:
        problems = [str(error)]
    assert problems
    assert all(str(backups.directory) in problem for problem in problems), problems
    if damage is cut_data:
        assert any("put another copy of the file in its place" in each for each in problems)
    if damage is remove and number == 2:
        return  # what is left is the backup before, which can be restored
    with pytest.raises(BackupError):
        backups.restore()
    assert not backups.restored().path.exists()
    assert not list(backups.folder.glob("*.restoring-*"))


def test_damage_of_the_database_is_told(backups: Backups) -> None:
    """A backup of a database that somebody has changed is found out when it is verified."""
    backups.store("second")
    backups.data.sql("UPDATE objects SET state = 2 WHERE id = 'second'")
    backups.create()
    [problem] = backups.verify().problems
    assert "second was changed in the database" in problem
    with pytest.raises(BackupError, match="second was changed"):
        backups.restore()


# --- interruptions ---------------------------------------------------------------------------------


class Killed(BaseException):
    """The process ends here."""


def test_a_backup_that_was_killed_is_none(
    backups: Backups, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the next one removes what is left of it."""
    backups.create()
    before = set(backups.directory.iterdir())
    backups.store("second")
    left: set[Path] = set()
    for limit in range(8):
        calls = iter(range(limit))

        def fsync(_descriptor: int, calls: Any = calls) -> None:
            if next(calls, None) is None:
                raise Killed

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fsync)
            # SIGKILL runs no handlers: nothing is removed.
            patch.setattr(Path, "unlink", lambda *_args, **_options: None)
            patch.setattr(shutil, "rmtree", lambda *_args, **_options: None)
            try:
                backups.create()
            except Killed:
                left |= set(backups.directory.iterdir()) - before
                assert not backups.verify().problems
    assert left
    backups.create()
    assert not list(backups.directory.glob("*.new"))
    assert not list(backups.data.path.glob(f"{PREFIX}*"))
    assert not backups.verify().problems
    backups.restore()
    assert "second" in names(backups.restored())


def test_a_restore_that_was_killed_is_no_data_directory(
    backups: Backups, monkeypatch: pytest.MonkeyPatch
) -> None:
    backups.create()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", lambda *_: (_ for _ in ()).throw(Killed()))
        with pytest.raises(Killed):
            backups.restore()
    assert not backups.restored().path.exists()
    backups.restore()
    assert names(backups.restored()) == {"first"}


def test_a_full_disk_is_told(backups: Backups, monkeypatch: pytest.MonkeyPatch) -> None:
    def fsync(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        with pytest.raises(BackupError, match="the disk is full; no backup was made"):
            backups.create()
    assert not backups.parts
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 0))
        with pytest.raises(StoreError, match="the disk has 0 bytes free"):
            backups.create()


def test_two_backups_at_the_same_time_do_not_mix(backups: Backups) -> None:
    errors: list[str] = []

    def progress(*_: object) -> None:
        if not errors:
            try:
                backups.create()
            except BackupError as error:
                errors.append(str(error))

    backups.create(progress=progress)
    assert errors == [f"{backups.directory}: another process makes a backup in it now"]


def test_backups_into_two_directories_do_not_disturb_each_other(backups: Backups) -> None:
    """One that the server makes by itself, and one that somebody makes by hand."""
    others: list[Any] = []

    def progress(*_: object) -> None:
        if not others:
            others.append(backups.create(directory=backups.folder / "by-hand"))

    backups.create(progress=progress)
    assert len(others) == 1
    assert not backups.verify().problems
    assert not list(backups.data.path.glob(f"{PREFIX}*"))


# --- chains ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["lost", "changed", "of another time"])
def test_without_its_state_a_backup_is_full(backups: Backups, damage: str) -> None:
    backups.create()
    state = backups.directory / "state.json"
    old = state.read_bytes()
    backups.store("second")
    backups.create()
    {
        "lost": state.unlink,
        "changed": lambda: state.write_bytes(
            state.read_bytes().replace(b'"extents":"', b'"extents":"AAAA')
        ),
        "of another time": lambda: state.write_bytes(old),
    }[damage]()
    assert backups.create().part.manifest.kind is Kind.FULL
    assert not backups.verify().problems


def test_other_recipients_begin_a_chain(backups: Backups) -> None:
    """A new recipient could not open the parts before an increment."""
    backups.create()
    other = encryption.new_identity(backups.folder / "other")
    both = encryption.recipients([backups.recipient, other])
    assert backups.create(recipients=both).part.manifest.kind is Kind.FULL
    assert backups.create(recipients=both).part.manifest.kind is Kind.INCREMENT


def test_old_chains_are_removed_as_a_whole(backups: Backups) -> None:
    """No increment loses what it needs, and the newest chain stays however old it is."""
    options = {"keep": timedelta(hours=5), "chain_age": timedelta(hours=4)}
    for _ in range(30):
        backups.create(**options)
        found = backups.parts
        assert found[0].manifest.kind is Kind.FULL
        numbers = [part.manifest.number for part in found]
        assert numbers == list(range(numbers[0], numbers[-1] + 1))
    assert 5 < len(backups.parts) <= 14
    assert len(list(backups.directory.glob("*.age"))) == len(backups.parts)
    backups.now += timedelta(days=100)
    made = backups.create(**options)
    assert made.removed
    assert not backups.verify().problems


def test_a_directory_is_of_one_server(backups: Backups, tmp_path: Path) -> None:
    backups.create()
    other = Backups(tmp_path / "other")
    with pytest.raises(BackupError, match="has backups of another server"):
        other.create(directory=backups.directory)


def test_a_file_is_no_directory_for_backups(backups: Backups) -> None:
    backups.directory.write_text("")
    with pytest.raises(BackupError, match="is not a directory"):
        backups.create()


def test_a_time_before_all_backups_is_refused(backups: Backups) -> None:
    backups.create()
    with pytest.raises(BackupError, match="the first one was made at 2026-11-29 09:00:00 UTC"):
        backups.restore(at=BEGIN)


# --- restoring -------------------------------------------------------------------------------------


def test_nothing_is_overwritten(backups: Backups) -> None:
    backups.create()
    target = backups.restored().path
    for make in (target.mkdir, lambda: target.symlink_to("nowhere"), target.touch):
        make()
        with pytest.raises(BackupError, match="exists already; it is not overwritten"):
            backups.restore()
        target.rmdir() if target.is_dir() else target.unlink()


def test_a_restored_server_starts_without_a_warning(
    backups: Backups, caplog: pytest.LogCaptureFixture
) -> None:
    """Its counter is that of the backup: it is known that it is older."""
    backups.create()
    backups.restore()
    with backups.restored().opened():
        assert not caplog.records


def test_files_elsewhere_come_along(backups: Backups) -> None:
    """Certificates, policy and configuration, wherever they are; the command says where they were."""
    config = backups.folder / "kms.toml"
    config.write_text("[log]\nlevel = 'DEBUG'\n")
    backups.create(config_file=config)
    restored = backups.restore()
    [file] = restored.outside
    assert file.original == str(config)
    assert (restored.directory / file.name).read_text() == config.read_text()


# --- root keys --------------------------------------------------------------------------------------


def test_a_root_key_that_is_no_file_stays_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The backup says what opens it, and is of no use without that."""
    monkeypatch.setenv("KMS_ROOT", bytes(range(32)).hex())
    (tmp_path / "kms").mkdir()
    config = Config(store=StoreConfig(tmp_path / "kms", RootKeyURI("env:KMS_ROOT")))
    with closing(SQLiteDatabase.open(config.database, open_named(config))) as database:
        insert(database, record("first", Attributes(()), MATERIAL))
    identity = tmp_path / "identity"
    recipient = encryption.new_identity(identity)
    order = Order(config, None, tmp_path / "backups", encryption.recipients([recipient]))
    made = create(order, manual_keys(config), BEGIN)
    assert made.part.manifest.root_key == "env:KMS_ROOT"
    chain = chain_at(order.directory, None)
    opened = encryption.load_identities([identity])
    with pytest.raises(BackupError, match="has no root key: env:KMS_ROOT opens it"):
        restoring.restore(chain, opened, tmp_path / "restored", BEGIN, silent)
    restored = restoring.restore(
        chain, opened, tmp_path / "restored", BEGIN, silent, lambda: open_named(config)
    )
    assert not restored.has_root_key
    assert restored.findings.materials == 1
    elsewhere = Config(store=StoreConfig(tmp_path / "restored", RootKeyURI("env:KMS_ROOT")))
    with closing(SQLiteDatabase.open(elsewhere.database, open_named(elsewhere))) as database:
        assert database.reader.get("first")


def test_the_root_key_is_the_one_that_the_database_needs(tmp_path: Path) -> None:
    """Not the one of a configuration from before a rotation."""
    old, new = tmp_path / "old.key", tmp_path / "new.key"
    old.touch()
    new.touch()
    config = Config(store=StoreConfig(tmp_path, RootKeyURI(str(old))))
    entries = [Entry("id", "file", f"file:{path}", "", b"", {}) for path in (old, new)]
    assert place_of(config, entries) == (new, INCLUDED)
    assert place_of(config, ()) == (old, INCLUDED)
    new.unlink()
    assert place_of(config, entries) == (old, INCLUDED), "while it is rotated, both open it"
    assert place_of(config, entries[1:]) == (None, f"file:{new}")


# --- recipients ------------------------------------------------------------------------------------


def pem_recipient(folder: Path, algorithm: str = "rsa-2048") -> tuple[Path, Path]:
    """The certificate of an officer, and a file with it and its key."""
    pki = Directory(folder / "officers")
    pki.init("Officers", "ecdsa-p256", datetime.now(UTC))
    files = pki.issue("officer", Purpose.CLIENT, datetime.now(UTC), algorithm=algorithm)
    both = folder / "officer.pem"
    both.write_bytes(files.cert.read_bytes() + files.key.read_bytes())
    return files.cert, both


def test_a_certificate_can_be_a_recipient(backups: Backups, tmp_path: Path) -> None:
    """Beside a key of age, and each of them opens the backup alone."""
    certificate, both = pem_recipient(tmp_path)
    backups.create(recipients=encryption.recipients([backups.recipient, str(certificate)]))
    assert not backups.verify().problems
    shutil.copy(both, backups.identity)
    assert not backups.verify().problems


def test_openssl_and_tar_open_a_backup_without_kmipkit(backups: Backups, tmp_path: Path) -> None:
    """Whoever has the identity needs no kmipkit to get at the keys."""
    certificate, both = pem_recipient(tmp_path)
    backups.create(recipients=encryption.recipients([str(certificate)]))
    [part] = backups.parts
    command = ["openssl", "cms", "-decrypt", "-inform", "DER", "-inkey", str(both)]
    opened = subprocess.run(
        [*command, "-recip", str(both)], input=part.manifest.cms[0], capture_output=True, check=True
    )
    identity = pyrage.x25519.Identity.from_str(opened.stdout.decode())
    data = pyrage.decrypt(part.data.read_bytes(), [identity])
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        archive.extractall(tmp_path / "by-hand", filter="data")
    assert names(backups.data) == {"first"}
    database = tmp_path / "by-hand" / "objects.sqlite3"
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT id FROM objects").fetchall() == [("first",)]
    assert (tmp_path / "by-hand" / "root.key").read_bytes() == backups.data.root_key.read_bytes()


def test_another_identity_does_not_open_a_backup(backups: Backups, tmp_path: Path) -> None:
    backups.create()
    backups.identity.unlink()
    encryption.new_identity(backups.identity)
    with pytest.raises(BackupError, match="is not encrypted to this identity"):
        backups.verify()
    shutil.copy(pem_recipient(tmp_path)[1], backups.identity)
    with pytest.raises(BackupError, match="is not encrypted to this identity"):
        backups.verify()


def test_what_is_no_recipient_is_refused(backups: Backups, tmp_path: Path) -> None:
    """An identity above all: the server that has it could not only make, but open backups."""
    curve, _ = pem_recipient(tmp_path, "ecdsa-p256")
    secret = tmp_path / "secret"
    secret.write_text(backups.identity.read_text().splitlines()[1])
    for text, reason in {
        "age1abc": "is not a public key of age",
        str(tmp_path / "none"): "does not exist; a recipient is a public key of age",
        str(curve): "the key of the certificate is not RSA",
        str(secret): "is an identity, which must stay away",
    }.items():
        with pytest.raises(BackupError, match=reason):
            encryption.recipients([text])
    with pytest.raises(BackupError, match="no recipient"):
        encryption.recipients([])


def test_an_identity_is_not_overwritten(backups: Backups) -> None:
    with pytest.raises(BackupError, match="exists already"):
        encryption.new_identity(backups.identity)
    assert stat.S_IMODE(backups.identity.stat().st_mode) == 0o600
