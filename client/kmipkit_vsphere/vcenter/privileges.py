"""Privileges of people who work with keys, and the roles that bundle them (vsphere.md §5.1, §5.2).

Names are those of vSphere. A role is its set of privileges; the predefined ones cannot be changed.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Privilege(StrEnum):
    """What a permission may allow: keys first, then what the laboratory needs of the rest."""

    ACCESS = "Cryptographer.Access"
    ADD_DISK = "Cryptographer.AddDisk"
    CLONE = "Cryptographer.Clone"
    DECRYPT = "Cryptographer.Decrypt"
    ENCRYPT = "Cryptographer.Encrypt"
    ENCRYPT_NEW = "Cryptographer.EncryptNew"
    MANAGE_ENCRYPTION_POLICY = "Cryptographer.ManageEncryptionPolicy"
    MANAGE_KEY_SERVERS = "Cryptographer.ManageKeyServers"
    MANAGE_KEYS = "Cryptographer.ManageKeys"
    MIGRATE = "Cryptographer.Migrate"
    READ_KEY_SERVERS_INFO = "Cryptographer.ReadKeyServersInfo"
    RECRYPT = "Cryptographer.Recrypt"
    REGISTER_HOST = "Cryptographer.RegisterHost"
    REGISTER_VM = "Cryptographer.RegisterVM"

    CONFIGURE_HOST_CERTIFICATES = "TrustedAdmin.ConfigureHostCertificates"
    CONFIGURE_HOST_METADATA = "TrustedAdmin.ConfigureHostMetadata"
    CONFIGURE_TOKEN_CONVERSION = "TrustedAdmin.ConfigureTokenConversionPolicy"  # noqa: S105
    MANAGE_ATTESTING_SSO = "TrustedAdmin.ManageAttestingSSO"
    MANAGE_KMS_TRUST = "TrustedAdmin.ManageKMSTrust"
    MANAGE_TRUSTED_HOSTS = "TrustedAdmin.ManageTrustedHosts"
    READ_ATTESTING_SSO = "TrustedAdmin.ReadAttestingSSO"
    READ_KMS_TRUST = "TrustedAdmin.ReadKMSTrust"
    READ_STS_INFO = "TrustedAdmin.ReadStsInfo"
    READ_TRUSTED_HOSTS = "TrustedAdmin.ReadTrustedHosts"
    RETRIEVE_HOST_METADATA = "TrustedAdmin.RetrieveHostMetadata"
    RETRIEVE_TPM_HOST_CERTIFICATES = "TrustedAdmin.RetrieveTPMHostCertificates"
    TPM_READ = "Host.Tpm.Read"
    TPM_UNSEAL = "Host.Tpm.Unseal"

    VIEW = "System.View"
    TERMINATE_SESSION = "Sessions.TerminateSession"
    DIAGNOSTICS = "Global.Diagnostics"
    ADD_HOST = "Host.Inventory.AddStandaloneHost"
    ADD_HOST_TO_CLUSTER = "Host.Inventory.AddHostToCluster"
    MANAGE_USER_GROUPS = "Host.Local.ManageUserGroups"
    RECONNECT_HOST = "Host.Config.Connection"
    PATCH_HOST = "Host.Config.Patch"
    CREATE_FOLDER = "Folder.Create"
    CREATE_CLUSTER = "Host.Inventory.CreateCluster"
    EDIT_CLUSTER = "Host.Inventory.EditCluster"
    CREATE_MACHINE = "VirtualMachine.Inventory.Create"
    DELETE_MACHINE = "VirtualMachine.Inventory.Delete"
    REGISTER_MACHINE = "VirtualMachine.Inventory.Register"
    UNREGISTER_MACHINE = "VirtualMachine.Inventory.Unregister"
    CLONE_MACHINE = "VirtualMachine.Provisioning.Clone"
    ADD_NEW_DISK = "VirtualMachine.Config.AddNewDisk"
    POWER_ON = "VirtualMachine.Interact.PowerOn"
    POWER_OFF = "VirtualMachine.Interact.PowerOff"
    MIGRATE_MACHINE = "Resource.ColdMigrate"
    CONFIGURE_MACHINE = "VirtualMachine.Config.Settings"
    CREATE_SNAPSHOT = "VirtualMachine.State.CreateSnapshot"
    REVERT_TO_SNAPSHOT = "VirtualMachine.State.RevertToSnapshot"
    REMOVE_SNAPSHOT = "VirtualMachine.State.RemoveSnapshot"
    ADD_REMOVE_DEVICE = "VirtualMachine.Config.AddRemoveDevice"
    VIEW_STORAGE_POLICIES = "StorageProfile.View"
    UPDATE_STORAGE_POLICIES = "StorageProfile.Update"
    APPLY_STORAGE_POLICY = "StorageProfile.Apply"
    ACKNOWLEDGE_ALARM = "Alarm.Acknowledge"
    MODIFY_PERMISSIONS = "Authorization.ModifyPermissions"


CRYPTOGRAPHER: Final = frozenset(
    privilege for privilege in Privilege if privilege.startswith("Cryptographer.")
)

TRUSTED_INFRASTRUCTURE: Final = frozenset(
    privilege for privilege in Privilege if privilege.startswith(("TrustedAdmin.", "Host.Tpm."))
)

_NOT_WITHOUT_CRYPTO = (
    CRYPTOGRAPHER
    | TRUSTED_INFRASTRUCTURE
    | {
        Privilege.DIAGNOSTICS,
        Privilege.ADD_HOST,
        Privilege.ADD_HOST_TO_CLUSTER,
        Privilege.MANAGE_USER_GROUPS,
    }
)

TRUSTED_ADMINS: Final = "TrustedAdmins"
"""The group whose members, and nobody else, administer a trust authority (vsphere.md §5.2)."""

ADMINISTRATOR: Final = "Administrator"
NO_CRYPTO_ADMIN: Final = "NoCryptoAdmin"
TRUSTED_ADMIN: Final = "TrustedAdmin"
NO_TRUSTED_ADMIN: Final = "NoTrustedAdmin"
READ_ONLY: Final = "ReadOnly"
NO_ACCESS: Final = "NoAccess"

PREDEFINED: Final[Mapping[str, frozenset[Privilege]]] = MappingProxyType(
    {
        ADMINISTRATOR: frozenset(Privilege),
        NO_CRYPTO_ADMIN: frozenset(Privilege) - _NOT_WITHOUT_CRYPTO,
        TRUSTED_ADMIN: TRUSTED_INFRASTRUCTURE,
        NO_TRUSTED_ADMIN: frozenset(Privilege) - TRUSTED_INFRASTRUCTURE,
        READ_ONLY: frozenset({Privilege.VIEW}),
        NO_ACCESS: frozenset(),
    }
)
"""The roles that every vCenter has."""
