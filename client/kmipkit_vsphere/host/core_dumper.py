"""Writes the core dump of a world: of a machine under its own key, of others under the host key."""

from kmipkit_vsphere.calls.host import DumpInfo
from kmipkit_vsphere.host.core_dumps import CoreDumps
from kmipkit_vsphere.host.datastore import Datastore
from kmipkit_vsphere.host.host_keys import HostKeys
from kmipkit_vsphere.host.machine import check_name
from kmipkit_vsphere.host.power import PowerControl
from kmipkit_vsphere.model.clock import Clock


class CoreDumper:
    """Chooses contents and key of a dump (vsphere.md §2.7)."""

    def __init__(
        self,
        dumps: CoreDumps,
        datastore: Datastore,
        keys: HostKeys,
        power: PowerControl,
        clock: Clock,
    ) -> None:
        self._dumps = dumps
        self._datastore = datastore
        self._keys = keys
        self._power = power
        self._clock = clock

    def dump(self, world: str, data: bytes = b"") -> DumpInfo:
        """Write a dump: the memory of a machine that is on, or ``data`` of any other world."""
        check_name(world)
        key = self._keys.crypto.host_key()
        if self._power.is_on(world):
            data = bytes(self._power.memory(world))
            machine_keys = self._datastore.machine(world).home.key_ids()
            if machine_keys:
                key = (machine_keys[0], self._keys.crypto.key(machine_keys[0]))
        return self._dumps.write(world, self._clock(), data, key)
