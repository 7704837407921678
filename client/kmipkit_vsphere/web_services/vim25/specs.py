"""Specifications: what is to become of a machine, its disks, and its encryption (vsphere.md §2.3)."""

from collections.abc import Sequence
from typing import Annotated

from kmipkit_vsphere.web_services.vim25.declaration import (
    DataObject,
    Ref,
    Since,
    VimEnum,
)
from kmipkit_vsphere.web_services.vim25.devices import VirtualDevice
from kmipkit_vsphere.web_services.vim25.keys import CryptoKeyId
from kmipkit_vsphere.web_services.vim25.machines import VirtualMachineFileInfo

# Encryption --------------------------------------------------------------------------------------


class CryptoSpec(DataObject, since="6.5", abstract=True):
    """What is done to a machine's home, or to a disk."""


class CryptoSpecEncrypt(CryptoSpec, since="6.5"):
    """Encrypt it; an empty ``keyId`` stands for a new key of the provider, or of the default."""

    crypto_key_id: CryptoKeyId


class CryptoSpecDecrypt(CryptoSpec, since="6.5"):
    """Decrypt it."""


class CryptoSpecShallowRecrypt(CryptoSpec, since="6.5"):
    """Lock its data key with another key."""

    new_key_id: CryptoKeyId


class CryptoSpecDeepRecrypt(CryptoSpec, since="6.5"):
    """Write its data again, under a new data key that another key locks."""

    new_key_id: CryptoKeyId


class CryptoSpecNoOp(CryptoSpec, since="6.5"):
    """Leave it as it is."""


class CryptoSpecRegister(CryptoSpecNoOp, since="6.5"):
    """It is encrypted with this key already."""

    crypto_key_id: CryptoKeyId


# Storage policies --------------------------------------------------------------------------------


class VirtualMachineProfileSpec(DataObject, since="5.5", open=True):
    """The storage policy of a machine or a disk."""


class VirtualMachineDefinedProfileSpec(VirtualMachineProfileSpec, since="5.5"):
    """The policy of this id."""

    profile_id: str


class VirtualMachineEmptyProfileSpec(VirtualMachineProfileSpec, since="5.5"):
    """No policy."""


class VirtualMachineDefaultProfileSpec(VirtualMachineProfileSpec, since="6.0"):
    """The default policy of the datastore."""


# Devices -----------------------------------------------------------------------------------------


class VirtualDeviceConfigSpecOperation(VimEnum):
    ADD = "add"
    REMOVE = "remove"
    EDIT = "edit"


class VirtualDeviceConfigSpecFileOperation(VimEnum):
    CREATE = "create"
    DESTROY = "destroy"
    REPLACE = "replace"


class VirtualDeviceConfigSpecBackingSpec(DataObject, since="6.5"):
    """What is done to a disk; ``parent`` is for the layer below it."""

    parent: "VirtualDeviceConfigSpecBackingSpec | None" = None
    crypto: CryptoSpec | None = None


class VirtualDeviceConfigSpec(DataObject):
    """A device to add, change or remove."""

    operation: VirtualDeviceConfigSpecOperation | None = None
    file_operation: VirtualDeviceConfigSpecFileOperation | None = None
    device: VirtualDevice
    profile: Annotated[Sequence[VirtualMachineProfileSpec], Since("5.5")] = ()
    backing: Annotated[VirtualDeviceConfigSpecBackingSpec | None, Since("6.5")] = None


# Machines ----------------------------------------------------------------------------------------


class VirtualMachineConfigSpec(DataObject):
    """The settings of a machine, as far as the laboratory has them."""

    name: str | None = None
    files: VirtualMachineFileInfo | None = None
    device_change: Sequence[VirtualDeviceConfigSpec] = ()
    vm_profile: Annotated[Sequence[VirtualMachineProfileSpec], Since("5.5")] = ()
    crypto: Annotated[CryptoSpec | None, Since("6.5")] = None
    migrate_encryption: Annotated[str | None, Since("6.5")] = None
    ft_encryption_mode: Annotated[str | None, Since("7.0.2.0")] = None


class VirtualMachineRelocateSpecDiskLocatorBackingSpec(DataObject, since="7.0.0.0"):
    """What is done to a disk on its way."""

    parent: "VirtualMachineRelocateSpecDiskLocatorBackingSpec | None" = None
    crypto: CryptoSpec | None = None


class VirtualMachineRelocateSpecDiskLocator(DataObject):
    """Where a disk goes."""

    disk_id: int
    datastore: Ref
    disk_move_type: str | None = None
    profile: Annotated[Sequence[VirtualMachineProfileSpec], Since("5.5")] = ()
    backing: Annotated[
        VirtualMachineRelocateSpecDiskLocatorBackingSpec | None, Since("7.0.0.0")
    ] = None


class VirtualMachineRelocateSpec(DataObject):
    """Where a machine goes."""

    folder: Annotated[Ref | None, Since("6.0")] = None
    datastore: Ref | None = None
    disk_move_type: str | None = None
    pool: Ref | None = None
    host: Ref | None = None
    disk: Sequence[VirtualMachineRelocateSpecDiskLocator] = ()
    device_change: Annotated[Sequence[VirtualDeviceConfigSpec], Since("5.5")] = ()
    profile: Annotated[Sequence[VirtualMachineProfileSpec], Since("5.5")] = ()
    crypto_spec: Annotated[CryptoSpec | None, Since("7.0.0.0")] = None


class VirtualMachineCloneSpec(DataObject):
    """What a clone is to be like."""

    location: VirtualMachineRelocateSpec
    template: bool
    config: VirtualMachineConfigSpec | None = None
    power_on: bool
    snapshot: Ref | None = None
    memory: Annotated[bool | None, Since("5.5")] = None
    tpm_provision_policy: Annotated[str | None, Since("8.0.0.1")] = None


# Snapshots ---------------------------------------------------------------------------------------


class VirtualMachineGuestQuiesceSpec(DataObject, since="6.5", open=True):
    """How software in the guest prepares a snapshot; there is none."""

    timeout: int | None = None


class SnapshotSelectionSpec(DataObject, since="8.0.3.0"):
    """Which snapshots are removed."""

    retention_days: int | None = None


class VirtualMachineMovePriority(VimEnum):
    LOW_PRIORITY = "lowPriority"
    HIGH_PRIORITY = "highPriority"
    DEFAULT_PRIORITY = "defaultPriority"
