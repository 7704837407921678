"""Migrations on a host: it opens a port for one that comes, and connects for one that leaves.

The packets protect themselves; the port is plain TCP, as vMotion's is, on the host's own address,
for one connection. While a machine leaves, its guests wait: reads and writes are refused.
"""

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import trio

from kmipkit_vsphere.model.errors import InvalidState, MigrationBroken, VSphereError
from kmipkit_vsphere.model.migration_spec import MigrationSpec
from kmipkit_vsphere.vmotion import staging
from kmipkit_vsphere.vmotion.transfer import InDoubt, Outgoing, receive, send

if TYPE_CHECKING:
    from kmipkit_vsphere.host.host import Host

WAIT: Final = 60.0
"""Seconds that a target waits for the source to connect."""

log = logging.getLogger("kmipkit.vsphere.host")


@dataclass
class _Coming:
    """A migration that this host waits for."""

    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    ended: trio.Event = field(default_factory=trio.Event)


class Migrations:
    """The migrations of one host; :meth:`run` must be running for machines to come."""

    def __init__(self, host: "Host") -> None:
        self._host = host
        self._coming: dict[str, _Coming] = {}
        self._nursery: trio.Nursery | None = None
        self.can_encrypt = True
        self.address = "127.0.0.1"

    async def run(self) -> None:
        """Serve until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            await trio.sleep_forever()

    # The target ----------------------------------------------------------------------------------

    async def prepare(self, spec: MigrationSpec) -> dict[str, Any]:
        """Wait for a machine; returns address and port that the source shall connect to."""
        if self._nursery is None:
            raise InvalidState("this host does not take machines now")
        if spec.key is not None and not self.can_encrypt:
            raise InvalidState("this host cannot take encrypted migrations")
        [listener] = await trio.open_tcp_listeners(0, host=self.address)
        coming = self._coming[spec.migration_id] = _Coming()
        self._nursery.start_soon(self._take, listener, spec, coming)
        found = listener.socket.getsockname()
        return {"address": found[0], "port": found[1]}

    async def _take(
        self, listener: trio.SocketListener, spec: MigrationSpec, coming: _Coming
    ) -> None:
        try:
            with coming.scope:
                async with listener:
                    with trio.fail_after(WAIT):
                        stream = await listener.accept()
                async with stream:
                    name = await receive(stream, spec, self._host.datastore, self._arrive)
                    log.info("the machine %s came by migration %s", name, spec.migration_id)
        except trio.TooSlowError:
            log.warning("nobody came for migration %s", spec.migration_id)
        except (VSphereError, OSError) as failure:
            log.warning("migration %s: %s", spec.migration_id, failure)
        finally:
            spec.erase()
            coming.ended.set()
            self._coming.pop(spec.migration_id, None)

    def _arrive(self, incoming: staging.Incoming) -> None:
        memory = bytes(incoming.memory) if incoming.is_running else None
        try:
            self._host.arrive(incoming.name, memory)
        except VSphereError as failure:  # it is here all the same, and can be unlocked later
            log.warning("%s came and stays locked: %s", incoming.name, failure.message)

    async def outcome(self, migration_id: str, name: str) -> bool:
        """Whether the machine is here by this migration; what has not come by now never will."""
        coming = self._coming.get(migration_id)
        if coming is not None:
            coming.scope.cancel()
            await coming.ended.wait()
        return staging.arrived(self._host.datastore, name, migration_id)

    # The source ----------------------------------------------------------------------------------

    async def start(self, spec: MigrationSpec, name: str, address: str, port: int) -> str:
        """Send a machine away: ``done``, or ``inDoubt`` where vCenter must ask the target.

        Raises :class:`MigrationBroken` where it stays here, in use as before.
        """
        if spec.key is not None and not self.can_encrypt:
            raise InvalidState("this host cannot send machines encrypted")
        outgoing = self._host.begin_leaving(name)
        try:
            await self._send(spec, outgoing, address, port)
        except InDoubt as doubt:
            log.warning("migration %s: %s", spec.migration_id, doubt.message)
            return "inDoubt"
        except BaseException:
            self._host.stay(name)
            raise
        finally:
            spec.erase()
        self.settle(spec.migration_id, name, has_left=True)
        return "done"

    async def _send(self, spec: MigrationSpec, outgoing: Outgoing, address: str, port: int) -> None:
        def leave() -> None:
            staging.leave(self._host.datastore, outgoing.name, spec.migration_id)

        try:
            stream = await trio.open_tcp_stream(address, port)
        except OSError as error:
            raise MigrationBroken(f"the target host cannot be connected to: {error}") from None
        async with stream:
            await send(stream, spec, outgoing, leave)

    def settle(self, migration_id: str, name: str, *, has_left: bool) -> None:
        """What vCenter found out: delete the machine here, or take it into use again."""
        staging.settle(self._host.datastore, name, migration_id, has_left=has_left)
        if has_left:
            self._host.forget_machine(name)
        else:
            self._host.stay(name)
