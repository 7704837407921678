"""Storage policies, and which part of which machine has which.

A policy says whether what has it must be encrypted. The hosts do not know of policies: vCenter encrypts
and decrypts as they require, and checks later whether that is still so.
"""

from collections.abc import Iterable
from typing import Final
from uuid import uuid4

from msgspec.structs import replace

from kmipkit_vsphere.calls.machines import MachineInfo, MachineState
from kmipkit_vsphere.model.encoding import decode, encode
from kmipkit_vsphere.model.errors import (
    AlreadyExists,
    InvalidArgument,
    InvalidState,
    NotFound,
    ResourceInUse,
)
from kmipkit_vsphere.vcenter.calls.policies import Compliance, ComplianceStatus, StoragePolicy
from kmipkit_vsphere.vcenter.store import Store

ENCRYPTION_POLICY: Final = StoragePolicy(
    "4d5f673c-536f-11e6-beb8-9e71128cae77",
    "VM Encryption Policy",
    encrypts=True,
    description="Sample storage policy for encryption, with the default key provider",
    predefined=True,
)
"""The policy that every vCenter has, with the id that it has everywhere."""
DATASTORE_DEFAULT: Final = StoragePolicy(
    "datastore-default",
    "Datastore Default",
    encrypts=False,
    description="What has no other policy has this one",
    predefined=True,
)
FORBIDDEN: Final = "encryptForbiddenWithoutEncryptedProfile"
"""The reason of vSphere's API for refusing to encrypt what has no policy for it."""

_POLICY: Final = "policy/"
_ASSIGNED: Final = "machine-policy/"


class Policies:
    """The policies of one vCenter."""

    def __init__(self, store: Store) -> None:
        self._settings = store.providers

    # Policies ------------------------------------------------------------------------------------

    def all(self) -> list[StoragePolicy]:
        """All policies: the predefined ones, then the others by name."""
        texts = self._settings.settings(_POLICY).values()
        made = [decode(text.encode(), StoragePolicy) for text in texts]
        return [ENCRYPTION_POLICY, DATASTORE_DEFAULT, *sorted(made, key=lambda item: item.name)]

    def get(self, name_or_id: str) -> StoragePolicy:
        """The policy of this id or name; :class:`NotFound` if there is none."""
        policies = self.all()
        for policy in policies:
            if name_or_id == policy.policy_id:
                return policy
        for policy in policies:
            if name_or_id == policy.name:
                return policy
        raise NotFound(f"there is no storage policy {name_or_id}; see policies")

    def create(self, name: str, *, encrypts: bool, description: str = "") -> StoragePolicy:
        """Create a policy; :class:`AlreadyExists` if the name is in use."""
        self._check_unused(name)
        policy = StoragePolicy(str(uuid4()), name, encrypts, description)
        self._save(policy)
        return policy

    def update(
        self,
        name_or_id: str,
        name: str | None = None,
        *,
        encrypts: bool | None = None,
        description: str | None = None,
    ) -> StoragePolicy:
        """Change a policy; what has it is not encrypted or decrypted before it is set again."""
        policy = self._changeable(name_or_id)
        if name is not None and name != policy.name:
            self._check_unused(name)
        changed = replace(
            policy,
            name=policy.name if name is None else name,
            encrypts=policy.encrypts if encrypts is None else encrypts,
            description=policy.description if description is None else description,
        )
        self._save(changed)
        return changed

    def remove(self, name_or_id: str) -> None:
        """Remove a policy; :class:`ResourceInUse` while a machine has it."""
        policy = self._changeable(name_or_id)
        users = [
            uuid
            for uuid, text in self._settings.settings(_ASSIGNED).items()
            if policy.policy_id in decode(text.encode(), dict[str, str]).values()
        ]
        if users:
            raise ResourceInUse(
                f"{len(users)} machines have the storage policy {policy.name}; give them another"
                " one first (set-policy)"
            )
        self._settings.set_setting(_POLICY + policy.policy_id, None)

    def _changeable(self, name_or_id: str) -> StoragePolicy:
        policy = self.get(name_or_id)
        if policy.predefined:
            raise InvalidArgument(f"the storage policy {policy.name} is predefined")
        return policy

    def _check_unused(self, name: str) -> None:
        if any(name in (policy.name, policy.policy_id) for policy in self.all()):
            raise AlreadyExists(f"there is a storage policy {name} already")

    def _save(self, policy: StoragePolicy) -> None:
        self._settings.set_setting(_POLICY + policy.policy_id, encode(policy).decode())

    # Who has which -------------------------------------------------------------------------------

    def of(self, uuid: str) -> dict[str, StoragePolicy]:
        """The policies of a machine, by part; a part that was never given one is not there."""
        text = self._settings.setting(_ASSIGNED + uuid)
        known = {policy.policy_id: policy for policy in self.all()}
        ids = {} if text is None else decode(text.encode(), dict[str, str])
        return {part: known[policy_id] for part, policy_id in ids.items() if policy_id in known}

    def assign(self, uuid: str, parts: Iterable[str], policy: StoragePolicy) -> None:
        """Give parts of a machine a policy."""
        self._assign(uuid, {**self.of(uuid), **dict.fromkeys(parts, policy)})

    def forget(self, uuid: str, part: str | None = None) -> None:
        """Forget the policies of a machine that left the inventory, or of a disk that was removed."""
        kept = {} if part is None else {**self.of(uuid)}
        kept.pop(part or "", None)
        self._assign(uuid, kept)

    def copy(self, uuid: str, new_uuid: str) -> None:
        """Give a clone the policies of its source."""
        self._assign(new_uuid, self.of(uuid))

    def _assign(self, uuid: str, policies: dict[str, StoragePolicy]) -> None:
        ids = {part: policy.policy_id for part, policy in policies.items()}
        self._settings.set_setting(_ASSIGNED + uuid, encode(ids).decode() if ids else None)

    # What they require ---------------------------------------------------------------------------

    def note_encrypted(
        self, machine: MachineInfo, parts: Iterable[str], policy: StoragePolicy | None = None
    ) -> None:
        """Parts were encrypted: those without a policy that requires it get one."""
        policies = self.of(machine.uuid)
        changed = [
            part
            for part in parts
            if part in machine.encrypted_parts
            and (policy is not None or part not in policies or not policies[part].encrypts)
        ]
        self.assign(machine.uuid, changed, policy or ENCRYPTION_POLICY)

    def note_decrypted(self, machine: MachineInfo, parts: Iterable[str]) -> None:
        """Parts were decrypted: those whose policy requires encryption get the default one."""
        policies = self.of(machine.uuid)
        changed = [
            part
            for part in parts
            if part not in machine.encrypted_parts
            and (part not in policies or policies[part].encrypts)
        ]
        self.assign(machine.uuid, changed, DATASTORE_DEFAULT)

    def check_requires_encryption(self, machine: MachineInfo, parts: Iterable[str]) -> None:
        """InvalidState unless the policy of each part requires it, as vSphere's API demands."""
        policies = self.of(machine.uuid)
        without = [part for part in parts if part not in policies or not policies[part].encrypts]
        if without:
            raise InvalidState(
                f"{FORBIDDEN}: no storage policy requires the encryption of {', '.join(without)} of"
                f" {machine.name}; set one (set-policy)"
            )

    def compliance(self, machine: MachineInfo) -> list[Compliance]:
        """The compliance of each part of a machine."""
        policies = self.of(machine.uuid)
        is_known = machine.crypto_state not in (MachineState.INVALID, MachineState.UNKNOWN)
        return [
            _compliance(machine, part, policies.get(part), is_known=is_known)
            for part in (machine.parts if is_known else sorted(policies))
        ]


def _compliance(
    machine: MachineInfo, part: str, policy: StoragePolicy | None, *, is_known: bool
) -> Compliance:
    name = policy.name if policy else None
    if not is_known:
        return Compliance(
            machine.name, part, name, ComplianceStatus.UNKNOWN, machine.problem or "not known"
        )
    is_encrypted = part in machine.encrypted_parts
    if policy is None or (not policy.encrypts and not is_encrypted):
        return Compliance(machine.name, part, name, ComplianceStatus.NOT_APPLICABLE)
    if policy.encrypts == is_encrypted:
        return Compliance(machine.name, part, name, ComplianceStatus.COMPLIANT)
    reason = (
        "it is encrypted, which its policy does not require"
        if is_encrypted
        else "it is not encrypted, which its policy requires"
    )
    return Compliance(machine.name, part, name, ComplianceStatus.NON_COMPLIANT, reason)
