"""The methods of ``Folder``: new machines, and machines whose files exist (vsphere.md §2)."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from kmipkit_vsphere.calls.machines import part_of_disk
from kmipkit_vsphere.model import errors
from kmipkit_vsphere.model.encoding import to_builtins
from kmipkit_vsphere.model.records import HostRecord
from kmipkit_vsphere.vcenter.calls import machines as machine_calls
from kmipkit_vsphere.vcenter.calls.policies import SetStoragePolicy
from kmipkit_vsphere.vcenter.command import VCenterRequest
from kmipkit_vsphere.vcenter.privileges import Privilege
from kmipkit_vsphere.web_services.faults import Fault
from kmipkit_vsphere.web_services.inventory import plain_name
from kmipkit_vsphere.web_services.managed import method
from kmipkit_vsphere.web_services.objects.entity import ManagedEntity
from kmipkit_vsphere.web_services.placement import host_for, host_for_new, host_of_path
from kmipkit_vsphere.web_services.reconfiguration import (
    HOME,
    Plan,
    crypto_of,
    grouped,
    policy_of,
    size_of,
)
from kmipkit_vsphere.web_services.requests import request
from kmipkit_vsphere.web_services.vim25 import specs
from kmipkit_vsphere.web_services.vim25.declaration import Ref
from kmipkit_vsphere.web_services.vim25.devices import VirtualDisk, VirtualTPM
from kmipkit_vsphere.web_services.vim25.faults import (
    DuplicateName,
    InvalidDatastorePath,
    InvalidName,
    NotSupported,
)

if TYPE_CHECKING:
    from kmipkit_vsphere.web_services.call import Call


_DEVICES = "config.deviceChange"

Requests = list[VCenterRequest[Any]]


class FolderTasks(ManagedEntity, mixin=True):
    """The methods of a folder with machines."""

    def _start(
        self,
        call: "Call",
        name: str,
        work: Callable[[], Awaitable[Any]],
        needed: VCenterRequest[Any],
        *more: tuple[Privilege, str],
    ) -> Ref:
        if "VirtualMachine" not in self.node.child_types:
            raise Fault(NotSupported(), "this folder cannot hold machines")
        call.endpoint.service.authorize(needed, call.user, *more)
        title = self.node.name
        return call.endpoint.tasks.start(call, f"Folder.{name}", work, self.ref, title)

    @method("CreateVM_Task")
    async def create_vm(
        self,
        call: "Call",
        config: specs.VirtualMachineConfigSpec,
        pool: Ref,
        host: Ref | None,
    ) -> Ref:
        """Create a machine, encrypted from the beginning if that is asked for."""
        name = plain_name(config.name or "")
        _check_new(call, name)
        path = config.files.vm_path_name if config.files is not None else None
        target = host_for_new(call, host, pool, path)
        first, others = _creation(call, name, config, target, self.entity)
        more = ((Privilege.ENCRYPT_NEW, self.entity),) if first.encrypt else ()

        async def work() -> Ref | None:
            try:
                await call.run(first)
                for following in others:
                    await call.run(following)
            except errors.VSphereError:
                # What was asked for is not there: the machine must not be there without it.
                machines = call.vcenter.store.inventory.machines()
                if any(machine.name == name for machine in machines):
                    await call.vcenter.machines.destroy(call.user, name)
                raise
            return call.endpoint.ref_of(f"machine/{name}")

        return self._start(call, "createVm", work, first, *more)

    @method("RegisterVM_Task")
    async def register_vm(
        self,
        call: "Call",
        path: str,
        name: str | None,
        as_template: bool,
        pool: Ref | None,
        host: Ref | None,
    ) -> Ref:
        """Add a machine whose files are on a datastore; an encrypted one gets its keys."""
        if as_template:
            raise Fault(NotSupported(), "the laboratory has no templates")
        target = host_of_path(call, path)
        folder, _, file = path.partition("]")[2].strip().rpartition("/")
        if target is None or file != f"{folder}.vmx":
            raise Fault(InvalidDatastorePath(datastore_path=path), f"{path} is not of a machine")
        if name and plain_name(name) != folder:
            raise Fault(NotSupported(), "a machine keeps its name: register it, then rename it")
        named = host_for(call, host, None, None)
        if named is not None and named != target:
            raise errors.InvalidArgument(
                f"host {named.name} does not have this datastore", invalid_property="host"
            )
        del pool
        _check_new(call, folder)
        registration = machine_calls.RegisterVM(target.name, folder, self.entity)

        async def work() -> Ref | None:
            await call.run(registration)
            return call.endpoint.ref_of(f"machine/{folder}")

        return self._start(call, "registerVm", work, registration)


def _check_new(call: "Call", name: str) -> None:
    """InvalidName or DuplicateName for a name that a new machine cannot have."""
    if not name:
        raise Fault(InvalidName(name=name), "a machine needs a name")
    known = call.endpoint.ref_of(f"machine/{name}")
    if known is not None:
        raise Fault(DuplicateName(name=name, object=known), f"there is a machine {name} already")


def _creation(
    call: "Call",
    name: str,
    config: specs.VirtualMachineConfigSpec,
    host: HostRecord,
    folder: str,
) -> tuple[machine_calls.CreateVM, Requests]:
    """The call that creates a machine, and those that complete it."""
    added = [
        change
        for change in config.device_change
        if change.operation is specs.VirtualDeviceConfigSpecOperation.ADD
    ]
    disks = [change for change in added if isinstance(change.device, VirtualDisk)]
    plan = Plan()
    policy = policy_of(call, config.vm_profile, "config.vmProfile")
    plan.add(call, HOME, config.crypto, policy)
    for number, change in enumerate(disks):
        own = policy_of(call, change.profile, "config.deviceChange.profile")
        plan.add(call, part_of_disk(number), crypto_of(change.backing), own)
    plan.extend(policy, map(part_of_disk, range(len(disks))), set())
    if plan.decrypt or plan.recrypt:
        raise errors.InvalidArgument(
            "a new machine can only be encrypted", invalid_property="config.crypto"
        )
    if plan.encrypt and HOME not in plan.encrypt:
        raise errors.InvalidState(f"the disks of {name} cannot be encrypted without its home")
    groups = list(grouped(plan.encrypt).items())
    key, parts = groups[0] if groups else (None, None)
    sizes = [size_of(change.device) for change in disks]
    members: dict[str, Any] = {
        "host": host.name,
        "name": name,
        "diskSize": sizes[0] if sizes else None,
        "moreDisks": sizes[1:],
        "folder": folder,
        "encrypt": key is not None,
        "parts": parts,
        "keyProvider": key.provider if key is not None else None,
        "keyId": to_builtins(key.key_id) if key is not None else None,
    }
    names = {"name": "config.name", "diskSize": _DEVICES, "moreDisks": _DEVICES}
    first = request(machine_calls.CreateVM, members, names)
    rest: Requests = [
        machine_calls.EncryptVM(name, other.provider, others, key_id=other.key_id)
        for other, others in groups[1:]
    ]
    if any(isinstance(change.device, VirtualTPM) for change in added):
        rest.append(machine_calls.AddTPM(name, encrypt=not groups))
    own_policies = {
        part: policy.policy_id for part, policy in plan.policies.items() if not policy.predefined
    }
    for policy_id, of_policy in grouped(own_policies).items():
        rest.append(SetStoragePolicy(name, policy_id, parts=of_policy))
    return first, rest
