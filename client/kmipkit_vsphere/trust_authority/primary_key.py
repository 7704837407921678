"""The primary keys of a trusted key provider, and how they wrap key-encryption keys (§7.4, Q9).

A primary key is on a key server. The Key Provider Service either fetches it once and wraps with it
itself, or has the key server encrypt, so that the primary key never leaves it. Both give the same
form, so that the mode can be changed at any time: AES-256 in CBC mode, and a MAC under a key that is
derived from the wrapped key itself. The MAC also covers the name of the provider, so that a wrapped
key of one provider cannot be passed off as that of another.
"""

import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from typing import Final, NamedTuple, Protocol

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.padding import PKCS7

from kmipkit.spec.enums import ResultReason
from kmipkit_vsphere.model.errors import DamagedData, KeyNotUsable, KeyServerUnreachable
from kmipkit_vsphere.model.keys import CryptoKeyId, Secret
from kmipkit_vsphere.providers.encrypting_session import EncryptingSession, encrypting_session
from kmipkit_vsphere.providers.kmip_session import KeyServer, KeyServerRefused
from kmipkit_vsphere.providers.standard import ROUNDS, StandardKeyProvider, none_reachable

KEK_SIZE: Final = 32
_FORM: Final = b"\x02"
_TAG_SIZE: Final = 8
_IV_SIZE: Final = 16
_CIPHERTEXT_SIZE: Final = KEK_SIZE + 16
"""The padding adds a block."""
_MAC_SIZE: Final = 32
_SIZE: Final = len(_FORM) + _TAG_SIZE + _IV_SIZE + _CIPHERTEXT_SIZE + _MAC_SIZE


class PrimaryKeyMode(StrEnum):
    """What the Key Provider Service does with a primary key."""

    FETCH = "fetch"
    """It gets the key, and wraps in its own memory."""
    USE = "use"
    """It asks the key server to encrypt and to decrypt."""


class PrimaryKey(Protocol):
    """One primary key. Calls raise KeyProviderError if it cannot be had or used."""

    @property
    def key_id(self) -> str:
        """Its identifier on the key server."""

    async def encrypt(self, iv: bytes, data: bytes) -> bytes:
        """AES-256 in CBC mode with PKCS #5 padding."""

    async def decrypt(self, iv: bytes, data: bytes) -> bytes:
        """The reverse; :class:`DamagedData` if the padding is wrong."""

    async def check(self) -> None:
        """Ask the key server whether the key can be used."""


class FetchedPrimaryKey:
    """A primary key that is fetched at its first use, and then held in memory."""

    def __init__(self, provider: str, key_id: str, servers: Sequence[KeyServer]) -> None:
        self.key_id = key_id
        self._name = CryptoKeyId(provider, key_id)
        self._provider = StandardKeyProvider(provider, servers)
        self._key: Secret | None = None

    async def _cipher(self, iv: bytes) -> Cipher[CBC]:
        if self._key is None:
            self._key = (await self._provider.fetch(self._name)).key_data
        return Cipher(AES256(self._key.reveal()), CBC(iv))

    async def encrypt(self, iv: bytes, data: bytes) -> bytes:
        """See :meth:`PrimaryKey.encrypt`."""
        encryptor, padder = (await self._cipher(iv)).encryptor(), PKCS7(128).padder()
        return encryptor.update(padder.update(data) + padder.finalize()) + encryptor.finalize()

    async def decrypt(self, iv: bytes, data: bytes) -> bytes:
        """See :meth:`PrimaryKey.decrypt`."""
        decryptor, unpadder = (await self._cipher(iv)).decryptor(), PKCS7(128).unpadder()
        try:
            padded = decryptor.update(data) + decryptor.finalize()
            return unpadder.update(padded) + unpadder.finalize()
        except ValueError:
            raise _altered() from None

    async def check(self) -> None:
        """Asks the key server, even if the key is in memory."""
        (await self._provider.fetch(self._name)).key_data.erase()


Job = Callable[[EncryptingSession], Awaitable[bytes]]


class UsedPrimaryKey:
    """A primary key that stays on the key server, which encrypts and decrypts with it."""

    def __init__(self, provider: str, key_id: str, servers: Sequence[KeyServer]) -> None:
        self.key_id = key_id
        self._provider = provider
        self._servers = tuple(servers)

    async def encrypt(self, iv: bytes, data: bytes) -> bytes:
        """See :meth:`PrimaryKey.encrypt`."""
        return await self._on_any(lambda kmip: kmip.encrypt(self.key_id, iv, data))

    async def decrypt(self, iv: bytes, data: bytes) -> bytes:
        """See :meth:`PrimaryKey.decrypt`."""
        return await self._on_any(lambda kmip: kmip.decrypt(self.key_id, iv, data))

    async def check(self) -> None:
        """Whether the server has the operations, and may use the key for both."""
        iv, data = secrets.token_bytes(_IV_SIZE), secrets.token_bytes(KEK_SIZE)

        async def job(kmip: EncryptingSession) -> bytes:
            await kmip.check_operations()
            return await kmip.decrypt(self.key_id, iv, await kmip.encrypt(self.key_id, iv, data))

        if await self._on_any(job) != data:
            raise KeyNotUsable(f"the key server does not decrypt what it encrypted: {self.key_id}")

    async def _on_any(self, job: Job) -> bytes:
        """Do a job on the first server that can do it: replication of the key may lag (§4.4)."""
        failures: list[str] = []
        refused: KeyServerRefused | None = None
        for server in self._servers * ROUNDS:
            try:
                async with encrypting_session(server) as kmip:
                    return await job(kmip)
            except KeyServerRefused as refusal:
                refused = refusal
            except KeyServerUnreachable as failure:
                failures.append(failure.message)
        if refused is None:
            raise none_reachable(self._provider, failures)
        if refused.reason is ResultReason.CRYPTOGRAPHIC_FAILURE:
            raise _altered() from None
        raise KeyNotUsable(f"cannot use primary key {self.key_id}: {refused.message}") from None


MODES: Final[dict[PrimaryKeyMode, type[FetchedPrimaryKey] | type[UsedPrimaryKey]]] = {
    PrimaryKeyMode.FETCH: FetchedPrimaryKey,
    PrimaryKeyMode.USE: UsedPrimaryKey,
}


class TrustedKeyProvider:
    """The primary keys of one provider, the current one first; older ones only unwrap."""

    def __init__(self, name: str, mode: PrimaryKeyMode, keys: Sequence[PrimaryKey]) -> None:
        self.name = name
        self.mode = mode
        self._keys = tuple(keys)

    @property
    def current(self) -> PrimaryKey:
        """The primary key that wraps new keys."""
        return self._keys[0]

    async def wrap(self, kek: bytes) -> bytes:
        """Wrap a key-encryption key."""
        iv = secrets.token_bytes(_IV_SIZE)
        ciphertext = await self.current.encrypt(iv, kek)
        signed = _FORM + _tag(self.current.key_id) + iv + ciphertext
        return signed + self._mac(kek, signed)

    async def unwrap(self, blob: bytes) -> bytes:
        """The key; :class:`DamagedData` if it was altered, or belongs to another provider."""
        if len(blob) != _SIZE or not blob.startswith(_FORM):
            raise DamagedData("this is not a wrapped key of a trusted key provider")
        parts = _parts(blob)
        key = next((key for key in self._keys if _tag(key.key_id) == parts.tag), None)
        if key is None:
            raise DamagedData(
                f"the wrapped key was altered, or wrapped by a primary key that {self.name} no"
                " longer has"
            )
        kek = await key.decrypt(parts.iv, parts.ciphertext)
        if not hmac.compare_digest(self._mac(kek, blob[:-_MAC_SIZE]), parts.mac):
            raise _altered()
        return kek

    def _mac(self, kek: bytes, data: bytes) -> bytes:
        info = b"kmipkit-kps-mac|" + self.name.encode()
        key = HKDF(hashes.SHA256(), _MAC_SIZE, salt=None, info=info).derive(kek)
        return hmac.digest(key, data, "sha256")


class _Parts(NamedTuple):
    tag: bytes
    iv: bytes
    ciphertext: bytes
    mac: bytes


def _parts(blob: bytes) -> _Parts:
    sizes, start, parts = (_TAG_SIZE, _IV_SIZE, _CIPHERTEXT_SIZE, _MAC_SIZE), len(_FORM), []
    for size in sizes:
        parts.append(blob[start : start + size])
        start += size
    return _Parts(*parts)


def _tag(key_id: str) -> bytes:
    """Says which primary key wrapped a key, in few bytes."""
    return hashlib.sha256(key_id.encode()).digest()[:_TAG_SIZE]


def _altered() -> DamagedData:
    return DamagedData("the wrapped key was altered, or wrapped by another primary key")
