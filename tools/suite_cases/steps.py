"""Steps of a generated case, and those that many cases have."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from kmipkit_conformance.wording import value_title

from kmipkit.model.attribute import Attributes
from kmipkit.model.attributes import RevocationReason
from kmipkit.model.keyblock import KeyBlock, KeyValue
from kmipkit.model.objects import SymmetricKey
from kmipkit.model.payloads import create, get, lifecycle
from kmipkit.model.payloads.attributes import (
    GetAttributesRequest,
    GetAttributesResponse,
)
from kmipkit.model.payloads.register import RegisterRequest, RegisterResponse
from kmipkit.model.structure import Structure
from kmipkit.spec.enums import (
    CryptographicAlgorithm,
    KeyFormatType,
    ObjectType,
    Operation,
    ResultReason,
    ResultStatus,
    RevocationReasonCode,
)
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_0, VERSIONS, Version
from kmipkit.ttlv.tree import Item

if TYPE_CHECKING:
    from suite_cases.building import Batch, Refused

NOW = datetime(1999, 12, 31, 23, 59, 59, tzinfo=UTC)
"""The value of ``$NOW``."""


def symbol(name: str) -> bytes:
    """The bytes for a placeholder."""
    return f"${name}".encode()


SYMBOLS = (
    "ASYNCHRONOUS_CORRELATION_VALUE",
    "CORRELATION_VALUE",
    "SIGNATURE_DATA",
    "TICKET_VALUE",
    "ANY_1",
    "AUTHENTICATED_ENCRYPTION_TAG",
    "DATA",
    "IV_COUNTER_NONCE",
)

CORRELATION_VALUE = symbol(SYMBOLS[0])


def uid(number: int) -> str:
    """The placeholder for an identifier."""
    return f"$UNIQUE_IDENTIFIER_{number}"


@dataclass(frozen=True)
class Step:
    """One operation and its response: a payload, or the reason for a failure."""

    operation: Operation
    request: Structure | Item
    response: "Structure | ResultReason | ResultStatus | Refused"
    response_operation: Operation | None = None
    """The operation in the response, if it differs (Poll)."""
    asynchronous: bool = False
    """Whether the request is asynchronous, and its response Operation Pending."""
    claim: str = ""
    """What the step tests, with the clause if it is not that of the operation."""
    edit: Callable[[Item], Item] | None = None
    """A change of the request, which makes it one that the message classes cannot express."""
    optional: str = ""
    """The optional feature that the step uses, with the clause that says so."""

    def claiming(self, claim: str) -> "Step":
        """The same step, which tests this."""
        return replace(self, claim=claim)

    def refused(self, how: "Refused", claim: str = "") -> "Step":
        """The same step, which must fail."""
        return replace(self, response=how, claim=claim or self.claim)

    def edited(self, edit: Callable[[Item], Item]) -> "Step":
        """The same step with another request."""
        return replace(self, edit=edit)

    def needing(self, feature: str) -> "Step":
        """The same step, which uses an optional feature."""
        return replace(self, optional=feature)


Steps = Callable[[Version], "Iterable[Step | Batch]"]


@dataclass(frozen=True)
class Case:
    """A case, its subject with the clause, and the first version that has it."""

    name: str
    about: str
    steps: Steps
    since: Version = V1_0
    versions: tuple[Version, ...] = VERSIONS

    def known_in(self, version: Version) -> bool:
        """Whether a version has the case."""
        return version >= self.since and version in self.versions


def register_key(
    number: int,
    data: bytes,
    mask: CryptographicUsageMask,
    algorithm: CryptographicAlgorithm = CryptographicAlgorithm.AES,
) -> Step:
    """Register a symmetric key."""
    block = KeyBlock(
        key_format_type=KeyFormatType.RAW,
        key_value=KeyValue(key_material=data),
        cryptographic_algorithm=algorithm,
        cryptographic_length=8 * len(data),
    )
    return Step(
        Operation.REGISTER,
        RegisterRequest(
            object_type=ObjectType.SYMMETRIC_KEY,
            attributes=Attributes.of((Tag.CRYPTOGRAPHIC_USAGE_MASK, mask)),
            object=SymmetricKey(key_block=block),
        ),
        RegisterResponse(unique_identifier=uid(number)),
        optional=""
        if algorithm is CryptographicAlgorithm.AES
        else f"keys for {value_title(Tag.CRYPTOGRAPHIC_ALGORITHM, algorithm)}",
    )


def activate_object(number: int) -> Step:
    """Activate an object."""
    return Step(
        Operation.ACTIVATE,
        lifecycle.ActivateRequest(unique_identifier=uid(number)),
        lifecycle.ActivateResponse(unique_identifier=uid(number)),
    )


def revoke_and_destroy(*numbers: int) -> Iterator[Step]:
    """Revoke and destroy active objects."""
    reason = RevocationReason(revocation_reason_code=RevocationReasonCode.CESSATION_OF_OPERATION)
    for number in numbers:
        yield Step(
            Operation.REVOKE,
            lifecycle.RevokeRequest(unique_identifier=uid(number), revocation_reason=reason),
            lifecycle.RevokeResponse(unique_identifier=uid(number)),
        )
        yield destroy_object(number)


def destroy_object(number: int) -> Step:
    """Destroy an object that was never active."""
    return Step(
        Operation.DESTROY,
        lifecycle.DestroyRequest(unique_identifier=uid(number)),
        lifecycle.DestroyResponse(unique_identifier=uid(number)),
    )


def check_attributes(number: int, *pairs: tuple[Tag, Any]) -> Step:
    """Check that the object has these attributes."""
    keys = tuple(dict.fromkeys(key for key, _ in pairs))
    return Step(
        Operation.GET_ATTRIBUTES,
        GetAttributesRequest(unique_identifier=uid(number), attribute_references=keys),
        GetAttributesResponse(unique_identifier=uid(number), attributes=Attributes.of(*pairs)),
    )


def check_key(number: int, data: bytes, bits: int) -> Step:
    """Check that the object is an AES key with these bytes."""
    block = KeyBlock(
        key_format_type=KeyFormatType.RAW,
        key_value=KeyValue(key_material=data),
        cryptographic_algorithm=CryptographicAlgorithm.AES,
        cryptographic_length=bits,
    )
    return Step(
        Operation.GET,
        get.GetRequest(unique_identifier=uid(number)),
        get.GetResponse(
            object_type=ObjectType.SYMMETRIC_KEY,
            unique_identifier=uid(number),
            object=SymmetricKey(key_block=block),
        ),
    )


KEY = bytes(range(16))


def create_pair(private: CryptographicUsageMask, public: CryptographicUsageMask) -> Step:
    """Create an RSA pair as objects 0 and 1."""
    return Step(
        Operation.CREATE_KEY_PAIR,
        create.CreateKeyPairRequest(
            common_attributes=Attributes.of(
                (Tag.CRYPTOGRAPHIC_ALGORITHM, CryptographicAlgorithm.RSA),
                (Tag.CRYPTOGRAPHIC_LENGTH, 2048),
            ),
            private_key_attributes=Attributes.of((Tag.CRYPTOGRAPHIC_USAGE_MASK, private)),
            public_key_attributes=Attributes.of((Tag.CRYPTOGRAPHIC_USAGE_MASK, public)),
        ),
        create.CreateKeyPairResponse(
            private_key_unique_identifier=uid(0), public_key_unique_identifier=uid(1)
        ),
    )
