"""Native key providers (vsphere.md §8)."""

from kmipkit_vsphere.calls.host import HostInfo
from kmipkit_vsphere.model.records import ManagementType
from kmipkit_vsphere.vcenter.caller import Caller
from kmipkit_vsphere.vcenter.calls.native import (
    CreateNativeProvider,
    DeleteNativeProvider,
    DownloadBackup,
    ExportProvider,
    GetNativeProvider,
    HostProvider,
    ImportProvider,
    ListHostProviders,
    ListNativeProviders,
    NativeHealth,
    NativeProviderCreated,
    NativeProviderStatus,
    PreparedBackup,
    ProviderRestored,
    ReplacePrimaryKey,
    UpdateNativeProvider,
)
from kmipkit_vsphere.vcenter.vcenter import VCenter


@CreateNativeProvider.handler
async def create(
    vcenter: VCenter, caller: Caller, request: CreateNativeProvider
) -> NativeProviderCreated:
    return await vcenter.natives.create(
        caller.user,
        request.provider,
        tpm_required=not request.any_host,
        key_id=request.key_id,
        kdk=request.key_derivation_key,
    )


@UpdateNativeProvider.handler
async def update(
    vcenter: VCenter, caller: Caller, request: UpdateNativeProvider
) -> NativeProviderCreated:
    return await vcenter.natives.update(
        caller.user, request.provider, tpm_required=not request.any_host
    )


@ReplacePrimaryKey.handler
async def replace_primary_key(
    vcenter: VCenter, caller: Caller, request: ReplacePrimaryKey
) -> NativeProviderCreated:
    return await vcenter.natives.replace_primary_key(caller.user, request.provider, request.key_id)


@ListNativeProviders.handler
async def list_providers(
    vcenter: VCenter, _caller: Caller, request: ListNativeProviders
) -> list[NativeProviderStatus]:
    return [
        status
        for status in vcenter.natives.statuses()
        if (request.providers is None or status.provider in request.providers)
        and (request.health is None or status.health in request.health)
    ]


@GetNativeProvider.handler
async def get(
    vcenter: VCenter, _caller: Caller, request: GetNativeProvider
) -> NativeProviderStatus:
    return vcenter.natives.status(request.provider)


@ListHostProviders.handler
async def list_host_providers(
    vcenter: VCenter, _caller: Caller, request: ListHostProviders
) -> list[HostProvider]:
    host = vcenter.store.inventory.host(request.host)
    present = {
        info.provider: str(info.key_id)
        for info in (await vcenter.hosts.call(host, HostInfo())).key_providers
    }
    found = [
        HostProvider(
            status.provider,
            ManagementType.NATIVE,
            status.health if present[status.provider] == status.key_id else NativeHealth.WARNING,
            status.reason
            if present[status.provider] == status.key_id
            else "the host does not have the present primary key yet",
        )
        for status in vcenter.natives.statuses()
        if status.provider in present
    ]
    return found + await vcenter.trusted_clusters.providers_of(host)


@ExportProvider.handler
async def export(vcenter: VCenter, caller: Caller, request: ExportProvider) -> PreparedBackup:
    return vcenter.natives.export(caller.user, request.provider, request.password)


@DownloadBackup.handler
async def download(vcenter: VCenter, _caller: Caller, request: DownloadBackup) -> bytes:
    _, content = await vcenter.natives.download(request.token)
    return content


@ImportProvider.handler
async def restore(vcenter: VCenter, caller: Caller, request: ImportProvider) -> ProviderRestored:
    return await vcenter.natives.restore(
        caller.user,
        request.backup,
        request.password,
        dry_run=request.dry_run,
        tpm_required=request.tpm_required,
    )


@DeleteNativeProvider.handler
async def delete(vcenter: VCenter, caller: Caller, request: DeleteNativeProvider) -> list[str]:
    if not request.force:
        await vcenter.usage.check_provider_unused(request.provider)
    users = (await vcenter.usage.all()).of_provider(request.provider)
    await vcenter.natives.delete(caller.user, request.provider)
    return users
