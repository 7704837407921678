"""The two sides of a migration on one connection, and the hand-over in two phases.

    source                                target
    MANIFEST, DATA …, FINISH (digest) ->
                                       <- PREPARED: everything is durable here
    takes the machine out of use
    COMMIT                            ->  takes it into use
                                       <- DONE
    deletes it

Until COMMIT is sent, any failure leaves the machine on the source and nothing on the target. If the
connection ends between COMMIT and DONE, the source deletes nothing: the machine stays there, out of
use, until vCenter has asked the target and decides which host has it.

Two hosts never use a machine at the same time, because the source takes it out of use *before* it
sends COMMIT. No message can be lost in a way that leaves it to nobody, because the target makes
everything durable *before* it sends PREPARED.
"""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import trio

from kmipkit_vsphere.host.migration_support import QuiescedMachine
from kmipkit_vsphere.model.encoding import encode
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
from kmipkit_vsphere.vmotion.staging import Manifest, ManifestFile, StagedMachine, parse_manifest

CHUNK: Final = 256 * 1024
STEP_TIMEOUT: Final = 60.0
"""Seconds for the other side to send or take the next packet."""


class InDoubt(MigrationBroken):
    """The connection ended between COMMIT and DONE; vCenter must find out which host has it."""


def describe(machine: QuiescedMachine) -> Manifest:
    """The manifest of a machine."""
    files = tuple(ManifestFile(path.name, path.stat().st_size) for path in machine.files)
    is_running, memory = machine.memory is not None, len(machine.memory or b"")
    return Manifest(machine.name, is_running, memory, files)


def read_chunks(machine: QuiescedMachine) -> Iterator[bytes]:
    """The contents of the files, then the memory."""
    for path in machine.files:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk
    memory = machine.memory or b""
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
            raise MigrationBroken("the connection to the other host is broken") from None

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
            raise MigrationBroken(f"expected {kind.name}, received {packet.kind.name}")
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
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data


async def send(
    stream: trio.abc.Stream,
    spec: MigrationSpec,
    machine: QuiescedMachine,
    take_out_of_use: Callable[[], object],
) -> None:
    """The source's side, up to DONE.

    Raises :class:`MigrationBroken` while the source still has the machine, and :class:`InDoubt`
    when the target may have it.
    """
    link = Link(stream, spec, TO_TARGET, TO_SOURCE)
    manifest = encode(describe(machine))
    digest = hashlib.sha256(manifest)
    await link.send(Kind.MANIFEST, manifest)
    chunks = read_chunks(machine)
    while (chunk := await trio.to_thread.run_sync(next, chunks, None)) is not None:
        digest.update(chunk)
        await link.send(Kind.DATA, chunk)
    await link.send(Kind.FINISH, digest.digest())
    await link.expect(Kind.PREPARED)
    take_out_of_use()
    # From here on a failure proves nothing: COMMIT may have arrived although sending it failed.
    try:
        await link.send(Kind.COMMIT)
        await link.expect(Kind.DONE)
    except MigrationBroken as broken:
        raise InDoubt(f"the target host may have the machine: {broken.message}") from None


async def receive(
    stream: trio.abc.Stream,
    spec: MigrationSpec,
    datastore: Path,
    take_into_use: Callable[[StagedMachine], object],
) -> str:
    """The target's side; returns the name of the machine. A failure leaves nothing behind.

    ``take_into_use`` runs in a worker thread.
    """
    link = Link(stream, spec, TO_SOURCE, TO_TARGET)
    manifest = await link.expect(Kind.MANIFEST)
    machine = None
    try:
        machine = StagedMachine(datastore, spec.migration_id, parse_manifest(manifest))
        await _receive_contents(link, machine, hashlib.sha256(manifest))
        await link.send(Kind.PREPARED)
        await link.expect(Kind.COMMIT)
        machine.commit()
    except BaseException as failure:
        if machine is not None:
            machine.discard()
        if isinstance(failure, VSphereError):
            # The source waits for an answer, also while this side is being cancelled.
            with trio.move_on_after(1, shield=True):
                await _refuse(link, failure)
        raise
    # After the commit this host has the machine, so a cancellation must not come in between.
    with trio.CancelScope(shield=True):
        await trio.to_thread.run_sync(take_into_use, machine)
    await link.send(Kind.DONE)
    return machine.name


async def _receive_contents(link: Link, machine: StagedMachine, digest: "hashlib._Hash") -> None:
    while (packet := await link.receive()).kind is Kind.DATA:
        digest.update(packet.body)
        await trio.to_thread.run_sync(machine.write, packet.body)
    # An unencrypted migration has no authenticated packets, so the digest is its only check.
    if packet.kind is not Kind.FINISH or packet.body != digest.digest():
        raise MigrationBroken("the received data differs from what the source sent")
    await trio.to_thread.run_sync(machine.prepare)


async def _refuse(link: Link, failure: VSphereError) -> None:
    try:
        await link.send(Kind.REFUSED, failure.message.encode()[:1000])
    except MigrationBroken:
        return  # the source is gone
