"""The trust authority and trusted clusters (vsphere.md §7.3)."""

from kmipkit_vsphere.calls.host import HostAttestation
from kmipkit_vsphere.model.encoding import encode
from kmipkit_vsphere.trust_authority import host_calls
from kmipkit_vsphere.trust_authority.measurements import Image, parse_manifest
from kmipkit_vsphere.vcenter.caller import Caller
from kmipkit_vsphere.vcenter.calls.trust import (
    AddEndorsementKey,
    AddTpmAuthority,
    AddTrustedAdmin,
    AttestationStatus,
    DecommissionHost,
    EnableTrustedCluster,
    ExportImage,
    ExportTrustServices,
    ImportImage,
    ImportPrincipal,
    ImportTrustServices,
    ListImages,
    ListTrustedAdmins,
    ListTrustedProviders,
    Problems,
    PublishTrustedProvider,
    RemediateTrustedCluster,
    RemoveImage,
    RemovePrimaryKey,
    RemovePrincipal,
    RemoveTrustedAdmin,
    RotatePrimaryKey,
    SetPrimaryKeyMode,
    SetTpmSettings,
    TrustAuthorityAddHost,
    TrustAuthorityHealth,
    TrustAuthorityHostAdded,
    TrustAuthorityHostHealth,
    TrustAuthorityRemediate,
    TrustedProviderInfo,
    WithdrawTrustedProvider,
)
from kmipkit_vsphere.vcenter.vcenter import VCenter

# The group TrustedAdmins -------------------------------------------------------------------------


@ListTrustedAdmins.handler
async def list_admins(vcenter: VCenter, _caller: Caller, _request: ListTrustedAdmins) -> list[str]:
    return vcenter.trusted_admins.members()


@AddTrustedAdmin.handler
async def add_admin(vcenter: VCenter, caller: Caller, request: AddTrustedAdmin) -> None:
    vcenter.trusted_admins.add(caller, request.member)


@RemoveTrustedAdmin.handler
async def remove_admin(vcenter: VCenter, caller: Caller, request: RemoveTrustedAdmin) -> None:
    vcenter.trusted_admins.remove(caller, request.member)


# The trust authority -----------------------------------------------------------------------------


@TrustAuthorityAddHost.handler
async def add_host(
    vcenter: VCenter, _caller: Caller, request: TrustAuthorityAddHost
) -> TrustAuthorityHostAdded:
    return await vcenter.trust_authority.add_host(
        request.name, request.address, request.port, request.service_port
    )


@ImportPrincipal.handler
async def import_principal(vcenter: VCenter, caller: Caller, request: ImportPrincipal) -> None:
    await vcenter.trust_authority.import_principal(caller.user, request.name, request.certificate)


@RemovePrincipal.handler
async def remove_principal(vcenter: VCenter, _caller: Caller, request: RemovePrincipal) -> None:
    await vcenter.trust_authority.remove_principal(request.name)


@AddTpmAuthority.handler
async def add_tpm_authority(vcenter: VCenter, _caller: Caller, request: AddTpmAuthority) -> None:
    await vcenter.trust_authority.add_tpm_authority(request.certificate)


@AddEndorsementKey.handler
async def add_endorsement_key(vcenter: VCenter, _caller: Caller, request: AddEndorsementKey) -> str:
    return await vcenter.trust_authority.add_endorsement_key(request.name, request.certificate)


@SetTpmSettings.handler
async def set_tpm_settings(vcenter: VCenter, _caller: Caller, request: SetTpmSettings) -> None:
    await vcenter.trust_authority.set_tpm_settings(
        require_endorsement_keys=request.require_endorsement_keys,
        require_certificate_validation=not request.accept_uncertified,
    )


@ImportImage.handler
async def import_image(vcenter: VCenter, _caller: Caller, request: ImportImage) -> None:
    await vcenter.trust_authority.import_image(parse_manifest(request.manifest))


@ExportImage.handler
async def export_image(vcenter: VCenter, _caller: Caller, request: ExportImage) -> str:
    host = vcenter.store.inventory.host(request.host)
    image = await vcenter.hosts.call(host, host_calls.BootedImage())
    return encode(image).decode()


@ListImages.handler
async def list_images(vcenter: VCenter, _caller: Caller, _request: ListImages) -> list[Image]:
    return vcenter.trust_authority.images()


@RemoveImage.handler
async def remove_image(vcenter: VCenter, _caller: Caller, request: RemoveImage) -> None:
    await vcenter.trust_authority.remove_image(request.name, request.version)


@PublishTrustedProvider.handler
async def publish_provider(
    vcenter: VCenter, _caller: Caller, request: PublishTrustedProvider
) -> None:
    await vcenter.trust_authority.publish_provider(
        request.provider, request.primary_key_id, request.mode
    )


@ListTrustedProviders.handler
async def list_providers(
    vcenter: VCenter, _caller: Caller, _request: ListTrustedProviders
) -> list[TrustedProviderInfo]:
    return vcenter.trust_authority.providers()


@SetPrimaryKeyMode.handler
async def set_mode(vcenter: VCenter, _caller: Caller, request: SetPrimaryKeyMode) -> None:
    await vcenter.trust_authority.set_mode(request.provider, request.mode)


@RotatePrimaryKey.handler
async def rotate(vcenter: VCenter, _caller: Caller, request: RotatePrimaryKey) -> None:
    await vcenter.trust_authority.rotate(request.provider, request.primary_key_id)


@RemovePrimaryKey.handler
async def remove_primary_key(vcenter: VCenter, _caller: Caller, request: RemovePrimaryKey) -> None:
    await vcenter.trust_authority.remove_previous(request.provider, request.primary_key_id)


@WithdrawTrustedProvider.handler
async def withdraw_provider(
    vcenter: VCenter, _caller: Caller, request: WithdrawTrustedProvider
) -> None:
    await vcenter.trust_authority.withdraw_provider(request.provider)


@TrustAuthorityHealth.handler
async def health(
    vcenter: VCenter, _caller: Caller, _request: TrustAuthorityHealth
) -> dict[str, TrustAuthorityHostHealth]:
    return await vcenter.trust_authority.health()


@TrustAuthorityRemediate.handler
async def remediate(
    vcenter: VCenter, _caller: Caller, _request: TrustAuthorityRemediate
) -> Problems:
    return await vcenter.trust_authority.remediate()


@ExportTrustServices.handler
async def export_services(vcenter: VCenter, _caller: Caller, _request: ExportTrustServices) -> str:
    return encode(vcenter.trust_authority.services()).decode()


# Trusted clusters --------------------------------------------------------------------------------


@ImportTrustServices.handler
async def import_services(
    vcenter: VCenter, _caller: Caller, request: ImportTrustServices
) -> list[str]:
    return vcenter.trusted_clusters.import_services(request.document)


@EnableTrustedCluster.handler
async def enable_cluster(
    vcenter: VCenter, _caller: Caller, request: EnableTrustedCluster
) -> Problems:
    return await vcenter.trusted_clusters.enable(request.name)


@RemediateTrustedCluster.handler
async def remediate_cluster(
    vcenter: VCenter, _caller: Caller, request: RemediateTrustedCluster
) -> Problems:
    return await vcenter.trusted_clusters.remediate(request.name)


@DecommissionHost.handler
async def decommission(vcenter: VCenter, caller: Caller, request: DecommissionHost) -> None:
    await vcenter.trusted_clusters.decommission(caller.user, request.host)


@AttestationStatus.handler
async def attestation(
    vcenter: VCenter, _caller: Caller, request: AttestationStatus
) -> dict[str, HostAttestation]:
    return await vcenter.trusted_clusters.attestation(request.name)
