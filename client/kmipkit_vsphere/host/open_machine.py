"""The open files of a machine: from the moment they are open, its data keys are in memory."""

import contextlib
from dataclasses import dataclass, field
from typing import Self

from kmipkit_vsphere.host.disk import DiskFile
from kmipkit_vsphere.host.layers import OpenDisk, open_chain
from kmipkit_vsphere.host.machine import Machine
from kmipkit_vsphere.host.volume import Keys
from kmipkit_vsphere.model.errors import EncryptionKeyRequired, InvalidArgument


@dataclass(slots=True)
class OpenMachine:
    """The open files of an unlocked machine; ``locked`` says why a disk could not be opened."""

    home: DiskFile
    disks: dict[int, OpenDisk] = field(default_factory=dict)
    locked: dict[int, EncryptionKeyRequired] = field(default_factory=dict)

    @classmethod
    def of(cls, machine: Machine, keys: Keys) -> Self:
        """Open the home, and the disks whose keys are available; errors as Volume.open."""
        machine.check_whole()
        opened = cls(machine.home.open(keys, machine.uuid))
        with contextlib.ExitStack() as cleanup:
            cleanup.callback(opened.close)
            opened.open_disks(machine, keys)
            cleanup.pop_all()
        return opened

    def open_disks(self, machine: Machine, keys: Keys) -> None:
        """Open the disks that are not open yet."""
        for number, chain in machine.chains.items():
            if number in self.disks:
                continue
            try:
                self.disks[number] = open_chain(chain, keys)
            except EncryptionKeyRequired as missing:
                self.locked[number] = missing
            else:
                self.locked.pop(number, None)

    def disk(self, number: int = 0) -> OpenDisk:
        """An open disk; raises the reason why it is locked, or :class:`InvalidArgument`."""
        if number in self.locked:
            raise self.locked[number]
        if number not in self.disks:
            raise InvalidArgument(f"the machine has no disk {number}")
        return self.disks[number]

    def close(self) -> None:
        """Close the files and drop the machine's data keys."""
        self.home.close()
        for disk in self.disks.values():
            disk.close()
