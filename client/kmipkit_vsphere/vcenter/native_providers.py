"""Native key providers of a vCenter: creation, push to hosts, backup, restore (vsphere.md §8)."""

import hashlib
import logging
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, Protocol, TypeVar
from urllib.parse import quote
from uuid import UUID

import trio
from msgspec import structs

from kmipkit_vsphere.calls.host import HostInfo
from kmipkit_vsphere.calls.key_providers import RemoveKeyProvider, SetKeyProvider
from kmipkit_vsphere.model.clock import Clock
from kmipkit_vsphere.model.colour import Color
from kmipkit_vsphere.model.defects import contained
from kmipkit_vsphere.model.encoding import decode, encode
from kmipkit_vsphere.model.errors import (
    AlreadyExists,
    InvalidArgument,
    InvalidState,
    NoPermission,
    NotFound,
    VSphereError,
)
from kmipkit_vsphere.model.keys import CryptoKeyId, Secret, SecretText, escaped
from kmipkit_vsphere.model.records import (
    HostRecord,
    ManagementType,
    ProviderDetails,
    ProviderRecord,
)
from kmipkit_vsphere.providers import native
from kmipkit_vsphere.providers.native import KDK_SIZE, SECRET_PREFIX, NativeSpec
from kmipkit_vsphere.rpc.call import Request
from kmipkit_vsphere.vcenter import native_backup
from kmipkit_vsphere.vcenter.calls.events import Entity, Severity
from kmipkit_vsphere.vcenter.calls.native import (
    BackupLocation,
    DownloadToken,
    NativeHealth,
    NativeProviderCreated,
    NativeProviderStatus,
    PreparedBackup,
    ProviderRestored,
)
from kmipkit_vsphere.vcenter.events import EventLog
from kmipkit_vsphere.vcenter.locks import Locks
from kmipkit_vsphere.vcenter.store import Store

A = TypeVar("A")

log = logging.getLogger("kmipkit.vsphere.vcenter")

_Outcome = Literal["served", "unfit", "missing"]

TOKEN_LIFE: Final = timedelta(minutes=1)
REMIND_EVERY: Final = timedelta(hours=24)


class HostCalls(Protocol):
    """What is needed of :class:`kmipkit_vsphere.vcenter.host_manager.HostManager`."""

    async def call(self, host: HostRecord, request: Request[A]) -> A:
        """Make a call to a host."""


@dataclass(frozen=True, slots=True)
class _Download:
    user: str
    provider: str
    password: SecretText | None
    until: datetime


class NativeProviders:
    """The native key providers. ``user`` in the calls is the caller, for the events."""

    def __init__(
        self, store: Store, clock: Clock, events: EventLog, hosts: HostCalls, locks: Locks
    ) -> None:
        self._store = store
        self._clock = clock
        self._events = events
        self._host_calls = hosts
        self._locks = locks
        self._downloads: dict[bytes, _Download] = {}
        self._reminded: dict[str, datetime] = {}

    async def create(
        self,
        user: str,
        provider_id: str,
        *,
        tpm_required: bool = True,
        key_id: UUID | None = None,
        kdk: Secret | None = None,
    ) -> NativeProviderCreated:
        """Create a provider with a new primary key, and push it to all hosts of clusters (R10).

        The key, and its id, may also be given. The provider cannot be used before it has been backed
        up.
        """
        if self._store.providers.exists(provider_id):
            raise AlreadyExists(f"there is a key provider {provider_id} already")
        spec = NativeSpec.new(provider_id, tpm_required=tpm_required)
        if kdk is not None and len(kdk) != KDK_SIZE:
            raise InvalidArgument(
                f"a key derivation key has {KDK_SIZE} bytes, not {len(kdk)}",
                invalid_property="native_spec.key_derivation_key",
            )
        spec = structs.replace(spec, key_id=key_id or spec.key_id, kdk=kdk or spec.kdk)
        self._add(spec, has_backup=False)
        self._note(user, "CreateNativeKeyProvider", spec)
        self._events.add(
            "kms.crypto.NotBackedUp",
            f"the key provider {provider_id} is not backed up; without a backup, its machines are"
            " lost if vCenter and the hosts are lost",
            user=user,
            entity=Entity("provider", provider_id),
            severity=Severity.WARNING,
        )
        missing = await self.push(provider_id)
        return NativeProviderCreated(provider_id, str(spec.key_id), missing)

    async def update(
        self, user: str, provider_id: str, *, tpm_required: bool
    ) -> NativeProviderCreated:
        """Change which hosts may have the provider; a backup from before is out of date (§8).

        Its primary key stays the same. Hosts that may not have it any more lose it.
        """
        spec = structs.replace(self._spec(provider_id), tpm_required=tpm_required)
        before = set(self._record(provider_id).details.served_hosts)
        self._store.secrets.put(_secret_name(provider_id), Secret(encode(spec)))
        self._store.providers.change(provider_id, tpm_required=tpm_required, has_backup=False)
        self._note(user, "UpdateNativeKeyProvider", spec)
        self._events.add(
            "kms.crypto.NotBackedUpAfterUpdate",
            f"the key provider {provider_id} has changed: export it again (export-provider)",
            user=user,
            entity=Entity("provider", provider_id),
        )
        missing = await self.push(provider_id)
        unfit = before & set(self._record(provider_id).details.unfit_hosts)
        for host in self._hosts():
            if host.name in unfit:
                await self._remove_from(host, provider_id)
        return NativeProviderCreated(provider_id, str(spec.key_id), missing)

    async def replace_primary_key(
        self, user: str, provider_id: str, key_id: UUID | None = None
    ) -> NativeProviderCreated:
        """Give a provider a new primary key; it needs another backup then (§8).

        The provider keeps the earlier key, too, so that what is encrypted stays readable.
        """
        async with self._locks.provider(provider_id):
            present = self._spec(provider_id)
            if key_id is not None and present.has(key_id):
                raise InvalidArgument(
                    f"the key provider {provider_id} has had a primary key {key_id} already",
                    invalid_property="native_spec.key_id",
                )
            spec = present.with_new_kdk(key_id)
            # Not backed up first: a crash in between must not leave a new key that counts as saved.
            self._store.providers.change(
                provider_id,
                has_backup=False,
                missing_hosts=tuple(host.name for host in self._hosts()),
                served_hosts=(),
            )
            self._store.secrets.put(_secret_name(provider_id), Secret(encode(spec)))
            self._store.providers.change(provider_id, key_id=str(spec.key_id))
        self._note(user, "ReplacePrimaryKey", spec)
        self._events.add(
            "kms.crypto.NotBackedUpAfterUpdate",
            f"the key provider {provider_id} has a new primary key, which is not backed up",
            user=user,
            entity=Entity("provider", provider_id),
            severity=Severity.WARNING,
        )
        missing = await self.push(provider_id)
        return NativeProviderCreated(provider_id, str(spec.key_id), missing)

    def status(self, provider_id: str) -> NativeProviderStatus:
        """A provider and its health; NotFound, or InvalidArgument for one of another type."""
        return _status(self._record(provider_id))

    def statuses(self) -> list[NativeProviderStatus]:
        """All native providers."""
        return [_status(record) for record in self._natives()]

    def _add(self, spec: NativeSpec, *, has_backup: bool) -> None:
        details = ProviderDetails(
            key_id=str(spec.key_id),
            tpm_required=spec.tpm_required,
            has_backup=has_backup,
            missing_hosts=tuple(host.name for host in self._hosts()),
        )
        # The key first: a provider without it could never be used, a key alone does no harm.
        self._store.secrets.put(_secret_name(spec.provider_id), Secret(encode(spec)))
        self._store.providers.add(ProviderRecord(spec.provider_id, ManagementType.NATIVE, details))

    def check_usable(self, provider_id: str, host: HostRecord) -> None:
        """InvalidState if no machine on a host can depend on a provider, with what is missing.

        A provider must be backed up; and a host gets it only in a cluster, and with a TPM if the
        provider needs one (§8).
        """
        details = self._record(provider_id).details
        if host.name not in {known.name for known in self._hosts()}:
            raise InvalidState(
                f"host {host.name} does not have the key provider {provider_id}: only hosts in a"
                " cluster get native key providers"
            )
        if host.name in details.unfit_hosts:
            raise InvalidState(
                f"host {host.name} does not have the key provider {provider_id}, which needs a TPM"
            )
        if not details.has_backup:
            raise InvalidState(
                f"the key provider {provider_id} is not backed up; export it first (export-provider)"
            )

    def new_key_id(self, provider_id: str) -> CryptoKeyId:
        """The id of a new key, which the hosts derive from the primary key; the key is not kept."""
        key = self._spec(provider_id).new_key()
        key.key_data.erase()
        return key.key_id

    # Hosts ---------------------------------------------------------------------------------------

    def _hosts(self) -> list[HostRecord]:
        """Only hosts in a cluster get native providers (§8)."""
        return [
            host for host in self._store.inventory.hosts() if host.parent.startswith("cluster/")
        ]

    async def push(self, provider_id: str, only: HostRecord | None = None) -> list[str]:
        """Give the primary key to the hosts; returns the names of those that do not have it yet.

        Skips hosts without a TPM if the provider requires one.
        """
        async with self._locks.provider(provider_id):
            spec = self._spec(provider_id)
            details = self._record(provider_id).details
            outcomes: dict[str, _Outcome] = {
                **dict.fromkeys(details.missing_hosts, "missing"),
                **dict.fromkeys(details.unfit_hosts, "unfit"),
                **dict.fromkeys(details.served_hosts, "served"),
            }
            for host in self._hosts():
                if only is None or host.name == only.name:
                    outcomes[host.name] = await self._push_to(host, spec)
            present = {host.name for host in self._hosts()}

            def with_outcome(outcome: _Outcome) -> tuple[str, ...]:
                return tuple(
                    sorted(name for name in present if outcomes.get(name, "missing") == outcome)
                )

            self._store.providers.change(
                provider_id,
                missing_hosts=with_outcome("missing"),
                unfit_hosts=with_outcome("unfit"),
                served_hosts=with_outcome("served"),
            )
            return list(with_outcome("missing"))

    async def _push_to(self, host: HostRecord, spec: NativeSpec) -> _Outcome:
        """Whether the host has the key now, cannot have it, or does not have it yet."""
        try:
            info = await self._host_calls.call(host, HostInfo())
            if spec.tpm_required and not info.has_tpm:
                return "unfit"
            await self._host_calls.call(host, SetKeyProvider(spec))
        except VSphereError:
            return "missing"
        return "served"

    async def push_all(self, only: HostRecord | None = None) -> None:
        """Push every native provider to the hosts that lack it, or to one host."""
        for record in self._store.providers.all():
            if record.type is ManagementType.NATIVE and (only or record.details.missing_hosts):
                with contained(log, f"the key provider {record.id}"):
                    await self.push(record.id, only)

    # Backup --------------------------------------------------------------------------------------

    def export(self, user: str, provider_id: str, password: SecretText | None) -> PreparedBackup:
        """Prepare a backup for download, with a token that is valid once and for a minute."""
        self._record(provider_id)
        token = secrets.token_urlsafe(32)
        until = self._clock() + TOKEN_LIFE
        self._downloads[hashlib.sha256(token.encode()).digest()] = _Download(
            user, provider_id, password, until
        )
        name = quote(_file_name(provider_id, self._clock()))
        return PreparedBackup(
            type="LOCATION",
            location=BackupLocation(f"/cryptomanager/kms/{name}", DownloadToken(token, until)),
            warning=None
            if password
            else "the backup has no password: anyone who has the file has the keys",
        )

    async def download(self, token: str) -> tuple[str, bytes]:
        """The file for a token, name and PKCS#12 content; then the provider counts as backed up."""
        download = self._downloads.pop(_digest(token), None)
        self._downloads = {
            name: other for name, other in self._downloads.items() if other.until >= self._clock()
        }
        if download is None or download.until < self._clock():
            raise NoPermission("this download token has been used already, or has expired")
        user = download.user
        spec = self._spec(download.provider)
        data = await trio.to_thread.run_sync(
            native_backup.write, spec, self._clock(), download.password
        )
        self._store.providers.change(download.provider, has_backup=True)
        self._note(user, "ExportNativeKeyProvider", spec)
        if all(record.details.has_backup for record in self._natives()):
            self._events.add(
                "kms.crypto.AllBackedUp", "all native key providers are backed up", user=user
            )
        return _file_name(download.provider, self._clock()), data

    async def restore(
        self,
        user: str,
        data: bytes,
        password: SecretText | None,
        *,
        dry_run: bool = False,
        tpm_required: bool | None = None,
    ) -> ProviderRestored:
        """Restore a provider from its backup, with its old name, key id and primary key.

        With ``dry_run`` only says what would be done. ``tpm_required`` replaces the setting in the
        backup. Raises :class:`AlreadyExists` if there is a provider of this name with another key;
        then nothing changes.
        """
        backup = await trio.to_thread.run_sync(native_backup.read, data, password)
        spec = backup.spec
        if tpm_required is not None:
            spec = structs.replace(spec, tpm_required=tpm_required)
        provider_id, key_id = spec.provider_id, str(spec.key_id)
        restored = ProviderRestored(
            provider_id,
            key_id,
            restored=False,
            tpm_required=spec.tpm_required,
            export_time=backup.created,
        )
        if self._store.providers.exists(provider_id):
            known = self._record(provider_id).details.key_id
            if known != key_id:
                raise AlreadyExists(
                    f"there is a key provider {provider_id} with another primary key ({known})"
                )
            reason = "the key provider exists already, with this key"
            return structs.replace(restored, reason=reason)
        if dry_run:
            return structs.replace(restored, reason="dry run: it could be restored")
        self._add(spec, has_backup=True)
        self._note(user, "ImportNativeKeyProvider", spec)
        missing = await self.push(provider_id)
        return structs.replace(restored, restored=True, missing_hosts=missing)

    def remind(self) -> None:
        """Repeat the event about a missing backup once a day."""
        now = self._clock()
        for record in self._natives():
            last = self._reminded.get(record.id)
            if record.details.has_backup or (last and now - last < REMIND_EVERY):
                continue
            self._reminded[record.id] = now
            self._events.add(
                "kms.crypto.NotBackedUp",
                f"the key provider {record.id} is not backed up",
                user="vCenter",
                entity=Entity("provider", record.id),
                severity=Severity.WARNING,
            )

    # Removal -------------------------------------------------------------------------------------

    async def delete(self, user: str, provider_id: str) -> None:
        """Delete a provider, here and on the hosts, whether or not it is in use."""
        spec = self._spec(provider_id)
        async with self._locks.provider(provider_id):
            for host in self._hosts():
                await self._remove_from(host, provider_id)
            self._store.providers.remove(provider_id)
            self._store.secrets.remove(_secret_name(provider_id))
        self._note(user, "DeleteNativeKeyProvider", spec)

    async def _remove_from(self, host: HostRecord, provider_id: str) -> None:
        try:
            await self._host_calls.call(host, RemoveKeyProvider(provider_id))
        except VSphereError as failure:
            # vCenter deletes the provider anyway; the host may be gone for good.
            self._events.add(
                "host.Crypto.SendKeyError.HostError",
                f"the key provider {provider_id} could not be removed from {host.name}:"
                f" {failure.message}",
                user="vCenter",
                entity=Entity("host", host.name, host.uuid),
                severity=Severity.WARNING,
                failed=True,
            )

    def _natives(self) -> list[ProviderRecord]:
        return [
            record for record in self._store.providers.all() if record.type is ManagementType.NATIVE
        ]

    def _record(self, provider_id: str) -> ProviderRecord:
        record = self._store.providers.get(provider_id)
        if record.type is not ManagementType.NATIVE:
            raise InvalidArgument(f"the key provider {provider_id} is of type {record.type}")
        return record

    def _spec(self, provider_id: str) -> NativeSpec:
        self._record(provider_id)
        stored = self._store.secrets.get(_secret_name(provider_id))
        if stored is None:
            raise NotFound(f"the primary key of {provider_id} is missing; restore its backup")
        return decode(stored.reveal(), NativeSpec)

    def _note(self, user: str, operation: str, spec: NativeSpec) -> None:
        self._events.add(
            "crypto.Operation",
            f"{operation} by {user}, key provider {spec.provider_id}",
            user=user,
            operation=operation,
            key_id=CryptoKeyId(spec.provider_id, str(spec.key_id)),
            entity=Entity("provider", spec.provider_id),
        )


_HEALTH: Final = {
    Color.GREEN: NativeHealth.OK,
    Color.YELLOW: NativeHealth.WARNING,
    Color.RED: NativeHealth.ERROR,
    Color.GRAY: NativeHealth.NONE,
}


def _status(record: ProviderRecord) -> NativeProviderStatus:
    colour, reason = native.colour(record)
    details = record.details
    return NativeProviderStatus(
        provider=record.id,
        key_id=details.key_id or "",
        tpm_required=bool(details.tpm_required),
        has_backup=bool(details.has_backup),
        health=_HEALTH[colour],
        reason=reason,
    )


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _file_name(provider_id: str, now: datetime) -> str:
    return f"{escaped(provider_id)}{now:%Y%m%d%H%M%S}.p12"


def _secret_name(provider_id: str) -> str:
    return f"{SECRET_PREFIX}/{escaped(provider_id)}"
