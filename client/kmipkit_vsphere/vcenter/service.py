"""The vCenter role behind its channel: which calls there are, and which privilege each needs.

Whoever has a certificate of the roles' authority may call; what the caller may do, permissions
decide, before anything else happens and before a key server hears of it (requirement R24). Names
are those of the vSphere API where it has them (vsphere.md §4.2); none of the answers holds a key,
but the backup of a native provider.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple

from kmipkit_vsphere.model.errors import NoPermission, VSphereError
from kmipkit_vsphere.model.keys import CryptoKeyId
from kmipkit_vsphere.model.records import ROOT
from kmipkit_vsphere.rpc.channel import Method
from kmipkit_vsphere.rpc.params import Params
from kmipkit_vsphere.vcenter.authorization import Authorization
from kmipkit_vsphere.vcenter.calls_on_access import AccessCalls
from kmipkit_vsphere.vcenter.calls_on_machines import MachineCalls
from kmipkit_vsphere.vcenter.calls_on_providers import ProviderCalls
from kmipkit_vsphere.vcenter.calls_on_trust import TrustCalls
from kmipkit_vsphere.vcenter.privileges import Privilege
from kmipkit_vsphere.vcenter.vcenter import VCenter

USER: Final = "user"
"""The role of everybody with a certificate; permissions say the rest."""

Entity = Callable[[Params], str]
Handler = Callable[[Params], Awaitable[Any]]


class Row(NamedTuple):
    """A call: what serves it, and the privilege that the caller needs on which entity."""

    handler: Handler
    privilege: Privilege
    entity: Entity


def _root(_params: Params) -> str:
    return ROOT


def _host(params: Params) -> str:
    return f"host/{params.text('host' if params.has('host') else 'name')}"


def _machine(params: Params) -> str:
    return f"machine/{params.text('name')}"


def _folder(params: Params) -> str:
    return params.text("folder", ROOT)


def _parent(params: Params) -> str:
    return params.text("parent", ROOT)


def _cluster(params: Params) -> str:
    return f"cluster/{params.text('name')}"


def _entity(params: Params) -> str:
    return params.text("entity", ROOT)


class VCenterService:
    """The calls of a vCenter; :meth:`methods` is the table that the channel serves."""

    def __init__(self, vcenter: VCenter, authorization: Authorization) -> None:
        self._vcenter = vcenter
        self._authorization = authorization
        self._providers = ProviderCalls(vcenter)
        self._machines = MachineCalls(vcenter, authorization)
        self._access = AccessCalls(vcenter, authorization)
        self._trust = TrustCalls(vcenter)

    def methods(self) -> Mapping[str, Method]:
        """Name to role and handler."""
        return {name: Method(USER, self._checked(name, row)) for name, row in self._rows().items()}

    def _rows(self) -> dict[str, Row]:
        return self._provider_rows() | self._other_rows() | self._trust_rows()

    def _trust_rows(self) -> dict[str, Row]:
        """For members of TrustedAdmins; the privileges are those of their role."""
        trust = self._trust
        handlers = {
            "TrustAuthorityAddHost": (trust.add_host, Privilege.MANAGE_TRUSTED_HOSTS),
            "ImportPrincipal": (trust.import_principal, Privilege.MANAGE_ATTESTING_SSO),
            "RemovePrincipal": (trust.remove_principal, Privilege.MANAGE_ATTESTING_SSO),
            "AddTpmAuthority": (trust.add_tpm_authority, Privilege.CONFIGURE_HOST_CERTIFICATES),
            "AddEndorsementKey": (
                trust.add_endorsement_key,
                Privilege.CONFIGURE_HOST_CERTIFICATES,
            ),
            "SetTpmSettings": (trust.set_tpm_settings, Privilege.CONFIGURE_HOST_CERTIFICATES),
            "ImportImage": (trust.import_image, Privilege.CONFIGURE_HOST_METADATA),
            "RemoveImage": (trust.remove_image, Privilege.CONFIGURE_HOST_METADATA),
            "PublishTrustedProvider": (trust.publish_provider, Privilege.MANAGE_KMS_TRUST),
            "WithdrawTrustedProvider": (trust.withdraw_provider, Privilege.MANAGE_KMS_TRUST),
            "TrustAuthorityHealth": (trust.health, Privilege.READ_TRUSTED_HOSTS),
            "TrustAuthorityRemediate": (trust.remediate, Privilege.MANAGE_TRUSTED_HOSTS),
            "ExportTrustServices": (trust.export_services, Privilege.READ_TRUSTED_HOSTS),
            "ImportTrustServices": (trust.import_services, Privilege.MANAGE_TRUSTED_HOSTS),
            "EnableTrustedCluster": (trust.enable_cluster, Privilege.MANAGE_TRUSTED_HOSTS),
            "RemediateTrustedCluster": (trust.remediate_cluster, Privilege.MANAGE_TRUSTED_HOSTS),
        }
        rows = {
            name: Row(trust.for_members(handler), privilege, _root)
            for name, (handler, privilege) in handlers.items()
        }
        return rows | {"AttestationStatus": Row(trust.attestation, Privilege.VIEW, _root)}

    def _provider_rows(self) -> dict[str, Row]:
        calls = self._providers
        managing = {
            "RegisterKmipServer": calls.register_server,
            "UpdateKmipServer": calls.update_server,
            "RemoveKmipServer": calls.remove_server,
            "RegisterKmsCluster": calls.register_cluster,
            "UnregisterKmsCluster": calls.unregister_cluster,
            "ConfigureWrappingKey": calls.configure_wrapping,
            "RetrieveKmipServersStatus": calls.status,
            "IsKmsClusterActive": calls.is_active,
            "MarkDefault": calls.mark_default,
            "SetDefaultKmsCluster": calls.mark_default,
            "RetrieveKmipServerCert": calls.server_certificate,
            "UploadKmipServerCert": calls.upload_server_certificate,
            "GenerateSelfSignedClientCert": calls.generate_self_signed,
            "RetrieveSelfSignedClientCert": calls.self_signed,
            "UpdateSelfSignedClientCert": calls.update_client_certificate,
            "GenerateClientCsr": calls.generate_request,
            "RetrieveClientCsr": calls.request,
            "UpdateKmsSignedCsrClientCert": calls.update_client_certificate,
            "UploadClientCert": calls.upload_client_certificate,
            "IssueClientCert": calls.issue_client_certificate,
            "RetrieveRootCert": calls.root_certificate,
            "RetrieveClientCert": calls.client_certificate,
            "CreateNativeProvider": calls.create_native,
            "ExportProvider": calls.export_native,
            "DownloadBackup": calls.download_backup,
            "ImportProvider": calls.import_native,
            "DeleteNativeProvider": calls.delete_native,
        }
        reading = {
            "ListKmipServers": calls.list_providers,
            "ListKmsClusters": calls.list_providers,
            "GetDefaultKmsCluster": calls.get_default,
        }
        keys = {
            "GenerateKey": calls.generate_key,
            "SetKeyCustomAttributes": calls.set_attributes,
            "ListKeys": calls.list_keys,
            "QueryCryptoKeyStatus": calls.key_status,
            "RemoveKeys": calls.remove_keys,
        }
        return (
            {name: Row(one, Privilege.MANAGE_KEY_SERVERS, _root) for name, one in managing.items()}
            | {
                name: Row(one, Privilege.READ_KEY_SERVERS_INFO, _root)
                for name, one in reading.items()
            }
            | {name: Row(one, Privilege.MANAGE_KEYS, _root) for name, one in keys.items()}
        )

    def _other_rows(self) -> dict[str, Row]:
        machines, access = self._machines, self._access
        return {
            "CreateFolder": Row(machines.create_folder, Privilege.CREATE_FOLDER, _parent),
            "CreateCluster": Row(machines.create_cluster, Privilege.CREATE_CLUSTER, _parent),
            "SetCryptoMode": Row(machines.set_crypto_mode, Privilege.REGISTER_HOST, _cluster),
            "EncryptVsan": Row(machines.enable_vsan, Privilege.REGISTER_HOST, _cluster),
            "ListInventory": Row(machines.inventory, Privilege.VIEW, _root),
            "AddHost": Row(machines.add_host, Privilege.ADD_HOST, _parent),
            "RemoveHost": Row(machines.remove_host, Privilege.ADD_HOST, _host),
            "ReconnectHost": Row(machines.reconnect_host, Privilege.RECONNECT_HOST, _host),
            "ConfigureCryptoKey": Row(
                machines.configure_crypto_key, Privilege.REGISTER_HOST, _host
            ),
            "ChangeHostKey": Row(machines.change_key, Privilege.REGISTER_HOST, _host),
            "DisableCrypto": Row(machines.disable_crypto, Privilege.REGISTER_HOST, _host),
            "SetKeyPersistence": Row(machines.set_key_persistence, Privilege.REGISTER_HOST, _host),
            "DumpCore": Row(machines.dump_core, Privilege.DIAGNOSTICS, _host),
            "ListCoreDumps": Row(machines.list_dumps, Privilege.DIAGNOSTICS, _host),
            "ExportCoreDump": Row(machines.export_dump, Privilege.DIAGNOSTICS, _host),
            "CreateVM": Row(machines.create_machine, Privilege.CREATE_MACHINE, _folder),
            "EncryptVM": Row(machines.encrypt_machine, Privilege.ENCRYPT, _machine),
            "DecryptVM": Row(machines.decrypt_machine, Privilege.DECRYPT, _machine),
            "RecryptVM": Row(machines.recrypt_machine, Privilege.RECRYPT, _machine),
            "CloneVM": Row(machines.clone_machine, Privilege.CLONE_MACHINE, _machine),
            "AddDisk": Row(machines.add_disk, Privilege.ADD_NEW_DISK, _machine),
            "RemoveDisk": Row(machines.remove_disk, Privilege.CONFIGURE_MACHINE, _machine),
            "SetMigrateEncryption": Row(
                machines.set_migrate_encryption, Privilege.CONFIGURE_MACHINE, _machine
            ),
            "MigrateVM": Row(machines.migrate_machine, Privilege.MIGRATE_MACHINE, _machine),
            "RegisterVM": Row(machines.register_machine, Privilege.REGISTER_MACHINE, _folder),
            "UnregisterVM": Row(
                machines.unregister_machine, Privilege.UNREGISTER_MACHINE, _machine
            ),
            "CryptoUnlock": Row(machines.unlock_machine, Privilege.REGISTER_VM, _machine),
            "PowerOnVM": Row(machines.power_on, Privilege.POWER_ON, _machine),
            "PowerOffVM": Row(machines.power_off, Privilege.POWER_OFF, _machine),
            "ListVMs": Row(machines.list_machines, Privilege.VIEW, _root),
            "QueryEvents": Row(access.events, Privilege.VIEW, _root),
            "ExportEvents": Row(access.export_events, Privilege.VIEW, _root),
            "ListRoles": Row(access.roles, Privilege.VIEW, _root),
            "SetRole": Row(access.set_role, Privilege.MODIFY_PERMISSIONS, _root),
            "RemoveRole": Row(access.remove_role, Privilege.MODIFY_PERMISSIONS, _root),
            "ListGroups": Row(access.groups, Privilege.VIEW, _root),
            "SetMember": Row(access.set_member, Privilege.MODIFY_PERMISSIONS, _root),
            "ListPermissions": Row(access.permissions, Privilege.VIEW, _root),
            "SetPermission": Row(access.set_permission, Privilege.MODIFY_PERMISSIONS, _entity),
            "RemovePermission": Row(
                access.remove_permission, Privilege.MODIFY_PERMISSIONS, _entity
            ),
            "HasPrivilege": Row(access.has_privilege, Privilege.VIEW, _root),
        }

    def _checked(self, name: str, row: Row) -> Handler:
        async def handle(params: Params) -> Any:
            try:
                place = self._vcenter.store.inventory.place(row.entity(params))
                self._authorization.require(params.caller, row.privilege, place)
                return await row.handler(params)
            except NoPermission as refusal:
                self._note_refusal(name, params, refusal)
                raise

        return handle

    def _note_refusal(self, name: str, params: Params, refusal: VSphereError) -> None:
        self._vcenter.crypto.event_log.add(
            "crypto.Operation",
            f"{name} by {params.caller} was refused: {refusal.message}",
            user=params.caller,
            operation=name,
            key_id=self._key_of(params),
            failed=True,
            fault=type(refusal).__name__,
            **refusal.arguments,
        )

    def _key_of(self, params: Params) -> CryptoKeyId | None:
        """The key that a refused call would have been about, as far as vCenter knows."""
        name = params.values.get("name")
        for machine in self._vcenter.store.inventory.machines():
            if machine.name == name:
                return machine.key_id
        return None
