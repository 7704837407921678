"""What guests do with their machine: read and write its disks and its memory, in plain text."""

from kmipkit_vsphere.calls.guest import DiskSize
from kmipkit_vsphere.host.datastore import Datastore
from kmipkit_vsphere.host.open_machines import OpenMachines
from kmipkit_vsphere.host.power import PowerControl
from kmipkit_vsphere.model.errors import InvalidArgument


class GuestAccess:
    """The disks and the memory of machines. A machine is unlocked on its first access."""

    def __init__(self, datastore: Datastore, machines: OpenMachines, power: PowerControl) -> None:
        self._datastore = datastore
        self._machines = machines
        self._power = power

    def read_disk(self, name: str, offset: int, length: int, disk: int = 0) -> bytes:
        """Plain text of a disk; :class:`EncryptionKeyRequired` while it is locked."""
        return self._machines.open(name).disk(disk).read_at(offset, length)

    def write_disk(self, name: str, offset: int, data: bytes, disk: int = 0) -> None:
        """Write plain text to a disk; durable on return."""
        file = self._machines.open(name).disk(disk)
        file.write_at(offset, data)
        file.flush()

    def disk_size(self, name: str, disk: int = 0) -> DiskSize:
        """Size and sector size of a disk, in bytes."""
        size = self._machines.open(name).disk(disk).size
        return DiskSize(size, self._datastore.machine(name).volume(disk).sector_size())

    def read_memory(self, name: str, offset: int, length: int) -> bytes:
        """Bytes of the memory; fewer than ``length`` at its end."""
        return bytes(self._power.memory(name)[offset : offset + length])

    def write_memory(self, name: str, offset: int, data: bytes) -> None:
        """Write to the memory; :class:`InvalidArgument` outside of it."""
        memory = self._power.memory(name)
        if offset + len(data) > len(memory):
            raise InvalidArgument(f"the machine has {len(memory)} bytes of memory")
        memory[offset : offset + len(data)] = data
