"""Devices of machines."""

from collections.abc import Sequence
from typing import Annotated

from kmipkit_vsphere.web_services.vim25.basics import Description
from kmipkit_vsphere.web_services.vim25.declaration import DataObject, Long, Name, Ref, VimEnum
from kmipkit_vsphere.web_services.vim25.keys import CryptoKeyId


class VirtualDeviceBackingInfo(DataObject, open=True):
    """What is behind a device."""


class VirtualDeviceFileBackingInfo(VirtualDeviceBackingInfo):
    file_name: str
    datastore: Ref | None = None
    backing_object_id: str | None = None


class VirtualDevice(DataObject, open=True):
    """A device of a machine."""

    key: int
    device_info: Description | None = None
    backing: VirtualDeviceBackingInfo | None = None
    controller_key: int | None = None
    unit_number: int | None = None


class VirtualController(VirtualDevice):
    """A controller, to which devices are attached."""

    bus_number: int
    device: Sequence[int] = ()


class VirtualSCSISharing(VimEnum):
    NO_SHARING = "noSharing"
    VIRTUAL_SHARING = "virtualSharing"
    PHYSICAL_SHARING = "physicalSharing"


class VirtualSCSIController(VirtualController):
    """A SCSI controller."""

    hot_add_remove: bool | None = None
    shared_bus: VirtualSCSISharing
    scsi_ctlr_unit_number: int | None = None


class ParaVirtualSCSIController(VirtualSCSIController):
    """The controller of the disks."""


class VirtualDiskFlatVer2BackingInfo(VirtualDeviceFileBackingInfo):
    """The file of a disk or of a layer of it, with the layer below; with a key it is encrypted."""

    disk_mode: str
    thin_provisioned: bool | None = None
    uuid: str | None = None
    parent: "VirtualDiskFlatVer2BackingInfo | None" = None
    sharing: str | None = None
    key_id: CryptoKeyId | None = None


class VirtualTPM(VirtualDevice, since="6.7"):
    """A virtual TPM."""

    endorsement_key_certificate_signing_request: Sequence[bytes] = ()
    endorsement_key_certificate: Sequence[bytes] = ()


class VirtualDisk(VirtualDevice):
    capacity_in_kb: Annotated[Long, Name("capacityInKB")]
    capacity_in_bytes: Long | None = None
