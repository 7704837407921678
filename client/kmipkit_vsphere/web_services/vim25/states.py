"""States of hosts and machines."""

from kmipkit_vsphere.web_services.vim25.declaration import VimEnum


class VirtualMachinePowerState(VimEnum):
    POWERED_OFF = "poweredOff"
    POWERED_ON = "poweredOn"
    SUSPENDED = "suspended"


class VirtualMachineConnectionState(VimEnum):
    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    ORPHANED = "orphaned"
    INACCESSIBLE = "inaccessible"
    INVALID = "invalid"


class VirtualMachineFaultToleranceState(VimEnum):
    NOT_CONFIGURED = "notConfigured"
    DISABLED = "disabled"
    ENABLED = "enabled"
    NEED_SECONDARY = "needSecondary"
    STARTING = "starting"
    RUNNING = "running"


class VirtualMachineRecordReplayState(VimEnum):
    RECORDING = "recording"
    REPLAYING = "replaying"
    INACTIVE = "inactive"


class HostSystemConnectionState(VimEnum):
    CONNECTED = "connected"
    NOT_RESPONDING = "notResponding"
    DISCONNECTED = "disconnected"


class HostSystemPowerState(VimEnum):
    POWERED_ON = "poweredOn"
    POWERED_OFF = "poweredOff"
    STAND_BY = "standBy"
    UNKNOWN = "unknown"


class ManagedEntityStatus(VimEnum):
    GRAY = "gray"
    GREEN = "green"
    YELLOW = "yellow"
    RED = "red"
