"""The records of vCenter's store."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final

from msgspec import Meta, structs

from kmipkit_vsphere.model.keys import CryptoKeyId
from kmipkit_vsphere.model.message import MAX_TEXT, Count, Message, Port, Text

ROOT: Final = "/"
"""The object of the inventory that holds all others."""

KMIP_PORT: Final = 5696


class ManagementType(StrEnum):
    """Who manages the keys of a provider (``KmipClusterInfo.managementType``)."""

    STANDARD = "vCenter"
    TRUSTED = "trustAuthority"
    NATIVE = "nativeProvider"


class KeyType(StrEnum):
    """Whether the key server has a key itself, or the key that wraps it (``keyType``, since 9.0)."""

    RAW = "rawKey"
    WRAPPED = "wrappedKey"


class WrappingKeyRequest(Message, omit_defaults=True):
    """Which wrapping key a provider is to have (``KmipServerSpec.keySpec``).

    The one of this id, or else one that vCenter has the key server make, and replaces after
    ``rotation_interval`` days, or never.
    """

    key_id: Text | None = None
    rotation_interval: int | None = None


class WrappingKeySpec(Message, omit_defaults=True):
    """The wrapping key of a provider: a fixed one, or one that is replaced every so many days.

    ``made_by_vcenter`` tells a key without an interval that vCenter had made from a fixed one.
    """

    key_id: str | None = None
    rotation_interval: int | None = None
    configured_time: datetime | None = None
    made_by_vcenter: bool = False

    @property
    def is_fixed(self) -> bool:
        """Whether an administrator has chosen the key."""
        return not self.made_by_vcenter and self.rotation_interval is None


class ProviderDetails(Message, omit_defaults=True):
    """What else is known about a provider; which fields are set depends on its type. No secrets.

    Certificates and requests are PEM; those that are pending were generated and are not in use. The
    hosts are those of a native provider: which have its key, lack it still, or cannot have it.
    """

    vendor: str | None = None
    key_spec: WrappingKeySpec | None = None
    default_key_type: KeyType | None = None
    server_certificates: tuple[str, ...] = ()
    client_certificate: str | None = None
    pending_certificate: str | None = None
    pending_request: str | None = None
    key_id: str | None = None
    tpm_required: bool | None = None
    has_backup: bool | None = None
    missing_hosts: tuple[str, ...] = ()
    unfit_hosts: tuple[str, ...] = ()
    served_hosts: tuple[str, ...] = ()

    @property
    def key_type(self) -> KeyType:
        """The type of new keys, unless a call names another one."""
        return self.default_key_type or (KeyType.WRAPPED if self.key_spec else KeyType.RAW)


@dataclass(frozen=True, slots=True)
class ProviderRecord:
    """A key provider."""

    id: str
    type: ManagementType = ManagementType.STANDARD
    details: ProviderDetails = field(default_factory=ProviderDetails)


class ServerRecord(Message, omit_defaults=True):
    """One key server of a provider (``KmipServerInfo``).

    ``timeout`` is in seconds for one answer, 0 for no limit; ``user_name`` goes with a password among
    the secrets. The proxy is an HTTP proxy through which vCenter connects. ``reconnect``, ``nbio`` and
    ``protocol`` are settings of vSphere's KMIP library, which are recorded only.
    """

    name: Text
    address: Text
    port: Port = KMIP_PORT
    timeout: Annotated[int, Meta(ge=0, le=3600)] | None = None
    user_name: Text | None = None
    proxy_address: Text | None = None
    proxy_port: Port | None = None
    reconnect: Count | None = None
    protocol: Text | None = None
    nbio: Count | None = None


_Text = Annotated[str, Meta(max_length=MAX_TEXT)]
_Number = Annotated[int, Meta(ge=-1, le=1 << 31)]


class ServerChange(Message, omit_defaults=True):
    """New settings of a key server. What is not given stays as it is.

    An empty text or -1 removes a setting (vsphere.md §4.3).
    """

    name: Text
    address: Text | None = None
    port: Port | None = None
    timeout: Annotated[int, Meta(ge=-1, le=3600)] | None = None
    user_name: _Text | None = None
    proxy_address: _Text | None = None
    proxy_port: Annotated[int, Meta(ge=-1, le=65535)] | None = None
    reconnect: _Number | None = None
    protocol: _Text | None = None
    nbio: _Number | None = None

    def applied_to(self, server: ServerRecord) -> ServerRecord:
        """The settings of a server after this change."""
        given = {
            name: None if value in ("", -1) else value
            for name, value in structs.asdict(self).items()
            if value is not None
        }
        return structs.replace(server, **given)


@dataclass(frozen=True, slots=True)
class FolderRecord:
    """A folder of the inventory; ``parent`` is the entity that holds it."""

    name: str
    parent: str = ROOT


class CryptoMode(StrEnum):
    """When the hosts of a cluster enable encryption mode (vsphere.md §6)."""

    ON_DEMAND = "onDemand"
    FORCE_ENABLE = "forceEnable"


@dataclass(frozen=True, slots=True)
class ClusterRecord:
    """A cluster of hosts. ``key_id`` is the host key that they share, None for one each."""

    name: str
    parent: str = ROOT
    crypto_mode: CryptoMode = CryptoMode.ON_DEMAND
    key_id: CryptoKeyId | None = None


@dataclass(frozen=True, slots=True)
class HostRecord:
    """A host that vCenter manages; ``key_id`` is its host key, None before encryption mode."""

    name: str
    uuid: str
    address: str
    port: int
    key_id: CryptoKeyId | None = None
    parent: str = ROOT


@dataclass(frozen=True, slots=True)
class MachineRecord:
    """A machine in the inventory; ``key_id`` is None for a plain one."""

    uuid: str
    name: str
    host: str
    key_id: CryptoKeyId | None = None
    parent: str = ROOT


def pair(key: CryptoKeyId | None) -> tuple[str | None, str | None]:
    """A key id as two columns."""
    return (key.provider_id, key.key_id) if key else (None, None)


def unpair(provider: str | None, key: str | None) -> CryptoKeyId | None:
    """A key id from two columns."""
    return CryptoKeyId(provider, key) if provider is not None and key is not None else None
