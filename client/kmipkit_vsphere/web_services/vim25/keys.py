"""Names of keys and of their providers."""

from typing import Annotated

from kmipkit_vsphere.web_services.vim25.basics import LocalizedMethodFault
from kmipkit_vsphere.web_services.vim25.declaration import DataObject, Since


class KeyProviderId(DataObject):
    """Names a key provider; the parameters called clusterId, cluster or keyProvider are such."""

    id: str


class CryptoKeyId(DataObject):
    """Names a key."""

    key_id: str
    provider_id: KeyProviderId | None = None


class CryptoKeyPlain(DataObject):
    """A key with its bytes."""

    key_id: CryptoKeyId
    algorithm: str
    key_data: str


class CryptoKeyResult(DataObject):
    """Whether something was done to a key."""

    key_id: CryptoKeyId
    success: bool
    reason: str | None = None
    fault: Annotated[LocalizedMethodFault | None, Since("7.0.1.0")] = None
