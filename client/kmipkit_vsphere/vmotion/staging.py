"""Where a machine lies while it moves: beside the others, under names that no machine has.

On the target it comes together in ``.NAME.incoming-ID``; on the source it is renamed to
``.NAME.leaving-ID`` before the target may take it into use. A small file with the migration's id
travels inside, so that after a crash of anything it can be told who has the machine.
"""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from kmipkit_vsphere.host.disk import full
from kmipkit_vsphere.host.machine import MAX_DISK, check_name
from kmipkit_vsphere.model.errors import AlreadyExists, MigrationBroken
from kmipkit_vsphere.model.files import sync_folder, write_durably

MARKER: Final = "migration.id"
MAX_FILES: Final = 64
MAX_MEMORY: Final = 64 * 1024 * 1024


class Incoming:
    """The target's side: files are written in the order of the manifest; memory stays in RAM."""

    def __init__(self, datastore: Path, migration_id: str, manifest: Mapping[str, Any]) -> None:
        self._left = _checked(manifest)
        self.name = str(manifest["name"])
        self.memory = bytearray()
        self.is_running = bool(manifest["running"])
        self._final = datastore / self.name
        self._id = migration_id
        self._folder = datastore / f".{self.name}.incoming-{migration_id}"
        self._memory_size = int(manifest["memory"])
        if self._final.exists():
            raise AlreadyExists(f"the target host has a machine {self.name} already")
        self._folder.mkdir(mode=0o700)
        for name, _ in self._left:
            os.close(os.open(self._folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))

    def write(self, data: bytes) -> None:
        """The next bytes of the files, then of the memory."""
        try:
            while data and self._left:
                data = self._write_file(data)
        except OSError as error:
            raise full(error, self._folder) from None
        self.memory += data
        if len(self.memory) > self._memory_size:
            raise MigrationBroken("more data came than the manifest announces")

    def _write_file(self, data: bytes) -> bytes:
        name, left = self._left[0]
        part, rest = data[:left], data[left:]
        with (self._folder / name).open("ab") as file:
            file.write(part)
        if len(part) == left:
            self._left.pop(0)
        else:
            self._left[0] = (name, left - len(part))
        return rest

    def prepare(self) -> None:
        """All is there and durable; :class:`MigrationBroken` if something is missing."""
        if any(left for _, left in self._left) or len(self.memory) != self._memory_size:
            raise MigrationBroken("the machine is not complete")
        for path in self._folder.iterdir():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        write_durably(self._folder / MARKER, self._id)

    def commit(self) -> None:
        """Take the machine into use, durably."""
        self._folder.rename(self._final)
        sync_folder(self._final.parent)

    def discard(self) -> None:
        """Nothing came."""
        self.memory[:] = bytes(len(self.memory))
        shutil.rmtree(self._folder, ignore_errors=True)


def arrived(datastore: Path, name: str, migration_id: str) -> bool:
    """Whether the machine was taken into use here by this migration, also before a restart."""
    check_name(name)
    marker = datastore / name / MARKER
    return marker.is_file() and marker.read_text() == migration_id


def leave(datastore: Path, name: str, migration_id: str) -> Path:
    """Take a machine out of use on the source, durably; nothing of it is deleted yet."""
    folder = datastore / f".{name}.leaving-{migration_id}"
    (datastore / name).rename(folder)
    sync_folder(datastore)
    return folder


def settle(datastore: Path, name: str, migration_id: str, *, has_left: bool) -> None:
    """Delete what has left, or take it into use again. A second call does nothing."""
    check_name(name)
    folder = datastore / f".{name}.leaving-{migration_id}"
    if not folder.is_dir():
        return
    if has_left:
        shutil.rmtree(folder)
    else:
        folder.rename(datastore / name)
    sync_folder(datastore)


def _checked(manifest: Mapping[str, Any]) -> list[tuple[str, int]]:
    """The files of a manifest; it comes from another host, so nothing in it is believed."""
    try:
        return _files(manifest)
    except (KeyError, TypeError, ValueError):
        raise MigrationBroken("the manifest is not one") from None


def _files(manifest: Mapping[str, Any]) -> list[tuple[str, int]]:
    files = manifest["files"]
    check_name(str(manifest["name"]))
    if not isinstance(files, list) or len(files) > MAX_FILES:
        raise MigrationBroken("the manifest is not one")
    if not 0 <= int(manifest["memory"]) <= MAX_MEMORY:
        raise MigrationBroken("the manifest announces too much memory")
    found = []
    for one in files:
        name, size = str(one["name"]), int(one["size"])
        if Path(name).name != name or name.startswith(".") or not 0 <= size <= MAX_DISK:
            raise MigrationBroken("the manifest names a file that cannot be one of a machine")
        found.append((name, size))
    return found
