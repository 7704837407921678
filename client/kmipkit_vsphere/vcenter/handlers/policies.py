"""Storage policies."""

from kmipkit_vsphere.model.records import ROOT
from kmipkit_vsphere.vcenter.caller import Caller
from kmipkit_vsphere.vcenter.calls.policies import (
    CheckCompliance,
    Compliance,
    CreateStoragePolicy,
    ListStoragePolicies,
    RemoveStoragePolicy,
    SetStoragePolicy,
    StoragePolicy,
    UpdateStoragePolicy,
)
from kmipkit_vsphere.vcenter.privileges import Privilege
from kmipkit_vsphere.vcenter.vcenter import VCenter


@ListStoragePolicies.handler
async def list_all(
    vcenter: VCenter, _caller: Caller, _request: ListStoragePolicies
) -> list[StoragePolicy]:
    return vcenter.policies.all()


@CreateStoragePolicy.handler
async def create(vcenter: VCenter, caller: Caller, request: CreateStoragePolicy) -> StoragePolicy:
    _check_may_manage(caller, encrypts=request.encrypt)
    return vcenter.policies.create(
        request.name, encrypts=request.encrypt, description=request.description
    )


@UpdateStoragePolicy.handler
async def update(vcenter: VCenter, caller: Caller, request: UpdateStoragePolicy) -> StoragePolicy:
    encrypts = vcenter.policies.get(request.policy).encrypts
    _check_may_manage(caller, encrypts=encrypts or bool(request.encrypt))
    return vcenter.policies.update(
        request.policy, request.name, encrypts=request.encrypt, description=request.description
    )


@RemoveStoragePolicy.handler
async def remove(vcenter: VCenter, caller: Caller, request: RemoveStoragePolicy) -> None:
    _check_may_manage(caller, encrypts=vcenter.policies.get(request.policy).encrypts)
    vcenter.policies.remove(request.policy)


def _check_may_manage(caller: Caller, *, encrypts: bool) -> None:
    if encrypts:
        caller.require(Privilege.MANAGE_ENCRYPTION_POLICY, ROOT)


@SetStoragePolicy.handler
async def set_policy(
    vcenter: VCenter, caller: Caller, request: SetStoragePolicy
) -> list[Compliance]:
    return await vcenter.policy_assignment.set(
        caller,
        request.name,
        request.policy,
        parts=request.parts,
        provider_id=request.key_provider,
    )


@CheckCompliance.handler
async def check(vcenter: VCenter, _caller: Caller, request: CheckCompliance) -> list[Compliance]:
    return await vcenter.policy_assignment.check(request.names, all_parts=request.all_parts)
