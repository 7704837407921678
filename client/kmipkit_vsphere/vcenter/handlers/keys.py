"""Keys: generating, listing, removing (vsphere.md §4.2)."""

from kmipkit_vsphere.calls.host import CryptoKeyResult
from kmipkit_vsphere.model.errors import KeyProviderError, VSphereError
from kmipkit_vsphere.model.keys import CryptoKeyId
from kmipkit_vsphere.vcenter.caller import Caller
from kmipkit_vsphere.vcenter.calls.keys import (
    CryptoKeyStatus,
    GenerateKey,
    ListKeys,
    QueryCryptoKeyStatus,
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
            caller.user, request.key_provider, request.custom_attributes
        )
    except KeyProviderError as fault:
        return _failure(None, fault)
    return CryptoKeyResult(key_id, success=True)


def _failure(key_id: CryptoKeyId | None, fault: VSphereError) -> CryptoKeyResult:
    name = type(fault).__name__
    return CryptoKeyResult(key_id, success=False, reason=fault.message, fault=name)


@SetKeyCustomAttributes.handler
async def set_custom_attributes(
    vcenter: VCenter, caller: Caller, request: SetKeyCustomAttributes
) -> None:
    await vcenter.crypto.set_custom_attributes(
        caller.user, request.key_id, request.custom_attributes
    )


@ListKeys.handler
async def list_keys(vcenter: VCenter, _caller: Caller, request: ListKeys) -> list[CryptoKeyId]:
    return (await vcenter.usage.keys())[: request.limit]


@QueryCryptoKeyStatus.handler
async def query_status(
    vcenter: VCenter, _caller: Caller, request: QueryCryptoKeyStatus
) -> list[CryptoKeyStatus]:
    return await vcenter.usage.status(request.key_ids, StatusBits(request.check_key_bit_map))


@RemoveKeys.handler
async def remove(vcenter: VCenter, caller: Caller, request: RemoveKeys) -> list[CryptoKeyResult]:
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
