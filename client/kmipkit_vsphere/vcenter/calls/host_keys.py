"""The keys of one host, and its encryption mode with keys that the caller has (vsphere.md §6).

For programs: an administrator has vCenter choose and hand out the keys.
"""

from typing import Final

from kmipkit_vsphere.calls.host import ChangeKeyResult, CryptoKeyResult, KeyPresence
from kmipkit_vsphere.model.keys import CryptoKeyId, CryptoKeyPlain
from kmipkit_vsphere.model.message import Text
from kmipkit_vsphere.vcenter.calls.arguments import HOST as HOST_ARGUMENT
from kmipkit_vsphere.vcenter.command import HOST, Row, VCenterQuery, VCenterRequest
from kmipkit_vsphere.vcenter.privileges import Privilege


class PrepareCrypto(VCenterRequest[None]):
    """Prepare a host for its host key."""

    host: Text


class EnableCrypto(VCenterRequest[None]):
    """Enable encryption mode on a host that is prepared, with this host key."""

    host: Text
    key: CryptoKeyPlain


class ReplaceHostKey(VCenterRequest[ChangeKeyResult]):
    """Give a host in encryption mode this host key."""

    host: Text
    key: CryptoKeyPlain


class AddHostKeys(VCenterRequest[list[CryptoKeyResult]]):
    """Add keys to a host; one that fails does not affect the others."""

    host: Text
    keys: list[CryptoKeyPlain]


class RemoveHostKeys(VCenterRequest[list[CryptoKeyResult]]):
    """Remove keys from a host."""

    host: Text
    key_ids: list[CryptoKeyId]
    force: bool = False


class ListHostKeys(VCenterQuery[list[CryptoKeyId]]):
    """List the ids of the keys that a host has."""

    host: Text


class GetHostKeyStatus(VCenterRequest[list[KeyPresence]]):
    """Ask a host which of these keys it has, or about all that it has."""

    host: Text
    key_ids: list[CryptoKeyId] | None = None


ROWS: Final = (
    Row(PrepareCrypto, Privilege.REGISTER_HOST, HOST),
    Row(EnableCrypto, Privilege.REGISTER_HOST, HOST),
    Row(ReplaceHostKey, Privilege.REGISTER_HOST, HOST),
    Row(AddHostKeys, Privilege.MANAGE_KEYS, HOST),
    Row(RemoveHostKeys, Privilege.MANAGE_KEYS, HOST),
    Row(
        ListHostKeys,
        Privilege.MANAGE_KEYS,
        HOST,
        "host-keys",
        (HOST_ARGUMENT,),
        "host-keys esx01",
    ),
    Row(GetHostKeyStatus, Privilege.MANAGE_KEYS, HOST),
)
