"""Hosts."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from kmipkit_vsphere.model.records import HostRecord
from kmipkit_vsphere.web_services.faults import key_id
from kmipkit_vsphere.web_services.managed import prop
from kmipkit_vsphere.web_services.objects.entity import status_of, visible
from kmipkit_vsphere.web_services.objects.host_encryption import HostEncryption
from kmipkit_vsphere.web_services.objects.service_instance import about_host
from kmipkit_vsphere.web_services.objects.storage import machines_on
from kmipkit_vsphere.web_services.vim25.declaration import Ref
from kmipkit_vsphere.web_services.vim25.hosts import (
    HostConfigManager,
    HostConfigSummary,
    HostHardwareSummary,
    HostListSummary,
    HostListSummaryQuickStats,
    HostRuntimeInfo,
)
from kmipkit_vsphere.web_services.vim25.states import (
    HostSystemConnectionState,
    HostSystemPowerState,
)

if TYPE_CHECKING:
    from kmipkit_vsphere.web_services.call import Call

CORES: Final = 8
CPU_MHZ: Final = 2400
MEMORY: Final = 64 << 30
"""What each host claims to have: nothing in the laboratory depends on it."""
CRYPTO_MANAGERS: Final[dict[str, str]] = {}
"""The type of the crypto manager of hosts, once one is declared, and the start of its ids."""


class HostSystem(HostEncryption):
    """A host."""

    @property
    def record(self) -> HostRecord:
        """The host as vCenter knows it."""
        assert isinstance(self.node.record, HostRecord)
        return self.node.record

    @prop()
    async def runtime(self, call: "Call") -> HostRuntimeInfo:
        """Whether it answers, and its encryption mode.

        After a lost connection it is connected again when vCenter has noticed that it is, as an event.
        """
        info = await call.host(self.record)
        is_silent = info is None or call.vcenter.hosts.connections.is_lost(self.record)
        state = HostSystemConnectionState
        key = self.record.key_id if info is None else info.crypto_key_id
        return HostRuntimeInfo(
            connection_state=state.NOT_RESPONDING if is_silent else state.CONNECTED,
            power_state=(
                HostSystemPowerState.UNKNOWN if info is None else HostSystemPowerState.POWERED_ON
            ),
            in_maintenance_mode=False,
            crypto_state=None if info is None else str(info.crypto_state),
            crypto_key_id=None if key is None else key_id(key),
        )

    @prop()
    async def summary(self, call: "Call") -> HostListSummary:
        """What lists of hosts show."""
        record = self.record
        return HostListSummary(
            host=self.ref,
            hardware=HostHardwareSummary(
                vendor="kmipkit",
                model="laboratory host",
                uuid=record.uuid,
                memory_size=MEMORY,
                cpu_model="virtual",
                cpu_mhz=CPU_MHZ,
                num_cpu_pkgs=1,
                num_cpu_cores=CORES,
                num_cpu_threads=CORES,
                num_nics=1,
                num_hbas=1,
            ),
            runtime=await self.runtime(call),
            config=HostConfigSummary(
                name=self.node.name,
                port=record.port,
                product=about_host(call),
                vmotion_enabled=True,
                fault_tolerance_enabled=False,
            ),
            quick_stats=HostListSummaryQuickStats(
                overall_cpu_usage=0, overall_memory_usage=0, uptime=0
            ),
            overall_status=status_of(call, self.node),
            reboot_required=False,
        )

    @prop()
    def config_manager(self, _call: "Call") -> HostConfigManager:
        """The managers of the host, of which the laboratory has only the one for keys."""
        manager = next(iter(CRYPTO_MANAGERS.items()), None)
        if manager is None:
            return HostConfigManager()
        type_name, start = manager
        return HostConfigManager(crypto_manager=Ref(type_name, f"{start}{self.ref.value}"))

    @prop()
    def vm(self, call: "Call") -> Sequence[Ref]:
        """The machines that are registered on it."""
        return visible(call, machines_on(call, self.record.name))

    @prop()
    def datastore(self, call: "Call") -> Sequence[Ref]:
        """Its datastore."""
        node = call.inventory.find(call.inventory.datastore_of(self.record.name))
        return visible(call, [] if node is None else [node])

    @prop()
    def network(self, call: "Call") -> Sequence[Ref]:
        """The network."""
        return visible(call, call.inventory.all("Network"))
