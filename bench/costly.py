"""Requests that cost the server much more than they cost their sender."""

from collections.abc import Callable
from functools import cache
from math import gcd
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from kmipkit_client import calls, symmetric_key
from kmipkit_client.calls import Call

from kmipkit.model.attribute import Attributes
from kmipkit.model.attributes import CryptographicParameters
from kmipkit.model.keyblock import KeyBlock, KeyValue
from kmipkit.model.objects import PrivateKey
from kmipkit.model.payloads.create import CreateKeyPairRequest, CreateSplitKeyRequest
from kmipkit.model.payloads.crypto import EncryptRequest, SignRequest
from kmipkit.model.payloads.rekey import (
    DerivationParameters,
    DeriveKeyRequest,
    ReKeyKeyPairRequest,
)
from kmipkit.spec.enums import (
    BlockCipherMode,
    CryptographicAlgorithm,
    DerivationMethod,
    HashingAlgorithm,
    KeyFormatType,
    ObjectType,
    Operation,
    PaddingMethod,
    SplitKeyMethod,
)
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag

Ask = Callable[[Call[Any]], Any]
"""Sends a request to a server; its result."""

SIGN = CryptographicUsageMask.SIGN
ENCRYPT = CryptographicUsageMask.ENCRYPT
AES = CryptographicAlgorithm.AES

create = calls.create(AES, 256, ENCRYPT, None, None)
"""A cheap request that writes."""


def create_pair(bits: int = 1024) -> Call[Any]:
    return calls.raw(
        Operation.CREATE_KEY_PAIR,
        CreateKeyPairRequest(
            common_attributes=Attributes.of(
                (Tag.CRYPTOGRAPHIC_ALGORITHM, CryptographicAlgorithm.RSA),
                (Tag.CRYPTOGRAPHIC_LENGTH, bits),
            ),
            private_key_attributes=Attributes.of((Tag.CRYPTOGRAPHIC_USAGE_MASK, SIGN)),
            public_key_attributes=Attributes.of(
                (Tag.CRYPTOGRAPHIC_USAGE_MASK, CryptographicUsageMask.VERIFY)
            ),
        ),
    )


split_request = CreateSplitKeyRequest(
    object_type=ObjectType.SPLIT_KEY,
    split_key_parts=255,
    split_key_threshold=255,
    split_key_method=SplitKeyMethod.POLYNOMIAL_SHARING_GF_2_16,
    attributes=Attributes.of(
        (Tag.CRYPTOGRAPHIC_ALGORITHM, CryptographicAlgorithm.HMAC_SHA256),
        (Tag.CRYPTOGRAPHIC_LENGTH, 8192),
        (Tag.CRYPTOGRAPHIC_USAGE_MASK, CryptographicUsageMask.MAC_GENERATE),
    ),
)
"""255 parts of a new key, all of which are needed."""


def derive(base: str, iterations: int, bits: int = 256) -> Call[Any]:
    return calls.raw(
        Operation.DERIVE_KEY,
        DeriveKeyRequest(
            object_type=ObjectType.SECRET_DATA,
            unique_identifiers=(base,),
            derivation_method=DerivationMethod.PBKDF2,
            derivation_parameters=DerivationParameters(
                cryptographic_parameters=CryptographicParameters(
                    hashing_algorithm=HashingAlgorithm.SHA_256
                ),
                salt=b"salt",
                iteration_count=iterations,
            ),
            attributes=Attributes.of((Tag.CRYPTOGRAPHIC_LENGTH, bits)),
        ),
    )


def base_key(ask: Ask) -> str:
    """A key to derive others from."""
    mask = CryptographicUsageMask.DERIVE_KEY
    identifier: str = ask(calls.register(symmetric_key(bytes(16)), mask, None, None))
    ask(calls.activate(identifier))
    return identifier


@cache
def rsa_bytes(bits: int) -> bytes:
    """A private key in PKCS #1."""
    key = rsa.generate_private_key(65537, bits)
    return key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())


def private_key(data: bytes, *, bits: int) -> PrivateKey:
    """A private key object."""
    algorithm = CryptographicAlgorithm.RSA
    return PrivateKey(
        key_block=KeyBlock(
            key_format_type=KeyFormatType.PKCS_1,
            key_value=KeyValue(key_material=data),
            cryptographic_algorithm=algorithm,
            cryptographic_length=bits,
        )
    )


def invalid_rsa_bytes() -> bytes:
    """A private key whose numbers fit together, but whose factors are not prime."""
    e, p, q = 65537, *(2**512 - 569 - 2 * n for n in (100, 206))
    while gcd(e, (p - 1) * (q - 1)) != 1:
        p -= 2
    d = pow(e, -1, (p - 1) * (q - 1))
    numbers = (0, p * q, e, d, p, q, d % (p - 1), d % (q - 1), pow(q, -1, p))
    return _der(0x30, b"".join(_der(0x02, _octets(number)) for number in numbers))


def _octets(number: int) -> bytes:
    return number.to_bytes(number.bit_length() // 8 + 1, "big")


def _der(tag: int, content: bytes) -> bytes:
    size = len(content)
    length = bytes([size]) if size < 128 else b"\x82" + size.to_bytes(2, "big")
    return bytes([tag]) + length + content


def register_private_key(ask: Ask, data: bytes, bits: int) -> str:
    """An Active private key that may sign."""
    value = private_key(data, bits=bits)
    identifier: str = ask(calls.register(value, SIGN, None, None))
    ask(calls.activate(identifier))
    return identifier


def sign(identifier: str, data: bytes | None = b"data", **fields: Any) -> Call[Any]:
    parameters = CryptographicParameters(hashing_algorithm=HashingAlgorithm.SHA_256)
    return calls.raw(
        Operation.SIGN,
        SignRequest(
            unique_identifier=identifier,
            cryptographic_parameters=parameters,
            data=data,
            **fields,
        ),
    )


Attack = Callable[[Ask], Call[Any]]


def _re_key(ask: Ask) -> Call[Any]:
    pair = ask(create_pair())
    return calls.raw(
        Operation.RE_KEY_KEY_PAIR,
        ReKeyKeyPairRequest(private_key_unique_identifier=pair.private_key_unique_identifier),
    )


def _encrypt(ask: Ask) -> Call[Any]:
    identifier = ask(calls.create(CryptographicAlgorithm.DES3, 168, ENCRYPT, None, None))
    ask(calls.activate(identifier))
    parameters = CryptographicParameters(
        block_cipher_mode=BlockCipherMode.CBC, padding_method=PaddingMethod.PKCS5, random_iv=True
    )
    payload = EncryptRequest(
        unique_identifier=identifier, cryptographic_parameters=parameters, data=bytes(500_000)
    )
    return calls.raw(Operation.ENCRYPT, payload)


def _get_converted(ask: Ask) -> Call[Any]:
    identifier = register_private_key(ask, rsa_bytes(1024), 1024)
    return calls.get(identifier, KeyFormatType.PKCS_8, None, None)


ATTACKS: dict[str, Attack] = {
    "Create Key Pair": lambda _: create_pair(),
    "Re-key Key Pair": _re_key,
    "Create Split Key": lambda _: calls.raw(Operation.CREATE_SPLIT_KEY, split_request),
    "Derive Key": lambda ask: derive(base_key(ask), 100_000),
    "Sign": lambda ask: sign(register_private_key(ask, rsa_bytes(1024), 1024)),
    "Encrypt with a slow cipher": _encrypt,
    "Get in another format": _get_converted,
}
"""Requests that compute for more than a few milliseconds, by name."""
