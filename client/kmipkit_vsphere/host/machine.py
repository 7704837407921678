"""A virtual machine on a host's datastore: a folder with its ``.vmx``, home file and disks.

The home (``.vmx`` and ``.nvram``) and every disk are volumes with a data key each (vsphere.md
§2.1, requirement R47). One key-encryption key from the key provider locks them all, unless the
caller chooses different ones. Opening its home unlocks a machine; a disk whose key is missing
stays locked by itself, and then the machine cannot be powered on (§2.5).
"""

import contextlib
import errno
import itertools
import re
import shutil
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Self
from uuid import UUID, uuid4

from kmipkit_vsphere.calls.machines import part_of_disk
from kmipkit_vsphere.host.crypto_operations import OPERATIONS
from kmipkit_vsphere.host.descriptor import DISK_TEMPLATE, Descriptor
from kmipkit_vsphere.host.disk import SECTOR_SIZES, as_fault
from kmipkit_vsphere.host.layers import Chain, Layer
from kmipkit_vsphere.host.layers import load as load_chain
from kmipkit_vsphere.host.snapshots import Snapshot, SnapshotList
from kmipkit_vsphere.host.volume import Keys, NewKey, Volume
from kmipkit_vsphere.model.crypto_spec import CryptoSpecKind
from kmipkit_vsphere.model.errors import (
    AlreadyExists,
    DamagedData,
    InvalidArgument,
    InvalidState,
)
from kmipkit_vsphere.model.files import sync_folder, write_durably
from kmipkit_vsphere.model.keys import CryptoKeyId

HOME_SIZE: Final = 64 * 1024
MAX_DISK: Final = 1 << 40
MAX_DISKS: Final = 15

MAX_NAME: Final = 64
MAX_NAME_BYTES: Final = 160
"""The longest name as UTF-8: a file's has 255 bytes, and a folder's holds the id of a migration."""
_FORBIDDEN: Final = '/\\"'
INCOMING, LEAVING, COPY = "incoming", "leaving", "copy"
"""The purposes of folders that are not in use: a migration, or a machine that is being made."""
_UNFINISHED: Final = re.compile(rf"(?s)\..+\.({INCOMING}|{COPY})-[0-9A-Za-z-]+")
_DISK_SETTING: Final = r"scsi0:([0-9]+)\.fileName"
TPM_SETTING: Final = "vtpm.present"
"""The setting of the ``.vmx`` that says whether the machine has a virtual TPM."""

VMX_TEMPLATE: Final = """\
.encoding = "UTF-8"
displayName = "{name}"
uuid.bios = "{uuid}"
nvram = "{name}.nvram"
"""

MachineProgress = Callable[[str, int, int], None]
"""Called with the file's name, the bytes done and the total."""


@dataclass(frozen=True, slots=True)
class Machine:
    """The files of one machine; :meth:`load` reads them from its folder."""

    folder: Path
    uuid: str
    home: Volume
    chains: Mapping[int, Chain]
    """The layers of each disk."""
    snapshots: SnapshotList = field(default_factory=SnapshotList)
    frozen: Mapping[tuple[int, int], Chain] = field(default_factory=dict)
    """The layers of each disk in each snapshot."""
    damage: DamagedData | None = None
    """Why the layers of a disk cannot be read."""

    @property
    def name(self) -> str:
        """The machine's name, which its folder and the files in it share."""
        return self.home.descriptor.stem

    # Creating and loading ------------------------------------------------------------------------

    @classmethod
    def create(
        cls, datastore: Path, name: str, uuid: UUID, disk_size: int | None, sector_size: int = 512
    ) -> Self:
        """Create a plain machine with one empty disk of ``disk_size`` bytes, or without one.

        Raises :class:`InvalidArgument` for a name that is not a plain file name or a size that is
        not a whole number of sectors, and :class:`AlreadyExists` if the folder exists.
        """
        check_name(name)
        if disk_size is not None:
            check_disk(disk_size, sector_size)
        with new_folder(datastore, name) as folder:
            _make_empty(folder / f"{name}.nvram", HOME_SIZE)
            vmx = Descriptor.parse(VMX_TEMPLATE.format(name=name, uuid=uuid))
            if disk_size is not None:
                disk = _make_disk(folder, name, disk_size, sector_size)
                vmx = vmx.with_setting("scsi0:0.fileName", disk)
            write_durably(folder / f"{name}.vmx", str(vmx))
        return cls.load(datastore / name)

    @classmethod
    def load(cls, folder: Path, name: str | None = None) -> Self:
        """Read a machine's folder; :class:`DamagedData` if the ``.vmx`` cannot be used.

        ``name`` is that of a machine whose folder has another one, because it is not complete.
        """
        vmx = folder / f"{name or folder.name}.vmx"
        settings = Descriptor.load(vmx)
        home = Volume(vmx, _inside(folder, settings.require("nvram")), "home")
        uuid, snapshots = settings.require("uuid.bios"), SnapshotList.parse(settings)
        reader = _ChainReader(folder, uuid)
        chains = {
            number: reader.read(file, number) for number, file in disk_files(settings).items()
        }
        frozen = {
            (snapshot.id, number): reader.read(file, number)
            for snapshot in snapshots.snapshots.values()
            for number, file in snapshot.disks.items()
        }
        return cls(folder, uuid, home, chains, snapshots, frozen, reader.damage)

    # Its state -----------------------------------------------------------------------------------

    @property
    def disks(self) -> dict[int, Volume]:
        """The uppermost layer of each disk."""
        return {number: chain[0].volume for number, chain in self.chains.items()}

    @property
    def volumes(self) -> tuple[Volume, ...]:
        """The home, then the disks: the order in which they are encrypted (vsphere.md §2.3).

        All layers in the machine's own folder are there, and the states that snapshots saved.
        """
        own = (layer.volume for layer in self.own_layers())
        return (self.home, *own, *map(self.state_of, self.snapshots.snapshots.values()))

    def own_layers(self) -> list[Layer]:
        """The layers of all disks and snapshots in the machine's folder, each once."""
        chains = (*self.chains.values(), *self.frozen.values())
        layers = (layer for chain in chains for layer in chain)
        unique = {layer.file: layer for layer in layers if self.has(layer)}
        return list(unique.values())

    def has(self, layer: Layer) -> bool:
        """Whether a layer is in the machine's folder, not in that of a linked clone's parent."""
        return layer.volume.descriptor.parent == self.folder

    def parents(self) -> list[str]:
        """The machines on whose layers this one stands: it is a linked clone of the first."""
        chains = (*self.chains.values(), *self.frozen.values())
        layers = (layer for chain in chains for layer in chain)
        folders = (layer.volume.descriptor.parent for layer in layers if not self.has(layer))
        return list(dict.fromkeys(folder.name for folder in folders))

    def state_of(self, snapshot: Snapshot) -> Volume:
        """The home and the memory that a snapshot saved."""
        path = _inside(self.folder, snapshot.state)
        return Volume(path, path.with_suffix(".vmem"), f"snapshot{snapshot.id}")

    def check_whole(self) -> None:
        """Raise why the layers of a disk cannot be read."""
        if self.damage is not None:
            raise self.damage

    def files(self) -> list[Path]:
        """The files of all volumes: what a migration sends."""
        return [path for volume in self.volumes for path in (volume.descriptor, volume.data)]

    @property
    def disk(self) -> Volume:
        """The first disk."""
        return self.volume(0)

    def volume(self, disk: int) -> Volume:
        """A disk by its number."""
        if disk not in self.disks:
            raise InvalidArgument(f"the machine {self.name} has no disk {disk}")
        return self.disks[disk]

    def recover(self) -> None:
        """Complete or undo what a crash interrupted; only while no operation is in progress."""
        self.delete_unused()
        for volume in self.volumes:
            volume.recover()

    def save(
        self,
        snapshots: SnapshotList,
        disks: Mapping[int, str] | None = None,
        settings: Mapping[str, str | None] | None = None,
    ) -> None:
        """Write the list of snapshots, and the files of disks if they change: one atomic step.

        Settings that are None are removed.
        """
        vmx = snapshots.write(Descriptor.load(self.home.descriptor))
        if disks is not None:
            for setting in vmx.matching(_DISK_SETTING):
                vmx = vmx.without_setting(setting)
            settings = {
                **{f"scsi0:{number}.fileName": file for number, file in disks.items()},
                **(settings or {}),
            }
        for setting, value in (settings or {}).items():
            vmx = (
                vmx.without_setting(setting) if value is None else vmx.with_setting(setting, value)
            )
        try:
            write_durably(self.home.descriptor, str(vmx))
        except OSError as error:
            raise as_fault(error, self.home.descriptor) from None

    def delete_unused(self) -> None:
        """Delete the files that belong to no state of the machine, after a change or a crash."""
        vmx = Descriptor.load(self.home.descriptor)
        snapshots = SnapshotList.parse(vmx)
        if not snapshots.unused:
            return
        in_use = {path.name for path in self.files()}
        for file in snapshots.unused:
            if file not in in_use:
                _inside(self.folder, file).unlink(missing_ok=True)
        sync_folder(self.folder)
        write_durably(self.home.descriptor, str(replace(snapshots, unused=()).write(vmx)))

    def key_ids(self) -> list[CryptoKeyId]:
        """The keys that open the machine, each once; empty for a plain machine.

        Those of all layers are among them, for a linked clone also those of its parent.
        """
        below = [layer for chain in self.chains.values() for layer in chain if not self.has(layer)]
        volumes = (*self.volumes, *(layer.volume for layer in below))
        return list(dict.fromkeys(key for volume in volumes for key in volume.key_ids()))

    def pending_key_ids(self) -> list[CryptoKeyId]:
        """The keys that an interrupted operation needs to continue."""
        keys = (key for volume in self.volumes for key in volume.pending_key_ids())
        return list(dict.fromkeys(keys))

    def is_encrypted(self) -> bool:
        """Whether any of the volumes is encrypted."""
        return any(volume.is_encrypted() for volume in self.volumes)

    @property
    def has_tpm(self) -> bool:
        """Whether the machine has a virtual TPM."""
        return self.setting(TPM_SETTING) == "TRUE"

    def setting(self, name: str) -> str | None:
        """A setting of the ``.vmx``."""
        return Descriptor.load(self.home.descriptor).get(name)

    def set(self, name: str, value: str) -> None:
        """Change a setting of the ``.vmx``, durably."""
        changed = Descriptor.load(self.home.descriptor).with_setting(name, value)
        write_durably(self.home.descriptor, str(changed))

    def unset(self, name: str) -> None:
        """Remove a setting of the ``.vmx``, durably."""
        changed = Descriptor.load(self.home.descriptor).without_setting(name)
        write_durably(self.home.descriptor, str(changed))

    # Changing it ---------------------------------------------------------------------------------

    def apply(
        self,
        kind: CryptoSpecKind,
        keys: Keys,
        new: NewKey | None,
        uses: Iterable[str] | None = None,
        progress: MachineProgress | None = None,
    ) -> None:
        """Encrypt, decrypt or re-encrypt the home and all disks, or only those that are named.

        Volumes that an interrupted call has finished are skipped, so the call can be repeated.
        Decryption begins with the disks, everything else with the home (§2.3).
        """
        self.check_whole()
        selected = self._select(uses, kind)
        operation = OPERATIONS[kind]
        for volume in selected if kind is not CryptoSpecKind.DECRYPT else reversed(selected):
            if operation.applies(volume, new):
                name = volume.data.name
                report = (
                    (lambda done, total, n=name: progress(n, done, total)) if progress else None
                )
                operation.run(volume, keys, new, self.uuid, report)

    def _select(self, uses: Iterable[str] | None, kind: CryptoSpecKind) -> list[Volume]:
        if uses is None:
            if kind is CryptoSpecKind.DECRYPT:
                self._check_no_tpm()
            return list(self.volumes)
        known = ["home", *map(part_of_disk, self.chains)]
        names = list(uses)
        for name in names:
            if name not in known:
                raise InvalidArgument(f"the machine {self.name} has no {name}: {', '.join(known)}")
        if kind is CryptoSpecKind.ENCRYPT and not (self.home.is_encrypted() or "home" in names):
            raise InvalidState(
                "a disk can be encrypted only if its machine is; encrypt the home too"
            )
        if kind is CryptoSpecKind.DECRYPT and "home" in names:
            self._check_no_tpm()
            encrypted = [
                part_of_disk(number)
                for number, disk in self.disks.items()
                if part_of_disk(number) not in names and disk.is_encrypted()
            ]
            if encrypted:
                raise InvalidState(f"decrypt the disks first: {', '.join(encrypted)}")
        return [volume for volume in self.volumes if part_of(volume) in names]

    def _check_no_tpm(self) -> None:
        if self.has_tpm:
            raise InvalidState(
                f"{self.name} has a virtual TPM, whose secrets are in its home: remove it first"
                " (remove-tpm)"
            )

    def add_disk(self, size: int, sector_size: int, new: NewKey | None) -> int:
        """Add an empty disk, encrypted by ``new`` in an encrypted machine; returns its number."""
        check_disk(size, sector_size)
        if new is not None and not self.home.is_encrypted():
            raise InvalidState("an encrypted disk cannot be attached to a plain machine")
        number = next((n for n in range(MAX_DISKS) if n not in self.disks), None)
        if number is None:
            raise InvalidState(f"a machine can have at most {MAX_DISKS} disks")
        vmdk = _make_disk(self.folder, self._free_file(number), size, sector_size)
        if new is not None:
            _disk_volume(self.folder / vmdk, number).encrypt(new)
        self.set(f"scsi0:{number}.fileName", vmdk)
        return number

    def _free_file(self, number: int) -> str:
        """The name of a new disk's files: the files of disks that were removed are still there."""
        wanted = f"{self.name}_{number}" if number else self.name
        names = itertools.chain([wanted], (f"{wanted}_{n}" for n in itertools.count(1)))
        return next(
            name
            for name in names
            if not any(
                (self.folder / file).exists() for file in (f"{name}.vmdk", f"{name}-flat.vmdk")
            )
        )

    def remove_disk(self, disk: int) -> None:
        """Remove a disk from the machine; its files stay on the datastore."""
        self.volume(disk)
        changed = Descriptor.load(self.home.descriptor).without_setting(f"scsi0:{disk}.fileName")
        write_durably(self.home.descriptor, str(changed))


def check_name(name: str) -> None:
    """Raise :class:`InvalidArgument` for a name that is not that of a file, or leads elsewhere.

    Letters of all scripts and spaces are allowed. Names end up in file names beside suffixes of our
    own, in text files between quotation marks, and on terminals.
    """
    is_valid = (
        0 < len(name) <= MAX_NAME
        and len(name.encode(errors="replace")) <= MAX_NAME_BYTES
        and name[0] not in ".- "
        and name[-1] not in ". "
        and not any(character in _FORBIDDEN for character in name)
        and not any(_is_invisible(character) for character in name)
    )
    if not is_valid:
        raise InvalidArgument(
            f"{name!r} is not a valid name: use at most {MAX_NAME} letters, digits, spaces and"
            ' punctuation other than / \\ "; it begins with no dot, dash or space, and ends with no'
            " dot or space"
        )


def _is_invisible(character: str) -> bool:
    """Whether it is a control or format character, unassigned, or a space other than U+0020."""
    category = unicodedata.category(character)
    return category[0] == "C" or (category[0] == "Z" and character != " ")


def check_disk(size: int, sector_size: int) -> None:
    """Raise :class:`InvalidArgument` for a size that no disk can have."""
    if sector_size not in SECTOR_SIZES:
        raise InvalidArgument(f"a sector must have 512 or 4096 bytes, not {sector_size}")
    if not 0 < size <= MAX_DISK or size % sector_size:
        raise InvalidArgument(
            f"a disk must have 1 to {MAX_DISK} bytes, in whole sectors of {sector_size}"
        )


def disk_files(vmx: Descriptor) -> dict[int, str]:
    """The descriptor of each disk, by its number."""
    found = {
        int(setting.removeprefix("scsi0:").removesuffix(".fileName")): file
        for setting, file in vmx.matching(_DISK_SETTING).items()
    }
    return dict(sorted(found.items()))


class _ChainReader:
    """Reads the layers of disks, each once, and notes why some cannot be read."""

    def __init__(self, folder: Path, uuid: str) -> None:
        self._folder = folder
        self._uuid = uuid
        self._known: dict[Path, Layer] = {}
        self.damage: DamagedData | None = None

    def read(self, file: str, number: int) -> Chain:
        path = _inside(self._folder, file)
        try:
            return load_chain(self._folder, self._uuid, file, number, self._known)
        except DamagedData as damage:
            self.damage = self.damage or damage
            return (Layer(_disk_volume(path, number), self._uuid),)


def part_of(volume: Volume) -> str:
    """The part of a machine to which a volume belongs: all layers of a disk are one part."""
    use = volume.use.partition(".")[0]
    return "home" if use.startswith("snapshot") else use


def _disk_volume(vmdk: Path, number: int) -> Volume:
    # Bound to its number, so that the locked keys of two disks cannot be exchanged.
    return Volume(vmdk, vmdk.with_name(f"{vmdk.stem}-flat.vmdk"), part_of_disk(number))


def _make_disk(folder: Path, name: str, size: int, sector_size: int) -> str:
    extent = f"{name}-flat.vmdk"
    _make_empty(folder / extent, size)
    text = DISK_TEMPLATE.format(sector_size=sector_size, sectors=size // 512, extent=extent)
    write_durably(folder / f"{name}.vmdk", text)
    return f"{name}.vmdk"


@contextlib.contextmanager
def new_folder(datastore: Path, name: str) -> Iterator[Path]:
    """A folder for the files of a new machine, which gets its name once it is complete.

    Raises :class:`AlreadyExists` if the name is in use, also by a machine that arrives or leaves,
    and :class:`NoSpace`. What a crash leaves is removed at the next start (:func:`remove_unfinished`).
    """
    check_free(datastore, name)
    folder = staging_folder(datastore, name, COPY, str(uuid4()))
    try:
        folder.mkdir(mode=0o700)
        yield folder
        give_name(folder, datastore / name)
    except OSError as error:
        raise as_fault(error, folder) from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def staging_folder(datastore: Path, name: str, purpose: str, identifier: str) -> Path:
    """The folder of a machine that is not in use: no machine has such a name."""
    return datastore / f".{name}.{purpose}-{identifier}"


def give_name(folder: Path, destination: Path) -> None:
    """Rename a complete folder, durably; :class:`AlreadyExists` if the name has been taken."""
    # An empty folder would be replaced without an error.
    if destination.exists():
        raise AlreadyExists(f"a machine {destination.name} exists already")
    try:
        folder.rename(destination)
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
            raise AlreadyExists(f"a machine {destination.name} exists already") from None
        raise
    sync_folder(destination.parent)


def check_free(datastore: Path, name: str) -> None:
    """:class:`AlreadyExists` if a name is in use, also by a machine that arrives or leaves."""
    if (datastore / name).exists():
        raise AlreadyExists(f"a machine {name} exists already")
    begins = tuple(f".{name}.{purpose}-" for purpose in (INCOMING, LEAVING))
    if any(path.name.startswith(begins) for path in datastore.iterdir()):
        raise AlreadyExists(f"a machine {name} is on its way to this host, or away from it")


def remove_unfinished(datastore: Path) -> None:
    """Remove what copies and arriving machines left when the host was killed.

    A machine that leaves stays: only vCenter knows whether it has arrived.
    """
    for path in datastore.glob(".*"):
        if _UNFINISHED.fullmatch(path.name):
            shutil.rmtree(path, ignore_errors=True)


def _inside(folder: Path, name: str) -> Path:
    # The .vmx is data from a datastore: it must not lead out of the machine's own folder.
    if Path(name).name != name or name in (".", ".."):
        raise DamagedData(f"{folder.name}.vmx names a file outside the machine's folder")
    return folder / name


def _make_empty(path: Path, size: int) -> None:
    with path.open("xb") as file:
        file.truncate(size)
