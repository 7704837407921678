"""The records of vCenter's store."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from kmipkit_vsphere.model.keys import CryptoKeyId

ROOT: Final = "/"
"""The object of the inventory that holds all others."""

_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


class ManagementType(StrEnum):
    """Who manages the keys of a provider (``KmipClusterInfo.managementType``)."""

    STANDARD = "vCenter"
    TRUSTED = "trustAuthority"
    NATIVE = "nativeProvider"


@dataclass(frozen=True, slots=True)
class ProviderRecord:
    """A key provider. ``details`` are JSON values that depend on its type, never secrets."""

    id: str
    type: ManagementType = ManagementType.STANDARD
    details: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)


@dataclass(frozen=True, slots=True)
class ServerRecord:
    """One key server of a provider (``KmipServerInfo``).

    ``timeout`` is in seconds for one answer; ``user_name`` goes with a password among the secrets.
    """

    name: str
    address: str
    port: int
    timeout: int | None = None
    user_name: str | None = None


@dataclass(frozen=True, slots=True)
class FolderRecord:
    """A folder of the inventory; ``parent`` is the entity that holds it."""

    name: str
    parent: str = ROOT


@dataclass(frozen=True, slots=True)
class ClusterRecord:
    """A cluster of hosts. ``key_id`` is the host key that they share, None for one each."""

    name: str
    parent: str = ROOT
    crypto_mode: str = "onDemand"
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
