"""Key derivation from keys, secrets and data (KMIP 1.4 §4.6, KMIP 2.1 §6.1.14, §7.12).

A table from Derivation Method to a function. The pseudorandom functions are those of the library; it
lacks two of the three modes of SP 800-108, so all three are implemented here.
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
from kmipkit.keys import cipher, costs, macs
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

MAX_ITERATIONS = 10_000_000
"""The maximum of PBKDF2, for all blocks of the output together: some seconds of work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """The inputs of a derivation."""

    key: bytes | None
    """The derivation key, or a secret in its place."""
    algorithm: CryptographicAlgorithm | None = None
    """The Cryptographic Algorithm of the derivation key."""
    data: tuple[bytes, ...] = ()
    parameters: Parameters = Parameters()  # noqa: RUF009 - immutable
    iv: bytes | None = None
    salt: bytes | None = None
    iterations: int | None = None
    length: int
    """The length of the result in bytes."""
    random: Random

    @property
    def joined_data(self) -> bytes:
        """The derivation data; Invalid Field if there are none."""
        if not self.data:
            raise _invalid("Derivation Data are missing")
        return b"".join(self.data)

    @property
    def derivation_key(self) -> bytes:
        """The derivation key; Invalid Field if there is none."""
        if self.key is None:
            raise _invalid("this method needs a derivation key")
        return self.key


def _invalid(message: str) -> OperationError:
    return OperationError(ResultReason.INVALID_FIELD, message)


DEFAULT_HASHES: Mapping[DerivationMethod, HashingAlgorithm] = MappingProxyType(
    {
        DerivationMethod.PBKDF2: HashingAlgorithm.SHA_1,  # RFC 8018 §A.2
        DerivationMethod.HKDF: HashingAlgorithm.SHA_256,
        DerivationMethod.NIST800_108_C: HashingAlgorithm.SHA_256,
        DerivationMethod.NIST800_108_F: HashingAlgorithm.SHA_256,
        DerivationMethod.NIST800_108_DPI: HashingAlgorithm.SHA_256,
    }
)
"""The Hashing Algorithm of methods that do not need it in the parameters."""


def _hash_algorithm(inputs: Inputs, method: DerivationMethod | None = None) -> hashes.HashAlgorithm:
    """The requested hash, or else the default of a method that has one."""
    default = None if method is None else DEFAULT_HASHES[method]
    selected = inputs.parameters.hashing_algorithm or default
    if selected is None:
        raise OperationError(
            ResultReason.BAD_CRYPTOGRAPHIC_PARAMETERS,
            "bad Cryptographic Parameters: this method needs a Hashing Algorithm",
        )
    return hash_of(selected)


def _pbkdf2(inputs: Inputs) -> bytes:
    """RFC 8018 §5.2; the default function is HMAC-SHA-1."""
    if inputs.salt is None or inputs.iterations is None:
        raise _invalid("PBKDF2 needs Salt and Iteration Count")
    password = inputs.derivation_key if not inputs.data else inputs.joined_data
    algorithm = _hash_algorithm(inputs, DerivationMethod.PBKDF2)
    # Each block of the output has all the iterations (RFC 8018 §5.2).
    maximum = MAX_ITERATIONS // -(-inputs.length // algorithm.digest_size)
    if not 1 <= inputs.iterations <= maximum:
        raise _invalid(
            f"Iteration Count is 1 to {maximum} for {inputs.length} bytes, not {inputs.iterations}"
        )
    return PBKDF2HMAC(algorithm, inputs.length, inputs.salt, inputs.iterations).derive(password)


def _hash(inputs: Inputs) -> bytes:
    """ "The HASH derivation method REQUIRES either a derivation key or derivation data"."""
    selected = inputs.parameters.hashing_algorithm
    _hash_algorithm(inputs)
    assert selected is not None
    return digest(inputs.joined_data if inputs.data else inputs.derivation_key, selected)


def _hmac(inputs: Inputs) -> bytes:
    """HMAC with the algorithm of an HMAC key, else with the Hashing Algorithm of the parameters."""
    if (
        inputs.algorithm in macs.MACS
        and inputs.algorithm is not None
        and "HMAC" in inputs.algorithm.name
    ):
        context: macs.Context = macs.MACS[inputs.algorithm](inputs.derivation_key)
    else:
        context = hmac.HMAC(inputs.derivation_key, _hash_algorithm(inputs))
    context.update(inputs.joined_data)
    return context.finalize()


def _encrypt(inputs: Inputs) -> bytes:
    if inputs.algorithm is None:
        raise _invalid("the derivation key has no Cryptographic Algorithm")
    return cipher.encrypt(
        inputs.derivation_key,
        inputs.algorithm,
        inputs.parameters,
        inputs.joined_data,
        iv=inputs.iv,
        random=inputs.random,
    ).data


def _hkdf(inputs: Inputs) -> bytes:
    """RFC 5869; SHA-256 unless the parameters say otherwise (KMIP 2.1 §7.12)."""
    algorithm = _hash_algorithm(inputs, DerivationMethod.HKDF)
    with foreign_errors("HKDF yields at most 255 digests", ResultReason.INVALID_FIELD):
        return HKDF(algorithm, inputs.length, inputs.salt, b"".join(inputs.data)).derive(
            inputs.derivation_key
        )


def _aws(inputs: Inputs) -> bytes:
    """HMACs of date, region and service, each with the previous result as key."""
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
        _hash_algorithm(inputs, DerivationMethod.NIST800_108_C)

    def run(data: bytes) -> bytes:
        context: macs.Context
        if by_cipher:
            context = cmac.CMAC(algorithms.AES(key))
        else:
            context = hmac.HMAC(key, _hash_algorithm(inputs, DerivationMethod.NIST800_108_C))
        context.update(data)
        return context.finalize()

    return run


def _blocks(inputs: Inputs, block: Callable[[int], bytes]) -> bytes:
    """Blocks numbered from 1 until there are enough bytes."""
    output = b""
    number = 0
    while len(output) < inputs.length:
        number += 1
        output += block(number)
    return output


def _count(number: int) -> bytes:
    return number.to_bytes(4, "big")


def _counter(inputs: Inputs) -> bytes:
    """SP 800-108 §4.1, a counter of 32 bits before the fixed data."""
    function, fixed = _function(inputs), inputs.joined_data
    return _blocks(inputs, lambda number: function(_count(number) + fixed))


def _feedback(inputs: Inputs) -> bytes:
    """SP 800-108 §4.2: each block also depends on the previous one, the first on the IV."""
    function, fixed = _function(inputs), inputs.joined_data
    last = inputs.iv or b""

    def block(number: int) -> bytes:
        nonlocal last
        last = function(last + _count(number) + fixed)
        return last

    return _blocks(inputs, block)


def _double_pipeline(inputs: Inputs) -> bytes:
    """SP 800-108 §4.3: a second chain takes the place of the previous block."""
    function, fixed = _function(inputs), inputs.joined_data
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
"""The methods that derive from bytes; for Asymmetric Key see :func:`agree`."""


def cost(method: DerivationMethod, inputs: Inputs) -> float:
    """About how many milliseconds :func:`derive` takes."""
    selected = inputs.parameters.hashing_algorithm
    try:
        digest_size = hash_of(selected or HashingAlgorithm.SHA_1).digest_size
    except OperationError:
        return 0.0  # refused at once
    blocks = -(-inputs.length // digest_size)
    if method == DerivationMethod.PBKDF2:
        return blocks * (inputs.iterations or 0) / costs.PBKDF2_BLOCKS_PER_MILLISECOND
    size = sum(map(len, inputs.data)) + len(inputs.key or b"")
    return blocks * costs.symmetric(size + 200)


def derive(method: DerivationMethod, inputs: Inputs) -> bytes:
    """The derived bytes: the first ``inputs.length`` bytes that the method yields.

    Raises:
        OperationError: Invalid Field if inputs are missing or the method yields fewer bytes; Bad
            or Unsupported Cryptographic Parameters.
    """
    function = METHODS.get(method)
    if function is None:
        raise OperationError(
            ResultReason.FEATURE_NOT_SUPPORTED, f"Derivation Method {method.name} is not supported"
        )
    with foreign_errors("the derivation failed: the parameters do not fit the key"):
        output = function(inputs)
    return first_bytes(output, inputs.length)


def first_bytes(output: bytes, length: int) -> bytes:
    """The first bytes; Invalid Field if there are fewer (KMIP 1.4 §4.6)."""
    if length > len(output):
        raise _invalid(f"the method yields {len(output) * 8} bits, not the {length * 8} requested")
    return output[:length]


def agree(private: PrivateKeyTypes, public: PublicKeyTypes) -> bytes:
    """The shared secret of two key pairs (ECDH, X25519, X448).

    Raises:
        OperationError: Invalid Field for keys that are not on one curve, or not for key agreement.
    """
    with foreign_errors("the two keys are not on the same curve", ResultReason.INVALID_FIELD):
        match private, public:
            case ec.EllipticCurvePrivateKey(), ec.EllipticCurvePublicKey():
                return private.exchange(ec.ECDH(), public)
            case x25519.X25519PrivateKey(), x25519.X25519PublicKey():
                return private.exchange(public)
            case x448.X448PrivateKey(), x448.X448PublicKey():
                return private.exchange(public)
    raise _invalid("key agreement needs a private and a public key on the same curve")
