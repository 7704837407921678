"""``CryptoManagerKmip``: key providers, their key servers, and keys of a vCenter (vsphere.md §4.2).

Every method is a call of vCenter's own, which checks the privilege and writes the events. Trust is in
:mod:`.key_server_trust`, from which this class inherits.
"""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated

from kmipkit_vsphere.model import errors
from kmipkit_vsphere.vcenter.calls import keys as key_calls
from kmipkit_vsphere.vcenter.calls import providers as provider_calls
from kmipkit_vsphere.vcenter.privileges import Privilege
from kmipkit_vsphere.web_services.faults import key_id
from kmipkit_vsphere.web_services.managed import method, prop
from kmipkit_vsphere.web_services.objects.crypto_manager import (
    plain_members,
    result_of,
    results_of,
)
from kmipkit_vsphere.web_services.objects.key_providers import (
    cluster_info,
    cluster_status,
    key_status,
    server_members,
    spec_members,
)
from kmipkit_vsphere.web_services.objects.key_server_trust import KeyServerTrust
from kmipkit_vsphere.web_services.requests import key_members, key_of, request, run
from kmipkit_vsphere.web_services.vim25.declaration import Ref, Since, Value, shape_of
from kmipkit_vsphere.web_services.vim25.key_management import (
    CryptoManagerKmipClusterStatus,
    CryptoManagerKmipCryptoKeyStatus,
    CryptoManagerKmipCustomAttributeSpec,
    CryptoManagerKmipGenerateKeySpec,
    KmipClusterInfo,
    KmipServerSpec,
)
from kmipkit_vsphere.web_services.vim25.keys import (
    CryptoKeyId,
    CryptoKeyPlain,
    CryptoKeyResult,
    KeyProviderId,
)

if TYPE_CHECKING:
    from kmipkit_vsphere.web_services.call import Call

_ALL_BITS = 15
_STATUSES = shape_of(Sequence[CryptoManagerKmipClusterStatus])


class CryptoManagerKmip(
    KeyServerTrust, moid="CryptoManager", content="crypto_manager", since="6.5"
):
    """The key manager of a vCenter."""

    @prop()
    def kmip_servers(self, call: "Call") -> Sequence[KmipClusterInfo]:
        """The key providers with their servers."""
        call.require(Privilege.READ_KEY_SERVERS_INFO, self.entity)
        infos = call.vcenter.crypto.providers.infos()
        return [cluster_info(call, info) for info in infos]

    # Servers and providers ------------------------------------------------------------------------

    @method("RegisterKmipServer", since="6.5")
    async def register_kmip_server(self, call: "Call", server: KmipServerSpec) -> None:
        """Add a server; a provider that is new is created."""
        members = {**spec_members(server), "info": server_members(server.info)}
        names = _SERVER_NAMES
        await run(
            call,
            request(provider_calls.RegisterKmipServer, members, names),
            "server.info.name",
        )

    @method("UpdateKmipServer", since="6.5")
    async def update_kmip_server(self, call: "Call", server: KmipServerSpec) -> None:
        """Change a server; what is not set stays as it is."""
        members = {**spec_members(server), "info": server_members(server.info, removes=True)}
        names = _SERVER_NAMES
        await run(
            call, request(provider_calls.UpdateKmipServer, members, names), "server.info.name"
        )

    @method("RemoveKmipServer", since="6.5")
    async def remove_kmip_server(
        self, call: "Call", cluster_id: KeyProviderId, server_name: str
    ) -> None:
        """Remove a server; with its last server, a provider is removed."""
        members = {
            "clusterId": cluster_id.id,
            "serverName": server_name,
            "removeEmptyCluster": True,
        }
        await run(call, request(provider_calls.RemoveKmipServer, members), "serverName")

    @method("RegisterKmsCluster", since="7.0.0.0")
    async def register_kms_cluster(
        self, call: "Call", cluster_id: KeyProviderId, management_type: str | None
    ) -> None:
        """Register a trusted key provider."""
        members = {"clusterId": cluster_id.id, "managementType": management_type}
        await run(call, request(provider_calls.RegisterKmsCluster, members), "clusterId")

    @method("UnregisterKmsCluster", since="7.0.0.0")
    async def unregister_kms_cluster(self, call: "Call", cluster_id: KeyProviderId) -> None:
        """Remove a key provider that is not native."""
        members = {"clusterId": cluster_id.id}
        await run(call, request(provider_calls.UnregisterKmsCluster, members), "clusterId")

    @method("ListKmipServers", since="6.5")
    async def list_kmip_servers(self, call: "Call", limit: int | None) -> Sequence[KmipClusterInfo]:
        """The key providers with their servers."""
        members = {"limit": limit}
        infos = await call.run(request(provider_calls.ListKmipServers, members))
        return [cluster_info(call, info) for info in infos]

    @method("ListKmsClusters", since="7.0.0.0")
    async def list_kms_clusters(
        self,
        call: "Call",
        include_kms_servers: bool | None,
        management_type_filter: int | None,
        status_filter: int | None,
    ) -> Sequence[KmipClusterInfo]:
        """The key providers of some types and states, with their servers only if asked for."""
        members = {
            "includeKmsServers": bool(include_kms_servers),
            "managementTypeFilter": management_type_filter,
            "statusFilter": status_filter,
        }
        infos = await call.run(request(provider_calls.ListKmsClusters, members))
        return [cluster_info(call, info) for info in infos]

    # Defaults and status --------------------------------------------------------------------------

    @method("MarkDefault", since="6.5")
    async def mark_default(self, call: "Call", cluster_id: KeyProviderId) -> None:
        """Use a provider for new keys."""
        members = {"clusterId": cluster_id.id}
        await run(call, request(provider_calls.MarkDefault, members), "clusterId")

    @method("SetDefaultKmsCluster", since="7.0.0.0")
    async def set_default_kms_cluster(
        self, call: "Call", entity: Ref | None, cluster_id: KeyProviderId | None
    ) -> None:
        """Use a provider for new keys, on an entity or everywhere; none without a provider."""
        members = {
            "clusterId": cluster_id.id if cluster_id is not None else None,
            "entity": call.entity_of(entity) if entity is not None else None,
        }
        await run(call, request(provider_calls.SetDefaultKmsCluster, members), "clusterId")

    @method("GetDefaultKmsCluster", since="7.0.0.0")
    async def get_default_kms_cluster(
        self,
        call: "Call",
        entity: Ref | None,
        defaults_to_parent: bool | None,
    ) -> KeyProviderId | None:
        """The provider for new keys of an entity; not set if there is none."""
        members = {
            "entity": call.entity_of(entity) if entity is not None else None,
            "defaultsToParent": bool(defaults_to_parent),
        }
        default = await call.run(request(provider_calls.GetDefaultKmsCluster, members))
        return KeyProviderId(id=default) if default is not None else None

    @method("IsKmsClusterActive", since="7.0.0.0")
    async def is_kms_cluster_active(self, call: "Call", cluster: KeyProviderId | None) -> bool:
        """Whether a provider, or the default one, can be used now."""
        members = {"clusterId": cluster.id if cluster is not None else None}
        names = {"clusterId": "cluster"}
        return await call.run(request(provider_calls.IsKmsClusterActive, members, names))

    @method("RetrieveKmipServersStatus_Task", since="6.5")
    async def retrieve_kmip_servers_status(
        self, call: "Call", clusters: Sequence[KmipClusterInfo]
    ) -> Ref | None:
        """A task that asks all servers, or those of some providers, how they are."""
        call.endpoint.service.authorize(provider_calls.RetrieveKmipServersStatus(), call.user)
        work = partial(_statuses, call, clusters)
        description = "encryption.CryptoManagerKmip.retrieveKmipServersStatus"
        return call.endpoint.tasks.start(call, description, work)

    # Keys -----------------------------------------------------------------------------------------

    @method("GenerateKey", since="6.5")
    async def generate_key(
        self,
        call: "Call",
        key_provider: KeyProviderId | None,
        spec: Annotated[CryptoManagerKmipCustomAttributeSpec | None, Since("8.0.1.0")],
        key_spec: Annotated[CryptoManagerKmipGenerateKeySpec | None, Since("9.0.0.0")],
    ) -> CryptoKeyResult:
        """A new key; what goes wrong on the key server is in the result."""
        members = {
            "keyProvider": key_provider.id if key_provider is not None else None,
            "customAttributes": _attributes(spec) if spec is not None else None,
            "keyType": key_spec.key_type if key_spec is not None else None,
        }
        names = {"customAttributes": "spec", "keyType": "keySpec.keyType"}
        of_vcenter = request(key_calls.GenerateKey, members, names)
        result = await run(call, of_vcenter, "keyProvider")
        asked = CryptoKeyId(key_id="", provider_id=key_provider)
        return result_of(call, result, asked)

    @method("SetKeyCustomAttributes", since="8.0.1.0")
    async def set_key_custom_attributes(
        self, call: "Call", key_id: CryptoKeyId, spec: CryptoManagerKmipCustomAttributeSpec
    ) -> CryptoKeyResult:
        """Set attributes of a key on the key server."""
        members = {"keyId": key_members(key_id), "customAttributes": _attributes(spec)}
        of_vcenter = request(key_calls.SetKeyCustomAttributes, members)
        return result_of(call, await run(call, of_vcenter, "keyId"))

    @method("AddKey", since="6.5")
    async def add_key(self, call: "Call", key: CryptoKeyPlain) -> None:
        """Give a key to the hosts in encryption mode."""
        of_vcenter = request(key_calls.AddKey, {"key": plain_members(key)})
        declared = (errors.AlreadyExists, errors.InvalidState)
        await run(call, of_vcenter, "key.keyId", *declared)

    @method("AddKeys", since="6.5")
    async def add_keys(
        self, call: "Call", keys: Sequence[CryptoKeyPlain]
    ) -> Sequence[CryptoKeyResult]:
        """Give keys to the hosts in encryption mode, each by itself."""
        of_vcenter = request(key_calls.AddKeys, {"keys": [plain_members(key) for key in keys]})
        results = await call.run(of_vcenter)
        return results_of(call, results)

    @method("RemoveKey", since="6.5")
    async def remove_key(
        self,
        call: "Call",
        key: CryptoKeyId,
        force: bool,
    ) -> None:
        """Remove a key from vCenter and from the hosts; it stays on the key server."""
        members = {"keyId": key_members(await _identified(call, key)), "force": force}
        of_vcenter = request(key_calls.RemoveKey, members, {"keyId": "key"})
        await run(call, of_vcenter, "key", errors.ResourceInUse)

    @method("RemoveKeys", since="6.5")
    async def remove_keys(
        self,
        call: "Call",
        keys: Sequence[CryptoKeyId],
        force: bool,
    ) -> Sequence[CryptoKeyResult]:
        """Remove keys, each by itself."""
        members = {
            "keyIds": [key_members(await _identified(call, key)) for key in keys],
            "force": force,
        }
        of_vcenter = request(key_calls.RemoveKeys, members, {"keyIds": "keys"})
        results = await call.run(of_vcenter)
        return results_of(call, results)

    @method("ListKeys", since="6.5")
    async def list_keys(self, call: "Call", limit: int | None) -> Sequence[CryptoKeyId]:
        """The ids of the keys that were made or are used here."""
        found = await call.run(request(key_calls.ListKeys, {"limit": limit}))
        return [key_id(key) for key in found]

    @method("QueryCryptoKeyStatus", since="6.7.2")
    async def query_crypto_key_status(
        self, call: "Call", key_ids: Sequence[CryptoKeyId], check_key_bit_map: int
    ) -> Sequence[CryptoManagerKmipCryptoKeyStatus]:
        """Whether keys are available (1), and which machines (2), hosts (4) and others (8) use them."""
        bits = check_key_bit_map & _ALL_BITS
        of_vcenter = key_calls.QueryCryptoKeyStatus([key_of(key) for key in key_ids], bits)
        statuses = await call.run(of_vcenter)
        return [
            key_status(call, asked, status) for asked, status in zip(key_ids, statuses, strict=True)
        ]


_SERVER_NAMES = {
    name: f"server.{name}"
    for name in ("clusterId", "info", "password", "defaultKeyType", "keySpec")
}


async def _statuses(call: "Call", clusters: Sequence[KmipClusterInfo]) -> Value:
    """The status of the providers that exist: of all their servers, or of those that are named."""
    names: dict[str, set[str]] = {}
    for cluster in clusters:
        servers = {server.name for server in cluster.servers}
        names.setdefault(cluster.cluster_id.id, set()).update(servers)
    store = call.vcenter.store.providers
    asked = [name for name in names if store.exists(name)]
    if clusters and not asked:
        return Value(_STATUSES, ())
    statuses = await call.run(provider_calls.RetrieveKmipServersStatus(asked or None))
    return Value(
        _STATUSES, [cluster_status(status, names.get(status.cluster_id)) for status in statuses]
    )


async def _identified(call: "Call", key: CryptoKeyId) -> CryptoKeyId:
    """A key id with its provider, where only one key has the id."""
    if key.provider_id is not None:
        return key
    known = [found for found in call.vcenter.crypto.list_keys() if found.key_id == key.key_id]
    return key_id(known[0]) if len(known) == 1 else key


def _attributes(spec: CryptoManagerKmipCustomAttributeSpec) -> dict[str, str]:
    return {attribute.key: attribute.value for attribute in spec.attributes}
