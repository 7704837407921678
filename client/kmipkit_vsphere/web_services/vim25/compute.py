"""Clusters, and standalone hosts as compute resources."""

from typing import Annotated

from kmipkit_vsphere.web_services.vim25.declaration import DataObject, Long, Short, Since
from kmipkit_vsphere.web_services.vim25.keys import CryptoKeyId, KeyProviderId
from kmipkit_vsphere.web_services.vim25.states import ManagedEntityStatus
from kmipkit_vsphere.web_services.vim25.vsan import VsanClusterConfigInfo


class ComputeResourceSummary(DataObject):
    total_cpu: int
    total_memory: Long
    num_cpu_cores: Short
    num_cpu_threads: Short
    effective_cpu: int
    effective_memory: Long
    num_hosts: int
    num_effective_hosts: int
    overall_status: ManagedEntityStatus


class ClusterComputeResourceSummary(ComputeResourceSummary):
    """What lists of clusters show."""

    current_failover_level: int
    num_vmotions: int


class ComputeResourceConfigInfo(DataObject):
    """The settings of a compute resource."""

    vm_swap_placement: str


class ClusterComputeResourceCryptoModePolicy(DataObject, since="8.0.3.0"):
    """The host key that all hosts of the cluster share, or the provider of their keys."""

    key_id: CryptoKeyId | None = None
    provider_id: KeyProviderId | None = None


class ClusterCryptoConfigInfo(DataObject, since="7.0.0.0"):
    """When hosts of the cluster enable encryption mode."""

    crypto_mode: str | None = None
    policy: Annotated[ClusterComputeResourceCryptoModePolicy | None, Since("8.0.3.0")] = None


class ClusterDasConfigInfo(DataObject):
    """Whether the cluster restarts machines of hosts that failed."""

    enabled: bool | None = None


class ClusterDrsConfigInfo(DataObject):
    """Whether the cluster moves machines by itself."""

    enabled: bool | None = None


class ClusterConfigInfoEx(ComputeResourceConfigInfo):
    """The settings of a cluster."""

    das_config: ClusterDasConfigInfo
    drs_config: ClusterDrsConfigInfo
    vsan_config_info: VsanClusterConfigInfo | None = None
    crypto_config: Annotated[ClusterCryptoConfigInfo | None, Since("7.0.0.0")] = None
