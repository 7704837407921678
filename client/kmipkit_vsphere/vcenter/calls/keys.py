"""Keys of the key providers: ids, states and users, never the keys themselves."""

from datetime import datetime
from typing import Annotated, Final

import click
from msgspec import UNSET, Meta, UnsetType

from kmipkit_vsphere.calls.host import CryptoKeyResult
from kmipkit_vsphere.model.keys import CryptoKeyId, CryptoKeyPlain
from kmipkit_vsphere.model.message import Message, Text, field
from kmipkit_vsphere.model.records import KeyType
from kmipkit_vsphere.vcenter.calls.arguments import KEY_PROVIDER
from kmipkit_vsphere.vcenter.command import Argument, Row, VCenterQuery, VCenterRequest
from kmipkit_vsphere.vcenter.command_line import BINARY_FILE, KEY_ID, PAIR, Many
from kmipkit_vsphere.vcenter.privileges import Privilege


class GenerateKey(VCenterRequest[CryptoKeyResult]):
    """Generate a key and print its id."""

    key_provider: Text | None = None
    custom_attributes: dict[str, str] = field(default_factory=dict)
    key_type: KeyType | None = None


class AddKey(VCenterRequest[None]):
    """Give a key that you have to the hosts in encryption mode; vCenter stores its id only."""

    key: CryptoKeyPlain


class AddKeys(VCenterRequest[list[CryptoKeyResult]]):
    """The same for several keys; one that fails does not affect the others."""

    keys: list[CryptoKeyPlain]


class SetKeyCustomAttributes(VCenterRequest[CryptoKeyResult]):
    """Set custom attributes of a key on the key server."""

    key_id: CryptoKeyId
    custom_attributes: dict[str, str] = field(default_factory=dict)


class ListKeys(VCenterQuery[list[CryptoKeyId]]):
    """List the ids of all keys that were made or are used here."""

    limit: Annotated[int, Meta(ge=1, le=1 << 30)] = 1 << 30


class WrappingKeyInfo(Message, omit_defaults=True):
    """The wrapping key that a wrapped key needs, and since when, until when the provider uses it."""

    key_id: str
    is_fixed: bool = False
    create_time: datetime | None = None
    rotate_time: datetime | None = None


class CryptoKeyStatus(Message):
    """A key: whether it is available, and what uses it. Fields not asked for are absent.

    ``unknown_hosts`` do not answer: whether they use it is not known.
    """

    key_id: CryptoKeyId
    key_available: bool | UnsetType = UNSET
    reason: str | UnsetType | None = UNSET
    key_info: WrappingKeyInfo | UnsetType = UNSET
    encrypted_vms: list[str] | UnsetType = field(name="encryptedVMs", default=UNSET)
    affected_hosts: list[str] | UnsetType = UNSET
    referenced_by_tags: list[str] | UnsetType = UNSET
    unknown_hosts: list[str] | UnsetType = UNSET


class QueryCryptoKeyStatus(VCenterRequest[list[CryptoKeyStatus]]):
    """Show whether keys are available, and what uses them."""

    key_ids: list[CryptoKeyId]
    check_key_bit_map: Annotated[int, Meta(ge=0, le=15)] = 15


class RemoveKey(VCenterRequest[None]):
    """Remove a key from vCenter and hosts; it stays on the key servers."""

    key_id: CryptoKeyId
    force: bool = False


class RemoveKeys(VCenterRequest[list[CryptoKeyResult]]):
    """Remove keys from vCenter and hosts; they stay on the key servers."""

    key_ids: list[CryptoKeyId]
    force: bool = False


_KEY_TYPES = click.Choice([kind.value for kind in KeyType])
_KEYS = Argument("KEYS", "keyIds", Many(KEY_ID))
_KEY = Argument("KEY", "keyId", KEY_ID)
_ATTRIBUTE = Argument("--attribute", "customAttributes", Many(PAIR), help="Custom attribute.")

ROWS: Final = (
    Row(
        GenerateKey,
        Privilege.MANAGE_KEYS,
        command="generate-key",
        arguments=(
            KEY_PROVIDER,
            _ATTRIBUTE,
            Argument("--type", "keyType", _KEY_TYPES, help="Type of the key."),
        ),
        example="generate-key --attribute Department=finance",
    ),
    Row(
        AddKey,
        Privilege.MANAGE_KEYS,
        command="add-key",
        arguments=(
            Argument("KEY", "key.keyId", KEY_ID),
            Argument("FILE", "key.keyData", BINARY_FILE),
            Argument("--algorithm", "key.algorithm", default="AES-256", help="Of the key."),
        ),
        example="add-key KMS/1b2c key.bin",
    ),
    Row(AddKeys, Privilege.MANAGE_KEYS),
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
    Row(RemoveKey, Privilege.MANAGE_KEYS),
    Row(
        RemoveKeys,
        Privilege.MANAGE_KEYS,
        command="remove-keys",
        arguments=(_KEYS, Argument("--force", "force", bool, help="Even keys that are in use.")),
        example="remove-keys KMS/1b2c --force",
    ),
)
