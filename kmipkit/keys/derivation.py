"""Deriving keys from keys, secrets and data (KMIP 1.4 §4.6, KMIP 2.1 §6.1.14, §7.12).

A table from Derivation Method to a function. The pseudorandom functions are the library's; of the
modes of SP 800-108 it has the counter mode only, so that the other two are built upon them here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from cryptography.hazmat.primitives import cmac, hashes, hmac
from cryptography.hazmat.primitives.asymmetric import ec, x448, x25519
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes
from cryptography.hazmat.primitives.ciphers import algorithms
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

from kmipkit.errors import OperationError
from kmipkit.keys import cipher, macs
from kmipkit.keys._border import foreign_errors
from kmipkit.keys.hashes import digest, hash_of
from kmipkit.keys.padding import Random
from kmipkit.keys.parameters import Parameters
from kmipkit.spec.enums import (
    CryptographicAlgorithm,
    DerivationMethod,
    HashingAlgorithm,
    ResultReason,
)

MOST_ITERATIONS = 10_000_000
"""Of PBKDF2; some seconds of work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What a derivation works on; empty where not given."""

    key: bytes | None
    """The derivation key, or the secret that stands in its place."""
    algorithm: CryptographicAlgorithm | None = None
    """That of the derivation key."""
    data: tuple[bytes, ...] = ()
    parameters: Parameters = Parameters()  # noqa: RUF009 - immutable
    iv: bytes | None = None
    salt: bytes | None = None
    iterations: int | None = None
    length: int
    """Bytes that are wanted."""
    random: Random

    @property
    def one_data(self) -> bytes:
        """The derivation data; Invalid Field where there are none."""
        if not self.data:
            raise _invalid("Derivation Data are missing")
        return b"".join(self.data)

    @property
    def derivation_key(self) -> bytes:
        """The derivation key; Invalid Field where there is none."""
        if self.key is None:
            raise _invalid("this method needs a derivation key")
        return self.key


def _invalid(message: str) -> OperationError:
    return OperationError(ResultReason.INVALID_FIELD, message)


def _hash_named(inputs: Inputs, default: HashingAlgorithm | None) -> hashes.HashAlgorithm:
    named = inputs.parameters.hashing_algorithm or default
    if named is None:
        raise OperationError(
            ResultReason.BAD_CRYPTOGRAPHIC_PARAMETERS,
            "bad Cryptographic Parameters: this method needs a Hashing Algorithm",
        )
    return hash_of(named)


def _pbkdf2(inputs: Inputs) -> bytes:
    """RFC 8018 §5.2; its usual function is HMAC-SHA-1."""
    if inputs.salt is None or inputs.iterations is None:
        raise _invalid("PBKDF2 needs Salt and Iteration Count")
    if not 1 <= inputs.iterations <= MOST_ITERATIONS:
        raise _invalid(f"Iteration Count is 1 to {MOST_ITERATIONS}, not {inputs.iterations}")
    password = inputs.derivation_key if not inputs.data else inputs.one_data
    algorithm = _hash_named(inputs, HashingAlgorithm.SHA_1)
    return PBKDF2HMAC(algorithm, inputs.length, inputs.salt, inputs.iterations).derive(password)


def _hash(inputs: Inputs) -> bytes:
    """ "The HASH derivation method REQUIRES either a derivation key or derivation data"."""
    named = inputs.parameters.hashing_algorithm
    _hash_named(inputs, None)
    assert named is not None
    return digest(inputs.one_data if inputs.data else inputs.derivation_key, named)


def _hmac(inputs: Inputs) -> bytes:
    """By the algorithm of an HMAC key, else by the Hashing Algorithm of the parameters."""
    if (
        inputs.algorithm in macs.MACS
        and inputs.algorithm is not None
        and "HMAC" in inputs.algorithm.name
    ):
        context: macs.Context = macs.MACS[inputs.algorithm](inputs.derivation_key)
    else:
        context = hmac.HMAC(inputs.derivation_key, _hash_named(inputs, None))
    context.update(inputs.one_data)
    return context.finalize()


def _encrypt(inputs: Inputs) -> bytes:
    if inputs.algorithm is None:
        raise _invalid("the derivation key has no Cryptographic Algorithm")
    return cipher.encrypt(
        inputs.derivation_key,
        inputs.algorithm,
        inputs.parameters,
        inputs.one_data,
        iv=inputs.iv,
        random=inputs.random,
    ).data


def _hkdf(inputs: Inputs) -> bytes:
    """RFC 5869; SHA-256 unless the parameters say otherwise (KMIP 2.1 §7.12)."""
    algorithm = _hash_named(inputs, HashingAlgorithm.SHA_256)
    with foreign_errors("HKDF gives at most 255 digests", ResultReason.INVALID_FIELD):
        return HKDF(algorithm, inputs.length, inputs.salt, b"".join(inputs.data)).derive(
            inputs.derivation_key
        )


def _aws(inputs: Inputs) -> bytes:
    """Date, region and service, each the message of an HMAC with the last result as key."""
    if len(inputs.data) != 3:
        raise _invalid("AWS Signature Version 4 needs date, region and service as Derivation Data")
    key = b"AWS4" + inputs.derivation_key
    for part in (*inputs.data, b"aws4_request"):
        context = hmac.HMAC(key, hashes.SHA256())
        context.update(part)
        key = context.finalize()
    return key


# --- NIST SP 800-108 -----------------------------------------------------------------------------


def _function(inputs: Inputs) -> Callable[[bytes], bytes]:
    """The pseudorandom function: CMAC with a block cipher, else HMAC."""
    key = inputs.derivation_key
    by_cipher = inputs.parameters.cryptographic_algorithm == CryptographicAlgorithm.AES
    if not by_cipher:
        _hash_named(inputs, HashingAlgorithm.SHA_256)

    def run(data: bytes) -> bytes:
        context: macs.Context
        if by_cipher:
            context = cmac.CMAC(algorithms.AES(key))
        else:
            context = hmac.HMAC(key, _hash_named(inputs, HashingAlgorithm.SHA_256))
        context.update(data)
        return context.finalize()

    return run


def _blocks(inputs: Inputs, block: Callable[[int], bytes]) -> bytes:
    """Blocks numbered from 1 until there are bytes enough."""
    made = b""
    number = 0
    while len(made) < inputs.length:
        number += 1
        made += block(number)
    return made


def _count(number: int) -> bytes:
    return number.to_bytes(4, "big")


def _counter(inputs: Inputs) -> bytes:
    """SP 800-108 §4.1, a counter of 32 bits before the fixed data."""
    function, fixed = _function(inputs), inputs.one_data
    return _blocks(inputs, lambda number: function(_count(number) + fixed))


def _feedback(inputs: Inputs) -> bytes:
    """SP 800-108 §4.2: each block also works on the last one, the first on the IV."""
    function, fixed = _function(inputs), inputs.one_data
    last = inputs.iv or b""

    def block(number: int) -> bytes:
        nonlocal last
        last = function(last + _count(number) + fixed)
        return last

    return _blocks(inputs, block)


def _double_pipeline(inputs: Inputs) -> bytes:
    """SP 800-108 §4.3: a chain of its own stands in place of the last block."""
    function, fixed = _function(inputs), inputs.one_data
    chain = fixed

    def block(number: int) -> bytes:
        nonlocal chain
        chain = function(chain)
        return function(chain + _count(number) + fixed)

    return _blocks(inputs, block)


METHODS: Mapping[DerivationMethod, Callable[[Inputs], bytes]] = MappingProxyType(
    {
        DerivationMethod.PBKDF2: _pbkdf2,
        DerivationMethod.HASH: _hash,
        DerivationMethod.HMAC: _hmac,
        DerivationMethod.ENCRYPT: _encrypt,
        DerivationMethod.NIST800_108_C: _counter,
        DerivationMethod.NIST800_108_F: _feedback,
        DerivationMethod.NIST800_108_DPI: _double_pipeline,
        DerivationMethod.AWS_SIGNATURE_VERSION_4: _aws,
        DerivationMethod.HKDF: _hkdf,
    }
)
"""Methods that work on bytes; Asymmetric Key is :func:`agree`."""


def derive(method: DerivationMethod, inputs: Inputs) -> bytes:
    """The derived bytes, ``inputs.length`` of them, from the left of what the method gives.

    Raises:
        OperationError: Invalid Field where inputs are missing or the method gives fewer bytes; Bad
            or Unsupported Cryptographic Parameters.
    """
    function = METHODS.get(method)
    if function is None:
        raise OperationError(
            ResultReason.FEATURE_NOT_SUPPORTED, f"Derivation Method {method.name} is not supported"
        )
    with foreign_errors("the derivation failed: the parameters do not fit the key"):
        made = function(inputs)
    return enough(made, inputs.length)


def enough(made: bytes, length: int) -> bytes:
    """The first bytes; "if the specified length exceeds the output", Invalid Field."""
    if length > len(made):
        raise _invalid(f"{length * 8} bits are wanted, but the method gives {len(made) * 8}")
    return made[:length]


def agree(private: PrivateKeyTypes, public: PublicKeyTypes) -> bytes:
    """The secret that two pairs share (ECDH, X25519, X448).

    Raises:
        OperationError: Invalid Field for keys that do not belong together or agree on nothing.
    """
    with foreign_errors("the two keys are not of one curve", ResultReason.INVALID_FIELD):
        match private, public:
            case ec.EllipticCurvePrivateKey(), ec.EllipticCurvePublicKey():
                return private.exchange(ec.ECDH(), public)
            case x25519.X25519PrivateKey(), x25519.X25519PublicKey():
                return private.exchange(public)
            case x448.X448PrivateKey(), x448.X448PublicKey():
                return private.exchange(public)
    raise _invalid("key agreement needs a private and a public key of one curve")
