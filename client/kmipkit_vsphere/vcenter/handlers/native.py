"""Native key providers (vsphere.md §8)."""

from kmipkit_vsphere.vcenter.caller import Caller
from kmipkit_vsphere.vcenter.calls.native import (
    CreateNativeProvider,
    DeleteNativeProvider,
    DownloadBackup,
    ExportProvider,
    ImportProvider,
    NativeProviderCreated,
    PreparedBackup,
    ProviderRestored,
    UpdateNativeProvider,
)
from kmipkit_vsphere.vcenter.vcenter import VCenter


@CreateNativeProvider.handler
async def create(
    vcenter: VCenter, caller: Caller, request: CreateNativeProvider
) -> NativeProviderCreated:
    return await vcenter.natives.create(
        caller.user, request.provider, tpm_required=not request.any_host
    )


@UpdateNativeProvider.handler
async def update(
    vcenter: VCenter, caller: Caller, request: UpdateNativeProvider
) -> NativeProviderCreated:
    return await vcenter.natives.update(
        caller.user, request.provider, tpm_required=not request.any_host
    )


@ExportProvider.handler
async def export(vcenter: VCenter, _caller: Caller, request: ExportProvider) -> PreparedBackup:
    return vcenter.natives.export(request.provider, request.password)


@DownloadBackup.handler
async def download(vcenter: VCenter, caller: Caller, request: DownloadBackup) -> bytes:
    return await vcenter.natives.download(caller.user, request.token)


@ImportProvider.handler
async def restore(vcenter: VCenter, caller: Caller, request: ImportProvider) -> ProviderRestored:
    return await vcenter.natives.restore(
        caller.user, request.backup, request.password, dry_run=request.dry_run
    )


@DeleteNativeProvider.handler
async def delete(vcenter: VCenter, caller: Caller, request: DeleteNativeProvider) -> list[str]:
    if not request.force:
        await vcenter.usage.check_provider_unused(request.provider)
    users = (await vcenter.usage.all()).of_provider(request.provider)
    await vcenter.natives.delete(caller.user, request.provider)
    return users
