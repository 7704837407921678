"""Replacing a key provider."""

from kmipkit_vsphere.vcenter.caller import Caller
from kmipkit_vsphere.vcenter.calls.replacement import (
    ProviderUse,
    QueryProviderUse,
    ReplacementResult,
    ReplaceProvider,
)
from kmipkit_vsphere.vcenter.vcenter import VCenter


@QueryProviderUse.handler
async def use(vcenter: VCenter, _caller: Caller, request: QueryProviderUse) -> ProviderUse:
    return await vcenter.replacement.uses(request.provider)


@ReplaceProvider.handler
async def replace(vcenter: VCenter, caller: Caller, request: ReplaceProvider) -> ReplacementResult:
    return await vcenter.replacement.replace(caller, request.old, request.new)
