"""A disk as its guest sees it: plain text, read and written through the host."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, TypeVar

import trio

from kmipkit_vsphere.calls.guest import (
    MAX_READ,
    DiskInfo,
    ReadDisk,
    SealWithTPM,
    UnsealWithTPM,
    WriteDisk,
)
from kmipkit_vsphere.rpc import channel
from kmipkit_vsphere.rpc.call import Request
from kmipkit_vsphere.rpc.tls import Credentials

A = TypeVar("A")


@dataclass(frozen=True, slots=True)
class GuestDisk:
    """A disk of a machine, and the host that runs it; ``credentials`` are those of a guest."""

    address: tuple[str, int]
    host: str
    credentials: Credentials
    machine: str
    disk: int = 0

    def read(self, offset: int, length: int | None = None) -> Iterator[bytes]:
        """The bytes from ``offset``, in parts; without a length up to the end of the disk."""
        if length is None:
            length = max(0, self._call(DiskInfo(self.machine, self.disk)).size - offset)
        for start in range(offset, offset + length, MAX_READ):
            size = min(MAX_READ, offset + length - start)
            yield self._call(ReadDisk(self.machine, start, size, self.disk))

    def write(self, offset: int, file: BinaryIO) -> int:
        """Write a file; the number of its bytes. Each part is durable before the next is sent."""
        written = 0
        while data := file.read(MAX_READ):
            self._call(WriteDisk(self.machine, offset + written, data, self.disk))
            written += len(data)
        return written

    def seal(self, data: bytes) -> bytes:
        """Seal data with the virtual TPM of the machine."""
        return self._call(SealWithTPM(self.machine, data))

    def unseal(self, data: bytes) -> bytes:
        """Unseal what the virtual TPM of the machine has sealed."""
        return self._call(UnsealWithTPM(self.machine, data))

    def _call(self, request: Request[A]) -> A:
        async def exchange() -> A:
            async with await channel.connect(self.address, self.host, self.credentials) as client:
                return await client.call(request)

        # Ctrl-C only while the task waits: inside a callback of TLS it would be lost.
        return trio.run(exchange, restrict_keyboard_interrupt_to_checkpoints=True)
