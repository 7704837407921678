"""The hosts in vCenter's inventory, and keys for those that restarted.

A host that restarted has forgotten its keys: vCenter notices by the id of its boot, gives it its host
key again, then each machine its keys, and unlocks it (vsphere.md §2.8). Each machine stands by itself:
one whose key is gone, or whose files are damaged, stays locked, with one event and with an alarm until
it is unlocked; vCenter tries again in every round.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Final

import trio

from kmipkit_vsphere.calls.host import HostDescription, HostInfo
from kmipkit_vsphere.calls.machines import CryptoUnlock, ListMachines, MachineInfo, MachineState
from kmipkit_vsphere.model.concurrency import run_all
from kmipkit_vsphere.model.defects import contained
from kmipkit_vsphere.model.errors import (
    AlreadyExists,
    DamagedData,
    EncryptionKeyRequired,
    HostUnreachable,
    InvalidArgument,
    InvalidState,
    KeyNotUsable,
    KeyProviderError,
    KeyServerUnreachable,
    NotFound,
    ResourceInUse,
    VSphereError,
)
from kmipkit_vsphere.model.keys import CryptoKeyId
from kmipkit_vsphere.model.records import ROOT, CryptoMode, HostRecord, ManagementType
from kmipkit_vsphere.providers.kmip_session import KeyServerRefused
from kmipkit_vsphere.vcenter.alarm_definitions import PREFIX
from kmipkit_vsphere.vcenter.alarms import Alarms
from kmipkit_vsphere.vcenter.caller import SYSTEM, Caller
from kmipkit_vsphere.vcenter.calls.events import AlarmName, Entity, Severity
from kmipkit_vsphere.vcenter.calls.hosts import UnlockOutcome, UnlockResult
from kmipkit_vsphere.vcenter.crypto_manager import CryptoManagerKmip
from kmipkit_vsphere.vcenter.host_connections import HostConnections
from kmipkit_vsphere.vcenter.host_encryption import HostDialer, HostEncryption, log
from kmipkit_vsphere.vcenter.locks import Locks
from kmipkit_vsphere.vcenter.privileges import Privilege
from kmipkit_vsphere.vcenter.store import Store

MAX_CONCURRENT: Final = 16
"""Hosts that the background task handles at the same time."""

Failures = dict[CryptoKeyId, VSphereError]
"""Why keys cannot be had, so that a round asks for each only once."""


class HostManager(HostEncryption):
    """The hosts of one vCenter."""

    def __init__(
        self,
        store: Store,
        crypto: CryptoManagerKmip,
        dial: HostDialer,
        locks: Locks,
        alarms: Alarms,
    ) -> None:
        super().__init__(store, crypto, dial, locks)
        self._store = store
        self.alarms = alarms
        self.connections = HostConnections(crypto.event_log, alarms)
        self._incomplete: set[str] = set()
        """Hosts with machines that are still locked."""

    # The inventory -------------------------------------------------------------------------------

    async def add(
        self, caller: Caller, name: str, address: str, port: int, parent: str = ROOT
    ) -> HostDescription:
        """AddHost: add a host to the inventory; returns the host's description of itself.

        In a cluster with ``forceEnable``, or whose hosts are all safe, encryption mode is enabled
        on it, for which the caller needs the right (§6).
        """
        async with self._locks.host(name):
            if any(host.name == name for host in self._inventory.hosts()):
                raise AlreadyExists(
                    f"there is a host {name} already; reconnect it (reconnect-host)"
                )
            record = HostRecord(name, "", address, port, None, parent)
            self._inventory.place(parent)
            must_be_safe = self._must_be_safe(record)
            if must_be_safe:
                caller.require(Privilege.REGISTER_HOST, parent)
            info = await self.call(record, HostInfo())
            record = replace(record, uuid=info.uuid)
            self._inventory.put_host(record)
            if info.has_tpm:
                self._crypto.event_log.add(
                    "HostTpmConfigEncryptionEvent",
                    f"the configuration of host {name} is encrypted, and sealed by its TPM",
                    user=caller.user,
                    entity=Entity("host", name, info.uuid),
                )
            if must_be_safe:
                await self._configure(caller.unchecked(), name)
            return info

    def _must_be_safe(self, host: HostRecord) -> bool:
        cluster = self._inventory.cluster_of(host)
        if cluster is None:
            return False
        others = [other for other in self._inventory.hosts_beside(host) if other.name != host.name]
        all_safe = bool(others) and all(other.key_id is not None for other in others)
        return cluster.crypto_mode is CryptoMode.FORCE_ENABLE or all_safe

    async def remove(self, name: str) -> None:
        """RemoveHost: remove a host; ResourceInUse while machines are registered on it."""
        async with self._locks.host(name):
            users = [machine.name for machine in self._inventory.machines() if machine.host == name]
            if users:
                raise ResourceInUse(f"machines are registered on host {name}: {', '.join(users)}")
            self._inventory.remove_host(name)
            self.alarms.end_all(Entity("host", name))
            self.connections.forget(name)
            self._boots.pop(name, None)
            self._incomplete.discard(name)

    async def reconnect(
        self, caller: Caller, name: str, address: str | None = None, port: int | None = None
    ) -> list[UnlockResult]:
        """ReconnectHost: connect again, optionally at another address, and give the host its keys.

        Returns what became of each machine of the host. Raises :class:`InvalidArgument` if another
        host answers.
        """
        async with self._locks.host(name):
            host = self._inventory.host(name)
            moved = replace(host, address=address or host.address, port=port or host.port)
            info = await self.call(moved, HostInfo())
            if info.uuid != host.uuid:
                raise InvalidArgument(f"the host at {moved.address}:{moved.port} is not {name}")
            self._inventory.put_host(moved)
            self.connections.note_answer(moved)
        return await self._synchronise(caller, name)

    # Keys for hosts that restarted ---------------------------------------------------------------

    async def synchronise_restarted(self) -> None:
        """Ask every host whether it restarted since the last time, and give it its keys if so.

        A host that does not answer, or with a machine that stays locked, is tried again the next
        time; after several times, one that does not answer has an alarm.
        """
        limiter = trio.CapacityLimiter(MAX_CONCURRENT)

        async def attempt(host: HostRecord) -> None:
            async with limiter:
                with contained(log, f"host {host.name}"):
                    await self._synchronise_if_restarted(host.name)

        await run_all(*(partial(attempt, host) for host in self._inventory.hosts()))

    async def _synchronise_if_restarted(self, name: str) -> None:
        async with self._locks.host(name):
            host = self._inventory.host(name)
            try:
                info = await self.call(host, HostInfo())
            except HostUnreachable as failure:
                self.connections.note_failure(host, failure)
                raise
            self.connections.note_answer(host)
            if host.key_id is None:
                return
            if info.boot_id == self._boots.get(name) and name not in self._incomplete:
                return
        await self._synchronise(SYSTEM, name)

    async def _synchronise(self, caller: Caller, name: str) -> list[UnlockResult]:
        """Hand over the host key, then to each registered machine its keys, and unlock it.

        Does nothing for a host that never was in encryption mode. Returns what became of each
        machine. The lock of the host is not held while a machine is unlocked, because whoever has a
        machine's lock may take a host's, and never the reverse.
        """
        async with self._locks.host(name):
            host = self._inventory.host(name)
            if host.key_id is None:
                return self._unencrypted(name)
            self._incomplete.add(name)
            try:
                info = await self._give_host_key(caller, host, host.key_id)
            except HostUnreachable:
                raise
            except VSphereError as failure:
                await self._report_all_locked(caller, host, failure)
                raise
            machines = {machine.name: machine for machine in await self.call(host, ListMachines())}
        results, failures, is_complete = [], Failures(), True
        for record in self._inventory.machines():
            if record.host != name:
                continue
            if record.name not in machines:
                results.append(_left_alone(record.name, UnlockOutcome.ABSENT))
                continue
            if self._locks.machine(record.name).locked():
                is_complete = False  # another call works on it, and gives it its keys
                results.append(_left_alone(record.name, UnlockOutcome.BUSY))
                continue
            async with self._locks.machine(record.name):
                if record not in self._inventory.machines():
                    is_complete = False  # it has changed, or moved away, since it was listed
                    results.append(_left_alone(record.name, UnlockOutcome.BUSY))
                    continue
                result = await self._unlock_registered(
                    caller, host, machines[record.name], record.key_id, failures
                )
            results.append(result)
            is_complete = is_complete and result.is_complete
        self._boots[name] = info.boot_id
        if is_complete:
            self._incomplete.discard(name)
        return results

    def _unencrypted(self, host: str) -> list[UnlockResult]:
        """The machines of a host that never was in encryption mode."""
        return [
            UnlockResult(record.name, unlocked=True, outcome=UnlockOutcome.NOT_ENCRYPTED)
            for record in self._inventory.machines()
            if record.host == host
        ]

    async def _give_host_key(
        self, caller: Caller, host: HostRecord, key_id: CryptoKeyId
    ) -> HostDescription:
        try:
            info = await self._make_safe(caller, host, key_id)
        except (KeyNotUsable, NotFound) as failure:
            info = await self._renew_host_key(caller, host, failure)
        # A host with a key source of its own returns to the mode without an event.
        for alarm in (AlarmName.HOST_KEY_MISSING, AlarmName.HOST_NEEDS_ENCRYPTION):
            self.alarms.end(alarm, Entity("host", host.name, host.uuid))
        return info

    async def _report_all_locked(
        self, caller: Caller, host: HostRecord, failure: VSphereError
    ) -> None:
        """The host key cannot be had: then every encrypted machine of the host is locked."""
        registered = {record.name for record in self._inventory.machines()}
        for machine in await self.call(host, ListMachines()):
            if machine.name in registered and machine.crypto_state is MachineState.LOCKED:
                self._report_locked(caller, machine, failure, machine.key_ids)

    async def _unlock_registered(
        self,
        caller: Caller,
        host: HostRecord,
        machine: MachineInfo,
        recorded: CryptoKeyId | None,
        failures: Failures,
    ) -> UnlockResult:
        """Unlock one machine of a host, if it is locked."""
        keys = all_keys(machine)
        if recorded is not None and recorded.key_id:
            keys = list(dict.fromkeys([*keys, recorded]))
        try:
            await self._push_each(caller, host, keys, failures)
            if machine.crypto_state is MachineState.INVALID:
                raise InvalidState(machine.problem or "its files are damaged")
            if machine.crypto_state is not MachineState.LOCKED and not machine.locked_disks:
                self._report_unlocked(caller, machine, if_alarmed=True)
                return _unchanged(machine)
            info = await self.call(host, CryptoUnlock(machine.name))
        except HostUnreachable:
            raise
        except VSphereError as fault:
            if machine.crypto_state is MachineState.INVALID and not keys:
                return _unchanged(machine)  # that it is damaged is not about keys
            failure = _cause(fault, failures)
            if isinstance(fault, DamagedData) or machine.crypto_state is MachineState.INVALID:
                self.report_integrity(caller, machine, [failure.message])
            self._report_locked(caller, machine, failure, _missing(fault) or keys)
            return UnlockResult(
                machine.name, unlocked=False, outcome=UnlockOutcome.LOCKED, reason=failure.message
            )
        return self.note_unlocked(caller, info, failures)

    async def _push_each(
        self, caller: Caller, host: HostRecord, keys: Sequence[CryptoKeyId], failures: Failures
    ) -> None:
        """Push keys, each by itself; only that the host does not answer is an error."""
        unreachable = {
            key.provider_id: failure
            for key, failure in failures.items()
            if isinstance(failure, KeyServerUnreachable)
        }
        for key_id in keys:
            if key_id in failures:
                continue
            if key_id.provider_id in unreachable:
                failures[key_id] = unreachable[key_id.provider_id]
                continue
            try:
                await self.push(caller, host, key_id)
            except HostUnreachable:
                raise
            except VSphereError as failure:
                failures[key_id] = failure

    # Locked and unlocked -------------------------------------------------------------------------

    async def unlock(
        self, caller: Caller, host: HostRecord, machine: str, failures: Failures | None = None
    ) -> UnlockResult:
        """CryptoUnlock: the host opens the machine with the keys it has.

        ``failures`` are the keys that could not be pushed: where one of them is what is missing, its
        failure is the error.
        """
        reasons = failures or Failures()
        entity = Entity("machine", machine)
        with self._crypto.audited(
            caller.user, "CryptoUnlock", None, entity, failure=self._locked_event
        ):
            try:
                info = await self.call(host, CryptoUnlock(machine))
            except EncryptionKeyRequired as fault:
                raise _cause(fault, reasons) from None
        return self.note_unlocked(caller, info, reasons)

    async def push_for(
        self, caller: Caller, host: HostRecord, keys: Sequence[CryptoKeyId]
    ) -> Failures:
        """Give a host the keys of one machine, each by itself; returns those that cannot be had."""
        failures = Failures()
        await self._push_each(caller, host, keys, failures)
        return failures

    def note_unlocked(
        self, caller: Caller, machine: MachineInfo, failures: Failures
    ) -> UnlockResult:
        """Write the events of a machine whose home is open; a disk of it may still be locked."""
        reasons = [failure.message for key, failure in failures.items() if key in machine.key_ids]
        self._report_unlocked(caller, machine)
        self.review(caller, machine)
        if self.alarms.get(AlarmName.MACHINE_INTEGRITY, Entity("machine", machine.name)):
            self.report_integrity(caller, machine, [])
        if not machine.locked_disks:
            return UnlockResult(machine.name, unlocked=True)
        numbers = ", ".join(map(str, machine.locked_disks))
        text = f"disk {numbers} of {machine.name} stays locked: " + (
            "; ".join(dict.fromkeys([*machine.locked_reasons, *reasons])) or "its key is missing"
        )
        missing = [key for key in failures if key in machine.key_ids]
        failure = next((failures[key] for key in missing), None) or EncryptionKeyRequired(
            text, required_key=[]
        )
        self._report_locked(caller, machine, failure, missing, text)
        return UnlockResult(
            machine.name, unlocked=True, locked_disks=list(machine.locked_disks), reason=text
        )

    def report_integrity(
        self, caller: Caller, machine: MachineInfo, problems: Sequence[str]
    ) -> None:
        """Write the event about the integrity of a machine's files: once for the same problems."""
        entity = Entity("machine", machine.name, machine.uuid)
        known = self.alarms.get(AlarmName.MACHINE_INTEGRITY, entity)
        if problems:
            message = f"the encrypted files of {machine.name} are damaged: {'; '.join(problems)}"
        else:
            message = f"the encrypted files of {machine.name} are whole"
        if problems and known is not None and known.message == message:
            return
        self._crypto.event_log.add(
            "crypto.IntegrityCheckFailed" if problems else "crypto.IntegrityCheckPassed",
            message,
            user=caller.user,
            operation="CheckIntegrity",
            key_id=next(iter(machine.key_ids), None),
            entity=entity,
            failed=bool(problems),
        )

    def review(self, caller: Caller, machine: MachineInfo) -> None:
        """Report what is unusual about the layers of a machine that was changed."""
        entity = Entity("machine", machine.name, machine.uuid)
        disks = ", ".join(map(str, machine.mixed_disks))
        event_type = "vm.crypto.DiskchainUsingMixedKeys"
        message = (
            f"the layers of disk {disks} of {machine.name} are locked by different keys; all of these"
            " keys are needed"
        )
        if self.alarms.set(
            AlarmName.MIXED_KEYS, entity, PREFIX + event_type, message if disks else ""
        ):
            self._crypto.event_log.add(
                event_type, message, user=caller.user, entity=entity, severity=Severity.WARNING
            )
        self.alarms.set(
            AlarmName.CONSOLIDATION_NEEDED,
            entity,
            "",
            f"the disks of {machine.name} have layers that no snapshot needs (consolidate-disks)"
            if machine.consolidation_needed
            else "",
        )

    def _report_unlocked(
        self, caller: Caller, machine: MachineInfo, *, if_alarmed: bool = False
    ) -> None:
        entity = Entity("machine", machine.name, machine.uuid)
        had_alarm = not machine.locked_disks and self.alarms.end(AlarmName.MACHINE_LOCKED, entity)
        if if_alarmed and not had_alarm:
            return
        for key_id in machine.key_ids:
            self._crypto.event_log.add(
                "vm.Crypto.VMUnlocked",
                f"the machine {machine.name} is unlocked",
                user=caller.user,
                operation="CryptoUnlock",
                key_id=key_id,
                entity=entity,
            )

    def _report_locked(
        self,
        caller: Caller,
        machine: MachineInfo,
        failure: VSphereError,
        keys: Sequence[CryptoKeyId],
        text: str = "",
    ) -> None:
        """One event, and an alarm until it is unlocked."""
        entity = Entity("machine", machine.name, machine.uuid)
        key_id = next(iter(keys), None)
        event_type = self._locked_event(failure, key_id)
        message = text or f"the machine {machine.name} is locked: {failure.message}"
        if self.alarms.begin(AlarmName.MACHINE_LOCKED, entity, PREFIX + event_type, message):
            self._crypto.event_log.add(
                event_type,
                message,
                user=caller.user,
                operation="CryptoUnlock",
                key_id=key_id,
                entity=entity,
                failed=True,
                fault=type(failure).__name__,
            )

    def _locked_event(self, failure: VSphereError, key_id: CryptoKeyId | None = None) -> str:
        """The type of the event about a locked machine (§5.3)."""
        if key_id is not None and self._is_trusted(key_id.provider_id):
            unreachable = isinstance(failure, KeyServerUnreachable | HostUnreachable)
            # This is how vSphere spells it.
            return "vm.Crypto.VMLocked." + (
                "TAKMSClusterUnavaliable" if unreachable else "TAKeyMissingOnHost"
            )
        if isinstance(failure, KeyNotUsable | KeyServerRefused):
            return "vm.Crypto.VMLocked.KeyMissingOnKMS"
        if isinstance(failure, KeyProviderError | NotFound):
            return "vm.Crypto.VMLocked.KMSClusterError"
        return "vm.Crypto.VMLocked.KeyMissingOnHost"

    def _is_trusted(self, provider_id: str) -> bool:
        return any(
            record.id == provider_id and record.type is ManagementType.TRUSTED
            for record in self._store.providers.all()
        )


def all_keys(machine: MachineInfo) -> list[CryptoKeyId]:
    """The keys that a machine needs, also those of a rekey that was interrupted."""
    return [*machine.key_ids, *machine.pending_key_ids]


def _missing(fault: VSphereError) -> list[CryptoKeyId]:
    return fault.required_key if isinstance(fault, EncryptionKeyRequired) else []


def _cause(fault: VSphereError, failures: Failures) -> VSphereError:
    """Why a machine is locked: why the key that it lacks cannot be had, if that is known."""
    return next((failures[key] for key in _missing(fault) if key in failures), fault)


def _left_alone(machine: str, outcome: UnlockOutcome) -> UnlockResult:
    return UnlockResult(machine, unlocked=False, outcome=outcome)


def _unchanged(machine: MachineInfo) -> UnlockResult:
    """The result for a machine that has no keys, or does not need them."""
    encrypted = machine.crypto_state is MachineState.UNLOCKED
    outcome = UnlockOutcome.NOT_LOCKED if encrypted else UnlockOutcome.NOT_ENCRYPTED
    return UnlockResult(machine.name, unlocked=True, outcome=outcome, reason=machine.problem)
