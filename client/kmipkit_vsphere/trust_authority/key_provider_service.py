"""The Key Provider Service: keys for hosts with a token, and for nobody else (vsphere.md §7.4).

Each trusted key provider has a primary key on a key server, which an administrator made there
beforehand. The service makes a key-encryption key for each request and wraps it with the primary
key; the wrapped key is the id, kept with the machine. Nothing of a machine is on the key server.
"""

import base64
import binascii
import secrets
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from kmipkit_vsphere.model.errors import DamagedData, KeyProviderError, NotAttested, NotFound
from kmipkit_vsphere.model.keys import CryptoKeyId, Secret
from kmipkit_vsphere.providers.conversation import KeyServer
from kmipkit_vsphere.providers.standard import StandardKeyProvider
from kmipkit_vsphere.rpc.params import Params
from kmipkit_vsphere.trust_authority import token

KEK_SIZE: Final = 32
_VERSION: Final = b"\x01"
_NONCE_SIZE: Final = 12


class PrimaryKey(Protocol):
    """The primary key of a trusted key provider."""

    async def wrap(self, kek: bytes, about: bytes) -> bytes:
        """Wrap a key-encryption key, bound to ``about``."""

    async def unwrap(self, blob: bytes, about: bytes) -> bytes:
        """The key again; :class:`DamagedData` if it was altered or is of another key."""

    async def check(self) -> None:
        """Raises :class:`KeyProviderError` where the key cannot be had."""


class FetchedPrimaryKey:
    """A primary key that is fetched when it is needed first, and kept in memory (Q9)."""

    def __init__(self, provider: str, key_id: str, servers: list[KeyServer]) -> None:
        self._key_id = CryptoKeyId(provider, key_id)
        self._provider = StandardKeyProvider(provider, servers)
        self._key: Secret | None = None

    async def _cipher(self) -> AESGCM:
        if self._key is None:
            self._key = (await self._provider.fetch(self._key_id)).key_data
        return AESGCM(self._key.reveal())

    async def wrap(self, kek: bytes, about: bytes) -> bytes:
        """AES-256-GCM behind a version byte."""
        nonce = secrets.token_bytes(_NONCE_SIZE)
        return _VERSION + nonce + (await self._cipher()).encrypt(nonce, kek, _VERSION + about)

    async def unwrap(self, blob: bytes, about: bytes) -> bytes:
        """What :meth:`wrap` made."""
        cipher = await self._cipher()
        nonce, body = blob[1 : 1 + _NONCE_SIZE], blob[1 + _NONCE_SIZE :]
        try:
            return cipher.decrypt(nonce, body, blob[:1] + about)
        except (InvalidTag, ValueError):
            raise DamagedData(
                "the wrapped key does not open: it was altered, or is of another primary key"
            ) from None

    async def check(self) -> None:
        """Asks the key server, also where the key is in memory."""
        (await self._provider.fetch(self._key_id)).key_data.erase()


class KeyProviderService:
    """One service; the callables give what is configured at the time."""

    def __init__(
        self,
        group: str,
        issuers: Callable[[], Mapping[str, str]],
        providers: Callable[[], Mapping[str, PrimaryKey]],
        clock: Callable[[], datetime],
    ) -> None:
        self._group = group
        self._issuers = issuers
        self._providers = providers
        self._clock = clock

    async def new_key(self, params: Params) -> dict[str, str]:
        """A new key: ``{token, provider}`` gives its id, and the key for the token's holder."""
        claims = self._admit(params)
        name = params.text("provider")
        kek = secrets.token_bytes(KEK_SIZE)
        wrapped = await self._primary(name).wrap(kek, name.encode())
        return self._answer(claims, token.text(wrapped), kek)

    async def unwrap_key(self, params: Params) -> dict[str, str]:
        """A key by its id: ``{token, provider, keyId}``."""
        claims = self._admit(params)
        name, key_id = params.text("provider"), params.text("keyId")
        try:
            wrapped = base64.b64decode(key_id, validate=True)
        except binascii.Error:
            raise DamagedData("this is not the id of a key of a trusted key provider") from None
        kek = await self._primary(name).unwrap(wrapped, name.encode())
        return self._answer(claims, key_id, kek)

    def _admit(self, params: Params) -> dict[str, Any]:
        if not params.has("token"):
            raise NotAttested("there is no token; attest first")
        return token.check(params.long_text("token"), self._issuers(), self._group, self._clock())

    def _primary(self, name: str) -> PrimaryKey:
        found = self._providers().get(name)
        if found is None:
            raise NotFound(f"there is no trusted key provider {name}")
        return found

    def _answer(self, claims: Mapping[str, Any], key_id: str, kek: bytes) -> dict[str, str]:
        public = base64.b64decode(claims["cnf"]["x25519"])
        sealed = token.seal_to(public, kek, key_id.encode())
        return {"keyId": key_id, "sealedKey": token.text(sealed)}

    async def health(self) -> dict[str, str | None]:
        """Trusted key provider to what is wrong with it, None for nothing."""
        found: dict[str, str | None] = {}
        for name, primary in self._providers().items():
            try:
                await primary.check()
            except KeyProviderError as failure:
                found[name] = failure.message
            else:
                found[name] = None
        return found
