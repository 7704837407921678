"""The two sides of a migration on a connection, and the hand-over in two phases.

    source                                target
    MANIFEST, DATA …, FINISH (digest) ->
                                       <- PREPARED: all is durable here
    takes the machine out of use
    COMMIT                            ->  takes it into use
                                       <- DONE
    deletes it

Until COMMIT was sent, whatever goes wrong leaves the machine on the source and nothing on the
target. Where the connection ends between COMMIT and DONE, the source deletes nothing: the machine
lies there out of use until vCenter has asked the target, and says who has it.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import trio

from kmipkit_vsphere.model.errors import MigrationBroken, VSphereError
from kmipkit_vsphere.model.migration_spec import MigrationSpec
from kmipkit_vsphere.vmotion.packets import (
    HEAD_SIZE,
    TO_SOURCE,
    TO_TARGET,
    Kind,
    Opener,
    Packet,
    Sealer,
)
from kmipkit_vsphere.vmotion.staging import Incoming

CHUNK: Final = 256 * 1024
STEP_TIMEOUT: Final = 60.0
"""Seconds for the other side to send or take the next packet."""


class InDoubt(MigrationBroken):
    """The connection ended between COMMIT and DONE; vCenter must settle who has the machine."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """What is sent: the files of a machine, and the memory of one that runs."""

    name: str
    files: Sequence[Path]
    memory: bytes | None

    def manifest(self) -> bytes:
        """What comes, in the order in which it comes."""
        return json.dumps(
            {
                "name": self.name,
                "running": self.memory is not None,
                "memory": len(self.memory or b""),
                "files": [{"name": one.name, "size": one.stat().st_size} for one in self.files],
            }
        ).encode()

    def chunks(self) -> Iterator[bytes]:
        """The contents."""
        for path in self.files:
            with path.open("rb") as file:
                while chunk := file.read(CHUNK):
                    yield chunk
        memory = self.memory or b""
        for start in range(0, len(memory), CHUNK):
            yield memory[start : start + CHUNK]


class Link:
    """Packets on a stream."""

    def __init__(
        self, stream: trio.abc.Stream, spec: MigrationSpec, out: bytes, into: bytes
    ) -> None:
        self._stream = stream
        self._sealer = Sealer(spec, out)
        self._opener = Opener(spec, into)
        self._buffer = b""

    async def send(self, kind: Kind, body: bytes = b"") -> None:
        """Send a packet."""
        try:
            with trio.fail_after(STEP_TIMEOUT):
                await self._stream.send_all(self._sealer.seal(kind, body))
        except (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError):
            raise MigrationBroken("the connection to the other host broke") from None

    async def receive(self) -> Packet:
        """The next packet of the other side."""
        head = await self._read(HEAD_SIZE)
        return self._opener.open(head, await self._read(self._opener.length(head)))

    async def expect(self, kind: Kind) -> bytes:
        """The next packet, which must be of this kind."""
        packet = await self.receive()
        if packet.kind is Kind.REFUSED:
            raise MigrationBroken(
                f"the target host refused: {packet.body.decode(errors='replace')}"
            )
        if packet.kind is not kind:
            raise MigrationBroken(f"{packet.kind.name} came where {kind.name} was expected")
        return packet.body

    async def _read(self, size: int) -> bytes:
        while len(self._buffer) < size:
            try:
                with trio.fail_after(STEP_TIMEOUT):
                    data = await self._stream.receive_some(CHUNK)
            except (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError):
                data = b""
            if not data:
                raise MigrationBroken("the connection to the other host ended")
            self._buffer += data
        found, self._buffer = self._buffer[:size], self._buffer[size:]
        return found


async def send(
    stream: trio.abc.Stream,
    spec: MigrationSpec,
    outgoing: Outgoing,
    take_out_of_use: Callable[[], object],
) -> None:
    """The source's side, up to DONE.

    Raises :class:`MigrationBroken` while the machine is still the source's, :class:`InDoubt` when
    that cannot be known.
    """
    link = Link(stream, spec, TO_TARGET, TO_SOURCE)
    manifest = outgoing.manifest()
    digest = hashlib.sha256(manifest)
    await link.send(Kind.MANIFEST, manifest)
    chunks = outgoing.chunks()
    while (chunk := await trio.to_thread.run_sync(next, chunks, None)) is not None:
        digest.update(chunk)
        await link.send(Kind.DATA, chunk)
    await link.send(Kind.FINISH, digest.digest())
    await link.expect(Kind.PREPARED)
    take_out_of_use()
    try:
        await link.send(Kind.COMMIT)
        await link.expect(Kind.DONE)
    except MigrationBroken as broken:
        raise InDoubt(
            f"it is not known whether the target has the machine: {broken.message}"
        ) from None


async def receive(
    stream: trio.abc.Stream,
    spec: MigrationSpec,
    datastore: Path,
    take_into_use: Callable[[Incoming], object],
) -> str:
    """The target's side; the name of the machine that came. Nothing is left where it fails."""
    link = Link(stream, spec, TO_SOURCE, TO_TARGET)
    manifest = await link.expect(Kind.MANIFEST)
    incoming = None
    try:
        incoming = Incoming(datastore, spec.migration_id, _parse(manifest))
        await _take_all(link, incoming, hashlib.sha256(manifest))
        await link.send(Kind.PREPARED)
        await link.expect(Kind.COMMIT)
        incoming.commit()
    except BaseException as failure:
        if incoming is not None:
            incoming.discard()
        if isinstance(failure, VSphereError):
            with trio.move_on_after(1, shield=True):
                await _refuse(link, failure)
        raise
    take_into_use(incoming)
    await link.send(Kind.DONE)
    return incoming.name


async def _take_all(link: Link, incoming: Incoming, digest: Any) -> None:
    while (packet := await link.receive()).kind is Kind.DATA:
        digest.update(packet.body)
        await trio.to_thread.run_sync(incoming.write, packet.body)
    if packet.kind is not Kind.FINISH or packet.body != digest.digest():
        raise MigrationBroken("what came is not what was sent")
    await trio.to_thread.run_sync(incoming.prepare)


async def _refuse(link: Link, failure: VSphereError) -> None:
    try:
        await link.send(Kind.REFUSED, failure.message.encode()[:1000])
    except MigrationBroken:
        return  # the other side is gone


def _parse(manifest: bytes) -> dict[str, Any]:
    try:
        found = json.loads(manifest)
        if {"name", "running", "memory", "files"} <= set(found):
            return dict(found)
    except (ValueError, TypeError):
        pass
    raise MigrationBroken("the manifest is not one")
