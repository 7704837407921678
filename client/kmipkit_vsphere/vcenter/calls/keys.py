"""Keys of the key providers: ids, states and users, never the keys themselves."""

from typing import Annotated, Final

from msgspec import UNSET, Meta, UnsetType

from kmipkit_vsphere.calls.host import CryptoKeyResult
from kmipkit_vsphere.model.keys import CryptoKeyId
from kmipkit_vsphere.model.message import Message, Text, field
from kmipkit_vsphere.vcenter.calls.arguments import KEY_PROVIDER
from kmipkit_vsphere.vcenter.command import Argument, Row, VCenterQuery, VCenterRequest
from kmipkit_vsphere.vcenter.command_line import KEY_ID, PAIR, Many
from kmipkit_vsphere.vcenter.privileges import Privilege


class GenerateKey(VCenterRequest[CryptoKeyResult]):
    """Generate a key and print its id."""

    key_provider: Text | None = None
    custom_attributes: dict[str, str] = field(default_factory=dict)


class SetKeyCustomAttributes(VCenterRequest[None]):
    """Set custom attributes of a key on the key server."""

    key_id: CryptoKeyId
    custom_attributes: dict[str, str] = field(default_factory=dict)


class ListKeys(VCenterQuery[list[CryptoKeyId]]):
    """List the ids of all keys that were made or are used here."""

    limit: Annotated[int, Meta(ge=1, le=1 << 30)] = 1 << 30


class CryptoKeyStatus(Message):
    """A key: whether it is available, and what uses it. Fields not asked for are absent.

    ``unknown_hosts`` do not answer: whether they use it is not known.
    """

    key_id: CryptoKeyId
    key_available: bool | UnsetType = UNSET
    reason: str | UnsetType | None = UNSET
    encrypted_vms: list[str] | UnsetType = field(name="encryptedVMs", default=UNSET)
    affected_hosts: list[str] | UnsetType = UNSET
    referenced_by_tags: list[str] | UnsetType = UNSET
    unknown_hosts: list[str] | UnsetType = UNSET


class QueryCryptoKeyStatus(VCenterRequest[list[CryptoKeyStatus]]):
    """Show whether keys are available, and what uses them."""

    key_ids: list[CryptoKeyId]
    check_key_bit_map: Annotated[int, Meta(ge=0, le=15)] = 15


class RemoveKeys(VCenterRequest[list[CryptoKeyResult]]):
    """Remove keys from vCenter and hosts; they stay on the key servers."""

    key_ids: list[CryptoKeyId]
    force: bool = False


_KEYS = Argument("KEYS", "keyIds", Many(KEY_ID))
_KEY = Argument("KEY", "keyId", KEY_ID)
_ATTRIBUTE = Argument("--attribute", "customAttributes", Many(PAIR), help="Custom attribute.")

ROWS: Final = (
    Row(
        GenerateKey,
        Privilege.MANAGE_KEYS,
        command="generate-key",
        arguments=(KEY_PROVIDER, _ATTRIBUTE),
        example="generate-key --attribute Department=finance",
    ),
    Row(
        SetKeyCustomAttributes,
        Privilege.MANAGE_KEYS,
        command="set-key-attributes",
        arguments=(_KEY, _ATTRIBUTE),
        example="set-key-attributes KMS/1b2c --attribute Department=finance",
    ),
    Row(ListKeys, Privilege.MANAGE_KEYS, command="keys"),
    Row(
        QueryCryptoKeyStatus,
        Privilege.MANAGE_KEYS,
        command="key-status",
        arguments=(_KEYS,),
        example="key-status KMS/1b2c",
    ),
    Row(
        RemoveKeys,
        Privilege.MANAGE_KEYS,
        command="remove-keys",
        arguments=(_KEYS, Argument("--force", "force", bool, help="Even keys that are in use.")),
        example="remove-keys KMS/1b2c --force",
    ),
)
