"""How a vSAN host reaches the key-encryption key of its cluster."""

from collections.abc import Mapping
from typing import Any, Self

from kmipkit_vsphere.model.encoding import convert, to_builtins
from kmipkit_vsphere.model.keys import CryptoKeyId
from kmipkit_vsphere.model.message import Message, Text
from kmipkit_vsphere.providers.kmip_access import KmipAccess


class VsanConfig(Message):
    """What vCenter pushes: the cluster, the id of its key, and how to reach the key servers."""

    cluster: Text
    key_id: CryptoKeyId
    access: KmipAccess

    def to_json(self) -> dict[str, Any]:
        """For the channel to a host and its sealed configuration; never a log."""
        return dict(to_builtins(self))

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_json` made."""
        return convert(found, cls)
