"""Digital signatures (KMIP 1.4 §4.31, §4.32): RSA, DSA, ECDSA, EdDSA and ML-DSA.

"Either the Digital Signature Algorithm can be specified or the Cryptographic Algorithm and Hashing
Algorithm combination" (KMIP 1.4 §3.6): a table maps the former to the latter. The key determines the
algorithm. All but EdDSA and ML-DSA sign a digest, which may come from the client. ECDSA and DSA take
the digest as a number, whatever its length (FIPS 186-5 §6.4.1), so a client that sends one need not
name its hash; without a hash for a message they use SHA-256, as the official case CS-AC-M-3-ECC does.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, padding, rsa, utils

from kmipkit.errors import OperationError
from kmipkit.keys._border import FAILURES, foreign_errors
from kmipkit.keys.hashes import hash_of
from kmipkit.keys.parameters import Parameters
from kmipkit.spec.enums import (
    DigitalSignatureAlgorithm,
    HashingAlgorithm,
    MaskGenerator,
    PaddingMethod,
    ResultReason,
)

_FAILURES = (*FAILURES, TypeError)
"""The library raises TypeError for a digest without Hashing Algorithm, except under PKCS #1 v1.5."""

_ALGORITHM = DigitalSignatureAlgorithm
_HASH = HashingAlgorithm
_PKCS1, _PSS = PaddingMethod.PKCS1_V1_5, PaddingMethod.PSS

ALGORITHMS: Mapping[
    DigitalSignatureAlgorithm, tuple[PaddingMethod | None, HashingAlgorithm | None]
] = MappingProxyType(
    {
        _ALGORITHM.MD5_WITH_RSA_ENCRYPTION: (_PKCS1, _HASH.MD5),
        _ALGORITHM.SHA_1_WITH_RSA_ENCRYPTION: (_PKCS1, _HASH.SHA_1),
        _ALGORITHM.SHA_224_WITH_RSA_ENCRYPTION: (_PKCS1, _HASH.SHA_224),
        _ALGORITHM.SHA_256_WITH_RSA_ENCRYPTION: (_PKCS1, _HASH.SHA_256),
        _ALGORITHM.SHA_384_WITH_RSA_ENCRYPTION: (_PKCS1, _HASH.SHA_384),
        _ALGORITHM.SHA_512_WITH_RSA_ENCRYPTION: (_PKCS1, _HASH.SHA_512),
        _ALGORITHM.SHA3_256_WITH_RSA_ENCRYPTION: (_PKCS1, _HASH.SHA3_256),
        _ALGORITHM.SHA3_384_WITH_RSA_ENCRYPTION: (_PKCS1, _HASH.SHA3_384),
        _ALGORITHM.SHA3_512_WITH_RSA_ENCRYPTION: (_PKCS1, _HASH.SHA3_512),
        _ALGORITHM.RSASSA_PSS: (_PSS, None),
        _ALGORITHM.DSA_WITH_SHA_1: (None, _HASH.SHA_1),
        _ALGORITHM.DSA_WITH_SHA224: (None, _HASH.SHA_224),
        _ALGORITHM.DSA_WITH_SHA256: (None, _HASH.SHA_256),
        _ALGORITHM.ECDSA_WITH_SHA_1: (None, _HASH.SHA_1),
        _ALGORITHM.ECDSA_WITH_SHA224: (None, _HASH.SHA_224),
        _ALGORITHM.ECDSA_WITH_SHA256: (None, _HASH.SHA_256),
        _ALGORITHM.ECDSA_WITH_SHA384: (None, _HASH.SHA_384),
        _ALGORITHM.ECDSA_WITH_SHA512: (None, _HASH.SHA_512),
    }
)
"""Digital Signature Algorithm -> padding and hash; None where other parameters decide, or none is."""


@dataclass(frozen=True, slots=True)
class Scheme:
    """How a key signs: the arguments besides the data."""

    parameters: Parameters
    """The parameters of :func:`scheme`."""
    arguments: Callable[[Any], tuple[Any, ...]]
    """From the library's hash (or stand-in) to the arguments of its sign and verify."""
    hashing_algorithm: HashingAlgorithm | None
    hashes_message: bool = False
    """Whether the algorithm needs the whole message, not a digest (EdDSA, ML-DSA)."""
    order_bits: int = 0
    """For ECDSA and DSA, the bits of the order of the group."""

    def hash_of_message(self) -> HashingAlgorithm | None:
        """The hash with which a message is signed; None if the client must name one."""
        default = _HASH.SHA_256 if self.order_bits else None
        return self.hashing_algorithm or default


def scheme(key: object, parameters: Parameters) -> Scheme:
    """The scheme of ``key``, private or public, with these parameters.

    Raises:
        OperationError: Unsupported Cryptographic Parameters for an algorithm, padding or mask that
            is not supported.
    """
    signature_algorithm = parameters.digital_signature_algorithm
    if signature_algorithm is not None and signature_algorithm not in ALGORITHMS:
        raise _unsupported(f"Digital Signature Algorithm {signature_algorithm.name}")
    padding_method, hashing = (
        ALGORITHMS[signature_algorithm] if signature_algorithm is not None else (None, None)
    )
    hashing = hashing or parameters.hashing_algorithm
    padding_method = padding_method or parameters.padding_method or _PKCS1
    if isinstance(key, rsa.RSAPrivateKey | rsa.RSAPublicKey):
        verifying = isinstance(key, rsa.RSAPublicKey)
        pad = _rsa_padding(padding_method, parameters, hashing, verifying=verifying)
        return Scheme(parameters, lambda digest: (pad, digest), hashing)
    if isinstance(key, ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey):
        return Scheme(
            parameters,
            lambda digest: (ec.ECDSA(digest),),
            hashing,
            order_bits=_order_bits(key.curve),
        )
    if isinstance(key, dsa.DSAPrivateKey | dsa.DSAPublicKey):
        order = key.parameters().parameter_numbers().q
        return Scheme(parameters, lambda digest: (digest,), hashing, order_bits=order.bit_length())
    if not hasattr(key, "sign") and not hasattr(key, "verify"):
        raise _unsupported("a signature by a key for key agreement")
    return Scheme(parameters, lambda _digest: (), None, hashes_message=True)


def _rsa_padding(
    method: PaddingMethod,
    parameters: Parameters,
    hashing: HashingAlgorithm | None,
    *,
    verifying: bool,
) -> padding.AsymmetricPadding:
    if method == _PKCS1:
        return padding.PKCS1v15()
    if method != _PSS:
        raise _unsupported(f"signing with Padding Method {method.name}")
    if parameters.mask_generator not in {None, MaskGenerator.MFG1}:
        raise _unsupported("a Mask Generator other than MGF1")
    # KMIP 1.4 §3.6 says SHA-1 if omitted. Signers in practice use the hash of the signature, as RFC
    # 8017 §8.1 recommends, and as the official case TC-STREAM-SIGNVFY-1 expects.
    mask_hash = hash_of(parameters.mask_generator_hashing_algorithm or hashing or _HASH.SHA_1)
    salt: Any = parameters.salt_length
    if salt is None:
        salt = padding.PSS.AUTO if verifying else mask_hash.digest_size
    with foreign_errors("the Salt Length is not valid"):
        return padding.PSS(mgf=padding.MGF1(mask_hash), salt_length=salt)


class Signer:
    """Takes a message, in one or several parts, and signs it or verifies its signature."""

    def __init__(self, scheme: Scheme, *, digested: bytes | None = None) -> None:
        """``digested`` is a digest that the client computed, in place of the message.

        Raises OperationError: Bad Cryptographic Parameters if there is no hash for a message;
        Invalid Field for a digest if the algorithm needs the message.
        """
        self._scheme = scheme
        self._digested = digested
        self._message = bytearray()
        self._context: hashes.Hash | None = None
        if digested is not None:
            if scheme.hashes_message:
                raise OperationError(
                    ResultReason.INVALID_FIELD, "this key signs the data, not a digest"
                )
        elif not scheme.hashes_message:
            hashing = scheme.hash_of_message()
            if hashing is None:
                raise OperationError(
                    ResultReason.BAD_CRYPTOGRAPHIC_PARAMETERS,
                    "bad Cryptographic Parameters: the Hashing Algorithm is missing",
                )
            self._context = hashes.Hash(hash_of(hashing))

    def copy(self) -> "Signer":
        """A signer that takes further parts independently of this one."""
        other = Signer(self._scheme, digested=self._digested)
        other._message = self._message.copy()
        other._context = None if self._context is None else self._context.copy()
        return other

    def update(self, data: bytes) -> None:
        """Take the next part of the message."""
        if self._context is not None:
            self._context.update(data)
        else:
            self._message += data

    def digest(self) -> tuple[Parameters, bytes]:
        """The arguments of :func:`sign_digest`, for a key that signs digests."""
        data, _ = self._digest_and_arguments()
        return self._scheme.parameters, data

    def sign(self, key: Any) -> bytes:
        """The signature. OperationError: Cryptographic Failure if the hash does not fit the key."""
        data, arguments = self._digest_and_arguments()
        with foreign_errors(
            "signing failed: the parameters do not fit the key", failures=_FAILURES
        ):
            signature: bytes = key.sign(data, *arguments)
        return signature

    def verify(self, key: Any, signature: bytes) -> bool:
        """Whether the signature is valid; one of an impossible length is not."""
        data, arguments = self._digest_and_arguments()
        with foreign_errors(
            "verification failed: the parameters do not fit the key", failures=_FAILURES
        ):
            try:
                key.verify(signature, data, *arguments)
            except (InvalidSignature, ValueError):
                return False
        return True

    def _digest_and_arguments(self) -> tuple[bytes, tuple[Any, ...]]:
        if self._scheme.hashes_message:
            return bytes(self._message), ()
        if self._context is not None:
            data, hashing = self._context.finalize(), self._scheme.hash_of_message()
        else:
            assert self._digested is not None
            data, hashing = self._digested, self._scheme.hashing_algorithm
        if hashing is not None:
            return data, self._scheme.arguments(utils.Prehashed(hash_of(hashing)))
        if self._scheme.order_bits:
            data, stand_in = _as_known_digest(data, self._scheme.order_bits)
            return data, self._scheme.arguments(utils.Prehashed(stand_in))
        return data, self._scheme.arguments(_no_digest_info())


_SIZES: tuple[hashes.HashAlgorithm, ...] = (
    hashes.MD5(),  # noqa: S303 - only its size is used
    hashes.SHA1(),  # noqa: S303
    hashes.SHA224(),
    hashes.SHA256(),
    hashes.SHA384(),
    hashes.SHA512(),
)


def _as_known_digest(digest: bytes, order_bits: int) -> tuple[bytes, hashes.HashAlgorithm]:
    """The digest, padded to the size of a hash, without a change to the number that is signed.

    The library takes a digest only with a hash of its size. The number is that of the leftmost
    ``order_bits`` bits of the digest (FIPS 186-5 §6.4.1): zeros before a short digest do not change
    it, and after a long one neither.
    """
    is_long = 8 * len(digest) >= order_bits
    if is_long:
        digest = digest[: -(-order_bits // 8)]
    for stand_in in _SIZES:
        size = stand_in.digest_size
        if size == len(digest) or (is_long and size > len(digest)):
            return digest.ljust(size, b"\0"), stand_in
        if len(digest) < size <= order_bits // 8:
            return digest.rjust(size, b"\0"), stand_in
    raise _unsupported(f"a digest of {len(digest)} bytes without Hashing Algorithm")


def _order_bits(curve: ec.EllipticCurve) -> int:
    """The bits of the order of a curve, as far as the library tells them."""
    order = getattr(curve, "group_order", None)
    return order.bit_length() if isinstance(order, int) else curve.key_size


def sign_digest(key: Any, parameters: Parameters, digest: bytes) -> bytes:
    """The signature of a digest; errors are those of :class:`Signer`."""
    return Signer(scheme(key, parameters), digested=digest).sign(key)


def _no_digest_info() -> Any:
    """PKCS #1 v1.5 without the name of a hash, for a digest without Hashing Algorithm."""
    no_digest_info = getattr(utils, "NoDigestInfo", None)
    if no_digest_info is None:
        raise _unsupported("with the installed library, a digest without Hashing Algorithm")
    return no_digest_info()


def _unsupported(subject: str) -> OperationError:
    return OperationError(
        ResultReason.UNSUPPORTED_CRYPTOGRAPHIC_PARAMETERS, f"{subject} is not supported"
    )
