"""What a migration needs of a host: to quiesce, resume, remove and add machines.

How machines travel is not known here; see :mod:`kmipkit_vsphere.vmotion`.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kmipkit_vsphere.host import layers
from kmipkit_vsphere.host.datastore import Datastore
from kmipkit_vsphere.host.open_machines import OpenMachines
from kmipkit_vsphere.host.power import PowerControl
from kmipkit_vsphere.model.errors import InvalidState, VSphereError


@dataclass(frozen=True, slots=True)
class QuiescedMachine:
    """A machine that nobody uses: its files, and the memory of one that is powered on."""

    name: str
    files: Sequence[Path]
    memory: bytes | None


class MigrationSupport:
    """The machines of one host, as its migrations see them.

    All methods take the lock of :class:`OpenMachines`: call them in worker threads.
    """

    def __init__(self, datastore: Datastore, machines: OpenMachines, power: PowerControl) -> None:
        self._datastore = datastore
        self._machines = machines
        self._power = power
        self.can_encrypt = True
        """Whether this host supports encrypted migrations (``encryptedVMotion``)."""

    @property
    def folder(self) -> Path:
        """The folder of the datastore."""
        return self._datastore.folder

    def quiesce(self, name: str) -> QuiescedMachine:
        """Stop guests from using a machine, until :meth:`resume` or :meth:`remove`.

        Raises :class:`InvalidState` while another operation has reserved it.
        """
        machine = self._datastore.machine(name)
        machine.check_whole()
        if machine.parents():
            raise InvalidState(
                f"{name} is a linked clone of {machine.parents()[0]}, whose disks stay here: make a full"
                " clone of it (clone-vm), and move that"
            )
        clones = layers.dependents(self._datastore.folder, name)
        if clones:
            raise InvalidState(
                f"linked clones stand on the disks of {name}: {', '.join(sorted(clones))}; it cannot"
                " move away from them"
            )
        with self._machines.lock:
            self._machines.reserve(name)
            self._machines.close(name)
            memory = bytes(self._power.memory(name)) if self._power.is_on(name) else None
        return QuiescedMachine(name, machine.files(), memory)

    def resume(self, name: str) -> None:
        """Let guests use a machine again that has not left."""
        self._machines.release(name)
        with contextlib.suppress(VSphereError):  # it can be unlocked later
            self._machines.open(name)

    def remove(self, name: str) -> None:
        """Forget a machine that has left; its files are gone."""
        self._machines.release(name)
        self._power.discard(name)

    def add(self, name: str, memory: bytes | None) -> None:
        """Take a machine into use whose files have arrived; with its memory if it was running."""
        if memory is not None:
            self._power.restore(name, memory)
        self._machines.open(name)
