"""Key providers, their key servers, and trust (vsphere.md §4.2, §4.5)."""

from typing import Final

from msgspec import structs

from kmipkit_vsphere.model.certificates import to_pem
from kmipkit_vsphere.model.errors import InvalidArgument
from kmipkit_vsphere.model.records import ManagementType
from kmipkit_vsphere.vcenter.caller import Caller
from kmipkit_vsphere.vcenter.calls.providers import (
    CertificateInfo,
    ClearDefaultKmsCluster,
    ConfigureWrappingKey,
    GenerateClientCsr,
    GenerateSelfSignedClientCert,
    GetDefaultKmsCluster,
    IsKmsClusterActive,
    IssueClientCert,
    KmipClusterInfo,
    KmipClusterStatus,
    ListKmipServers,
    ListKmsClusters,
    MarkDefault,
    ProviderRemoval,
    RegisterKmipServer,
    RegisterKmsCluster,
    RemoveKmipServer,
    RetrieveClientCert,
    RetrieveClientCsr,
    RetrieveKmipServerCert,
    RetrieveKmipServersStatus,
    RetrieveRootCert,
    RetrieveSelfSignedClientCert,
    ServerCertificate,
    ServerRegistration,
    SetDefaultKmsCluster,
    UnregisterKmsCluster,
    UpdateKmipServer,
    UpdateKmsSignedCsrClientCert,
    UpdateSelfSignedClientCert,
    UploadClientCert,
    UploadKmipServerCert,
)
from kmipkit_vsphere.vcenter.health import certificate_info
from kmipkit_vsphere.vcenter.vcenter import VCenter

# Providers and servers ---------------------------------------------------------------------------


@RegisterKmipServer.handler
async def register_server(
    vcenter: VCenter, caller: Caller, request: RegisterKmipServer
) -> ServerRegistration:
    return await vcenter.crypto.providers.register_server(
        caller.user,
        request.cluster_id,
        request.info,
        password=request.password,
        any_vendor=request.any_vendor,
        key_type=request.default_key_type,
        wrapping=request.key_spec,
    )


@UpdateKmipServer.handler
async def update_server(vcenter: VCenter, _caller: Caller, request: UpdateKmipServer) -> None:
    vcenter.crypto.providers.update_server(
        request.cluster_id,
        request.info,
        request.password,
        key_type=request.default_key_type,
        wrapping=request.key_spec,
    )


@RemoveKmipServer.handler
async def remove_server(vcenter: VCenter, _caller: Caller, request: RemoveKmipServer) -> None:
    vcenter.crypto.providers.remove_server(
        request.cluster_id, request.server_name, with_provider=request.remove_empty_cluster
    )


@RegisterKmsCluster.handler
async def register_trusted(vcenter: VCenter, _caller: Caller, request: RegisterKmsCluster) -> None:
    if request.management_type != "trustAuthority":
        raise InvalidArgument(
            "only providers of type trustAuthority are registered with this call; to get a"
            " standard one add a key server, to get a native one create it",
            invalid_property="managementType",
        )
    vcenter.crypto.providers.register_trusted(request.cluster_id)


@UnregisterKmsCluster.handler
async def unregister(
    vcenter: VCenter, _caller: Caller, request: UnregisterKmsCluster
) -> ProviderRemoval:
    provider = request.cluster_id
    use = await vcenter.replacement.uses(provider)
    vcenter.crypto.providers.unregister(provider)
    parts = []
    if use.used_by:
        parts.append(
            f"the key provider {provider} is still used, and what uses it cannot be opened again"
            " until there is a provider with this name and the same keys"
        )
    if use.unknown_hosts:
        parts.append(f"whether these hosts use it is not known: {', '.join(use.unknown_hosts)}")
    return ProviderRemoval("; ".join(parts), use.used_by, use.unknown_hosts)


@ConfigureWrappingKey.handler
async def configure_wrapping(
    vcenter: VCenter, _caller: Caller, request: ConfigureWrappingKey
) -> None:
    vcenter.crypto.providers.configure_wrapping(
        request.cluster_id, request.key_id, request.rotation_interval
    )


@ListKmipServers.handler
async def list_servers(
    vcenter: VCenter, _caller: Caller, request: ListKmipServers
) -> list[KmipClusterInfo]:
    return vcenter.crypto.providers.infos()[: request.limit]


@ListKmsClusters.handler
async def list_providers(
    vcenter: VCenter, _caller: Caller, request: ListKmsClusters
) -> list[KmipClusterInfo]:
    infos = [
        info
        for info in (*vcenter.crypto.providers.infos(), *vcenter.trusted_clusters.unregistered())
        if _type_bit(info) & request.management_type_filter
    ]
    if request.status_filter != -1:
        infos = [info for info in infos if await _status_bit(vcenter, info) & request.status_filter]
    if request.include_kms_servers:
        return infos
    return [structs.replace(info, servers=[]) for info in infos]


_TYPE_BITS: Final = {
    ManagementType.STANDARD: 1,
    ManagementType.TRUSTED: 2,
    ManagementType.NATIVE: 8,
}
_NOT_REGISTERED: Final = 4
_ACTIVE, _INACTIVE = 1, 2


def _type_bit(info: KmipClusterInfo) -> int:
    return _TYPE_BITS[ManagementType(info.management_type)] if info.registered else _NOT_REGISTERED


async def _status_bit(vcenter: VCenter, info: KmipClusterInfo) -> int:
    is_active = info.registered and await vcenter.crypto.health.is_active(info.cluster_id)
    return _ACTIVE if is_active else _INACTIVE


@RetrieveKmipServersStatus.handler
async def status(
    vcenter: VCenter, _caller: Caller, request: RetrieveKmipServersStatus
) -> list[KmipClusterStatus]:
    statuses = await vcenter.crypto.health.status(request.clusters)
    return [provider.message(vcenter.clock()) for provider in statuses]


@IsKmsClusterActive.handler
async def is_active(vcenter: VCenter, _caller: Caller, request: IsKmsClusterActive) -> bool:
    return await vcenter.crypto.health.is_active(request.cluster_id)


@MarkDefault.handler
@SetDefaultKmsCluster.handler
async def set_default(vcenter: VCenter, _caller: Caller, request: SetDefaultKmsCluster) -> None:
    vcenter.crypto.providers.set_default(request.cluster_id, request.entity)


@ClearDefaultKmsCluster.handler
async def clear_default(vcenter: VCenter, _caller: Caller, request: ClearDefaultKmsCluster) -> None:
    vcenter.crypto.providers.set_default(None, request.entity)


@GetDefaultKmsCluster.handler
async def get_default(
    vcenter: VCenter, _caller: Caller, request: GetDefaultKmsCluster
) -> str | None:
    return vcenter.crypto.providers.default(request.entity, with_parents=request.defaults_to_parent)


# Trust -------------------------------------------------------------------------------------------


@RetrieveKmipServerCert.handler
async def server_certificate(
    vcenter: VCenter, _caller: Caller, request: RetrieveKmipServerCert
) -> ServerCertificate:
    pem, certificate = await vcenter.crypto.providers.server_certificate(
        request.cluster_id, request.server_name, request.server
    )
    info = certificate_info(certificate, vcenter.clock()) if certificate else None
    return ServerCertificate(pem, info)


@UploadKmipServerCert.handler
async def upload_server_certificate(
    vcenter: VCenter, _caller: Caller, request: UploadKmipServerCert
) -> CertificateInfo:
    trust = vcenter.crypto.providers.trust
    certificate = trust.upload_server_certificate(request.cluster_id, request.certificate)
    return certificate_info(certificate, vcenter.clock())


@GenerateSelfSignedClientCert.handler
async def generate_self_signed(
    vcenter: VCenter, _caller: Caller, request: GenerateSelfSignedClientCert
) -> str:
    trust = vcenter.crypto.providers.trust
    return trust.generate_self_signed(request.cluster_id, request.request)


@RetrieveSelfSignedClientCert.handler
async def self_signed(
    vcenter: VCenter, _caller: Caller, request: RetrieveSelfSignedClientCert
) -> str:
    return vcenter.crypto.providers.trust.self_signed_certificate(request.cluster_id)


@GenerateClientCsr.handler
async def generate_request(vcenter: VCenter, _caller: Caller, request: GenerateClientCsr) -> str:
    return vcenter.crypto.providers.trust.generate_request(request.cluster_id, request.request)


@RetrieveClientCsr.handler
async def signing_request(vcenter: VCenter, _caller: Caller, request: RetrieveClientCsr) -> str:
    return vcenter.crypto.providers.trust.signing_request(request.cluster_id)


@UpdateKmsSignedCsrClientCert.handler
@UpdateSelfSignedClientCert.handler
async def update_client_certificate(
    vcenter: VCenter, _caller: Caller, request: UpdateSelfSignedClientCert
) -> CertificateInfo:
    trust = vcenter.crypto.providers.trust
    certificate = trust.update_client_certificate(request.cluster_id, request.certificate)
    return certificate_info(certificate, vcenter.clock())


@UploadClientCert.handler
async def upload_client_certificate(
    vcenter: VCenter, _caller: Caller, request: UploadClientCert
) -> CertificateInfo:
    certificate = vcenter.crypto.providers.trust.upload_client_certificate(
        request.cluster_id, request.certificate, request.private_key
    )
    return certificate_info(certificate, vcenter.clock())


@IssueClientCert.handler
async def issue_client_certificate(
    vcenter: VCenter, _caller: Caller, request: IssueClientCert
) -> CertificateInfo:
    trust = vcenter.crypto.providers.trust
    certificate = trust.issue_from_authority(request.cluster_id, request.request)
    return certificate_info(certificate, vcenter.clock())


@RetrieveRootCert.handler
async def root_certificate(vcenter: VCenter, _caller: Caller, _request: RetrieveRootCert) -> str:
    return vcenter.crypto.providers.trust.root_certificate()


@RetrieveClientCert.handler
async def client_certificate(vcenter: VCenter, _caller: Caller, request: RetrieveClientCert) -> str:
    certificate = vcenter.crypto.providers.trust.client_certificate(request.cluster_id)
    return to_pem(certificate) if certificate else ""
