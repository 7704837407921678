"""The keys of one host (vsphere.md §6)."""

from kmipkit_vsphere.calls import host as host_calls
from kmipkit_vsphere.calls.host import ChangeKeyResult, CryptoKeyResult, KeyPresence
from kmipkit_vsphere.model.errors import VSphereError
from kmipkit_vsphere.model.keys import CryptoKeyId
from kmipkit_vsphere.vcenter.caller import Caller
from kmipkit_vsphere.vcenter.calls.host_keys import (
    AddHostKeys,
    EnableCrypto,
    GetHostKeyStatus,
    ListHostKeys,
    PrepareCrypto,
    RemoveHostKeys,
    ReplaceHostKey,
)
from kmipkit_vsphere.vcenter.vcenter import VCenter


@PrepareCrypto.handler
async def prepare(vcenter: VCenter, caller: Caller, request: PrepareCrypto) -> None:
    await vcenter.hosts.prepare(caller, request.host)


@EnableCrypto.handler
async def enable(vcenter: VCenter, caller: Caller, request: EnableCrypto) -> None:
    await vcenter.hosts.enable(caller, request.host, request.key)


@ReplaceHostKey.handler
async def replace(vcenter: VCenter, caller: Caller, request: ReplaceHostKey) -> ChangeKeyResult:
    return await vcenter.hosts.replace_key(caller, request.host, request.key)


@AddHostKeys.handler
async def add(vcenter: VCenter, caller: Caller, request: AddHostKeys) -> list[CryptoKeyResult]:
    host, results = vcenter.store.inventory.host(request.host), []
    for key in request.keys:
        try:
            with vcenter.crypto.audited(caller.user, "AddKey", key.key_id):
                await vcenter.hosts.call(host, host_calls.AddKey(key))
        except VSphereError as fault:
            results.append(_failure(key.key_id, fault))
        else:
            vcenter.crypto.note(caller.user, "AddKey", key.key_id)
            results.append(CryptoKeyResult(key.key_id, success=True))
        finally:
            key.key_data.erase()
    return results


@RemoveHostKeys.handler
async def remove(
    vcenter: VCenter, caller: Caller, request: RemoveHostKeys
) -> list[CryptoKeyResult]:
    host, results = vcenter.store.inventory.host(request.host), []
    for key_id in request.key_ids:
        try:
            with vcenter.crypto.audited(caller.user, "RemoveKey", key_id):
                await vcenter.hosts.call(host, host_calls.RemoveKey(key_id, request.force))
        except VSphereError as fault:
            results.append(_failure(key_id, fault))
        else:
            vcenter.crypto.note(caller.user, "RemoveKey", key_id)
            results.append(CryptoKeyResult(key_id, success=True))
    return results


def _failure(key_id: CryptoKeyId, fault: VSphereError) -> CryptoKeyResult:
    name = type(fault).__name__
    return CryptoKeyResult(key_id, success=False, reason=fault.message, fault=name)


@ListHostKeys.handler
async def list_keys(vcenter: VCenter, _caller: Caller, request: ListHostKeys) -> list[CryptoKeyId]:
    host = vcenter.store.inventory.host(request.host)
    return await vcenter.hosts.call(host, host_calls.ListKeys())


@GetHostKeyStatus.handler
async def status(vcenter: VCenter, _caller: Caller, request: GetHostKeyStatus) -> list[KeyPresence]:
    host, key_ids = vcenter.store.inventory.host(request.host), request.key_ids
    if key_ids is None:
        key_ids = await vcenter.hosts.call(host, host_calls.ListKeys())
    return await vcenter.hosts.call(host, host_calls.GetCryptoKeyStatus(key_ids))
