"""Native key providers: creating, backing up, restoring (vsphere.md §8)."""

from datetime import datetime
from typing import Final

from kmipkit_vsphere.model.keys import SecretText
from kmipkit_vsphere.model.message import Message, Text
from kmipkit_vsphere.vcenter.command import Argument, Row, VCenterRequest
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


class ImportProvider(VCenterRequest[ProviderRestored]):
    """Restore a native key provider from its backup."""

    backup: bytes
    password: SecretText | None = None
    dry_run: bool = False


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
