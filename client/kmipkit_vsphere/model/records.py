"""The records of vCenter's store."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final

from msgspec import Meta

from kmipkit_vsphere.model.keys import CryptoKeyId
from kmipkit_vsphere.model.message import Message, Port, Text

ROOT: Final = "/"
"""The object of the inventory that holds all others."""

KMIP_PORT: Final = 5696


class ManagementType(StrEnum):
    """Who manages the keys of a provider (``KmipClusterInfo.managementType``)."""

    STANDARD = "vCenter"
    TRUSTED = "trustAuthority"
    NATIVE = "nativeProvider"


class WrappingKeySpec(Message, omit_defaults=True):
    """The wrapping key of a provider: a fixed one, or one that is replaced every so many days."""

    key_id: str | None = None
    rotation_interval: int | None = None
    configured_time: datetime | None = None


class ProviderDetails(Message, omit_defaults=True):
    """What else is known about a provider; which fields are set depends on its type. No secrets.

    Certificates and requests are PEM; those that are pending were generated and are not in use. The
    hosts are those of a native provider: which have its key, lack it still, or cannot have it.
    """

    vendor: str | None = None
    key_spec: WrappingKeySpec | None = None
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


@dataclass(frozen=True, slots=True)
class ProviderRecord:
    """A key provider."""

    id: str
    type: ManagementType = ManagementType.STANDARD
    details: ProviderDetails = field(default_factory=ProviderDetails)


class ServerRecord(Message, omit_defaults=True):
    """One key server of a provider (``KmipServerInfo``).

    ``timeout`` is in seconds for one answer; ``user_name`` goes with a password among the secrets.
    """

    name: Text
    address: Text
    port: Port = KMIP_PORT
    timeout: Annotated[int, Meta(ge=0, le=3600)] | None = None
    user_name: Text | None = None


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
