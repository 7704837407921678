# Made by tools/unasync.py from _async/operations.py; do not edit.
"""The operations of the client, with the arguments that people think in."""

from abc import ABC, abstractmethod
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
from kmipkit_client.calls import Call
from kmipkit_client.values import AttributeLike, AttributesLike, Encrypted, KeyPair, Located

T = TypeVar("T")

ENCRYPT_AND_DECRYPT = CryptographicUsageMask.ENCRYPT | CryptographicUsageMask.DECRYPT
SIGN_AND_VERIFY = (CryptographicUsageMask.SIGN, CryptographicUsageMask.VERIFY)


class Operations(ABC):
    """One method per operation; identifiers are the texts that the server gave."""

    @abstractmethod
    def _call(self, call: Call[T]) -> T:
        """The result of a call; what failed is raised."""

    def discover_versions(self, versions: Iterable[Version] = ()) -> tuple[Version, ...]:
        """Which versions the server speaks, best first (KMIP 1.4 §4.26)."""
        return self._call(calls.discover_versions(versions))

    def query(self, *functions: QueryFunction) -> QueryResponse:
        """What the server is and can do (KMIP 1.4 §4.25)."""
        return self._call(calls.query(functions))

    def create(
        self,
        algorithm: CryptographicAlgorithm = CryptographicAlgorithm.AES,
        length: int = 256,
        *,
        usage: CryptographicUsageMask = ENCRYPT_AND_DECRYPT,
        name: str | None = None,
        attributes: AttributesLike | None = None,
    ) -> str:
        """Make a symmetric key of ``length`` bits; its Unique Identifier (KMIP 1.4 §4.1)."""
        return self._call(calls.create(algorithm, length, usage, name, attributes))

    def register(
        self,
        value: ManagedObject,
        *,
        usage: CryptographicUsageMask | None = None,
        name: str | None = None,
        attributes: AttributesLike | None = None,
    ) -> str:
        """Hand over an object; its Unique Identifier (KMIP 1.4 §4.3).

        Objects are made by the functions of :mod:`kmipkit_client.values`.
        """
        return self._call(calls.register(value, usage, name, attributes))

    def get(
        self,
        identifier: str,
        *,
        key_format_type: KeyFormatType | None = None,
        key_wrap_type: KeyWrapType | None = None,
        wrapping: KeyWrappingSpecification | None = None,
    ) -> ManagedObject:
        """The object itself (KMIP 1.4 §4.11); :func:`kmipkit_client.material` gives its bytes."""
        return self._call(calls.get(identifier, key_format_type, key_wrap_type, wrapping))

    def get_attributes(self, identifier: str, *names: AttributeLike) -> Attributes:
        """These attributes, or all; what is not set is absent (KMIP 1.4 §4.12)."""
        return self._call(calls.get_attributes(identifier, names))

    def get_attribute_list(self, identifier: str) -> tuple[AttributeKey, ...]:
        """Which attributes the object has (KMIP 1.4 §4.13)."""
        return self._call(calls.get_attribute_list(identifier))

    def add_attribute(self, identifier: str, name: AttributeLike, value: Any) -> None:
        """Add an attribute, or one more instance of it (KMIP 1.4 §4.14)."""
        self._call(calls.add_attribute(identifier, name, value))

    def modify_attribute(
        self,
        identifier: str,
        name: AttributeLike,
        value: Any,
        *,
        index: int | None = None,
        current: Any = None,
    ) -> None:
        """Give an instance another value: found by ``index`` in 1.x, by ``current`` value in 2.x.

        KMIP 1.4 §4.15, KMIP 2.1 §6.1.34.
        """
        self._call(calls.modify_attribute(identifier, name, value, index, current))

    def delete_attribute(
        self,
        identifier: str,
        name: AttributeLike,
        *,
        index: int | None = None,
        current: Any = None,
    ) -> None:
        """Take an instance away: found by ``index`` in 1.x, by ``current`` value in 2.x.

        KMIP 1.4 §4.16, KMIP 2.1 §6.1.13.
        """
        self._call(calls.delete_attribute(identifier, name, index, current))

    def set_attribute(self, identifier: str, name: AttributeLike, value: Any) -> None:
        """Give an attribute its only value; 2.0 and later (KMIP 2.1 §6.1.51)."""
        self._call(calls.set_attribute(identifier, name, value))

    def locate(
        self,
        *,
        name: str | None = None,
        object_type: ObjectType | None = None,
        attributes: AttributesLike | None = None,
        maximum: int | None = None,
        offset: int | None = None,
        storage_status: StorageStatusMask | None = None,
    ) -> Located:
        """The objects that have all these attributes (KMIP 1.4 §4.9).

        Two instances of a date are a range.
        """
        return self._call(
            calls.locate(name, object_type, attributes, maximum, offset, storage_status)
        )

    def activate(self, identifier: str) -> None:
        """Make an object active (KMIP 1.4 §4.19)."""
        self._call(calls.activate(identifier))

    def revoke(
        self,
        identifier: str,
        reason: RevocationReasonCode = RevocationReasonCode.UNSPECIFIED,
        message: str | None = None,
        *,
        compromise_occurred: datetime | None = None,
    ) -> None:
        """Deactivate an object, or report it compromised (KMIP 1.4 §4.20)."""
        self._call(calls.revoke(identifier, reason, message, compromise_occurred))

    def destroy(self, identifier: str) -> None:
        """Destroy the key material for good (KMIP 1.4 §4.21)."""
        self._call(calls.destroy(identifier))

    def check(
        self,
        identifier: str,
        *,
        usage: CryptographicUsageMask | None = None,
        usage_limits_count: int | None = None,
        lease_time: int | None = None,
    ) -> None:
        """Ask whether a use is permitted; OperationFailed if it is not (KMIP 1.4 §4.10)."""
        self._call(calls.check(identifier, usage, usage_limits_count, lease_time))

    def encrypt(
        self,
        identifier: str,
        data: bytes,
        *,
        parameters: CryptographicParameters | None = None,
        iv: bytes | None = None,
        additional_data: bytes | None = None,
    ) -> Encrypted:
        """Encrypt with a key that stays in the server (KMIP 1.4 §4.29)."""
        return self._call(calls.encrypt(identifier, data, parameters, iv, additional_data))

    def decrypt(
        self,
        identifier: str,
        data: bytes,
        *,
        parameters: CryptographicParameters | None = None,
        iv: bytes | None = None,
        additional_data: bytes | None = None,
        tag: bytes | None = None,
    ) -> bytes:
        """Decrypt with a key that stays in the server (KMIP 1.4 §4.30)."""
        call = calls.decrypt(identifier, data, parameters, iv, additional_data, tag)
        return self._call(call)

    def create_key_pair(
        self,
        algorithm: CryptographicAlgorithm = CryptographicAlgorithm.RSA,
        length: int | None = None,
        *,
        curve: RecommendedCurve | None = None,
        usage: tuple[CryptographicUsageMask, CryptographicUsageMask] = SIGN_AND_VERIFY,
        names: tuple[str | None, str | None] = (None, None),
        attributes: AttributesLike | None = None,
    ) -> KeyPair:
        """Make a pair (KMIP 1.4 §4.2); usage and names are of the private, then of the public key.

        ``attributes`` are those of both.
        """
        call = crypto_calls.create_key_pair(algorithm, length, curve, usage, names, attributes)
        return self._call(call)

    def re_key(
        self,
        identifier: str,
        *,
        offset: int | None = None,
        attributes: AttributesLike | None = None,
    ) -> str:
        """Make a replacement, active ``offset`` seconds from now if given (KMIP 1.4 §4.4)."""
        return self._call(crypto_calls.re_key(identifier, offset, attributes))

    def derive_key(
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
        """Derive a key of ``length`` bits from others (KMIP 1.4 §4.6).

        Secret data are derived where ``algorithm`` is None.
        """
        return self._call(
            crypto_calls.derive_key(
                bases, method, parameters, algorithm, length, usage, name, attributes
            )
        )

    def sign(
        self,
        identifier: str,
        data: bytes | None = None,
        *,
        parameters: CryptographicParameters | None = None,
        digested_data: bytes | None = None,
    ) -> bytes:
        """Sign data, or a digest of them, with a private key of the server (KMIP 1.4 §4.31)."""
        return self._call(crypto_calls.sign(identifier, data, parameters, digested_data))

    def signature_verify(
        self,
        identifier: str,
        data: bytes | None = None,
        *,
        signature: bytes,
        parameters: CryptographicParameters | None = None,
        digested_data: bytes | None = None,
    ) -> bool:
        """Whether a signature is good, by a public key of the server (KMIP 1.4 §4.32)."""
        call = crypto_calls.signature_verify(identifier, data, signature, parameters, digested_data)
        return self._call(call)

    def mac(
        self, identifier: str, data: bytes, *, parameters: CryptographicParameters | None = None
    ) -> bytes:
        """A message authentication code (KMIP 1.4 §4.33)."""
        return self._call(crypto_calls.mac(identifier, data, parameters))

    def mac_verify(
        self,
        identifier: str,
        data: bytes,
        *,
        mac: bytes,
        parameters: CryptographicParameters | None = None,
    ) -> bool:
        """Whether a message authentication code is good (KMIP 1.4 §4.34)."""
        return self._call(crypto_calls.mac_verify(identifier, data, mac, parameters))

    def hash(self, data: bytes, algorithm: HashingAlgorithm = HashingAlgorithm.SHA_256) -> bytes:
        """The digest of data (KMIP 1.4 §4.37)."""
        return self._call(crypto_calls.digest(data, algorithm))

    def rng_retrieve(self, count: int) -> bytes:
        """So many random bytes (KMIP 1.4 §4.35)."""
        return self._call(crypto_calls.rng_retrieve(count))

    def request(self, operation: Operation, payload: Structure) -> Any:
        """Any operation by its request payload; the response payload."""
        return self._call(calls.raw(operation, payload))
