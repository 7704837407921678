"""Native key providers: creating, backing up, restoring (vsphere.md §8)."""

from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

import click

from kmipkit_vsphere.model.keys import Secret, SecretText
from kmipkit_vsphere.model.message import Message, Text
from kmipkit_vsphere.vcenter.calls.arguments import HOST
from kmipkit_vsphere.vcenter.command import HOST as ON_HOST
from kmipkit_vsphere.vcenter.command import Argument, Row, VCenterQuery, VCenterRequest
from kmipkit_vsphere.vcenter.command_line import BINARY_FILE, PASSWORD_FILE
from kmipkit_vsphere.vcenter.privileges import Privilege


class NativeProviderCreated(Message):
    """A new provider, and the hosts that do not have its primary key yet."""

    provider: str
    key_id: str
    missing_hosts: list[str]


class CreateNativeProvider(VCenterRequest[NativeProviderCreated]):
    """Create a native key provider; export it before you use it."""

    provider: Text
    any_host: bool = False
    key_id: UUID | None = None
    key_derivation_key: Secret | None = None


class ReplacePrimaryKey(VCenterRequest[NativeProviderCreated]):
    """Give a native key provider a new primary key; export it again afterwards."""

    provider: Text
    key_id: UUID | None = None


class NativeHealth(StrEnum):
    """Whether a native key provider can be used (``Health`` of the REST API)."""

    NONE = "NONE"
    OK = "OK"
    WARNING = "WARNING"
    ERROR = "ERROR"


class NativeProviderStatus(Message):
    """A native key provider, its health, and the reason for it."""

    provider: str
    key_id: str
    tpm_required: bool
    has_backup: bool
    health: NativeHealth
    reason: str


class ListNativeProviders(VCenterQuery[list[NativeProviderStatus]]):
    """List the native key providers with their health."""

    providers: list[str] | None = None
    health: list[NativeHealth] | None = None


class GetNativeProvider(VCenterQuery[NativeProviderStatus]):
    """Show one native key provider with its health."""

    provider: Text


class HostProvider(Message):
    """A key provider from which a host gets keys itself, and whether it can."""

    provider: str
    management_type: str
    health: NativeHealth
    reason: str


class ListHostProviders(VCenterQuery[list[HostProvider]]):
    """List the native and trusted key providers of a host."""

    host: Text


class UpdateNativeProvider(VCenterRequest[NativeProviderCreated]):
    """Change which hosts may have a native key provider; export it again afterwards."""

    provider: Text
    any_host: bool = False


class DownloadToken(Message):
    """Entitles to one download until it expires."""

    token: str
    expiry: datetime


class BackupLocation(Message):
    """Where a backup can be downloaded."""

    url: str
    download_token: DownloadToken


class PreparedBackup(Message):
    """A backup that is ready for download."""

    type: str
    location: BackupLocation
    warning: str | None


class ExportProvider(VCenterRequest[PreparedBackup]):
    """Prepare the backup of a native key provider."""

    provider: Text
    password: SecretText | None = None


class DownloadBackup(VCenterRequest[bytes]):
    """Download a backup that was prepared."""

    token: Text


class ProviderRestored(Message, omit_defaults=True):
    """Whether a provider was restored, or why not."""

    provider: str
    key_id: str
    restored: bool
    reason: str | None = None
    missing_hosts: list[str] | None = None
    tpm_required: bool | None = None
    export_time: datetime | None = None


class ImportProvider(VCenterRequest[ProviderRestored]):
    """Restore a native key provider from its backup."""

    backup: bytes
    password: SecretText | None = None
    dry_run: bool = False
    tpm_required: bool | None = None


class DeleteNativeProvider(VCenterRequest[list[str]]):
    """Delete a native key provider, here and on the hosts."""

    provider: Text
    force: bool = False


_PROVIDER = Argument("PROVIDER", "provider")

ROWS: Final = (
    Row(
        CreateNativeProvider,
        Privilege.MANAGE_KEY_SERVERS,
        command="create-native-provider",
        arguments=(
            _PROVIDER,
            Argument("--any-host", "anyHost", bool, help="Also for hosts without a TPM."),
            Argument("--key-id", "keyId", click.UUID, help="Id of the primary key."),
        ),
        example="create-native-provider NKP --any-host",
    ),
    Row(
        UpdateNativeProvider,
        Privilege.MANAGE_KEY_SERVERS,
        command="update-native-provider",
        arguments=(
            _PROVIDER,
            Argument("--any-host", "anyHost", bool, help="Also for hosts without a TPM."),
        ),
        example="update-native-provider NKP --any-host",
    ),
    Row(
        ReplacePrimaryKey,
        Privilege.MANAGE_KEY_SERVERS,
        command="replace-primary-key",
        arguments=(_PROVIDER, Argument("--key-id", "keyId", click.UUID, help="Id of the new key.")),
        example="replace-primary-key NKP",
    ),
    Row(ListNativeProviders, Privilege.READ_KEY_SERVERS_INFO, command="native-providers"),
    Row(GetNativeProvider, Privilege.READ_KEY_SERVERS_INFO),
    Row(
        ListHostProviders,
        Privilege.READ_KEY_SERVERS_INFO,
        ON_HOST,
        "host-providers",
        (HOST,),
        "host-providers esx01",
    ),
    Row(ExportProvider, Privilege.MANAGE_KEY_SERVERS),
    Row(DownloadBackup, Privilege.MANAGE_KEY_SERVERS),
    Row(
        ImportProvider,
        Privilege.MANAGE_KEY_SERVERS,
        command="restore-provider",
        arguments=(
            Argument("FILE", "backup", BINARY_FILE),
            Argument("--password-file", "password", PASSWORD_FILE),
            Argument("--dry-run", "dryRun", bool, help="Only show what would be done."),
        ),
        example="restore-provider NKP.p12 --password-file secret --dry-run",
    ),
    Row(
        DeleteNativeProvider,
        Privilege.MANAGE_KEY_SERVERS,
        command="delete-native-provider",
        arguments=(
            _PROVIDER,
            Argument("--force", "force", bool, help="Even while machines or hosts use it."),
        ),
        example="delete-native-provider NKP",
    ),
)
