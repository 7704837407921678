"""Clusters, hosts that stand alone as compute resources, and resource pools."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from kmipkit_vsphere.model.records import ClusterRecord, HostRecord
from kmipkit_vsphere.vcenter.host_encryption import POLICY
from kmipkit_vsphere.vcenter.privileges import Privilege
from kmipkit_vsphere.vcenter.vsan import vsan_keys
from kmipkit_vsphere.web_services.faults import key_id
from kmipkit_vsphere.web_services.inventory import Node
from kmipkit_vsphere.web_services.managed import method, prop
from kmipkit_vsphere.web_services.objects.entity import ManagedEntity, status_of, visible
from kmipkit_vsphere.web_services.objects.host_encryption import ClusterEncryption
from kmipkit_vsphere.web_services.objects.hosts import CORES, CPU_MHZ, MEMORY
from kmipkit_vsphere.web_services.objects.storage import CAPACITY, machines_on
from kmipkit_vsphere.web_services.vim25.compute import (
    ClusterComputeResourceCryptoModePolicy,
    ClusterComputeResourceSummary,
    ClusterConfigInfoEx,
    ClusterCryptoConfigInfo,
    ClusterDasConfigInfo,
    ClusterDrsConfigInfo,
    ComputeResourceConfigInfo,
    ComputeResourceSummary,
)
from kmipkit_vsphere.web_services.vim25.declaration import Ref
from kmipkit_vsphere.web_services.vim25.keys import KeyProviderId
from kmipkit_vsphere.web_services.vim25.usage import ClusterResourceUsageSummary
from kmipkit_vsphere.web_services.vim25.vsan import (
    VsanClusterConfigInfo,
    VsanClusterConfigInfoHostDefaultInfo,
)

if TYPE_CHECKING:
    from kmipkit_vsphere.web_services.call import Call

SWAP_PLACEMENT: Final = "vmDirectory"


class ComputeResource(ManagedEntity):
    """What has hosts and a resource pool: here a host without a cluster."""

    @property
    def hosts(self) -> list[Node]:
        """Its hosts."""
        return [node for node in self.node.children if node.ref.type == "HostSystem"]

    @prop()
    def host(self, call: "Call") -> Sequence[Ref]:
        """Its hosts."""
        return visible(call, self.hosts)

    @prop()
    def resource_pool(self, _call: "Call") -> Ref | None:
        """Its resource pool."""
        pools = (node.ref for node in self.node.children if node.ref.type == "ResourcePool")
        return next(pools, None)

    @prop()
    def datastore(self, call: "Call") -> Sequence[Ref]:
        """The datastores of its hosts."""
        stores = [call.inventory.find(call.inventory.datastore_of(n.title)) for n in self.hosts]
        return visible(call, [store for store in stores if store is not None])

    @prop()
    def network(self, call: "Call") -> Sequence[Ref]:
        """The network."""
        return visible(call, call.inventory.all("Network"))

    @prop()
    async def summary(self, call: "Call") -> ComputeResourceSummary:
        """What lists of compute resources show."""
        return ComputeResourceSummary(**await self._totals(call))

    @prop()
    def configuration_ex(self, _call: "Call") -> ComputeResourceConfigInfo:
        """Its settings."""
        return ComputeResourceConfigInfo(vm_swap_placement=SWAP_PLACEMENT)

    async def _totals(self, call: "Call") -> dict[str, Any]:
        records = [node.record for node in self.hosts if isinstance(node.record, HostRecord)]
        effective = sum([await call.host(record) is not None for record in records])
        return {
            "total_cpu": len(records) * CORES * CPU_MHZ,
            "total_memory": len(records) * MEMORY,
            "num_cpu_cores": len(records) * CORES,
            "num_cpu_threads": len(records) * CORES,
            "effective_cpu": effective * CORES * CPU_MHZ,
            "effective_memory": effective * (MEMORY >> 20),
            "num_hosts": len(records),
            "num_effective_hosts": effective,
            "overall_status": status_of(call, self.node),
        }


class ClusterComputeResource(ClusterEncryption, ComputeResource):
    """A cluster."""

    @property
    def record(self) -> ClusterRecord:
        """The cluster."""
        assert isinstance(self.node.record, ClusterRecord)
        return self.node.record

    @prop()
    async def summary(self, call: "Call") -> ComputeResourceSummary:
        """What lists of clusters show."""
        return ClusterComputeResourceSummary(
            **await self._totals(call), current_failover_level=0, num_vmotions=0
        )

    @prop()
    def configuration_ex(self, call: "Call") -> ComputeResourceConfigInfo:
        """Its settings: the crypto mode, and whether it has encrypted vSAN disks."""
        return ClusterConfigInfoEx(
            vm_swap_placement=SWAP_PLACEMENT,
            das_config=ClusterDasConfigInfo(enabled=False),
            drs_config=ClusterDrsConfigInfo(enabled=False),
            vsan_config_info=VsanClusterConfigInfo(
                enabled=self.record.name in vsan_keys(call.vcenter.store),
                default_config=VsanClusterConfigInfoHostDefaultInfo(auto_claim_storage=False),
            ),
            crypto_config=self._crypto_config(call),
        )

    def _crypto_config(self, call: "Call") -> ClusterCryptoConfigInfo:
        key = self.record.key_id
        provider = call.vcenter.store.providers.setting(POLICY + self.record.name)
        policy = ClusterComputeResourceCryptoModePolicy(
            key_id=None if key is None else key_id(key),
            provider_id=None if provider is None else KeyProviderId(id=provider),
        )
        return ClusterCryptoConfigInfo(
            crypto_mode=str(self.record.crypto_mode),
            policy=None if key is None and provider is None else policy,
        )

    @method("GetResourceUsage", since="6.0", privilege=Privilege.VIEW)
    async def get_resource_usage(self, call: "Call") -> ClusterResourceUsageSummary:
        """What it uses, which is nothing, of what its hosts claim to have."""
        totals = await self._totals(call)
        return ClusterResourceUsageSummary(
            cpu_used_mhz=0,
            cpu_capacity_mhz=totals["total_cpu"],
            mem_used_mb=0,
            mem_capacity_mb=totals["total_memory"] >> 20,
            storage_used_mb=0,
            storage_capacity_mb=totals["num_hosts"] * CAPACITY >> 20,
        )


class ResourcePool(ManagedEntity):
    """The pool of all resources of a cluster or a host."""

    @prop()
    def owner(self, _call: "Call") -> Ref:
        """Its cluster or host."""
        assert self.node.parent is not None
        return self.node.parent.ref

    @prop()
    def resource_pool(self, _call: "Call") -> Sequence[Ref]:
        """There are no pools inside it."""
        return []

    @prop()
    def vm(self, call: "Call") -> Sequence[Ref]:
        """The machines of all its hosts."""
        assert self.node.parent is not None
        hosts = [node for node in self.node.parent.children if node.ref.type == "HostSystem"]
        return visible(call, [m for host in hosts for m in machines_on(call, host.title)])
