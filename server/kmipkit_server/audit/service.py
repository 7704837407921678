"""The audit of a running server: its log, what hangs on the engine and the store, its background work.

While it runs, records reach the disk every 100 ms at least, checkpoints are made, and files that are
large or old enough are followed by new ones.
"""

import logging
import secrets
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Self

import msgspec
import trio

from kmipkit.spec.titles import title
from kmipkit_server.audit.administration import AdminAudit
from kmipkit_server.audit.anchor import Anchor, anchor_name, outbox_prefix, read_anchor
from kmipkit_server.audit.connections import ConnectionAudit
from kmipkit_server.audit.hook import AuditHook, DurableAuditHook
from kmipkit_server.audit.log import AuditError, AuditLog
from kmipkit_server.audit.outbox import Outbox
from kmipkit_server.audit.records import Cause, Event, Record, client_of, encode
from kmipkit_server.audit.recovery import Restored, mend, read_state, was_stopped
from kmipkit_server.audit.retention import remove_old_files
from kmipkit_server.audit.settings import AuditSettings
from kmipkit_server.audit.signatures import PURPOSE, Signer
from kmipkit_server.audit.sinks.sink import Sink
from kmipkit_server.engine.notifications import Notification
from kmipkit_server.engine.settings import Clock
from kmipkit_server.store.base import Reader, Store, Transaction
from kmipkit_server.store.errors import StoreError

log = logging.getLogger("kmipkit.server")

SYNC_SECONDS = 0.1
"""How long a record may be written and not be on the disk."""

DRAIN_SECONDS = 2.0
"""How long a stop waits for the sinks."""

MAINTENANCE_SECONDS = 1.0
"""How often to look whether a checkpoint is due, if nothing is to be synced."""

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Audit:
    """The audit of one server."""

    def __init__(
        self,
        settings: AuditSettings,
        audit: AuditLog,
        outbox: Outbox,
        clock: Clock,
        chain: str,
        sinks: Sequence[Sink],
    ) -> None:
        """Use :meth:`start`."""
        self._sinks = sinks
        self._sending = trio.CancelScope()
        self.log = audit
        self.outbox = outbox
        self.connections = ConnectionAudit(audit, clock)
        self.hook = DurableAuditHook(audit, self.settled) if settings.durable else AuditHook(audit)
        self.administration = AdminAudit(audit, self.settled if settings.durable else None)
        self._settings = settings
        self._clock = clock
        self._chain = chain
        self._written = trio.Event()
        """Set when there are records to sync, if responses wait for that."""
        self._synced = trio.Event()
        """Set, and replaced, after each sync."""
        self._checkpoint_synced = trio.Event()
        self._sync_error: OSError | None = None
        self._last_checkpoint = trio.current_time()

    @classmethod
    async def start(
        cls,
        settings: AuditSettings,
        store: Store,
        clock: Clock,
        sinks: Sequence[Sink] = (),
        restored: Restored | None = None,
    ) -> Self:
        """Open the log, mend it, and sign its state; before the store serves.

        ``restored`` is what was restored before this start, if anything was. AuditError or OSError if
        the log cannot be written.
        """
        anchor, outbox = await store.run(partial(_read_settings, log=settings.key))
        settings.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        state = read_state(settings.directory)
        chain = (state.chain or secrets.token_hex(8)) if anchor is None else anchor.chain
        audit = AuditLog(
            settings.directory,
            state.position,
            Signer(store.derive_key(PURPOSE)),
            clock,
            chain,
            file_size=settings.file_size,
            file_age=settings.file_age,
            refuses=settings.refuses,
            name=settings.name,
        )
        audit.listeners += [sink.put for sink in sinks]
        if anchor is None and state.file is not None:
            log.warning(
                "%s has the audit log of another database, which needs the public key of that one to"
                " be verified; move its files to an archive",
                settings.directory,
            )
            state.file = None
        if state.file is None:
            audit.open_file()
        else:
            audit.continue_file(state.file.path, state.size)
        boot = _boot_id()
        mend(audit, state, anchor, outbox, clock, boot, restored)
        audit.checkpoint(Cause.START, boot)
        await audit.sync()
        return cls(settings, audit, Outbox(audit, clock, outbox, settings.key), clock, chain, sinks)

    @staticmethod
    async def settle(
        settings: AuditSettings, store: Store, clock: Clock, restored: Restored | None = None
    ) -> None:
        """Add what a log lacks to which no process writes; the store must be serving.

        Such as that of a third worker, if it was killed, and there are two now. After a restore, all
        logs may lack something.
        """
        _, outbox = await store.run(partial(_read_settings, log=settings.key))
        if restored is not None or outbox or not was_stopped(settings.directory):
            audit = await Audit.start(settings, store, clock, restored=restored)
            await audit._save_anchor(store, clears=True)
            await audit.stop(store)

    async def run(
        self, store: Store, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Run the background work until cancelled; the store must be serving."""
        await self._save_anchor(store, clears=True)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._save_anchors, store)
            task_status.started()
            await self._write_on()

    async def _write_on(self) -> None:
        """Sync the log, and look after its files."""
        while True:
            if self._settings.durable:
                with trio.move_on_after(MAINTENANCE_SECONDS):
                    await self._written.wait()
                self._written = trio.Event()
            else:
                await trio.sleep(SYNC_SECONDS)
            if self.log.synced.number < self.log.position.number:
                await self._sync()
            await self._maintain()

    async def _save_anchors(self, store: Store) -> None:
        """Note each checkpoint in the store: in a task of its own, since the store may be busy, and
        syncing the log must not wait for that."""
        while True:
            await self._checkpoint_synced.wait()
            self._checkpoint_synced = trio.Event()
            await self._save_anchor(store)

    async def stop(self, store: Store) -> None:
        """Sign the state of the log, when no more requests come, and close it.

        The sinks have a moment to get the last records; then :meth:`send` ends.
        """
        try:
            self.log.checkpoint(Cause.STOP)
            await self.log.sync()
        except OSError as error:
            log.error("the audit log has no last checkpoint: %s", error.strerror)
        else:
            await self._save_anchor(store)
        finally:
            self.log.close()
            with trio.move_on_after(DRAIN_SECONDS):
                for sink in self._sinks:
                    await sink.drained()
            self._sending.cancel()

    async def send(self) -> None:
        """Send records to the sinks until :meth:`stop`."""
        with self._sending:
            async with trio.open_nursery() as nursery:
                for sink in self._sinks:
                    nursery.start_soon(sink.run, self._report_losses)

    def _report_losses(self, sink: str, count: int) -> None:
        self.log.owe(Record(time=self._clock(), event=Event.LOSSES, kind=sink, count=count))

    def sent(self, account: str, notification: Notification) -> None:
        """Record a request to a client. AuditError if that fails, and it must not be sent then."""
        record = Record(
            time=self._clock(),
            event=Event.SENT,
            operation=title(notification.operation),
            objects=(notification.identifier,),
            version=str(notification.version),
            client=msgspec.Raw(encode(client_of(account))),
        )
        self.log.append([record])

    async def settled(self) -> None:
        """Wait until all records so far are on the disk. AuditError if they cannot get there."""
        number = self.log.position.number
        while self.log.synced.number < number:
            synced = self._synced
            self._written.set()
            await synced.wait()
            if self._sync_error is not None and self._settings.refuses:
                raise AuditError(str(self._sync_error))

    async def _sync(self) -> None:
        try:
            await self.log.sync()
        except OSError as error:
            self._sync_error = error
            self.log.sync_failed(error)
        else:
            self._sync_error = None
        self._synced.set()
        self._synced = trio.Event()

    async def _maintain(self) -> None:
        """Make a checkpoint, and begin a new file, if it is time to."""
        audit = self.log
        try:
            if audit.refusing_since is not None:
                # Nobody asks a server that refuses all: it finds out by itself when it can write.
                audit.prepare(())
            if audit.is_damaged():
                audit.open_file()
                self._report_damage()
            audit.reserve_room()
            is_due = trio.current_time() - self._last_checkpoint >= self._seconds
            if audit.is_due_for_rotation:
                audit.rotate()
                removed = remove_old_files(self._settings, self._clock)
                if removed is not None:
                    audit.append([removed])
            elif is_due and audit.checkpoint_number < audit.position.number:
                audit.checkpoint(Cause.INTERVAL)
            else:
                return
            self._last_checkpoint = trio.current_time()
            await audit.sync()
        except OSError as error:
            audit.sync_failed(error)
        except AuditError:
            return  # the log has said so
        else:
            self._checkpoint_synced.set()

    @property
    def _seconds(self) -> float:
        return self._settings.checkpoint.total_seconds()

    def _report_damage(self) -> None:
        log.error(
            "%s: another program has changed the audit log; verify it", self._settings.directory
        )
        self.log.owe(
            Record(
                time=self._clock(),
                event=Event.TAMPERED,
                message="another program has cut or deleted the file while the server wrote it",
            )
        )

    async def _save_anchor(self, store: Store, *, clears: bool = False) -> None:
        """Note in the store which records are on the disk; after a start, ``clears`` the outbox."""
        number, digest = self.log.synced
        value = msgspec.json.encode(Anchor(self._chain, number, digest.hex()))

        def write(transaction: Transaction) -> None:
            transaction.set_setting(anchor_name(self._settings.key), value)
            if clears:
                self.outbox.clear(transaction)

        try:
            await store.run(write, writes=True)
        except StoreError as error:  # the next checkpoint is noted again
            log.warning("the state of the audit log is not noted in the store: %s", error)


def _read_settings(reader: Reader, log: str) -> tuple[Anchor | None, dict[str, bytes]]:
    """What the store knows of a log. StoreError if another program has changed it."""
    return read_anchor(reader, log), reader.settings(outbox_prefix(log))


def _boot_id() -> str:
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:  # only Linux has it
        return ""
