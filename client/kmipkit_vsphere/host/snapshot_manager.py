"""Snapshots of the machines of a host: taken, reverted to, and removed.

While a snapshot changes, the machine's files are closed and its guests wait: reads and writes are
refused. A machine that is powered on stays on.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from kmipkit_vsphere.calls.machines import MachineInfo
from kmipkit_vsphere.host import consolidation, layers, snapshot_files
from kmipkit_vsphere.host.datastore import Datastore
from kmipkit_vsphere.host.host_keys import HostKeys
from kmipkit_vsphere.host.machine import Machine
from kmipkit_vsphere.host.machines import MachineManager
from kmipkit_vsphere.host.open_machines import OpenMachines
from kmipkit_vsphere.host.power import PowerControl
from kmipkit_vsphere.host.snapshots import check_names
from kmipkit_vsphere.model.clock import Clock
from kmipkit_vsphere.model.errors import InvalidArgument, InvalidState, ResourceInUse


class SnapshotManager:
    """The snapshots of all machines on one datastore."""

    def __init__(
        self,
        datastore: Datastore,
        keys: HostKeys,
        opened: OpenMachines,
        power: PowerControl,
        machines: MachineManager,
        clock: Clock,
    ) -> None:
        self._datastore = datastore
        self._keys = keys
        self._open = opened
        self._power = power
        self._machines = machines
        self._clock = clock

    def create(
        self, name: str, snapshot: str, description: str = "", *, memory: bool = False
    ) -> MachineInfo:
        """CreateSnapshot; with ``memory``, also of what a machine that is on has in its memory."""
        check_names(snapshot, description)
        if memory and not self._power.is_on(name):
            raise InvalidArgument(f"the machine {name} is powered off: it has no memory to save")
        with self._quiesced(name) as machine:
            saved = bytes(self._power.memory(name)) if memory else None
            key_for = partial(self._keys.new_key, machine_id=machine.uuid)
            snapshot_files.take(
                machine,
                snapshot,
                description,
                self._clock(),
                saved,
                self._keys.crypto.keys(),
                key_for,
            )
        return self._machines.unlock(name)

    def revert(
        self, name: str, snapshot: str | int, *, suppress_power_on: bool = False
    ) -> MachineInfo:
        """RevertToSnapshot: the present state is lost, unless a snapshot of it was taken.

        The machine is powered on afterwards if the snapshot has a memory and ``suppress_power_on``
        is not set, otherwise off.
        """
        with self._quiesced(name) as machine:
            key_for = partial(self._keys.new_key, machine_id=machine.uuid)
            memory = snapshot_files.revert(
                machine, machine.snapshots.get(snapshot), self._keys.crypto.keys(), key_for
            )
            self._power.discard(name)
            if memory is not None and not suppress_power_on:
                self._power.restore(name, memory)
        return self._machines.unlock(name)

    def remove(self, name: str, snapshot: str | int, *, children: bool = False) -> MachineInfo:
        """RemoveSnapshot, optionally with all that follow it; then disks are consolidated."""
        with self._quiesced(name) as machine:
            number = machine.snapshots.get(snapshot).id
            numbers = machine.snapshots.with_descendants(number) if children else [number]
            self._remove(machine, numbers)
        return self._machines.unlock(name)

    def remove_all(self, name: str) -> MachineInfo:
        """RemoveAllSnapshots: the present state stays."""
        with self._quiesced(name) as machine:
            self._remove(machine, list(machine.snapshots.snapshots))
        return self._machines.unlock(name)

    def consolidate(self, name: str) -> MachineInfo:
        """ConsolidateVMDisks: merge layers that no snapshot needs."""
        with self._quiesced(name) as machine:
            self._consolidate(machine)
        return self._machines.unlock(name)

    def _remove(self, machine: Machine, numbers: list[int]) -> None:
        clones = layers.dependents(self._datastore.folder, machine.name)
        files = {
            file
            for number in numbers
            for file in machine.snapshots.snapshots[number].disks.values()
        }
        users = [clone for clone, used in clones.items() if used & files]
        if users:
            raise ResourceInUse(
                f"linked clones of {machine.name} need this snapshot: {', '.join(sorted(users))};"
                " destroy them, or replace them by full clones, first"
            )
        snapshot_files.remove(machine, numbers)
        self._consolidate(Machine.load(machine.folder))

    def _consolidate(self, machine: Machine) -> None:
        clones = layers.dependents(self._datastore.folder, machine.name)
        pinned = {file for used in clones.values() for file in used}
        consolidation.consolidate(machine, self._keys.crypto.keys(), pinned)

    @contextmanager
    def _quiesced(self, name: str) -> Iterator[Machine]:
        """The machine, which nobody uses while the block runs, after what a crash left is removed."""
        machine = self._datastore.machine(name)
        machine.check_whole()
        if machine.pending_key_ids():
            raise InvalidState(f"an interrupted re-encryption of {name} must be completed first")
        if machine.is_encrypted():
            self._keys.crypto.check("Encrypt")
        self._keys.fetch(machine.key_ids())
        with self._open.quiesced(name):
            self._datastore.machine(name).delete_unused()
            machine = self._datastore.machine(name)
            if machine.snapshots.merging is not None:
                self._consolidate(machine)
            yield self._datastore.machine(name)
