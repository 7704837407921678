"""The calls of guests: contents of the disks and the memory of their machines, never keys."""

from typing import Annotated, Final

from msgspec import Meta

from kmipkit_vsphere.model.message import Count, Message, Text
from kmipkit_vsphere.rpc.call import Query, Request

MAX_READ: Final = 256 * 1024
"""Bytes that are read or written in one call."""

Length = Annotated[int, Meta(ge=0, le=MAX_READ)]
Data = Annotated[bytes, Meta(max_length=MAX_READ)]
SealedData = Annotated[bytes, Meta(max_length=4096)]


class ReadDisk(Query[bytes]):
    """Read from a disk."""

    name: Text
    offset: Count
    length: Length
    disk: Count = 0


class WriteDisk(Request[None]):
    """Write to a disk; durable when it is answered."""

    name: Text
    offset: Count
    data: Data
    disk: Count = 0


class DiskSize(Message):
    """Size and sector size of a disk, bytes."""

    size: int
    sector_size: int


class DiskInfo(Query[DiskSize]):
    """The size of a disk."""

    name: Text
    disk: Count = 0


class FlushDisk(Request[None]):
    """Make earlier writes durable. They are durable already, so this only checks the disk."""

    name: Text
    disk: Count = 0


class ReadMemory(Query[bytes]):
    """Read the memory of a running machine."""

    name: Text
    offset: Count
    length: Length


class WriteMemory(Request[None]):
    """Write the memory of a running machine."""

    name: Text
    offset: Count
    data: Data


class SealWithTPM(Request[bytes]):
    """Seal data, such as the key of a disk, with the virtual TPM of a machine."""

    name: Text
    data: SealedData


class UnsealWithTPM(Request[bytes]):
    """Unseal what the virtual TPM of a machine has sealed."""

    name: Text
    data: SealedData


class ReadVsan(Query[bytes]):
    """Read the host's disk group."""

    offset: Count
    length: Length


class WriteVsan(Request[None]):
    """Write the host's disk group."""

    offset: Count
    data: Data
