"""Keys: generating, listing, removing (vsphere.md §4.2)."""

from kmipkit_vsphere.calls.host import CryptoKeyResult
from kmipkit_vsphere.model.errors import KeyProviderError, VSphereError
from kmipkit_vsphere.model.keys import CryptoKeyId
from kmipkit_vsphere.vcenter.caller import Caller
from kmipkit_vsphere.vcenter.calls.keys import (
    AddKey,
    AddKeys,
    CryptoKeyStatus,
    GenerateKey,
    ListKeys,
    QueryCryptoKeyStatus,
    RemoveKey,
    RemoveKeys,
    SetKeyCustomAttributes,
)
from kmipkit_vsphere.vcenter.key_usage import StatusBits
from kmipkit_vsphere.vcenter.vcenter import VCenter


@GenerateKey.handler
async def generate(vcenter: VCenter, caller: Caller, request: GenerateKey) -> CryptoKeyResult:
    """Errors of the key server are in the answer, not raised (§4.2)."""
    try:
        key_id = await vcenter.crypto.generate_key(
            caller.user, request.key_provider, request.custom_attributes, request.key_type
        )
    except KeyProviderError as fault:
        return _failure(None, fault)
    return CryptoKeyResult(key_id, success=True)


@AddKey.handler
async def add(vcenter: VCenter, caller: Caller, request: AddKey) -> None:
    await vcenter.hosts.add_key(caller, request.key)


@AddKeys.handler
async def add_all(vcenter: VCenter, caller: Caller, request: AddKeys) -> list[CryptoKeyResult]:
    results = []
    for key in request.keys:
        try:
            await vcenter.hosts.add_key(caller, key)
        except VSphereError as fault:
            results.append(_failure(key.key_id, fault))
        else:
            results.append(CryptoKeyResult(key.key_id, success=True))
    return results


def _failure(key_id: CryptoKeyId | None, fault: VSphereError) -> CryptoKeyResult:
    name = type(fault).__name__
    return CryptoKeyResult(key_id, success=False, reason=fault.message, fault=name)


@SetKeyCustomAttributes.handler
async def set_custom_attributes(
    vcenter: VCenter, caller: Caller, request: SetKeyCustomAttributes
) -> CryptoKeyResult:
    """Errors of the key server are in the answer, as with a new key."""
    try:
        await vcenter.crypto.set_custom_attributes(
            caller.user, request.key_id, request.custom_attributes
        )
    except KeyProviderError as fault:
        return _failure(request.key_id, fault)
    return CryptoKeyResult(request.key_id, success=True)


@ListKeys.handler
async def list_keys(vcenter: VCenter, _caller: Caller, request: ListKeys) -> list[CryptoKeyId]:
    return (await vcenter.usage.keys())[: request.limit]


@QueryCryptoKeyStatus.handler
async def query_status(
    vcenter: VCenter, _caller: Caller, request: QueryCryptoKeyStatus
) -> list[CryptoKeyStatus]:
    return await vcenter.usage.status(request.key_ids, StatusBits(request.check_key_bit_map))


@RemoveKey.handler
async def remove(vcenter: VCenter, caller: Caller, request: RemoveKey) -> None:
    await vcenter.usage.remove_key(caller.user, request.key_id, force=request.force)


@RemoveKeys.handler
async def remove_all(
    vcenter: VCenter, caller: Caller, request: RemoveKeys
) -> list[CryptoKeyResult]:
    """From vCenter and from the hosts, never from the key server (§3.4)."""
    results = []
    for key_id in request.key_ids:
        try:
            await vcenter.usage.remove_key(caller.user, key_id, force=request.force)
        except VSphereError as fault:
            results.append(_failure(key_id, fault))
        else:
            results.append(CryptoKeyResult(key_id, success=True))
    return results
