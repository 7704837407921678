"""What clusters use."""

from typing import Annotated

from kmipkit_vsphere.web_services.vim25.declaration import DataObject, Long, Name, Since


class ClusterResourceUsageSummary(DataObject):
    """What a cluster uses and has."""

    cpu_used_mhz: Annotated[int, Name("cpuUsedMHz")]
    cpu_capacity_mhz: Annotated[int, Name("cpuCapacityMHz")]
    mem_used_mb: Annotated[int, Name("memUsedMB")]
    mem_capacity_mb: Annotated[int, Name("memCapacityMB")]
    pmem_available_mb: Annotated[Long | None, Since("6.7"), Name("pMemAvailableMB")] = None
    pmem_capacity_mb: Annotated[Long | None, Since("6.7"), Name("pMemCapacityMB")] = None
    storage_used_mb: Annotated[Long, Name("storageUsedMB")]
    storage_capacity_mb: Annotated[Long, Name("storageCapacityMB")]
