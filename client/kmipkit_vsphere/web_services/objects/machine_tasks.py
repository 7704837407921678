"""The methods of ``VirtualMachine``: encryption, clones, moves and power, as tasks (vsphere.md §2).

A caller who lacks a privilege is refused at once; what else goes wrong is the error of the task.
"""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from kmipkit_vsphere.calls.machines import MachineInfo, PowerState, part_of_disk
from kmipkit_vsphere.model import errors
from kmipkit_vsphere.model.migration_spec import EncryptionMode
from kmipkit_vsphere.model.records import MachineRecord
from kmipkit_vsphere.vcenter.calls import machines as machine_calls
from kmipkit_vsphere.vcenter.command import VCenterRequest
from kmipkit_vsphere.vcenter.privileges import Privilege
from kmipkit_vsphere.web_services.faults import Fault, key_id, power_fault
from kmipkit_vsphere.web_services.inventory import plain_name
from kmipkit_vsphere.web_services.managed import method
from kmipkit_vsphere.web_services.objects.entity import ManagedEntity
from kmipkit_vsphere.web_services.placement import host_for
from kmipkit_vsphere.web_services.reconfiguration import (
    HOME,
    Plan,
    crypto_of,
    number_of,
    policy_of,
    requests_of,
)
from kmipkit_vsphere.web_services.requests import request as request_of
from kmipkit_vsphere.web_services.vim25 import specs, states
from kmipkit_vsphere.web_services.vim25.declaration import Ref
from kmipkit_vsphere.web_services.vim25.faults import (
    DuplicateName,
    EncryptionKeyRequired,
    NotSupported,
)

if TYPE_CHECKING:
    from kmipkit_vsphere.web_services.call import Call

_LINKED = "createNewChildDiskBacking"
_PRIVILEGES: dict[type[VCenterRequest[Any]], Privilege] = {
    machine_calls.EncryptVM: Privilege.ENCRYPT,
    machine_calls.DecryptVM: Privilege.DECRYPT,
    machine_calls.RecryptVM: Privilege.RECRYPT,
}
"""What a clone's changes of keys need on its source (§5.1)."""


def check_supported(spec: specs.VirtualMachineCloneSpec) -> None:
    """NotSupported for what clones of the laboratory cannot be."""
    config = spec.config
    if spec.template:
        raise Fault(NotSupported(), "the laboratory has no templates")
    if config is not None and (config.crypto or config.vm_profile or config.device_change):
        raise Fault(NotSupported(), "change the clone when it is there, or by its location")


def _key_of_link(call: "Call", changes: Plan) -> str | None:
    """The provider of the key of a linked clone; None if it has the keys of its parent.

    A linked clone has one key for its home and its own layers, which is new; the layers of its parent
    keep theirs.
    """
    changed = changes.recrypt.pop(HOME, None)
    if changes.encrypt or changes.decrypt or changes.recrypt or changes.policies:
        raise Fault(NotSupported(), "a linked clone is encrypted like its parent")
    if changed is None:
        return None
    is_deep, key = changed
    if is_deep or key.key_id is not None:
        raise Fault(NotSupported(), "a linked clone may have a new key of a provider, no other one")
    return key.provider or call.vcenter.crypto.providers.default()


class MachineTasks(ManagedEntity, mixin=True):
    """The methods of a machine."""

    @property
    def _record(self) -> MachineRecord:
        assert isinstance(self.node.record, MachineRecord)
        return self.node.record

    def _start(
        self, call: "Call", name: str, work: Callable[[], Awaitable[Any]], *needed: Any
    ) -> Ref:
        """Begin a task, if the caller may make the calls that it needs."""
        for request in needed:
            call.endpoint.service.authorize(request, call.user)
        description, title = f"VirtualMachine.{name}", self.node.name
        return call.endpoint.tasks.start(call, description, work, self.ref, title)

    async def _info(self, call: "Call") -> MachineInfo:
        call.forget()
        info = await call.machine(self._record)
        if info is None:
            raise errors.HostUnreachable(f"host {self._record.host} does not answer")
        return info

    # Settings and encryption ----------------------------------------------------------------------

    @method("ReconfigVM_Task")
    async def reconfigure(self, call: "Call", spec: specs.VirtualMachineConfigSpec) -> Ref:
        """Change a machine: its encryption and that of its disks, disks, a virtual TPM."""
        info, requests, refusal = await self._info(call), [], None
        try:
            requests = requests_of(call, info, spec)
        except (Fault, errors.InvalidState) as failure:
            refusal = failure  # the state of the machine: an error of the task
        mode = EncryptionMode.OPPORTUNISTIC
        needed = requests or [machine_calls.SetMigrateEncryption(info.name, mode)]

        async def work() -> None:
            if refusal is not None:
                raise refusal
            for request in requests:
                await call.run(request)

        return self._start(call, "reconfigure", work, *needed)

    @method("CryptoUnlock_Task", since="6.7")
    async def unlock(self, call: "Call") -> Ref:
        """Give the host the keys of a locked machine, and unlock it."""
        request = machine_calls.CryptoUnlock(self._record.name)

        async def work() -> None:
            await self._with_keys(call, request)

        return self._start(call, "cryptoUnlock", work, request)

    async def _with_keys(self, call: "Call", request: VCenterRequest[Any]) -> None:
        """A call for which the host needs keys: what cannot be had is what the fault names."""
        try:
            await call.run(request)
        except (errors.KeyProviderError, errors.KeyNotUsable) as failure:
            required = tuple(map(key_id, (await self._info(call)).key_ids))
            raise Fault(EncryptionKeyRequired(required_key=required), failure.message) from None

    # Power ----------------------------------------------------------------------------------------

    @method("PowerOnVM_Task")
    async def power_on(self, call: "Call", host: Ref | None) -> Ref:
        """Power the machine on; the host, which is that of its files, is given the keys it lacks."""
        del host
        return self._power(call, machine_calls.PowerOnVM(self._record.name), PowerState.ON)

    @method("PowerOffVM_Task")
    async def power_off(self, call: "Call") -> Ref:
        """Power the machine off."""
        return self._power(call, machine_calls.PowerOffVM(self._record.name), PowerState.OFF)

    def _power(self, call: "Call", request: VCenterRequest[Any], wanted: PowerState) -> Ref:
        async def work() -> None:
            if (await self._info(call)).power_state is wanted:
                is_on = wanted is PowerState.ON
                text = f"{self._record.name} is {wanted.value} already"
                raise Fault(power_fault(is_on=is_on, wants_on=is_on), text)
            await self._with_keys(call, request)

        name = "powerOn" if wanted is PowerState.ON else "powerOff"
        return self._start(call, name, work, request)

    # Copies and moves -----------------------------------------------------------------------------

    @method("CloneVM_Task")
    async def clone(
        self, call: "Call", folder: Ref, name: str, spec: specs.VirtualMachineCloneSpec
    ) -> Ref:
        """Clone the machine, with its keys or others; the result is the clone."""
        check_supported(spec)
        new_name, location = plain_name(name), spec.location
        known = call.endpoint.ref_of(f"machine/{new_name}")
        if known is not None:
            raise Fault(
                DuplicateName(name=name, object=known), f"there is a machine {name} already"
            )
        info = await self._info(call)
        changes = self._location_plan(call, info, location)
        target = host_for(call, location.host, location.pool, location.datastore)
        is_linked = location.disk_move_type == _LINKED
        key_provider = None
        if is_linked:
            if target is not None and target.name != self._record.host:
                raise Fault(NotSupported(), "a linked clone stands on the datastore of its parent")
            key_provider, changes = _key_of_link(call, changes), Plan()
        members = {
            "name": self._record.name,
            "newName": new_name,
            "tpmProvisionPolicy": spec.tpm_provision_policy or None,
            "snapshot": self._snapshot_of(call, spec.snapshot),
            "linked": is_linked,
            "keyProvider": key_provider,
            "folder": call.entity_of(folder),
        }
        names = {
            "snapshot": "spec.snapshot",
            "tpmProvisionPolicy": "spec.tpmProvisionPolicy",
            "newName": "name",
        }
        request = request_of(machine_calls.CloneVM, members, names)
        more = [
            (privilege, self.entity)
            for change in changes.requests(self._record.name)
            if (privilege := _PRIVILEGES.get(type(change))) is not None
        ]
        if key_provider is not None:
            more.append((Privilege.ENCRYPT, self.entity))
        call.endpoint.service.authorize(request, call.user, *more)

        async def work() -> Ref | None:
            changes.check(info)
            await call.run(request)
            if target is not None and target.name != self._record.host:
                await call.run(machine_calls.MigrateVM(new_name, target.name))
            for change in changes.requests(new_name):
                await call.run(change)
            if spec.power_on:
                await call.run(machine_calls.PowerOnVM(new_name))
            return call.endpoint.ref_of(f"machine/{new_name}")

        return self._start(call, "clone", work, request)

    def _snapshot_of(self, call: "Call", ref: Ref | None) -> int | None:
        """The number of the snapshot to clone."""
        if ref is None:
            return None
        found = call.inventory.find_snapshot(ref)
        if found is None or found[0].ref != self.ref:
            raise errors.InvalidArgument(
                f"{ref} is no snapshot of {self.node.name}", invalid_property="spec.snapshot"
            )
        return found[1]

    def _location_plan(
        self, call: "Call", info: MachineInfo, location: specs.VirtualMachineRelocateSpec
    ) -> Plan:
        """What becomes of the keys of a machine that is copied or moved."""
        plan, encrypted = Plan(), set(info.encrypted_parts)
        policy = policy_of(call, location.profile, "spec.profile")
        plan.add(call, HOME, location.crypto_spec, policy, is_encrypted=HOME in encrypted)
        for disk in location.disk:
            part = part_of_disk(number_of(info, disk.disk_id))
            own = policy_of(call, disk.profile, "spec.disk.profile")
            plan.add(call, part, crypto_of(disk.backing), own, is_encrypted=part in encrypted)
        return plan

    @method("RelocateVM_Task")
    async def relocate(
        self,
        call: "Call",
        spec: specs.VirtualMachineRelocateSpec,
        priority: specs.VirtualMachineMovePriority | None,
    ) -> Ref:
        """Move the machine to another host, which has another datastore; with other keys if asked."""
        del priority
        info = await self._info(call)
        changes = self._location_plan(call, info, spec)
        target = host_for(call, spec.host, spec.pool, spec.datastore)
        requests: list[VCenterRequest[Any]] = changes.requests(self._record.name)
        if target is not None and target.name != self._record.host:
            requests.append(machine_calls.MigrateVM(self._record.name, target.name))
        return self._moved(call, "relocate", requests, lambda: changes.check(info))

    @method("MigrateVM_Task")
    async def migrate(
        self,
        call: "Call",
        pool: Ref | None,
        host: Ref | None,
        priority: specs.VirtualMachineMovePriority,
        state: states.VirtualMachinePowerState | None,
    ) -> Ref:
        """Move the machine to another host."""
        del priority
        target = host_for(call, host, pool, None)
        if target is None:
            raise errors.InvalidArgument("name a host or a pool", invalid_property="host")
        info = await self._info(call)
        is_on = info.power_state is PowerState.ON
        if state is not None and is_on != (state == states.VirtualMachinePowerState.POWERED_ON):
            raise Fault(power_fault(is_on=is_on), f"{info.name} is {info.power_state.value}")
        request = machine_calls.MigrateVM(self._record.name, target.name)
        return self._moved(call, "migrate", [request])

    def _moved(
        self,
        call: "Call",
        name: str,
        requests: list[VCenterRequest[Any]],
        check: Callable[[], None] = lambda: None,
    ) -> Ref:
        needed = requests or [machine_calls.MigrateVM(self._record.name, self._record.host)]

        async def work() -> None:
            check()
            for request in requests:
                await call.run(request)

        return self._start(call, name, work, *needed)

    # Removal --------------------------------------------------------------------------------------

    @method("UnregisterVM")
    async def unregister(self, call: "Call") -> None:
        """Remove the machine from the inventory; its files stay."""
        await call.run(machine_calls.UnregisterVM(self._record.name))

    @method("Destroy_Task")
    async def destroy(self, call: "Call") -> Ref:
        """Delete the machine with its files."""
        request = machine_calls.DestroyVM(self._record.name)

        async def work() -> None:
            await call.run(request)

        return self._start(call, "destroy", work, request)
