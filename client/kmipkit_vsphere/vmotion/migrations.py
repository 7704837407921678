"""The migrations of a host: it listens for a machine that comes, and connects to send one away.

The packets protect themselves; the port is plain TCP, as vMotion's is, on the host's own address,
for one connection. While a machine leaves, its guests wait: reads and writes are refused.
"""

import logging
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import trio

from kmipkit_vsphere.calls.machines import MigrationAddress, MigrationEnd
from kmipkit_vsphere.host.migration_support import MigrationSupport, QuiescedMachine
from kmipkit_vsphere.model.defects import contained
from kmipkit_vsphere.model.errors import InvalidState, MigrationBroken, VSphereError
from kmipkit_vsphere.model.migration_spec import MigrationSpec
from kmipkit_vsphere.vmotion import staging
from kmipkit_vsphere.vmotion.transfer import InDoubt, receive, send

WAIT: Final = 60.0
"""Seconds that a target waits for the source to connect."""

log = logging.getLogger("kmipkit.vsphere.host")


async def _accept(listener: trio.SocketListener) -> trio.SocketStream:
    """The connection of the source; then nobody else can connect."""
    async with listener:
        with trio.move_on_after(WAIT):
            return await listener.accept()
    raise MigrationBroken(f"the source did not connect within {WAIT:.0f} s")


@dataclass
class _Incoming:
    """A migration to this host that has not ended."""

    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    ended: trio.Event = field(default_factory=trio.Event)


class Migrations:
    """The migrations of one host; :meth:`run` must be running for the host to be a target.

    All state here belongs to the event loop. Calls to the host take the lock of its machines, so
    they run in worker threads (see :class:`MigrationSupport`).
    """

    def __init__(self, host: MigrationSupport, address: str = "127.0.0.1") -> None:
        self._host = host
        self._address = address
        self._incoming: dict[str, _Incoming] = {}
        self._nursery: trio.Nursery | None = None

    async def run(self) -> None:
        """Serve until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            await trio.sleep_forever()

    # The target ----------------------------------------------------------------------------------

    async def prepare(self, spec: MigrationSpec) -> MigrationAddress:
        """Listen for a machine; returns where the source must connect to."""
        if self._nursery is None:
            raise InvalidState("this host is not ready to be the target of a migration")
        if spec.key is not None and not self._host.can_encrypt:
            raise InvalidState("this host does not support encrypted migrations")
        [listener] = await trio.open_tcp_listeners(0, host=self._address)
        incoming = self._incoming[spec.migration_id] = _Incoming()
        self._nursery.start_soon(self._receive, listener, spec, incoming)
        address, port = listener.socket.getsockname()[:2]
        return MigrationAddress(address, port)

    async def _receive(
        self, listener: trio.SocketListener, spec: MigrationSpec, incoming: _Incoming
    ) -> None:
        try:
            with contained(log, f"migration {spec.migration_id}"), incoming.scope:
                async with await _accept(listener) as stream:
                    name = await receive(stream, spec, self._host.folder, self._take_into_use)
                    log.info("migration %s: received the machine %s", spec.migration_id, name)
        finally:
            spec.erase()
            incoming.ended.set()
            self._incoming.pop(spec.migration_id, None)

    def _take_into_use(self, machine: staging.StagedMachine) -> None:
        memory = bytes(machine.memory) if machine.is_running else None
        try:
            self._host.add(machine.name, memory)
        except VSphereError as failure:  # it belongs to this host all the same
            log.warning("%s has moved here but stays locked: %s", machine.name, failure.message)

    async def outcome(self, migration_id: str, name: str) -> bool:
        """Whether this migration has moved the machine here. Ends the migration if it has not.

        After the answer "no" the source uses the machine again, so it must not arrive later.
        """
        incoming = self._incoming.get(migration_id)
        if incoming is not None:
            incoming.scope.cancel()
            await incoming.ended.wait()
        return staging.has_arrived(self._host.folder, name, migration_id)

    # The source ----------------------------------------------------------------------------------

    async def start(self, spec: MigrationSpec, name: str, target: MigrationAddress) -> MigrationEnd:
        """Send a machine away. If the end is in doubt, vCenter must ask the target.

        Raises :class:`MigrationBroken` if the machine stays here, in use as before.
        """
        if spec.key is not None and not self._host.can_encrypt:
            raise InvalidState("this host does not support encrypted migrations")
        machine = await trio.to_thread.run_sync(self._host.quiesce, name)
        try:
            await self._send(spec, machine, target)
        except InDoubt as doubt:
            log.warning("migration %s: %s", spec.migration_id, doubt.message)
            return MigrationEnd.IN_DOUBT
        except BaseException:
            # Also when cancelled: a machine that stays quiesced could not be used any more.
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(self._host.resume, name)
            raise
        finally:
            spec.erase()
        with trio.CancelScope(shield=True):  # the target has the machine: nothing may undo that
            await self.settle(spec.migration_id, name, has_left=True)
        return MigrationEnd.DONE

    async def _send(
        self, spec: MigrationSpec, machine: QuiescedMachine, target: MigrationAddress
    ) -> None:
        try:
            stream = await trio.open_tcp_stream(target.address, target.port)
        except OSError as error:
            raise MigrationBroken(f"cannot connect to the target host: {error}") from None
        withdraw = partial(staging.withdraw, self._host.folder, machine.name, spec.migration_id)
        async with stream:
            await send(stream, spec, machine, withdraw)

    async def settle(self, migration_id: str, name: str, *, has_left: bool) -> None:
        """End a migration as vCenter decided: delete the machine here, or use it again."""
        await trio.to_thread.run_sync(self._settle, migration_id, name, has_left)

    def _settle(self, migration_id: str, name: str, has_left: bool) -> None:
        staging.settle(self._host.folder, name, migration_id, has_left=has_left)
        if has_left:
            self._host.remove(name)
        else:
            self._host.resume(name)
