"""The operations of the client as methods."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, TypeVar

from kmipkit.model.attribute import AttributeKey, Attributes
from kmipkit.model.attributes import CryptographicParameters
from kmipkit.model.keyblock import KeyWrappingSpecification
from kmipkit.model.objects import ManagedObject
from kmipkit.model.payloads.query import QueryResponse
from kmipkit.model.payloads.rekey import DerivationParameters
from kmipkit.model.structure import Structure
from kmipkit.spec.enums import (
    CryptographicAlgorithm,
    DerivationMethod,
    HashingAlgorithm,
    KeyFormatType,
    KeyWrapType,
    ObjectType,
    Operation,
    QueryFunction,
    RecommendedCurve,
    RevocationReasonCode,
)
from kmipkit.spec.masks import CryptographicUsageMask, StorageStatusMask
from kmipkit.spec.versions import Version
from kmipkit_client import calls, crypto_calls
from kmipkit_client._async.payload_operations import AsyncPayloadOperations
from kmipkit_client.values import (
    ENCRYPT_AND_DECRYPT,
    SIGN_AND_VERIFY,
    AttributeLike,
    AttributesLike,
    Encrypted,
    KeyPair,
    Located,
)

T = TypeVar("T")


class AsyncOperations(AsyncPayloadOperations):
    """One method per operation; identifiers are those that the server assigned."""

    async def discover_versions(self, versions: Iterable[Version] = ()) -> tuple[Version, ...]:
        """The versions that the server supports, preferred first (KMIP 1.4 §4.26)."""
        return await self._call(calls.discover_versions(versions))

    async def query(self, *functions: QueryFunction) -> QueryResponse:
        """The capabilities of the server (KMIP 1.4 §4.25)."""
        return await self._call(calls.query(functions))

    async def create(
        self,
        algorithm: CryptographicAlgorithm = CryptographicAlgorithm.AES,
        length: int = 256,
        *,
        usage: CryptographicUsageMask = ENCRYPT_AND_DECRYPT,
        name: str | None = None,
        attributes: AttributesLike | None = None,
    ) -> str:
        """Create a symmetric key of ``length`` bits; returns its Unique Identifier (KMIP 1.4 §4.1)."""
        return await self._call(calls.create(algorithm, length, usage, name, attributes))

    async def register(
        self,
        value: ManagedObject,
        *,
        usage: CryptographicUsageMask | None = None,
        name: str | None = None,
        attributes: AttributesLike | None = None,
    ) -> str:
        """Register an object; returns its Unique Identifier (KMIP 1.4 §4.3).

        ``value`` is what one of these functions of :mod:`kmipkit_client` makes: ``symmetric_key``,
        ``secret_data``, ``certificate``, ``private_key``, ``public_key``, ``opaque_object``.
        """
        return await self._call(calls.register(value, usage, name, attributes))

    async def get(
        self,
        identifier: str,
        *,
        key_format_type: KeyFormatType | None = None,
        key_wrap_type: KeyWrapType | None = None,
        wrapping: KeyWrappingSpecification | None = None,
    ) -> ManagedObject:
        """Get an object (KMIP 1.4 §4.11); :func:`kmipkit_client.material` returns its bytes."""
        return await self._call(calls.get(identifier, key_format_type, key_wrap_type, wrapping))

    async def get_attributes(self, identifier: str, *names: AttributeLike) -> Attributes:
        """Get these attributes, or all; attributes without a value are absent (KMIP 1.4 §4.12)."""
        return await self._call(calls.get_attributes(identifier, names))

    async def get_attribute_list(self, identifier: str) -> tuple[AttributeKey, ...]:
        """The keys of the attributes that the object has (KMIP 1.4 §4.13)."""
        return await self._call(calls.get_attribute_list(identifier))

    async def add_attribute(self, identifier: str, name: AttributeLike, value: Any) -> None:
        """Add an attribute, or one more instance of it (KMIP 1.4 §4.14)."""
        await self._call(calls.add_attribute(identifier, name, value))

    async def modify_attribute(
        self,
        identifier: str,
        name: AttributeLike,
        value: Any,
        *,
        index: int | None = None,
        current: Any = None,
    ) -> None:
        """Change the value of an instance, given by ``index`` in 1.x and by ``current`` value in 2.x.

        KMIP 1.4 §4.15, KMIP 2.1 §6.1.34.
        """
        await self._call(calls.modify_attribute(identifier, name, value, index, current))

    async def delete_attribute(
        self,
        identifier: str,
        name: AttributeLike,
        *,
        index: int | None = None,
        current: Any = None,
    ) -> None:
        """Delete an instance, given by ``index`` in 1.x and by ``current`` value in 2.x.

        KMIP 1.4 §4.16, KMIP 2.1 §6.1.13.
        """
        await self._call(calls.delete_attribute(identifier, name, index, current))

    async def set_attribute(self, identifier: str, name: AttributeLike, value: Any) -> None:
        """Set the value of a single-instance attribute; 2.0 and later (KMIP 2.1 §6.1.51)."""
        await self._call(calls.set_attribute(identifier, name, value))

    async def locate(
        self,
        *,
        name: str | None = None,
        object_type: ObjectType | None = None,
        attributes: AttributesLike | None = None,
        maximum: int | None = None,
        offset: int | None = None,
        storage_status: StorageStatusMask | None = None,
    ) -> Located:
        """Find the objects that have all these attributes (KMIP 1.4 §4.9).

        Two instances of a date attribute form a range.
        """
        return await self._call(
            calls.locate(name, object_type, attributes, maximum, offset, storage_status)
        )

    async def activate(self, identifier: str) -> None:
        """Activate an object (KMIP 1.4 §4.19)."""
        await self._call(calls.activate(identifier))

    async def revoke(
        self,
        identifier: str,
        reason: RevocationReasonCode = RevocationReasonCode.UNSPECIFIED,
        message: str | None = None,
        *,
        compromise_occurred: datetime | None = None,
    ) -> None:
        """Revoke an object: deactivate it, or report it compromised (KMIP 1.4 §4.20)."""
        await self._call(calls.revoke(identifier, reason, message, compromise_occurred))

    async def destroy(self, identifier: str) -> None:
        """Destroy the key material irrevocably (KMIP 1.4 §4.21)."""
        await self._call(calls.destroy(identifier))

    async def check(
        self,
        identifier: str,
        *,
        usage: CryptographicUsageMask | None = None,
        usage_limits_count: int | None = None,
        lease_time: int | None = None,
    ) -> None:
        """Check whether a use is permitted; OperationFailed if not (KMIP 1.4 §4.10)."""
        await self._call(calls.check(identifier, usage, usage_limits_count, lease_time))

    async def encrypt(
        self,
        identifier: str,
        data: bytes,
        *,
        parameters: CryptographicParameters | None = None,
        iv: bytes | None = None,
        additional_data: bytes | None = None,
    ) -> Encrypted:
        """Encrypt with a key that stays in the server (KMIP 1.4 §4.29)."""
        return await self._call(calls.encrypt(identifier, data, parameters, iv, additional_data))

    async def decrypt(
        self,
        identifier: str,
        data: bytes | Encrypted,
        *,
        parameters: CryptographicParameters | None = None,
        iv: bytes | None = None,
        additional_data: bytes | None = None,
        tag: bytes | None = None,
    ) -> bytes:
        """Decrypt with a key that stays in the server (KMIP 1.4 §4.30).

        The result of Encrypt brings its IV and tag.
        """
        call = calls.decrypt(identifier, data, parameters, iv, additional_data, tag)
        return await self._call(call)

    async def create_key_pair(
        self,
        algorithm: CryptographicAlgorithm = CryptographicAlgorithm.RSA,
        length: int | None = None,
        *,
        curve: RecommendedCurve | None = None,
        usage: tuple[CryptographicUsageMask, CryptographicUsageMask] = SIGN_AND_VERIFY,
        names: tuple[str | None, str | None] = (None, None),
        attributes: AttributesLike | None = None,
    ) -> KeyPair:
        """Create a key pair (KMIP 1.4 §4.2).

        ``usage`` and ``names`` are those of the private and of the public key; both get
        ``attributes``.
        """
        call = crypto_calls.create_key_pair(algorithm, length, curve, usage, names, attributes)
        return await self._call(call)

    async def re_key(
        self,
        identifier: str,
        *,
        offset: int | None = None,
        attributes: AttributesLike | None = None,
    ) -> str:
        """Create a replacement key, to be activated in ``offset`` seconds if given (KMIP 1.4 §4.4)."""
        return await self._call(crypto_calls.re_key(identifier, offset, attributes))

    async def derive_key(
        self,
        *bases: str,
        method: DerivationMethod,
        parameters: DerivationParameters,
        length: int,
        algorithm: CryptographicAlgorithm | None = CryptographicAlgorithm.AES,
        usage: CryptographicUsageMask | None = ENCRYPT_AND_DECRYPT,
        name: str | None = None,
        attributes: AttributesLike | None = None,
    ) -> str:
        """Derive a key of ``length`` bits from other objects (KMIP 1.4 §4.6).

        If ``algorithm`` is None, the new object is Secret Data.
        """
        return await self._call(
            crypto_calls.derive_key(
                bases, method, parameters, length, algorithm, usage, name, attributes
            )
        )

    async def sign(
        self,
        identifier: str,
        data: bytes | None = None,
        *,
        parameters: CryptographicParameters | None = None,
        digested_data: bytes | None = None,
    ) -> bytes:
        """Sign data, or their digest, with a private key in the server (KMIP 1.4 §4.31)."""
        return await self._call(crypto_calls.sign(identifier, data, parameters, digested_data))

    async def signature_verify(
        self,
        identifier: str,
        data: bytes | None = None,
        *,
        signature: bytes,
        parameters: CryptographicParameters | None = None,
        digested_data: bytes | None = None,
    ) -> bool:
        """Verify a signature with a public key in the server (KMIP 1.4 §4.32)."""
        call = crypto_calls.signature_verify(
            identifier,
            data,
            signature=signature,
            parameters=parameters,
            digested_data=digested_data,
        )
        return await self._call(call)

    async def mac(
        self, identifier: str, data: bytes, *, parameters: CryptographicParameters | None = None
    ) -> bytes:
        """Compute a message authentication code (KMIP 1.4 §4.33)."""
        return await self._call(crypto_calls.mac(identifier, data, parameters))

    async def mac_verify(
        self,
        identifier: str,
        data: bytes,
        *,
        mac: bytes,
        parameters: CryptographicParameters | None = None,
    ) -> bool:
        """Verify a message authentication code (KMIP 1.4 §4.34)."""
        return await self._call(crypto_calls.mac_verify(identifier, data, mac, parameters))

    async def hash(
        self, data: bytes, algorithm: HashingAlgorithm = HashingAlgorithm.SHA_256
    ) -> bytes:
        """Compute the digest of data (KMIP 1.4 §4.37)."""
        return await self._call(crypto_calls.digest(data, algorithm))

    async def rng_retrieve(self, count: int) -> bytes:
        """Retrieve ``count`` random bytes (KMIP 1.4 §4.35)."""
        return await self._call(crypto_calls.rng_retrieve(count))

    async def request(self, operation: Operation, payload: Structure) -> Any:
        """Send any operation with its request payload; returns the response payload.

        A vendor's operation must be registered with :func:`kmipkit.model.operations.register`.
        """
        return await self._call(calls.raw(operation, payload))
