"""The datastore of a host: one folder, with a folder in it for each machine."""

import logging
import shutil
from pathlib import Path
from uuid import UUID, uuid4

from kmipkit_vsphere.host.machine import (
    COPY,
    Machine,
    check_name,
    remove_unfinished,
    staging_folder,
)
from kmipkit_vsphere.model.defects import contained
from kmipkit_vsphere.model.errors import NotFound
from kmipkit_vsphere.model.files import sync_folder

log = logging.getLogger("kmipkit.vsphere.host")


class Datastore:
    """Finds and creates machines by name. Nothing is cached: the files are the only record."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def machine(self, name: str) -> Machine:
        """The files of a machine; :class:`NotFound` if there is none of this name."""
        check_name(name)
        folder = self.folder / name
        if not (folder / f"{name}.vmx").is_file():
            raise NotFound(f"there is no machine {name} on this host")
        return Machine.load(folder)

    def create(self, name: str, uuid: UUID, disk_size: int | None, sector_size: int) -> None:
        """Create a plain machine; see :meth:`Machine.create`."""
        Machine.create(self.folder, name, uuid, disk_size, sector_size)

    def names(self) -> list[str]:
        """The names of all machines, sorted. Folders of migrations begin with a dot."""
        files = self.folder.glob("[!.]*/*.vmx")
        return sorted(path.stem for path in files if path.stem == path.parent.name)

    def delete(self, name: str) -> None:
        """Delete all files of a machine, complete or not; :class:`NotFound` if there are none."""
        check_name(name)
        folder = self.folder / name
        if not folder.is_dir():
            raise NotFound(f"there is no machine {name} on this host")
        # Out of sight at once: a crash in the middle leaves nothing that looks like a machine.
        doomed = staging_folder(self.folder, name, COPY, str(uuid4()))
        folder.rename(doomed)
        sync_folder(self.folder)
        shutil.rmtree(doomed)

    def recover(self) -> None:
        """Complete or undo every operation that a crash interrupted.

        What is wrong with one machine is reported when it is used.
        """
        remove_unfinished(self.folder)
        for name in self.names():
            with contained(log, f"machine {name}"):
                Machine.load(self.folder / name).recover()
