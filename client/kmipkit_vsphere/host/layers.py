"""Disks in layers: a delta holds what was written since a snapshot, on top of the layers below it.

    data file of a delta = map | sectors of the disk, as a sparse file

The map has a bit for each grain of 64 KiB: whether this layer holds it. Reads go to the uppermost layer
that does. A write to a grain that the top does not hold first copies it from below; the map says so
only when the data is durable, so that a crash loses nothing of what was there. Each layer is encrypted
as a whole, its map included, under a data key of its own; its descriptor names the key that locks it.

A layer below the top never changes, except when :mod:`kmipkit_vsphere.host.consolidation` merges the one
above into it. The layers of a linked clone end in those of its parent, in the parent's folder.
"""

import contextlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from kmipkit_vsphere.calls.machines import part_of_disk
from kmipkit_vsphere.host.descriptor import Descriptor
from kmipkit_vsphere.host.disk import DiskFile
from kmipkit_vsphere.host.volume import Keys, NewKey, Volume
from kmipkit_vsphere.model.errors import DamagedData, InvalidArgument
from kmipkit_vsphere.model.keys import CryptoKeyId

GRAIN: Final = 64 * 1024
MAX_LAYERS: Final = 255
PARENT_SETTING: Final = "parentFileNameHint"
"""The setting of a delta's descriptor that names the layer below: a file, or ``../MACHINE/FILE``."""
_NUMBER_SETTING: Final = "layer"
_CAPACITY_SETTING: Final = "capacity"
_ALIGNMENT: Final = 4096

_TEMPLATE: Final = """\
# Disk DescriptorFile
version = "1"
CID = "fffffffe"
createType = "vmfsSparse"
sectorSize = "{sector_size}"
layer = "{number}"
capacity = "{capacity}"
parentFileNameHint = "{parent}"

# Extent description
RW {sectors} VMFSSPARSE "{extent}"
"""


class OpenDisk(Protocol):
    """What a guest needs of a disk, in one layer or in many."""

    size: int

    def read_at(self, offset: int, length: int) -> bytes:
        """Plain text."""

    def write_at(self, offset: int, data: bytes) -> None:
        """Write plain text."""

    def flush(self) -> None:
        """Return when all writes are durable."""

    def close(self) -> None:
        """Close all files."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer: its files, the machine to which its locked key is bound, and its number.

    The base of a disk has the number 0, and no parent. ``capacity`` is the size of the disk.
    """

    volume: Volume
    machine_id: str
    number: int = 0
    capacity: int = 0
    parent: str | None = None

    @property
    def file(self) -> str:
        """The name of its descriptor."""
        return self.volume.descriptor.name

    @property
    def files(self) -> tuple[str, str]:
        """The names of both files."""
        return (self.volume.descriptor.name, self.volume.data.name)

    @property
    def map_size(self) -> int:
        """Bytes of the map, in whole sectors of any size."""
        grains = -(-self.capacity // GRAIN)
        return -(-grains // (8 * _ALIGNMENT)) * _ALIGNMENT

    def key_id(self) -> CryptoKeyId | None:
        """The key that locks it, None for a plain layer."""
        return next(iter(self.volume.key_ids()), None)


Chain = tuple[Layer, ...]
"""The layers of a disk, from the top down to the base."""


def load(
    folder: Path, machine_id: str, file: str, disk: int, known: dict[Path, Layer] | None = None
) -> Chain:
    """The layers of a disk; :class:`DamagedData` if one is missing, or they do not end in a base.

    ``known`` are layers that were read before, so that each is read once.
    """
    known = {} if known is None else known
    chain: list[Layer] = []
    here, name, identity = folder, file, machine_id
    while True:
        if here / name not in known:
            known[here / name] = _load_one(here / name, identity, disk)
        layer = known[here / name]
        chain.append(layer)
        if layer.parent is None:
            return tuple(chain)
        if len(chain) >= MAX_LAYERS:
            raise DamagedData(f"{folder / file} has more than {MAX_LAYERS} layers, or a circle")
        above = here
        here, name = _place(here, layer.parent)
        if here != above:
            identity = _machine_id(here)


def _load_one(path: Path, machine_id: str, disk: int) -> Layer:
    if not path.name.endswith(".vmdk"):
        raise DamagedData(f"{path} is not the descriptor of a disk")
    descriptor = Descriptor.load(path)
    parent = descriptor.get(PARENT_SETTING)
    part = part_of_disk(disk)
    if parent is None:
        return Layer(Volume(path, path.with_name(f"{path.stem}-flat.vmdk"), part), machine_id)
    try:
        number = int(descriptor.require(_NUMBER_SETTING))
        capacity = int(descriptor.require(_CAPACITY_SETTING))
    except ValueError:
        raise DamagedData(f"{path} has a number that is none") from None
    # Bound to disk and layer, so that the locked keys of two layers cannot be exchanged.
    volume = Volume(path, path.with_name(f"{path.stem}-delta.vmdk"), f"{part}.{number}")
    return Layer(volume, machine_id, number, capacity, parent)


def _place(folder: Path, hint: str) -> tuple[Path, str]:
    """Where the layer below is: beside this one, or in the folder of another machine."""
    *above, file = hint.split("/")
    is_name = file not in ("", ".", "..")
    if is_name and not above:
        return folder, file
    if is_name and len(above) == 2 and above[0] == ".." and above[1][:1] not in ("", "."):
        return folder.parent / above[1], file
    raise DamagedData(f"a disk in {folder} names a layer outside the datastore")


def _machine_id(folder: Path) -> str:
    vmx = folder / f"{folder.name}.vmx"
    if not vmx.is_file():
        raise DamagedData(f"the layers of the machine {folder.name} are missing on this datastore")
    return Descriptor.load(vmx).require("uuid.bios")


def capacity_of(chain: Chain) -> int:
    """The size of a disk in bytes."""
    top = chain[0]
    if top.parent is not None:
        return top.capacity
    extents = Descriptor.load(top.volume.descriptor).extents()
    return extents.get(top.volume.data.name) or top.volume.data.stat().st_size


def make_delta(
    folder: Path, name: str, number: int, disk: int, below: Chain, new: NewKey | None
) -> None:
    """Make an empty layer on top of others, in the same folder or in that of a linked clone."""
    base = below[0].volume
    same = base.descriptor.parent == folder
    hint = (
        base.descriptor.name if same else f"../{base.descriptor.parent.name}/{base.descriptor.name}"
    )
    path, capacity = folder / f"{name}.vmdk", capacity_of(below)
    volume = Volume(path, path.with_name(f"{name}-delta.vmdk"), f"{part_of_disk(disk)}.{number}")
    layer = Layer(volume, "", number, capacity, hint)
    size = layer.map_size + capacity
    text = _TEMPLATE.format(
        sector_size=base.sector_size(),
        number=number,
        capacity=capacity,
        parent=hint,
        sectors=size // 512,
        extent=volume.data.name,
    )
    chunks = (bytes(_ALIGNMENT) for _ in range(layer.map_size // _ALIGNMENT))
    volume.create(Descriptor.parse(text), size, new, chunks)


def set_parent(layer: Layer, file: str) -> None:
    """Let a layer stand on another one of its folder, durably."""
    layer.volume.change_setting(PARENT_SETTING, file)


def dependents(datastore: Path, machine: str) -> dict[str, set[str]]:
    """The linked clones on a machine: the layers of the machine that each of them stands on."""
    clones: dict[str, set[str]] = {}
    for path in datastore.glob("*/*.vmdk"):
        if path.name.endswith(("-flat.vmdk", "-delta.vmdk")) or path.parent.name == machine:
            continue
        with contextlib.suppress(DamagedData):
            hint = Descriptor.load(path).get(PARENT_SETTING) or ""
            if hint.startswith(f"../{machine}/"):
                name = next((vmx.stem for vmx in path.parent.glob("*.vmx")), path.parent.name)
                clones.setdefault(name, set()).add(hint.rpartition("/")[2])
    return clones


# Opening -----------------------------------------------------------------------------------------


def open_chain(chain: Chain, keys: Keys) -> OpenDisk:
    """Open a disk; errors as :meth:`Volume.open`, which name the layer."""
    with contextlib.ExitStack() as cleanup:
        disk: OpenDisk | None = None
        for layer in reversed(chain):
            file = layer.volume.open(keys, layer.machine_id)
            cleanup.callback(file.close)
            disk = file if disk is None else Delta(file, layer, disk)
        cleanup.pop_all()
    assert disk is not None
    return disk


class Delta:
    """An open delta, with all that is below it.

    ``_lock`` makes the copy of a grain, its write and the change of the map one step.
    """

    def __init__(self, file: DiskFile, layer: Layer, below: OpenDisk) -> None:
        self._file = file
        self._below = below
        self._lock = threading.Lock()
        self._start = layer.map_size
        self.size = layer.capacity
        if file.size != layer.map_size + layer.capacity or below.size != layer.capacity:
            raise DamagedData(f"{file.path} and the layers below it do not have the same size")
        self._map = bytearray(file.read_at(0, layer.map_size))

    def close(self) -> None:
        """Close the files of all layers; a second call does nothing."""
        self._file.close()
        self._below.close()

    def flush(self) -> None:
        """Return when all writes are durable."""
        self._file.flush()

    def grains(self) -> Iterator[tuple[int, int]]:
        """Offset and length of each grain that this layer itself holds."""
        for offset in range(0, self.size, GRAIN):
            if self._has(offset // GRAIN):
                yield offset, min(GRAIN, self.size - offset)

    def read_at(self, offset: int, length: int) -> bytes:
        """Plain text, each grain from the uppermost layer that holds it."""
        self._check(offset, length)
        with self._lock:
            return b"".join(
                self._file.read_at(self._start + at, size)
                if self._has(at // GRAIN)
                else self._below.read_at(at, size)
                for at, size in _pieces(offset, length)
            )

    def write_at(self, offset: int, data: bytes) -> None:
        """Write plain text into this layer."""
        self._check(offset, len(data))
        with self._lock:
            added = []
            for at, size in _pieces(offset, len(data)):
                part = data[at - offset : at - offset + size]
                if self._has(at // GRAIN):
                    self._file.write_at(self._start + at, part)
                else:
                    self._copy_up(at, part)
                    added.append(at // GRAIN)
            if added:
                self._file.flush()  # the data first: the map must never name what is not there
                self._add_to_map(added)

    def _copy_up(self, offset: int, data: bytes) -> None:
        start = offset - offset % GRAIN
        end = min(start + GRAIN, self.size)
        head = self._below.read_at(start, offset - start)
        tail = self._below.read_at(offset + len(data), end - offset - len(data))
        self._file.write_at(self._start + start, head + data + tail)

    def _add_to_map(self, grains: Sequence[int]) -> None:
        for grain in grains:
            self._map[grain // 8] |= 1 << grain % 8
        for sector in sorted({grain // 8 // 512 for grain in grains}):
            start = sector * 512
            self._file.write_at(start, bytes(self._map[start : start + 512]))

    def _has(self, grain: int) -> bool:
        return bool(self._map[grain // 8] & 1 << grain % 8)

    def _check(self, offset: int, length: int) -> None:
        if offset < 0 or length < 0 or offset + length > self.size:
            raise InvalidArgument(
                f"{length} bytes at {offset} are outside the disk of {self.size} bytes"
            )


def _pieces(offset: int, length: int) -> Iterator[tuple[int, int]]:
    """A range, split where grains end."""
    end = offset + length
    while offset < end:
        size = min(GRAIN - offset % GRAIN, end - offset)
        yield offset, size
        offset += size


def mixed(chains: Mapping[int, Chain]) -> list[int]:
    """The disks whose layers are locked by different keys."""
    return [disk for disk, chain in chains.items() if len({layer.key_id() for layer in chain}) > 1]
