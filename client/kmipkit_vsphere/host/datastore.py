"""The datastore of a host: one folder, with a folder in it for each machine."""

import contextlib
from pathlib import Path
from uuid import UUID

from kmipkit_vsphere.host.machine import Machine, check_name
from kmipkit_vsphere.model.errors import DamagedData, NotFound


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

    def create(self, name: str, uuid: UUID, disk_size: int, sector_size: int) -> None:
        """Create a plain machine; see :meth:`Machine.create`."""
        Machine.create(self.folder, name, uuid, disk_size, sector_size)

    def names(self) -> list[str]:
        """The names of all machines, sorted. Folders of migrations begin with a dot."""
        files = self.folder.glob("[!.]*/*.vmx")
        return sorted(path.stem for path in files if path.stem == path.parent.name)

    def recover(self) -> None:
        """Complete or undo every operation that a crash interrupted."""
        for vmx in self.folder.glob("*/*.vmx"):
            with contextlib.suppress(DamagedData):  # reported when the machine is used
                Machine.load(vmx.parent).recover()
