"""Wrapped keys, as since vSphere 9: the key server holds a wrapping key only (vsphere.md §4.3).

vCenter makes the key-encryption keys and wraps each with the provider's wrapping key; the wrapped
key is the key id, so that everything for a single machine is stored with the machine. The wrapping
key is a fixed one of the key server, or one that vCenter creates there and replaces at an interval;
older keys stay readable, since the id names the wrapping key it needs.
"""

import base64
import binascii
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple, Protocol

import trio
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from kmipkit_vsphere.model.clock import Clock
from kmipkit_vsphere.model.errors import DamagedData, InvalidArgument
from kmipkit_vsphere.model.keys import CryptoKeyId, CryptoKeyPlain, Secret
from kmipkit_vsphere.model.records import KeyType
from kmipkit_vsphere.providers.kmip_session import KeyServer
from kmipkit_vsphere.providers.owner import Owner, Product
from kmipkit_vsphere.providers.standard import StandardKeyProvider

MIN_DAYS, MAX_DAYS = 30, 3650
KEK_SIZE: Final = 32

_PREFIX: Final = "wrapped:"
_NONCE_SIZE: Final = 12


class WrappingKey(NamedTuple):
    """The wrapping key in use; ``interval`` in days is None for a fixed one."""

    key_id: str
    interval: int | None = None
    configured: datetime | None = None

    def is_due(self, now: datetime) -> bool:
        """Whether it must be replaced."""
        if self.interval is None or self.configured is None:
            return False
        return now >= self.configured + timedelta(days=self.interval)


class WrappingKeyStore(Protocol):
    """Where the wrapping key of a provider is recorded."""

    @property
    def lock(self) -> trio.Lock:
        """Held while the key is replaced: two calls must not both replace it."""

    def wrapping_key(self) -> WrappingKey:
        """The wrapping key in use now."""

    def replace(self, key_id: CryptoKeyId) -> None:
        """Record the id of a new wrapping key, durably."""


class WrappedKeyProvider(StandardKeyProvider):
    """A standard provider with a wrapping key, which is made at its first use if it is not fixed.

    It reads keys of both types; ``makes`` is the type of those that it creates.
    """

    def __init__(
        self,
        provider_id: str,
        servers: Sequence[KeyServer],
        store: WrappingKeyStore,
        clock: Clock,
        makes: KeyType = KeyType.WRAPPED,
        product: Product | None = None,
    ) -> None:
        super().__init__(provider_id, servers, product)
        self._store = store
        self._clock = clock
        self.makes = makes

    async def create_key(self) -> CryptoKeyId:
        """Make a key here and wrap it; the wrapped key is its id."""
        if self.makes is KeyType.RAW:
            return await super().create_key()
        wrapping = await self._wrapping_key()
        key = await super().fetch(wrapping)
        try:
            return CryptoKeyId(self.provider_id, _wrap(key, Secret.random(KEK_SIZE)))
        finally:
            key.key_data.erase()

    async def _wrapping_key(self) -> CryptoKeyId:
        async with self._store.lock:
            wrapping = self._store.wrapping_key()
            if wrapping.key_id and not wrapping.is_due(self._clock()):
                return CryptoKeyId(self.provider_id, wrapping.key_id)
            key_id = await super().create_key()
            await super().tag_product(key_id)
            self._store.replace(key_id)
            return key_id

    async def fetch(self, key_id: CryptoKeyId) -> CryptoKeyPlain:
        """Unwrap the key in the id with the wrapping key that it names."""
        if not is_wrapped(key_id):
            return await super().fetch(key_id)
        wrapping, sealed = split(key_id)
        key = await super().fetch(wrapping)
        try:
            return CryptoKeyPlain(key_id, "AES-256", _unwrap(key, sealed))
        finally:
            key.key_data.erase()

    async def tag_product(self, key_id: CryptoKeyId) -> None:
        """Mark a key with the product; a wrapped one is not on the key server."""
        if not is_wrapped(key_id):
            await super().tag_product(key_id)

    async def tag_owner(self, key_id: CryptoKeyId, owner: Owner) -> None:
        """Mark a key with its owner; a wrapped one is not on the key server."""
        if not is_wrapped(key_id):
            await super().tag_owner(key_id, owner)


def is_wrapped(key_id: CryptoKeyId) -> bool:
    """Whether an id holds a wrapped key."""
    return key_id.key_id.startswith(_PREFIX)


def split(key_id: CryptoKeyId) -> tuple[CryptoKeyId, bytes]:
    """The id of the wrapping key, and the wrapped key; :class:`DamagedData` if it is not one."""
    _, _, rest = key_id.key_id.partition(_PREFIX)
    name, _, text = rest.rpartition(":")
    try:
        sealed = base64.b64decode(text, validate=True)
    except binascii.Error:
        sealed = b""
    if not is_wrapped(key_id) or not name or len(sealed) <= _NONCE_SIZE:
        raise DamagedData(f"{key_id} is not the id of a wrapped key")
    return CryptoKeyId(key_id.provider_id, name), sealed


def checked_interval(days: int) -> int:
    """A rotation interval in days; :class:`InvalidArgument` outside 30 to 3650."""
    if not MIN_DAYS <= days <= MAX_DAYS:
        raise InvalidArgument(
            f"a wrapping key is replaced every {MIN_DAYS} to {MAX_DAYS} days",
            invalid_property="keySpec.rotationInterval",
        )
    return days


def _wrap(wrapping: CryptoKeyPlain, kek: Secret) -> str:
    nonce = secrets.token_bytes(_NONCE_SIZE)
    sealed = AESGCM(wrapping.key_data.reveal()).encrypt(nonce, kek.reveal(), _bound_to(wrapping))
    kek.erase()
    return f"{_PREFIX}{wrapping.key_id.key_id}:{base64.b64encode(nonce + sealed).decode()}"


def _unwrap(wrapping: CryptoKeyPlain, sealed: bytes) -> Secret:
    nonce, body = sealed[:_NONCE_SIZE], sealed[_NONCE_SIZE:]
    try:
        return Secret(AESGCM(wrapping.key_data.reveal()).decrypt(nonce, body, _bound_to(wrapping)))
    except InvalidTag:
        raise DamagedData(
            f"the wrapped key does not open with {wrapping.key_id}: it was altered, or the key"
            " server gave another key"
        ) from None


def _bound_to(wrapping: CryptoKeyPlain) -> bytes:
    key_id = wrapping.key_id
    return f"kmipkit-wrapped|{key_id.provider_id}/{key_id.key_id}".encode()
