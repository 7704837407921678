"""A virtual machine on a host's datastore: a folder with its ``.vmx``, home file and disks.

The home (``.vmx`` and ``.nvram``) and every disk are volumes with a data key each (vsphere.md
§2.1); one key-encryption key from the key provider locks them all. A machine is unlocked by
opening all of its volumes; the opened files are what the host then reads and writes.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self
from uuid import UUID

from kmipkit_vsphere.descriptor import DISK_TEMPLATE, Descriptor, sync_folder, write_durably
from kmipkit_vsphere.disk import SECTOR_SIZES, DiskFile
from kmipkit_vsphere.errors import AlreadyExists, DamagedData, InvalidArgument
from kmipkit_vsphere.keys import CryptoKeyId, Secret
from kmipkit_vsphere.volume import Volume

HOME_SIZE: Final = 64 * 1024
MAX_DISK: Final = 1 << 40

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DISK_SETTING: Final = "scsi0:0.fileName"

VMX_TEMPLATE: Final = """\
.encoding = "UTF-8"
displayName = "{name}"
uuid.bios = "{uuid}"
nvram = "{name}.nvram"
scsi0:0.fileName = "{name}.vmdk"
"""

MachineProgress = Callable[[str, int, int], None]
"""Called with the file's name, the bytes done and the bytes in all."""


@dataclass(frozen=True, slots=True)
class Machine:
    """The files of one machine; :meth:`load` reads them from its folder."""

    name: str
    uuid: str
    home: Volume
    disk: Volume

    @classmethod
    def create(
        cls, datastore: Path, name: str, uuid: UUID, disk_size: int, sector_size: int = 512
    ) -> Self:
        """Make a plain machine with one empty disk of ``disk_size`` bytes.

        Raises :class:`InvalidArgument` for a name that is no plain file name or a size that is no
        whole number of sectors, :class:`AlreadyExists` where the folder is there.
        """
        check_name(name)
        if sector_size not in SECTOR_SIZES:
            raise InvalidArgument(f"sectors have 512 or 4096 bytes, not {sector_size}")
        if not 0 < disk_size <= MAX_DISK or disk_size % sector_size:
            raise InvalidArgument(f"a disk has 1 to {MAX_DISK} bytes, in sectors of {sector_size}")
        folder = datastore / name
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            raise AlreadyExists(f"the machine {name} exists already") from None
        _make_empty(folder / f"{name}.nvram", HOME_SIZE)
        _make_empty(folder / f"{name}-flat.vmdk", disk_size)
        text = DISK_TEMPLATE.format(
            sector_size=sector_size, sectors=disk_size // 512, extent=f"{name}-flat.vmdk"
        )
        write_durably(folder / f"{name}.vmdk", text)
        write_durably(folder / f"{name}.vmx", VMX_TEMPLATE.format(name=name, uuid=uuid))
        sync_folder(datastore)
        return cls.load(folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a machine's folder; :class:`DamagedData` where the ``.vmx`` cannot be used."""
        vmx = folder / f"{folder.name}.vmx"
        settings = Descriptor.load(vmx)
        home = Volume(vmx, _inside(folder, settings.require("nvram")), "home")
        vmdk = _inside(folder, settings.require(_DISK_SETTING))
        disk = Volume(vmdk, vmdk.with_name(f"{vmdk.stem}-flat.vmdk"), "disk")
        return cls(folder.name, settings.require("uuid.bios"), home, disk)

    @property
    def volumes(self) -> tuple[Volume, Volume]:
        """The home, then the disk: the order in which they are encrypted (vsphere.md §2.3)."""
        return self.home, self.disk

    def recover(self) -> None:
        """Settle an encryption that a crash interrupted. Not while one is going on."""
        for volume in self.volumes:
            volume.recover()

    def key_ids(self) -> list[CryptoKeyId]:
        """The keys that open the machine, each once; empty for a plain machine."""
        return list(dict.fromkeys(key for volume in self.volumes for key in volume.key_ids()))

    def is_encrypted(self) -> bool:
        """Whether any of the volumes is encrypted."""
        return any(volume.is_encrypted() for volume in self.volumes)

    def encrypt(
        self, kek: Secret, key_id: CryptoKeyId, progress: MachineProgress | None = None
    ) -> None:
        """Encrypt what is plain, each volume under a data key of its own.

        A volume that is encrypted already stays so: after a crash between two volumes the call is
        repeated and goes on where it stopped.
        """
        for volume in self.volumes:
            if not volume.is_encrypted():
                name = volume.data.name
                report = (lambda a, b, n=name: progress(n, a, b)) if progress else None
                volume.encrypt(kek, key_id, self.uuid, report)

    def open(self, keys: Mapping[CryptoKeyId, Secret]) -> "OpenMachine":
        """Unlock and open all volumes, or none; errors as :meth:`Volume.open`."""
        home = self.home.open(keys, self.uuid)
        try:
            return OpenMachine(home, self.disk.open(keys, self.uuid))
        except BaseException:
            home.close()
            raise


@dataclass(frozen=True, slots=True)
class OpenMachine:
    """The opened files of an unlocked machine."""

    home: DiskFile
    disk: DiskFile

    def close(self) -> None:
        """Close the files: the machine's data keys are gone from memory."""
        self.home.close()
        self.disk.close()


def check_name(name: str) -> None:
    """Raise :class:`InvalidArgument` for a name that cannot be a folder's, or leads elsewhere."""
    if not _NAME.fullmatch(name):
        raise InvalidArgument(
            f"{name!r} is no name: letters, digits, dot, dash and underscore, 64 at most"
        )


def _inside(folder: Path, name: str) -> Path:
    # The .vmx is data from a datastore: it must not lead out of the machine's own folder.
    if Path(name).name != name or name in (".", ".."):
        raise DamagedData(f"{folder.name}.vmx names a file outside the machine's folder")
    return folder / name


def _make_empty(path: Path, size: int) -> None:
    with path.open("xb") as file:
        file.truncate(size)
