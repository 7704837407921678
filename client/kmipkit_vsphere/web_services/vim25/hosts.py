"""Hosts."""

from typing import Annotated

from kmipkit_vsphere.web_services.vim25.declaration import DataObject, Long, Name, Ref, Short
from kmipkit_vsphere.web_services.vim25.keys import CryptoKeyId
from kmipkit_vsphere.web_services.vim25.service import AboutInfo
from kmipkit_vsphere.web_services.vim25.states import (
    HostSystemConnectionState,
    HostSystemPowerState,
    ManagedEntityStatus,
)


class HostHardwareSummary(DataObject):
    vendor: str
    model: str
    uuid: str
    memory_size: Long
    cpu_model: str
    cpu_mhz: int
    num_cpu_pkgs: Short
    num_cpu_cores: Short
    num_cpu_threads: Short
    num_nics: int
    num_hbas: Annotated[int, Name("numHBAs")]


class HostRuntimeInfo(DataObject):
    connection_state: HostSystemConnectionState
    power_state: HostSystemPowerState
    in_maintenance_mode: bool
    crypto_state: str | None = None
    crypto_key_id: CryptoKeyId | None = None


class HostConfigSummary(DataObject):
    name: str
    port: int
    product: AboutInfo | None = None
    vmotion_enabled: bool
    fault_tolerance_enabled: bool


class HostListSummaryQuickStats(DataObject):
    overall_cpu_usage: int | None = None
    overall_memory_usage: int | None = None
    uptime: int | None = None


class HostListSummary(DataObject):
    """What lists of hosts show."""

    host: Ref | None = None
    hardware: HostHardwareSummary | None = None
    runtime: HostRuntimeInfo | None = None
    config: HostConfigSummary
    quick_stats: HostListSummaryQuickStats
    overall_status: ManagedEntityStatus
    reboot_required: bool


class HostConfigManager(DataObject):
    crypto_manager: Ref | None = None
