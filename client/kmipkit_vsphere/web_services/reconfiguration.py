"""What a specification asks of a machine, as calls of vCenter in the order in which they are possible.

The home and each disk have a specification of their own: one for the machine is about its home only,
while a storage policy for the machine is also that of the disks for which none is named. A disk can be
encrypted only if the home is (vsphere.md §2.3), so that homes are encrypted first and decrypted last.
What the state of the machine does not allow is refused before anything is done.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kmipkit_vsphere.calls.machines import MachineInfo, PowerState, part_of_disk
from kmipkit_vsphere.model.errors import InvalidArgument, InvalidState, NotFound
from kmipkit_vsphere.model.keys import CryptoKeyId
from kmipkit_vsphere.model.migration_spec import EncryptionMode
from kmipkit_vsphere.vcenter.calls import machines as machine_calls
from kmipkit_vsphere.vcenter.calls.policies import SetStoragePolicy, StoragePolicy
from kmipkit_vsphere.vcenter.command import VCenterRequest
from kmipkit_vsphere.vcenter.policies import DATASTORE_DEFAULT
from kmipkit_vsphere.web_services.faults import Fault, power_fault
from kmipkit_vsphere.web_services.inventory import plain_name
from kmipkit_vsphere.web_services.vim25 import keys, specs
from kmipkit_vsphere.web_services.vim25.devices import VirtualDisk, VirtualTPM
from kmipkit_vsphere.web_services.vim25.faults import NotSupported

if TYPE_CHECKING:
    from kmipkit_vsphere.web_services.call import Call

HOME = "home"
FIRST_DISK_KEY = 2000
FT_MODES = ("ftEncryptionDisabled", "ftEncryptionOpportunistic", "ftEncryptionRequired")

Requests = list[VCenterRequest[Any]]


@dataclass(frozen=True)
class Key:
    """The key of a specification: an existing one, or a new one of a provider, or of the default."""

    provider: str | None = None
    key_id: CryptoKeyId | None = None


@dataclass
class Plan:
    """What is done to which parts of a machine."""

    encrypt: dict[str, Key] = field(default_factory=dict)
    decrypt: list[str] = field(default_factory=list)
    recrypt: dict[str, tuple[bool, Key]] = field(default_factory=dict)
    """Deep or not, and the new key."""
    policies: dict[str, StoragePolicy] = field(default_factory=dict)

    def add(
        self,
        call: "Call",
        part: str,
        crypto: specs.CryptoSpec | None,
        policy: StoragePolicy | None = None,
        *,
        is_encrypted: bool = False,
    ) -> None:
        """Note what is asked for a part; a policy says it where no specification does."""
        match crypto:
            case specs.CryptoSpecEncrypt(crypto_key_id=key):
                self.encrypt[part] = _chosen(call, key)
            case specs.CryptoSpecDecrypt():
                self.decrypt.append(part)
            case specs.CryptoSpecShallowRecrypt(new_key_id=key):
                self.recrypt[part] = (False, _chosen(call, key))
            case specs.CryptoSpecDeepRecrypt(new_key_id=key):
                self.recrypt[part] = (True, _chosen(call, key))
            case None if policy is not None and policy.encrypts and not is_encrypted:
                self.encrypt[part] = Key()
            case None if policy is not None and not policy.encrypts and is_encrypted:
                self.decrypt.append(part)
        if policy is not None:
            self.policies[part] = policy

    def extend(
        self, policy: StoragePolicy | None, disks: Iterable[str], encrypted: set[str]
    ) -> None:
        """Give the machine's policy to the disks for which nothing else is asked."""
        if policy is None:
            return
        asked = {*self.encrypt, *self.decrypt, *self.recrypt, *self.policies}
        for disk in disks:
            if disk in asked:
                continue
            self.policies[disk] = policy
            if policy.encrypts and disk not in encrypted:
                self.encrypt[disk] = self.encrypt.get(HOME, Key())
            elif not policy.encrypts and disk in encrypted:
                self.decrypt.append(disk)

    def check(self, info: MachineInfo) -> None:
        """InvalidState, or InvalidPowerState, where the machine does not allow it."""
        present, name = set(info.encrypted_parts), info.name
        for part in self.encrypt:
            if part in present:
                raise InvalidState(f"{part} of {name} is encrypted already")
        for part in (*self.decrypt, *self.recrypt):
            if part not in present:
                raise InvalidState(f"{part} of {name} is not encrypted")
        is_deep = any(deep for deep, _ in self.recrypt.values())
        if info.power_state is PowerState.ON and (self.encrypt or self.decrypt or is_deep):
            text = f"{name} must be powered off to be encrypted, decrypted or written again"
            raise Fault(power_fault(is_on=True), text)
        after = present.union(self.encrypt).difference(self.decrypt)
        if after and HOME not in after:
            raise InvalidState(
                f"disks of {name} cannot be encrypted without its home: encrypt that, too, or"
                " decrypt the disks first"
            )

    def requests(self, name: str) -> Requests:
        """The calls, in their order."""
        found: Requests = []
        if self.decrypt:
            found.append(machine_calls.DecryptVM(name, self.decrypt))
        for (deep, key), parts in grouped(self.recrypt).items():
            found.append(machine_calls.RecryptVM(name, deep, key.provider, parts, key.key_id))
        for chosen, parts in grouped(self.encrypt).items():
            found.append(
                machine_calls.EncryptVM(name, chosen.provider, parts, key_id=chosen.key_id)
            )
        named = {part: policy.policy_id for part, policy in self.policies.items()}
        for policy_id, parts in grouped(named).items():
            found.append(SetStoragePolicy(name, policy_id, parts=parts))
        return found


def grouped(parts: Mapping[str, Any]) -> dict[Any, list[str]]:
    """The parts by what is done to them; the group of the home first."""
    groups: dict[Any, list[str]] = {}
    for part in sorted(parts, key=lambda name: (name != HOME, name)):
        groups.setdefault(parts[part], []).append(part)
    return groups


def requests_of(call: "Call", info: MachineInfo, spec: specs.VirtualMachineConfigSpec) -> Requests:
    """What ReconfigVM asks, after its checks."""
    check_name(spec.name, info.name)
    plan = Plan()
    encrypted = set(info.encrypted_parts)
    policy = policy_of(call, spec.vm_profile, "spec.vmProfile")
    plan.add(call, HOME, spec.crypto, policy, is_encrypted=HOME in encrypted)
    for change in spec.device_change:
        if isinstance(change.device, VirtualDisk) and _edits(change):
            part = part_of_disk(_number(info, change.device))
            own = policy_of(call, change.profile, "spec.deviceChange.profile")
            plan.add(call, part, crypto_of(change.backing), own, is_encrypted=part in encrypted)
    plan.extend(policy, map(part_of_disk, info.disks), encrypted)
    plan.check(info)
    will_be_encrypted = HOME in encrypted.union(plan.encrypt).difference(plan.decrypt)
    return [
        *_removals(info, spec.device_change),
        *plan.requests(info.name),
        *_additions(call, info.name, spec.device_change, is_encrypted=will_be_encrypted),
        *_migration(info.name, spec),
    ]


def _edits(change: specs.VirtualDeviceConfigSpec) -> bool:
    operation = specs.VirtualDeviceConfigSpecOperation
    return change.operation in (None, operation.EDIT)


def _removals(info: MachineInfo, changes: Iterable[specs.VirtualDeviceConfigSpec]) -> Requests:
    found: Requests = []
    for change in changes:
        if change.operation is not specs.VirtualDeviceConfigSpecOperation.REMOVE:
            continue
        if isinstance(change.device, VirtualTPM):
            found.append(machine_calls.RemoveTPM(info.name))
        elif isinstance(change.device, VirtualDisk):
            found.append(machine_calls.RemoveDisk(info.name, _number(info, change.device)))
    return found


def _additions(
    call: "Call",
    name: str,
    changes: Iterable[specs.VirtualDeviceConfigSpec],
    *,
    is_encrypted: bool,
) -> Requests:
    found: Requests = []
    for change in changes:
        if change.operation is not specs.VirtualDeviceConfigSpecOperation.ADD:
            continue
        if isinstance(change.device, VirtualTPM):
            found.append(machine_calls.AddTPM(name, encrypt=not is_encrypted))
        elif isinstance(change.device, VirtualDisk):
            found.append(_new_disk(call, name, change))
    return found


def _new_disk(
    call: "Call", name: str, change: specs.VirtualDeviceConfigSpec
) -> machine_calls.AddDisk:
    crypto, provider = crypto_of(change.backing), None
    if isinstance(crypto, specs.CryptoSpecEncrypt):
        chosen = _chosen(call, crypto.crypto_key_id)
        machine = call.vcenter.store.inventory.machine(name)
        if chosen.key_id not in (None, machine.key_id):
            raise Fault(
                NotSupported(),
                "a new disk has the key of its machine, or a new one: re-encrypt it afterwards",
            )
        provider = chosen.provider if chosen.key_id is None else None
    policy = policy_of(call, change.profile, "spec.deviceChange.profile")
    return machine_calls.AddDisk(
        name,
        size_of(change.device),
        key_provider=provider,
        policy=policy.policy_id if policy is not None else None,
    )


def _migration(name: str, spec: specs.VirtualMachineConfigSpec) -> Requests:
    if spec.ft_encryption_mode not in (None, *FT_MODES):
        raise InvalidArgument(
            f"there is no mode {spec.ft_encryption_mode}", invalid_property="spec.ftEncryptionMode"
        )
    if spec.migrate_encryption is None:
        return []
    try:
        mode = EncryptionMode(spec.migrate_encryption)
    except ValueError:
        raise InvalidArgument(
            f"there is no mode {spec.migrate_encryption}",
            invalid_property="spec.migrateEncryption",
        ) from None
    return [machine_calls.SetMigrateEncryption(name, mode)]


def check_name(name: str | None, present: str) -> None:
    """NotSupported for another name: the laboratory does not rename machines."""
    if name and plain_name(name) != present:
        raise Fault(NotSupported(), "a machine of the laboratory keeps its name")


def crypto_of(
    backing: specs.VirtualDeviceConfigSpecBackingSpec
    | specs.VirtualMachineRelocateSpecDiskLocatorBackingSpec
    | None,
) -> specs.CryptoSpec | None:
    """What is asked for a disk."""
    return backing.crypto if backing is not None else None


def policy_of(
    call: "Call", profiles: Sequence[specs.VirtualMachineProfileSpec], parameter: str
) -> StoragePolicy | None:
    """The storage policy that is asked for; None if none is."""
    for profile in profiles:
        if isinstance(profile, specs.VirtualMachineDefinedProfileSpec):
            try:
                return call.vcenter.policies.get(profile.profile_id)
            except NotFound as missing:
                raise InvalidArgument(missing.message, invalid_property=parameter) from None
        return DATASTORE_DEFAULT
    return None


def size_of(disk: object) -> int:
    """The bytes of a new disk."""
    assert isinstance(disk, VirtualDisk)
    return disk.capacity_in_bytes or disk.capacity_in_kb << 10


def number_of(info: MachineInfo, key: int) -> int:
    """The number of the disk with this key, or InvalidArgument."""
    if key - FIRST_DISK_KEY not in info.disks:
        raise InvalidArgument(
            f"the machine {info.name} has no disk with the key {key}",
            invalid_property="spec.deviceChange.device.key",
        )
    return key - FIRST_DISK_KEY


def _number(info: MachineInfo, disk: VirtualDisk) -> int:
    return number_of(info, disk.key)


def _chosen(call: "Call", key: keys.CryptoKeyId) -> Key:
    """An empty id stands for a new key; one without a provider is looked for."""
    provider = key.provider_id.id if key.provider_id is not None else None
    if not key.key_id:
        return Key(provider or None)
    if not provider:
        known = [k for k in call.vcenter.crypto.list_keys() if k.key_id == key.key_id]
        provider = (
            known[0].provider_id if len(known) == 1 else call.vcenter.crypto.providers.default()
        )
    if not provider:
        raise InvalidArgument(
            f"the key {key.key_id} needs its provider", invalid_property="crypto.cryptoKeyId"
        )
    return Key(provider, CryptoKeyId(provider, key.key_id))
