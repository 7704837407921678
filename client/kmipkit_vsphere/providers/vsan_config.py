"""How a vSAN host reaches the key-encryption key of its cluster."""

from kmipkit_vsphere.model.keys import CryptoKeyId
from kmipkit_vsphere.model.message import Message, Text
from kmipkit_vsphere.providers.kmip_access import KmipAccess


class VsanConfig(Message):
    """What vCenter pushes: the cluster, the id of its key, and how to reach the key servers.

    ``access`` is None for a key of a native key provider, which the host derives itself.
    """

    cluster: Text
    key_id: CryptoKeyId
    access: KmipAccess | None = None
