"""The interface of a key provider to vCenter, for all types (vsphere.md §1)."""

from enum import StrEnum
from typing import Protocol

from kmipkit_vsphere.model.errors import InvalidState
from kmipkit_vsphere.model.keys import CryptoKeyId, CryptoKeyPlain
from kmipkit_vsphere.model.records import ManagementType
from kmipkit_vsphere.providers.owner import Owner


class Participant(StrEnum):
    """Who takes part in encryption with a provider (requirements R1, R2)."""

    KEY_SERVER = "key server"
    VCENTER = "vCenter"
    HOSTS = "hosts"
    TRUST_AUTHORITY = "Key Provider Service"


class KeyProvider(Protocol):
    """A key provider as vCenter sees it."""

    @property
    def provider_id(self) -> str:
        """Its id, under which machines name it."""

    @property
    def management_type(self) -> ManagementType:
        """Who manages its keys."""

    @property
    def participants(self) -> frozenset[Participant]:
        """Who takes part when a machine is encrypted with it."""

    async def create_key(self) -> CryptoKeyId:
        """A new key. Its id is empty if the host makes the key when it encrypts (§4.3)."""

    async def fetch(self, key_id: CryptoKeyId) -> CryptoKeyPlain | None:
        """A key to give to a host, None if hosts get it themselves."""

    async def tag_product(self, key_id: CryptoKeyId) -> None:
        """Mark a key with the product on the key server, if there is one; best effort."""

    async def tag_owner(self, key_id: CryptoKeyId, owner: Owner) -> None:
        """Mark a key with its owner on the key server, if there is one; best effort."""


class HostKeyProvider:
    """A provider whose keys the hosts get or make themselves: trusted and native ones.

    Keys do not pass through vCenter; their ids are in the answers of hosts (vsphere.md §4.3).
    """

    def __init__(
        self,
        provider_id: str,
        management_type: ManagementType,
        participants: frozenset[Participant],
    ) -> None:
        self.provider_id = provider_id
        self.management_type = management_type
        self.participants = participants

    async def create_key(self) -> CryptoKeyId:
        """No key yet: the host makes it."""
        return CryptoKeyId(self.provider_id, "")

    async def fetch(self, _key_id: CryptoKeyId) -> None:
        """Nothing: the host gets the key without vCenter."""

    async def tag_product(self, _key_id: CryptoKeyId) -> None:
        """Nothing: no key server holds the key."""

    async def tag_owner(self, _key_id: CryptoKeyId, _owner: Owner) -> None:
        """Nothing: no key server holds the key."""


def refuse_generation(provider: KeyProvider) -> None:
    """InvalidState for a provider whose keys only hosts can make (R25, vsphere.md §4.2)."""
    if isinstance(provider, HostKeyProvider):
        raise InvalidState(
            f"vCenter cannot generate keys with the key provider {provider.provider_id} of type"
            f" {provider.management_type}: a host does so when it encrypts a machine"
        )
