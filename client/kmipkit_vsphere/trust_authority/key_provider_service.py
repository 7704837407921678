"""The Key Provider Service: keys for hosts with a token, and for nobody else (vsphere.md §7.4).

Each trusted key provider has a primary key on a key server, which an administrator created there
beforehand. The service creates a key-encryption key for each request and wraps it with the primary
key. The wrapped key is the key's id, stored with the machine; the key server stores nothing about a
machine.
"""

import base64
import binascii
import secrets
from collections.abc import Mapping
from typing import Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from kmipkit_vsphere.model.clock import Clock
from kmipkit_vsphere.model.errors import DamagedData, KeyProviderError, NotAttested, NotFound
from kmipkit_vsphere.model.keys import CryptoKeyId, Secret
from kmipkit_vsphere.providers.kmip_session import KeyServer
from kmipkit_vsphere.providers.standard import StandardKeyProvider
from kmipkit_vsphere.trust_authority import token
from kmipkit_vsphere.trust_authority.calls import NewKey, SealedKey, UnwrapKey

KEK_SIZE: Final = 32
_VERSION: Final = b"\x01"
_NONCE_SIZE: Final = 12


class PrimaryKey(Protocol):
    """The primary key of a trusted key provider."""

    async def wrap(self, kek: bytes, context: bytes) -> bytes:
        """Wrap a key-encryption key, bound to a context."""

    async def unwrap(self, blob: bytes, context: bytes) -> bytes:
        """The key; :class:`DamagedData` if it was altered, or wrapped by another primary key."""

    async def check(self) -> None:
        """Raise :class:`KeyProviderError` if the key is not available."""


class FetchedPrimaryKey:
    """A primary key that is fetched on its first use, and then held in memory (Q9)."""

    def __init__(self, provider: str, key_id: str, servers: list[KeyServer]) -> None:
        self._key_id = CryptoKeyId(provider, key_id)
        self._provider = StandardKeyProvider(provider, servers)
        self._key: Secret | None = None

    async def _cipher(self) -> AESGCM:
        if self._key is None:
            self._key = (await self._provider.fetch(self._key_id)).key_data
        return AESGCM(self._key.reveal())

    async def wrap(self, kek: bytes, context: bytes) -> bytes:
        """AES-256-GCM behind a version byte."""
        nonce = secrets.token_bytes(_NONCE_SIZE)
        return _VERSION + nonce + (await self._cipher()).encrypt(nonce, kek, _VERSION + context)

    async def unwrap(self, blob: bytes, context: bytes) -> bytes:
        """Reverses :meth:`wrap`."""
        cipher = await self._cipher()
        nonce, body = blob[1 : 1 + _NONCE_SIZE], blob[1 + _NONCE_SIZE :]
        try:
            return cipher.decrypt(nonce, body, blob[:1] + context)
        except (InvalidTag, ValueError):
            raise DamagedData(
                "the wrapped key was altered, or wrapped by another primary key"
            ) from None

    async def check(self) -> None:
        """Asks the key server, even if the key is in memory."""
        (await self._provider.fetch(self._key_id)).key_data.erase()


class KeyProviderService:
    """One service; ``issuers`` are the public keys (PEM) whose tokens it accepts, by their ids."""

    def __init__(
        self,
        group: str,
        issuers: Mapping[str, str],
        providers: Mapping[str, PrimaryKey],
        clock: Clock,
    ) -> None:
        self._group = group
        self._issuers = issuers
        self._providers = providers
        self._clock = clock

    async def new_key(self, request: NewKey) -> SealedKey:
        """Create a key, and seal it to the holder of the token."""
        claims = self._authenticate(request.token)
        kek = secrets.token_bytes(KEK_SIZE)
        # Bound to the provider's name: one provider's key cannot be passed off as another's.
        wrapped = await self._primary(request.provider).wrap(kek, request.provider.encode())
        return self._seal(claims, base64.b64encode(wrapped).decode("ascii"), kek)

    async def unwrap_key(self, request: UnwrapKey) -> SealedKey:
        """Unwrap the key that its id holds, and seal it to the holder of the token."""
        claims = self._authenticate(request.token)
        try:
            wrapped = base64.b64decode(request.key_id, validate=True)
        except binascii.Error:
            raise DamagedData("this is not the id of a key of a trusted key provider") from None
        kek = await self._primary(request.provider).unwrap(wrapped, request.provider.encode())
        return self._seal(claims, request.key_id, kek)

    def _authenticate(self, presented: str | None) -> token.HostClaims:
        if presented is None:
            raise NotAttested("there is no token; attest first")
        return token.check(presented, self._issuers, self._group, self._clock())

    def _primary(self, name: str) -> PrimaryKey:
        primary = self._providers.get(name)
        if primary is None:
            raise NotFound(f"there is no trusted key provider {name}")
        return primary

    def _seal(self, claims: token.HostClaims, key_id: str, kek: bytes) -> SealedKey:
        sealed = token.seal_to(claims.cnf.x25519, kek, key_id.encode())
        return SealedKey(key_id, sealed)

    async def health(self) -> dict[str, str | None]:
        """Trusted key provider to its problem, None if it has none."""
        problems: dict[str, str | None] = {}
        for name, primary in self._providers.items():
            try:
                await primary.check()
            except KeyProviderError as failure:
                problems[name] = failure.message
            else:
                problems[name] = None
        return problems
