"""Takes, restores and removes snapshots of a machine whose files nobody has open.

Each change is made in three steps: the files that it needs are listed in the ``.vmx`` as unused, then
made, then taken into use by one change of the ``.vmx``, which lists those that it leaves over. So after
a crash the machine is as before or as after, and :meth:`Machine.delete_unused` removes the rest.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final, NamedTuple

from kmipkit_vsphere.host import layers
from kmipkit_vsphere.host.descriptor import Descriptor
from kmipkit_vsphere.host.layers import Chain, Layer
from kmipkit_vsphere.host.machine import TPM_SETTING, Machine
from kmipkit_vsphere.host.snapshots import Snapshot, SnapshotList, check_names
from kmipkit_vsphere.host.volume import Keys, NewKey
from kmipkit_vsphere.model.errors import DamagedData, VSphereError
from kmipkit_vsphere.model.keys import CryptoKeyId

_STATE_TEMPLATE: Final = """\
# Snapshot state
sectorSize = "512"
home = "{home}"

RW {sectors} VMFS "{extent}"
"""

NewKeyFor = Callable[[CryptoKeyId], NewKey]
"""The key-encryption key with this id, for new data keys of the machine."""


class SavedState(NamedTuple):
    """What a snapshot saved beside the disks: the home, and the memory of a machine that was on."""

    home: bytes
    memory: bytes | None


def take(
    machine: Machine,
    name: str,
    description: str,
    now: datetime,
    memory: bytes | None,
    keys: Keys,
    key_for: NewKeyFor,
) -> None:
    """Take a snapshot: the layers of all disks stay as they are, under new and empty ones.

    Each new layer has a data key of its own, locked by the key of the layer below it.
    """
    check_names(name, description)
    machine.snapshots.check_depth()
    number = machine.snapshots.last_id + 1
    snapshot = Snapshot(
        id=number,
        name=name,
        description=description,
        created=now.isoformat(timespec="seconds"),
        parent=machine.snapshots.current,
        disks={disk: chain[0].file for disk, chain in machine.chains.items()},
        has_memory=memory is not None,
        has_tpm=machine.has_tpm,
        state=f"{machine.name}-Snapshot{number}.vmsn",
    )
    state = machine.state_of(snapshot)
    numbers = _new_numbers(machine, snapshot.disks)
    with _planned(
        replace_numbers(machine.snapshots, number, numbers.values()),
        machine,
        [state.descriptor.name, state.data.name, *_delta_files(machine, numbers)],
    ) as planned:
        _save_state(machine, snapshot, memory, keys, key_for)
        disks = _make_deltas(machine, machine.chains, numbers, key_for)
        machine.save(planned.adding(snapshot), disks)


def replace_numbers(snapshots: SnapshotList, last_id: int, numbers: Iterable[int]) -> SnapshotList:
    """The list in which these numbers of a snapshot and of layers are taken."""
    return replace(
        snapshots, last_id=last_id, last_layer=max(numbers, default=snapshots.last_layer)
    )


def revert(machine: Machine, snapshot: Snapshot, keys: Keys, key_for: NewKeyFor) -> bytes | None:
    """Return to a snapshot; returns the memory that it saved. What was done since is deleted."""
    state = read_state(machine, snapshot, keys)
    chains = {disk: machine.frozen[snapshot.id, disk] for disk in snapshot.disks}
    numbers = _new_numbers(machine, chains)
    last = max(numbers.values(), default=machine.snapshots.last_layer) + 1
    nvram = f"{machine.name}-{last:06d}.nvram"
    with _planned(
        replace_numbers(machine.snapshots, machine.snapshots.last_id, [last]),
        machine,
        [nvram, *_delta_files(machine, numbers)],
    ) as planned:
        machine.home.copy_data(machine.folder / nvram, state.home, keys, machine.uuid)
        disks = _make_deltas(machine, chains, numbers, key_for)
        left = _files_of(_unreachable(machine, machine.frozen.values()))
        machine.save(
            replace(planned, current=snapshot.id, unused=(machine.home.data.name, *left)),
            disks,
            {"nvram": nvram, TPM_SETTING: "TRUE" if snapshot.has_tpm else None},
        )
    return state.memory


def remove(machine: Machine, numbers: Iterable[int]) -> None:
    """Remove snapshots; layers that nothing needs any more are deleted, others can be merged."""
    gone = set(numbers)
    kept = [chain for (number, _), chain in machine.frozen.items() if number not in gone]
    left = _files_of(_unreachable(machine, [*machine.chains.values(), *kept]))
    states = [machine.state_of(machine.snapshots.snapshots[number]) for number in sorted(gone)]
    for state in states:
        left += [state.descriptor.name, state.data.name]
    removed = machine.snapshots.removing(gone)
    machine.save(replace(removed, unused=(*removed.unused, *left)))
    Machine.load(machine.folder).delete_unused()


def read_state(machine: Machine, snapshot: Snapshot, keys: Keys) -> SavedState:
    """What a snapshot saved; errors as :meth:`Volume.open`."""
    volume = machine.state_of(snapshot)
    try:
        size = int(Descriptor.load(volume.descriptor).require("home"))
    except ValueError:
        raise DamagedData(f"{volume.descriptor} has a size that is none") from None
    with volume.open(keys, machine.uuid) as file:
        home = file.read_at(0, size)
        memory = file.read_at(size, file.size - size)
    return SavedState(home, memory if snapshot.has_memory else None)


def _save_state(
    machine: Machine, snapshot: Snapshot, memory: bytes | None, keys: Keys, key_for: NewKeyFor
) -> None:
    with machine.home.open(keys, machine.uuid) as home:
        content = home.read_at(0, home.size) + (memory or b"")
        size = home.size
    volume = machine.state_of(snapshot)
    text = _STATE_TEMPLATE.format(home=size, sectors=len(content) // 512, extent=volume.data.name)
    key_ids = machine.home.key_ids()
    new = key_for(key_ids[0]) if key_ids else None
    volume.create(Descriptor.parse(text), len(content), new, (content,))


def _new_numbers(machine: Machine, disks: Iterable[int]) -> dict[int, int]:
    """A number for a new layer of each disk; numbers are never used again."""
    return {disk: machine.snapshots.last_layer + at for at, disk in enumerate(disks, 1)}


def _stem(machine: Machine, number: int) -> str:
    return f"{machine.name}-{number:06d}"


def _delta_files(machine: Machine, numbers: dict[int, int]) -> list[str]:
    stems = [_stem(machine, number) for number in numbers.values()]
    return [file for stem in stems for file in (f"{stem}.vmdk", f"{stem}-delta.vmdk")]


def _make_deltas(
    machine: Machine,
    chains: Mapping[int, Chain],
    numbers: dict[int, int],
    key_for: NewKeyFor,
) -> dict[int, str]:
    for disk, number in numbers.items():
        key_id = chains[disk][0].key_id()
        new = None if key_id is None else key_for(key_id)
        layers.make_delta(machine.folder, _stem(machine, number), number, disk, chains[disk], new)
    return {disk: f"{_stem(machine, number)}.vmdk" for disk, number in numbers.items()}


def _unreachable(machine: Machine, kept: Iterable[Chain]) -> list[Layer]:
    """The deltas of the machine that are in none of the chains that stay. Bases always stay."""
    reachable = {layer.file for chain in kept for layer in chain if machine.has(layer)}
    return [
        layer
        for layer in machine.own_layers()
        if layer.parent is not None and layer.file not in reachable
    ]


def _files_of(unused: Iterable[Layer]) -> list[str]:
    return [file for layer in unused for file in layer.files]


@contextlib.contextmanager
def _planned(snapshots: SnapshotList, machine: Machine, files: list[str]) -> Iterator[SnapshotList]:
    """List files that are about to be made as unused; the block takes them into use.

    Yields the list of snapshots in which they are not. In the end, what is not in use is deleted.
    """
    machine.save(replace(snapshots, unused=(*snapshots.unused, *files)))
    try:
        yield snapshots
    except (OSError, ValueError, VSphereError):
        # Best effort: what stays is deleted at the next opportunity.
        with contextlib.suppress(OSError, VSphereError):
            Machine.load(machine.folder).delete_unused()
        raise
    Machine.load(machine.folder).delete_unused()
