"""Requests that cost the server much more than they cost their sender."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from math import gcd
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from kmipkit_client import calls, symmetric_key
from kmipkit_client.calls import Call

from kmipkit.model.attribute import Attributes
from kmipkit.model.attributes import CryptographicParameters
from kmipkit.model.keyblock import (
    EncryptionKeyInformation,
    KeyBlock,
    KeyValue,
    KeyWrappingSpecification,
)
from kmipkit.model.objects import Certificate, PrivateKey, PublicKey, SecretData
from kmipkit.model.payloads.certify import CertifyRequest, ValidateRequest
from kmipkit.model.payloads.create import CreateKeyPairRequest, CreateSplitKeyRequest
from kmipkit.model.payloads.crypto import (
    EncryptRequest,
    HashRequest,
    MACRequest,
    MACVerifyRequest,
    SignatureVerifyRequest,
    SignRequest,
)
from kmipkit.model.payloads.get import GetRequest
from kmipkit.model.payloads.rekey import (
    DerivationParameters,
    DeriveKeyRequest,
    ReKeyKeyPairRequest,
)
from kmipkit.spec.enums import (
    BlockCipherMode,
    CertificateType,
    CryptographicAlgorithm,
    DerivationMethod,
    HashingAlgorithm,
    KeyFormatType,
    KeyWrapType,
    ObjectType,
    Operation,
    PaddingMethod,
    SecretDataType,
    SplitKeyMethod,
    WrappingMethod,
)
from kmipkit.spec.masks import CryptographicUsageMask as Mask
from kmipkit.spec.tags import Tag

Ask = Callable[[Call[Any]], Any]
"""Sends a request to a server; its result."""

SIGN = Mask.SIGN
ENCRYPT = Mask.ENCRYPT
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
            public_key_attributes=Attributes.of((Tag.CRYPTOGRAPHIC_USAGE_MASK, Mask.VERIFY)),
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
        (Tag.CRYPTOGRAPHIC_USAGE_MASK, Mask.MAC_GENERATE),
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
    mask = Mask.DERIVE_KEY
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


def sign(
    identifier: str,
    data: bytes | None = b"data",
    hashing: HashingAlgorithm = HashingAlgorithm.SHA_256,
    **fields: Any,
) -> Call[Any]:
    parameters = CryptographicParameters(hashing_algorithm=hashing)
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


LARGE = bytes(500_000)


def _key(ask: Ask, algorithm: CryptographicAlgorithm, bits: int, mask: Mask) -> str:
    identifier: str = ask(calls.create(algorithm, bits, mask, None, None))
    ask(calls.activate(identifier))
    return identifier


def _mac(ask: Ask) -> Call[Any]:
    key = _key(ask, CryptographicAlgorithm.DES3, 168, Mask.MAC_GENERATE)
    return calls.raw(Operation.MAC, MACRequest(unique_identifier=key, data=LARGE))


def _mac_verify(ask: Ask) -> Call[Any]:
    key = _key(ask, CryptographicAlgorithm.HMAC_SHA3_512, 512, Mask.MAC_VERIFY)
    payload = MACVerifyRequest(unique_identifier=key, data=LARGE, mac_data=bytes(64))
    return calls.raw(Operation.MAC_VERIFY, payload)


def _hash(_: Ask) -> Call[Any]:
    parameters = CryptographicParameters(hashing_algorithm=HashingAlgorithm.SHA3_512)
    payload = HashRequest(cryptographic_parameters=parameters, data=LARGE)
    return calls.raw(Operation.HASH, payload)


def _register_key(ask: Ask, key: ec.EllipticCurvePrivateKey, mask: Mask) -> tuple[str, str]:
    """A private and a public key on the server, which may be used."""
    curve = (
        KeyFormatType.PKCS_8,
        key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
    )
    public = KeyFormatType.X_509, public_bytes(key.public_key())
    identifiers = []
    for value_class, (key_format, data) in ((PrivateKey, curve), (PublicKey, public)):
        block = KeyBlock(
            key_format_type=key_format,
            key_value=KeyValue(key_material=data),
            cryptographic_algorithm=CryptographicAlgorithm.EC,
            cryptographic_length=key.key_size,
        )
        identifier = ask(calls.register(value_class(key_block=block), mask, None, None))
        ask(calls.activate(identifier))
        identifiers.append(identifier)
    return identifiers[0], identifiers[1]


def public_bytes(key: Any) -> bytes:
    data: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return data


@cache
def _slow_curve() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.BrainpoolP512R1())


def _sign_on_a_slow_curve(ask: Ask) -> Call[Any]:
    private, _ = _register_key(ask, _slow_curve(), Mask.SIGN)
    return sign(private)


def _sign_much(ask: Ask) -> Call[Any]:
    private, _ = _register_key(ask, ec.generate_private_key(ec.SECP256R1()), Mask.SIGN)
    return sign(private, LARGE, hashing=HashingAlgorithm.SHA3_512)


def _verify(ask: Ask) -> Call[Any]:
    _, public = _register_key(ask, _slow_curve(), Mask.VERIFY)
    signature = _slow_curve().sign(b"data", ec.ECDSA(hashes.SHA256()))
    payload = SignatureVerifyRequest(
        unique_identifier=public,
        cryptographic_parameters=CryptographicParameters(
            hashing_algorithm=HashingAlgorithm.SHA_256
        ),
        data=b"data",
        signature_data=signature,
    )
    return calls.raw(Operation.SIGNATURE_VERIFY, payload)


def _agree(ask: Ask) -> Call[Any]:
    pair = _register_key(ask, _slow_curve(), Mask.DERIVE_KEY)
    payload = DeriveKeyRequest(
        object_type=ObjectType.SECRET_DATA,
        unique_identifiers=pair,
        derivation_method=DerivationMethod.ASYMMETRIC_KEY,
        derivation_parameters=DerivationParameters(),
        attributes=Attributes.of((Tag.CRYPTOGRAPHIC_LENGTH, 256)),
    )
    return calls.raw(Operation.DERIVE_KEY, payload)


def _encrypt_with_a_long_exponent(ask: Ask) -> Call[Any]:
    """Whoever makes a public key chooses its exponent, which may be as long as the modulus."""
    numbers = rsa.generate_private_key(65537, 3072).private_numbers()
    key = rsa.RSAPublicNumbers(numbers.d, numbers.public_numbers.n).public_key()
    value = PublicKey(
        key_block=KeyBlock(
            key_format_type=KeyFormatType.X_509,
            key_value=KeyValue(key_material=public_bytes(key)),
            cryptographic_algorithm=CryptographicAlgorithm.RSA,
            cryptographic_length=3072,
        )
    )
    identifier = ask(calls.register(value, ENCRYPT, None, None))
    ask(calls.activate(identifier))
    parameters = CryptographicParameters(padding_method=PaddingMethod.PKCS1_V1_5)
    payload = EncryptRequest(
        unique_identifier=identifier, cryptographic_parameters=parameters, data=b"data"
    )
    return calls.raw(Operation.ENCRYPT, payload)


def secret(data: bytes) -> SecretData:
    """Secret Data, which may have any length."""
    return SecretData(
        secret_data_type=SecretDataType.SEED,
        key_block=KeyBlock(
            key_format_type=KeyFormatType.OPAQUE, key_value=KeyValue(key_material=data)
        ),
    )


def _wrapped(ask: Ask, mode: BlockCipherMode) -> tuple[str, KeyWrappingSpecification]:
    wrapping = _key(ask, AES, 256, Mask.WRAP_KEY | Mask.UNWRAP_KEY)
    return ask(calls.register(secret(LARGE), ENCRYPT, None, None)), KeyWrappingSpecification(
        wrapping_method=WrappingMethod.ENCRYPT,
        encryption_key_information=EncryptionKeyInformation(
            unique_identifier=wrapping,
            cryptographic_parameters=CryptographicParameters(block_cipher_mode=mode),
        ),
    )


def _get_wrapped(ask: Ask) -> Call[Any]:
    identifier, specification = _wrapped(ask, BlockCipherMode.NISTKEYWRAP)
    payload = GetRequest(unique_identifier=identifier, key_wrapping_specification=specification)
    return calls.raw(Operation.GET, payload)


def _get_unwrapped(ask: Ask) -> Call[Any]:
    wrapped = ask(_get_wrapped(ask)).object
    registered = ask(calls.register(wrapped, ENCRYPT, None, None))
    payload = GetRequest(unique_identifier=registered, key_wrap_type=KeyWrapType.NOT_WRAPPED)
    return calls.raw(Operation.GET, payload)


def _certify(ask: Ask) -> Call[Any]:
    key = ec.generate_private_key(ec.SECP256R1())
    _, public = _register_key(ask, key, Mask.VERIFY)
    call = calls.raw(Operation.CERTIFY, CertifyRequest(unique_identifier=public))
    ask(call)  # now there is an authority
    return call


def _validate(_: Ask) -> Call[Any]:
    """Certificates of one name, whose signatures are all tried."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x")])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .not_valid_before(now - timedelta(1))
        .not_valid_after(now + timedelta(1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    )
    certificates = []
    for number in range(4):
        key = ec.generate_private_key(ec.BrainpoolP512R1())
        signed = builder.public_key(key.public_key()).serial_number(number + 1)
        certificate = signed.sign(key, hashes.SHA256())
        certificates.append(
            Certificate(
                certificate_type=CertificateType.X_509,
                certificate_value=certificate.public_bytes(Encoding.DER),
            )
        )
    return calls.raw(Operation.VALIDATE, ValidateRequest(certificates=tuple(certificates)))


ATTACKS: dict[str, Attack] = {
    "Create Key Pair": lambda _: create_pair(),
    "Re-key Key Pair": _re_key,
    "Create Split Key": lambda _: calls.raw(Operation.CREATE_SPLIT_KEY, split_request),
    "Derive Key": lambda ask: derive(base_key(ask), 100_000),
    "Sign": lambda ask: sign(register_private_key(ask, rsa_bytes(1024), 1024)),
    "Encrypt with a slow cipher": _encrypt,
    "Get in another format": _get_converted,
    "MAC with a slow cipher": _mac,
    "MAC Verify with a slow hash": _mac_verify,
    "Hash with a slow hash": _hash,
    "Sign on a slow curve": _sign_on_a_slow_curve,
    "Sign much data with a slow hash": _sign_much,
    "Signature Verify on a slow curve": _verify,
    "Derive Key on a slow curve": _agree,
    "Encrypt with a long RSA exponent": _encrypt_with_a_long_exponent,
    "Get of a large object, wrapped": _get_wrapped,
    "Get of a large object, unwrapped": _get_unwrapped,
    "Certify": _certify,
    "Validate on a slow curve": _validate,
}
"""Requests that compute for more than a few milliseconds, by name."""
