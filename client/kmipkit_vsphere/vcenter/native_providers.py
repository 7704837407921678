"""Native key providers of a vCenter: making, pushing, backing up, restoring (vsphere.md §8)."""

import hmac
import json
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import trio

from kmipkit_vsphere.model.clock import Clock
from kmipkit_vsphere.model.errors import (
    AlreadyExists,
    InvalidArgument,
    InvalidState,
    NoPermission,
    NotFound,
    ResourceInUse,
    VSphereError,
)
from kmipkit_vsphere.model.keys import CryptoKeyId, Secret
from kmipkit_vsphere.model.records import HostRecord, ManagementType, ProviderRecord
from kmipkit_vsphere.providers.native import KEPT_AS, NativeSpec
from kmipkit_vsphere.vcenter import native_backup
from kmipkit_vsphere.vcenter.events import Entity, EventLog, Severity
from kmipkit_vsphere.vcenter.store import Store

TOKEN_LIFE: Final = timedelta(minutes=1)
REMIND_EVERY: Final = timedelta(hours=24)

HostCall = Callable[[HostRecord, str, dict[str, Any]], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class _Download:
    provider: str
    password: str | None
    until: datetime

    def __repr__(self) -> str:
        return f"<download of {self.provider}>"


class NativeProviders:
    """What can be done with native key providers. ``user`` is who asks, for the events."""

    def __init__(self, store: Store, clock: Clock, events: EventLog, call: HostCall) -> None:
        self._store = store
        self._clock = clock
        self._events = events
        self._call = call
        self._downloads: dict[str, _Download] = {}
        self._reminded: dict[str, datetime] = {}

    async def create(
        self, user: str, provider_id: str, *, tpm_required: bool = True
    ) -> dict[str, Any]:
        """Make a provider with a new primary key, and push it to all hosts of clusters (R10).

        It cannot be used before it was backed up.
        """
        if self._store.providers.exists(provider_id):
            raise AlreadyExists(f"there is a key provider {provider_id} already")
        spec = NativeSpec.new(provider_id, tpm_required=tpm_required)
        self._add(spec, has_backup=False)
        self._note(user, "CreateNativeKeyProvider", spec)
        self._events.add(
            "kms.crypto.NotBackedUp",
            f"the key provider {provider_id} is not backed up; without a backup its machines are"
            " lost with vCenter and the hosts",
            user=user,
            entity=Entity("provider", provider_id),
            severity=Severity.WARNING,
        )
        missing = await self.push(provider_id)
        return {"provider": provider_id, "keyId": str(spec.key_id), "missingHosts": missing}

    def _add(self, spec: NativeSpec, *, has_backup: bool) -> None:
        details = {
            "keyId": str(spec.key_id),
            "tpmRequired": spec.tpm_required,
            "hasBackup": has_backup,
            "missingHosts": [host.name for host in self._hosts()],
        }
        # The key first: a provider without it could never be used, a key alone does no harm.
        text = json.dumps(spec.to_json()).encode()
        self._store.secrets.put(f"{KEPT_AS}/{spec.provider_id}", Secret(text))
        self._store.providers.add(ProviderRecord(spec.provider_id, ManagementType.NATIVE, details))

    def check_usable(self, provider_id: str) -> None:
        """InvalidState for a provider that is not backed up: nothing may depend on it yet."""
        if not self._record(provider_id).details.get("hasBackup"):
            raise InvalidState(
                f"the key provider {provider_id} is not backed up; export it first (export-provider)"
            )

    # Hosts ---------------------------------------------------------------------------------------

    def _hosts(self) -> list[HostRecord]:
        """Only hosts of a cluster get native providers (§8)."""
        return [one for one in self._store.inventory.hosts() if one.parent.startswith("cluster/")]

    async def push(self, provider_id: str, only: HostRecord | None = None) -> list[str]:
        """Give the primary key to the hosts; returns those that do not have it yet.

        A host without a TPM is passed over where the provider requires one.
        """
        spec = self._spec(provider_id)
        missing = set(self._record(provider_id).details.get("missingHosts") or [])
        for host in self._hosts():
            if only is not None and host.name != only.name:
                continue
            missing.add(host.name)
            if await self._reaches(host, spec):
                missing.discard(host.name)
        known = {host.name for host in self._hosts()}
        self._store.providers.change(provider_id, missingHosts=sorted(missing & known))
        return sorted(missing & known)

    async def _reaches(self, host: HostRecord, spec: NativeSpec) -> bool:
        try:
            info = await self._call(host, "HostInfo", {})
            if spec.tpm_required and not info["hasTpm"]:
                return True
            await self._call(host, "SetKeyProvider", {"spec": spec.to_json()})
        except VSphereError:
            return False
        return True

    async def push_all(self, only: HostRecord | None = None) -> None:
        """Push every native provider to the hosts that lack it, or to one host."""
        for record in self._store.providers.all():
            if record.type is ManagementType.NATIVE and (
                only or record.details.get("missingHosts")
            ):
                await self.push(record.id, only)

    # Backup --------------------------------------------------------------------------------------

    def export(self, provider_id: str, password: str | None) -> dict[str, Any]:
        """Prepare a backup for download: where, and a token that is good once, for a minute."""
        self._record(provider_id)
        token = secrets.token_urlsafe(32)
        until = self._clock() + TOKEN_LIFE
        self._downloads[token] = _Download(provider_id, password, until)
        name = f"{provider_id}{self._clock():%Y%m%d%H%M%S}.p12"
        return {
            "type": "LOCATION",
            "location": {
                "url": f"/cryptomanager/kms/{name}",
                "downloadToken": {"token": token, "expiry": until.isoformat()},
            },
            "warning": None
            if password
            else "the backup has no password: whoever has it, has the keys",
        }

    async def download(self, user: str, token: str) -> bytes:
        """The PKCS#12 file for a token; from then on the provider counts as backed up."""
        found = next(
            (one for known, one in self._downloads.items() if hmac.compare_digest(known, token)),
            None,
        )
        self._downloads.pop(token, None)
        if found is None or found.until < self._clock():
            raise NoPermission("this download token was used already, or its minute is over")
        spec = self._spec(found.provider)
        data = await trio.to_thread.run_sync(
            native_backup.write, spec, self._clock(), found.password
        )
        self._store.providers.change(found.provider, hasBackup=True)
        self._note(user, "ExportNativeKeyProvider", spec)
        if all(one.details.get("hasBackup") for one in self._natives()):
            self._events.add(
                "kms.crypto.AllBackedUp", "all native key providers are backed up", user=user
            )
        return data

    async def restore(
        self, user: str, data: bytes, password: str | None, *, dry_run: bool = False
    ) -> dict[str, Any]:
        """Bring a provider back from its backup, under its old name, key id and primary key.

        With ``dry_run`` only says what would be done. Raises :class:`AlreadyExists` where there is
        a provider of this name with another key; nothing is changed by a refused restore.
        """
        spec = await trio.to_thread.run_sync(native_backup.read, data, password)
        about = {"provider": spec.provider_id, "keyId": str(spec.key_id)}
        if self._store.providers.exists(spec.provider_id):
            known = self._record(spec.provider_id).details.get("keyId")
            if known != str(spec.key_id):
                raise AlreadyExists(
                    f"there is a key provider {spec.provider_id} with another primary key ({known})"
                )
            return {**about, "restored": False, "reason": "it is here already, with this key"}
        if dry_run:
            return {**about, "restored": False, "reason": "dry run: it could be restored"}
        self._add(spec, has_backup=True)
        self._note(user, "ImportNativeKeyProvider", spec)
        return {**about, "restored": True, "missingHosts": await self.push(spec.provider_id)}

    def remind(self) -> None:
        """Write the event about missing backups again, once a day."""
        now = self._clock()
        for record in self._natives():
            last = self._reminded.get(record.id)
            if record.details.get("hasBackup") or (last and now - last < REMIND_EVERY):
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

    async def delete(self, user: str, provider_id: str, *, force: bool = False) -> list[str]:
        """Forget a provider, here and on the hosts; returns the machines that used it.

        Raises :class:`ResourceInUse` while machines or hosts use it, unless ``force``.
        """
        spec = self._spec(provider_id)
        inventory = self._store.inventory
        used = [(one.name, one.key_id) for one in inventory.machines()]
        used += [(one.name, one.key_id) for one in inventory.hosts()]
        users = [name for name, key in used if key and key.provider_id == provider_id]
        if users and not force:
            raise ResourceInUse(
                f"the key provider {provider_id} is used by {', '.join(users)}; give them keys of"
                " another one first, or force it"
            )
        for host in self._hosts():
            await self._forget_on(host, provider_id)
        self._store.providers.remove(provider_id)
        self._store.secrets.remove(f"{KEPT_AS}/{provider_id}")
        self._note(user, "DeleteNativeKeyProvider", spec)
        return users

    async def _forget_on(self, host: HostRecord, provider_id: str) -> None:
        try:
            await self._call(host, "RemoveKeyProvider", {"provider": provider_id})
        except VSphereError as failure:
            # vCenter forgets the provider all the same; the host may be gone for good.
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
        return [one for one in self._store.providers.all() if one.type is ManagementType.NATIVE]

    def _record(self, provider_id: str) -> ProviderRecord:
        record = self._store.providers.get(provider_id)
        if record.type is not ManagementType.NATIVE:
            raise InvalidArgument(f"the key provider {provider_id} is of type {record.type}")
        return record

    def _spec(self, provider_id: str) -> NativeSpec:
        self._record(provider_id)
        kept = self._store.secrets.get(f"{KEPT_AS}/{provider_id}")
        if kept is None:
            raise NotFound(f"the primary key of {provider_id} is missing; restore its backup")
        return NativeSpec.from_json(json.loads(kept.reveal()))

    def _note(self, user: str, operation: str, spec: NativeSpec) -> None:
        self._events.add(
            "crypto.Operation",
            f"{operation} by {user}, key provider {spec.provider_id}",
            user=user,
            operation=operation,
            key_id=CryptoKeyId(spec.provider_id, str(spec.key_id)),
            entity=Entity("provider", spec.provider_id),
        )
