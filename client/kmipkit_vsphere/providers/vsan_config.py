"""How a vSAN host reaches the key-encryption key of its cluster."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from kmipkit_vsphere.model.keys import CryptoKeyId
from kmipkit_vsphere.providers.kmip_access import KmipAccess


@dataclass(frozen=True, slots=True)
class VsanConfig:
    """What vCenter pushes: the cluster, the id of its key, and how to reach the key servers."""

    cluster: str
    key_id: CryptoKeyId
    access: KmipAccess

    def to_json(self) -> dict[str, Any]:
        """For the channel to a host and its sealed configuration; never a log."""
        key = self.key_id.to_json()
        return {"cluster": self.cluster, "keyId": key, "access": self.access.to_json()}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_json` made."""
        key = CryptoKeyId(found["keyId"]["providerId"], found["keyId"]["keyId"])
        return cls(found["cluster"], key, KmipAccess.from_json(found["access"]))
