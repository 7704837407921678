"""Key providers, their servers and keys: vCenter's messages as data objects of the API, and back."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from msgspec import UNSET

from kmipkit_vsphere.model.records import ServerRecord, WrappingKeySpec
from kmipkit_vsphere.vcenter.calls.keys import CryptoKeyStatus, WrappingKeyInfo
from kmipkit_vsphere.vcenter.calls.providers import (
    CertificateInfo,
    KmipClusterStatus,
    KmipServerStatus,
)
from kmipkit_vsphere.vcenter.calls.providers import KmipClusterInfo as Provider
from kmipkit_vsphere.web_services.vim25 import key_management as vim
from kmipkit_vsphere.web_services.vim25.declaration import Ref
from kmipkit_vsphere.web_services.vim25.keys import CryptoKeyId, KeyProviderId
from kmipkit_vsphere.web_services.vim25.states import ManagedEntityStatus

if TYPE_CHECKING:
    from kmipkit_vsphere.web_services.call import Call

_SECONDS_MAX = (1 << 31) - 1

# To vCenter ---------------------------------------------------------------------------------------


def spec_members(spec: vim.KmipServerSpec) -> dict[str, Any]:
    """What a specification of a server says about its provider."""
    key_spec: dict[str, Any] | None = None
    if isinstance(spec.key_spec, vim.KmipServerSpecWrappingKeyIdKeySpec):
        key_spec = {"keyId": spec.key_spec.key_id}
    elif isinstance(spec.key_spec, vim.KmipServerSpecWrappingRotationIntervalKeySpec):
        key_spec = {"rotationInterval": spec.key_spec.rotation_interval}
    return {
        "clusterId": spec.cluster_id.id,
        "password": spec.password,
        "defaultKeyType": spec.default_key_type or None,
        "keySpec": key_spec,
    }


def server_members(info: vim.KmipServerInfo, *, removes: bool = False) -> dict[str, Any]:
    """The settings of a server that are set; ``removes`` keeps the values that remove one."""
    members: dict[str, Any] = {
        "name": info.name,
        "address": info.address,
        "port": info.port,
    }
    optional = {
        "proxyAddress": info.proxy_address,
        "proxyPort": info.proxy_port,
        "reconnect": info.reconnect,
        "protocol": info.protocol,
        "nbio": info.nbio,
        "timeout": info.timeout,
        "userName": info.user_name,
    }
    absent = (None,) if removes else (None, "", -1)
    return members | {name: value for name, value in optional.items() if value not in absent}


# From vCenter -------------------------------------------------------------------------------------


def cluster_info(call: "Call", info: Provider) -> vim.KmipClusterInfo:
    """A key provider."""
    entities = (call.endpoint.ref_of(entity) for entity in info.use_as_entity_default)
    return vim.KmipClusterInfo(
        cluster_id=KeyProviderId(id=info.cluster_id),
        servers=tuple(map(_server_info, info.servers)),
        use_as_default=info.use_as_default,
        management_type=info.management_type,
        use_as_entity_default=tuple(ref for ref in entities if ref is not None),
        has_backup=info.has_backup,
        tpm_required=info.tpm_required,
        key_id=info.key_id,
        default_key_type=info.default_key_type,
        key_info=_key_info(info.key_info) if info.key_info is not None else None,
    )


def _server_info(server: ServerRecord) -> vim.KmipServerInfo:
    return vim.KmipServerInfo(
        name=server.name,
        address=server.address,
        port=server.port,
        proxy_address=server.proxy_address,
        proxy_port=server.proxy_port,
        reconnect=server.reconnect,
        protocol=server.protocol,
        nbio=server.nbio,
        timeout=server.timeout,
        user_name=server.user_name,
    )


def _key_info(spec: WrappingKeySpec) -> vim.KmipClusterInfoKeyInfo:
    if spec.is_fixed and spec.key_id is not None and spec.configured_time is not None:
        return vim.KmipClusterInfoWrappingKeyIdKeyInfo(
            key_id=spec.key_id, configured_time=spec.configured_time
        )
    return vim.KmipClusterInfoWrappingRotationIntervalKeyInfo(
        key_id=spec.key_id,
        rotation_interval=spec.rotation_interval,
        last_rotation=spec.configured_time,
    )


def cluster_status(
    status: KmipClusterStatus, servers: set[str] | None
) -> vim.CryptoManagerKmipClusterStatus:
    """The status of a key provider, with all its servers or only some of them."""
    client = status.client_cert_info
    return vim.CryptoManagerKmipClusterStatus(
        cluster_id=KeyProviderId(id=status.cluster_id),
        overall_status=ManagedEntityStatus(status.overall_status),
        management_type=status.management_type,
        servers=tuple(
            _server_status(server)
            for server in status.servers
            if not servers or server.name in servers
        ),
        client_cert_info=certificate_info(client) if client is not None else None,
    )


def _server_status(status: KmipServerStatus) -> vim.CryptoManagerKmipServerStatus:
    """The status of a server; its free text has the reasons for the colour."""
    info = status.cert_info
    reasons = "; ".join(status.reasons)
    return vim.CryptoManagerKmipServerStatus(
        name=status.name,
        status=ManagedEntityStatus(status.status),
        connection_status=f"{status.connection_status}: {reasons}"
        if reasons
        else status.connection_status,
        cert_info=certificate_info(info) if info is not None else None,
        client_trust_server=status.client_trust_server,
        server_trust_client=status.server_trust_client,
    )


def certificate_info(info: CertificateInfo) -> vim.CryptoManagerKmipCertificateInfo:
    """A certificate."""
    since, before = info.seconds_since_valid, info.seconds_before_expire
    return vim.CryptoManagerKmipCertificateInfo(
        subject=info.subject,
        issuer=info.issuer,
        serial_number=info.serial_number,
        not_before=datetime.fromisoformat(info.not_before),
        not_after=datetime.fromisoformat(info.not_after),
        fingerprint=info.fingerprint,
        check_time=datetime.fromisoformat(info.check_time),
        seconds_since_valid=None if since is None else min(since, _SECONDS_MAX),
        seconds_before_expire=min(before, _SECONDS_MAX),
    )


def key_status(
    call: "Call", asked: CryptoKeyId, status: CryptoKeyStatus
) -> vim.CryptoManagerKmipCryptoKeyStatus:
    """The status of a key; machines that are in no inventory are named as other users of it."""
    machines, others = _refs(call, "machine", status.encrypted_vms)
    hosts, _ = _refs(call, "host", status.affected_hosts)
    tags = status.referenced_by_tags
    info = status.key_info
    return vim.CryptoManagerKmipCryptoKeyStatus(
        key_id=asked,
        key_available=None if status.key_available is UNSET else bool(status.key_available),
        reason=status.reason if isinstance(status.reason, str) else None,
        key_info=_wrapping_key(info) if isinstance(info, WrappingKeyInfo) else None,
        encrypted_vms=machines,
        affected_hosts=hosts,
        referenced_by_tags=(*tags, *others) if isinstance(tags, list) else (),
    )


def _refs(call: "Call", kind: str, names: object) -> tuple[tuple[Ref, ...], tuple[str, ...]]:
    """The objects of these names, and the names of which there is none."""
    if not isinstance(names, list):
        return (), ()
    found = {name: call.endpoint.ref_of(f"{kind}/{name}") for name in names}
    refs = tuple(ref for ref in found.values() if ref is not None)
    return refs, tuple(name for name, ref in found.items() if ref is None)


def _wrapping_key(info: WrappingKeyInfo) -> vim.CryptoManagerKmipCryptoKeyStatusKeyInfo:
    if info.is_fixed:
        return vim.CryptoManagerKmipCryptoKeyStatusWrappingKeyIdKeyInfo(
            key_id=info.key_id, configured_time=info.create_time
        )
    return vim.CryptoManagerKmipCryptoKeyStatusWrappingRotationIntervalKeyInfo(
        key_id=info.key_id, create_time=info.create_time, rotate_time=info.rotate_time
    )
