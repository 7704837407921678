"""Calls for signatures, message authentication codes, digests, random bytes and derived keys.

Like :mod:`kmipkit_client.calls`: each function makes a call from its arguments.
"""

from collections.abc import Sequence
from typing import Any

from kmipkit.model.attributes import CryptographicDomainParameters, CryptographicParameters
from kmipkit.model.payloads.create import CreateKeyPairRequest
from kmipkit.model.payloads.crypto import (
    HashRequest,
    MACRequest,
    MACVerifyRequest,
    RNGRetrieveRequest,
    SignatureVerifyRequest,
    SignRequest,
)
from kmipkit.model.payloads.rekey import DerivationParameters, DeriveKeyRequest, ReKeyRequest
from kmipkit.spec.enums import (
    CryptographicAlgorithm,
    DerivationMethod,
    HashingAlgorithm,
    ObjectType,
    Operation,
    RecommendedCurve,
    ValidityIndicator,
)
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag
from kmipkit_client import values
from kmipkit_client.calls import Call, bytes_of
from kmipkit_client.values import ENCRYPT_AND_DECRYPT, SIGN_AND_VERIFY, AttributesLike, KeyPair


def _identifier(payload: Any) -> str:
    return str(payload.unique_identifier)


def _is_valid(payload: Any) -> bool:
    return bool(payload.validity_indicator == ValidityIndicator.VALID)


def create_key_pair(
    algorithm: CryptographicAlgorithm = CryptographicAlgorithm.RSA,
    length: int | None = None,
    curve: RecommendedCurve | None = None,
    usage: tuple[CryptographicUsageMask, CryptographicUsageMask] = SIGN_AND_VERIFY,
    names: tuple[str | None, str | None] = (None, None),
    attributes: AttributesLike | None = None,
) -> Call[KeyPair]:
    """Create a key pair; ``usage`` and ``names`` are those of the private and of the public key."""
    common = values.attributes(attributes).plus(
        values.attribute(Tag.CRYPTOGRAPHIC_ALGORITHM, algorithm)
    )
    if length is not None:
        common = common.plus(values.attribute(Tag.CRYPTOGRAPHIC_LENGTH, length))
    if curve is not None:
        domain = CryptographicDomainParameters(recommended_curve=curve)
        common = common.plus(values.attribute(Tag.CRYPTOGRAPHIC_DOMAIN_PARAMETERS, domain))
    private, public = (
        values.attributes(None, name=name).plus(
            values.attribute(Tag.CRYPTOGRAPHIC_USAGE_MASK, mask)
        )
        for mask, name in zip(usage, names, strict=True)
    )
    request = CreateKeyPairRequest(
        common_attributes=common, private_key_attributes=private, public_key_attributes=public
    )
    return Call(
        Operation.CREATE_KEY_PAIR,
        lambda _version: request,
        lambda payload: KeyPair(
            str(payload.private_key_unique_identifier), str(payload.public_key_unique_identifier)
        ),
    )


def re_key(
    identifier: str, offset: int | None = None, attributes: AttributesLike | None = None
) -> Call[str]:
    """Create a replacement for a key."""
    request = ReKeyRequest(
        unique_identifier=identifier,
        offset=offset,
        attributes=values.attributes(attributes) if attributes else None,
    )
    return Call(Operation.RE_KEY, lambda _version: request, _identifier)


def derive_key(
    bases: Sequence[str],
    method: DerivationMethod,
    parameters: DerivationParameters,
    length: int,
    algorithm: CryptographicAlgorithm | None = CryptographicAlgorithm.AES,
    usage: CryptographicUsageMask | None = ENCRYPT_AND_DECRYPT,
    name: str | None = None,
    attributes: AttributesLike | None = None,
) -> Call[str]:
    """Derive a symmetric key, or Secret Data if ``algorithm`` is None."""
    request_attributes = values.attributes(attributes, name=name).plus(
        values.attribute(Tag.CRYPTOGRAPHIC_LENGTH, length)
    )
    if algorithm is not None:
        request_attributes = request_attributes.plus(
            values.attribute(Tag.CRYPTOGRAPHIC_ALGORITHM, algorithm)
        )
    if usage is not None:
        request_attributes = request_attributes.plus(
            values.attribute(Tag.CRYPTOGRAPHIC_USAGE_MASK, usage)
        )
    request = DeriveKeyRequest(
        object_type=ObjectType.SECRET_DATA if algorithm is None else ObjectType.SYMMETRIC_KEY,
        unique_identifiers=tuple(bases),
        derivation_method=method,
        derivation_parameters=parameters,
        attributes=request_attributes,
    )
    return Call(Operation.DERIVE_KEY, lambda _version: request, _identifier)


def sign(
    identifier: str,
    data: bytes | None = None,
    parameters: CryptographicParameters | None = None,
    digested_data: bytes | None = None,
) -> Call[bytes]:
    """Sign data, or their digest."""
    request = SignRequest(
        unique_identifier=identifier,
        cryptographic_parameters=parameters,
        data=data,
        digested_data=digested_data,
    )
    return Call(
        Operation.SIGN,
        lambda _version: request,
        lambda payload: bytes_of(payload, "signature_data"),
    )


def signature_verify(
    identifier: str,
    data: bytes | None = None,
    *,
    signature: bytes,
    parameters: CryptographicParameters | None = None,
    digested_data: bytes | None = None,
) -> Call[bool]:
    """Verify a signature."""
    request = SignatureVerifyRequest(
        unique_identifier=identifier,
        cryptographic_parameters=parameters,
        data=data,
        digested_data=digested_data,
        signature_data=signature,
    )
    return Call(Operation.SIGNATURE_VERIFY, lambda _version: request, _is_valid)


def mac(
    identifier: str, data: bytes, parameters: CryptographicParameters | None = None
) -> Call[bytes]:
    """Compute a message authentication code."""
    request = MACRequest(
        unique_identifier=identifier, cryptographic_parameters=parameters, data=data
    )
    return Call(
        Operation.MAC, lambda _version: request, lambda payload: bytes_of(payload, "mac_data")
    )


def mac_verify(
    identifier: str, data: bytes, mac_data: bytes, parameters: CryptographicParameters | None = None
) -> Call[bool]:
    """Verify a message authentication code."""
    request = MACVerifyRequest(
        unique_identifier=identifier,
        cryptographic_parameters=parameters,
        data=data,
        mac_data=mac_data,
    )
    return Call(Operation.MAC_VERIFY, lambda _version: request, _is_valid)


def digest(data: bytes, algorithm: HashingAlgorithm = HashingAlgorithm.SHA_256) -> Call[bytes]:
    """Compute the digest of data (the operation Hash)."""
    parameters = CryptographicParameters(hashing_algorithm=algorithm)
    request = HashRequest(cryptographic_parameters=parameters, data=data)
    return Call(Operation.HASH, lambda _version: request, lambda payload: bytes_of(payload, "data"))


def rng_retrieve(count: int) -> Call[bytes]:
    """Retrieve random bytes."""
    request = RNGRetrieveRequest(data_length=count)
    return Call(
        Operation.RNG_RETRIEVE, lambda _version: request, lambda payload: bytes_of(payload, "data")
    )
