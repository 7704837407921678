"""Where a machine is stored while it moves: beside the others, under names that no machine has.

The target collects it in ``.NAME.incoming-ID``; the source renames it to ``.NAME.leaving-ID``
before the target may take it into use. A small file with the migration's id travels inside, so that
after a crash of any side it can be told which host has the machine.
"""

import os
import shutil
from pathlib import Path
from typing import Annotated, Final

from msgspec import Meta

from kmipkit_vsphere.host.disk import as_fault
from kmipkit_vsphere.host.machine import (
    INCOMING,
    LEAVING,
    MAX_DISK,
    check_free,
    check_name,
    give_name,
    staging_folder,
)
from kmipkit_vsphere.model.encoding import decode
from kmipkit_vsphere.model.errors import AlreadyExists, InvalidArgument, MigrationBroken
from kmipkit_vsphere.model.files import sync_folder, write_durably
from kmipkit_vsphere.model.message import Message

MARKER: Final = "migration.id"
MAX_FILES: Final = 2048
"""A machine with many disks and snapshots; the manifest must fit into one packet."""
MAX_MEMORY: Final = 64 * 1024 * 1024


class ManifestFile(Message):
    """A file of the machine, and its size in bytes."""

    name: str
    size: Annotated[int, Meta(ge=0, le=MAX_DISK)]


class Manifest(Message):
    """What a migration sends after it, in this order: the files, then the memory."""

    name: str
    running: bool
    memory: Annotated[int, Meta(ge=0, le=MAX_MEMORY)]
    files: Annotated[tuple[ManifestFile, ...], Meta(max_length=MAX_FILES)]


def parse_manifest(data: bytes) -> Manifest:
    """Read a manifest. Another host wrote it: nothing in it is trusted."""
    try:
        manifest = decode(data, Manifest)
        check_name(manifest.name)
    except InvalidArgument as error:
        raise MigrationBroken(f"the manifest is malformed: {error.message}") from None
    for file in manifest.files:
        if Path(file.name).name != file.name or file.name.startswith("."):
            raise MigrationBroken("the manifest names a file that no machine can have")
    return manifest


class StagedMachine:
    """A machine on the target: files are written in the order of the manifest, memory is in RAM."""

    def __init__(self, datastore: Path, migration_id: str, manifest: Manifest) -> None:
        self._missing = [(file.name, file.size) for file in manifest.files]
        self.name = manifest.name
        self.memory = bytearray()
        self.is_running = manifest.running
        self._destination = datastore / self.name
        self._id = migration_id
        self._folder = staging_folder(datastore, self.name, INCOMING, migration_id)
        self._memory_size = manifest.memory
        try:
            check_free(datastore, self.name)
        except AlreadyExists:
            raise AlreadyExists(f"the target host has a machine {self.name} already") from None
        self._folder.mkdir(mode=0o700)
        for name, _ in self._missing:
            os.close(os.open(self._folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))

    def write(self, data: bytes) -> None:
        """Write the next bytes of the files, then of the memory."""
        try:
            while data and self._missing:
                data = self._write_file(data)
        except OSError as error:
            raise as_fault(error, self._folder) from None
        self.memory += data
        if len(self.memory) > self._memory_size:
            raise MigrationBroken("the source sent more data than the manifest announces")

    def _write_file(self, data: bytes) -> bytes:
        name, size = self._missing[0]
        part, rest = data[:size], data[size:]
        with (self._folder / name).open("ab") as file:
            file.write(part)
        if len(part) == size:
            self._missing.pop(0)
        else:
            self._missing[0] = (name, size - len(part))
        return rest

    def prepare(self) -> None:
        """Make everything durable; :class:`MigrationBroken` if something is missing."""
        is_complete = not any(size for _, size in self._missing)
        if not is_complete or len(self.memory) != self._memory_size:
            raise MigrationBroken("the machine is not complete")
        for path in self._folder.iterdir():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        write_durably(self._folder / MARKER, self._id)

    def commit(self) -> None:
        """Give the folder the machine's name, durably: from now on this host has the machine."""
        give_name(self._folder, self._destination)

    def discard(self) -> None:
        """Delete what was received."""
        self.memory[:] = bytes(len(self.memory))
        shutil.rmtree(self._folder, ignore_errors=True)


def has_arrived(datastore: Path, name: str, migration_id: str) -> bool:
    """Whether this migration has moved the machine here, also before a restart."""
    check_name(name)
    marker = datastore / name / MARKER
    return marker.is_file() and marker.read_text() == migration_id


def withdraw(datastore: Path, name: str, migration_id: str) -> Path:
    """Take a machine out of use on the source, durably; nothing of it is deleted yet."""
    folder = staging_folder(datastore, name, LEAVING, migration_id)
    (datastore / name).rename(folder)
    sync_folder(datastore)
    return folder


def settle(datastore: Path, name: str, migration_id: str, *, has_left: bool) -> None:
    """Delete a withdrawn machine, or take it into use again. A second call does nothing."""
    check_name(name)
    folder = staging_folder(datastore, name, LEAVING, migration_id)
    if not folder.is_dir():
        return
    if has_left:
        shutil.rmtree(folder)
    else:
        folder.rename(datastore / name)
    sync_folder(datastore)
