"""New key pairs (KMIP 1.4 §4.2): algorithms, lengths, curves, and generation.

A row per algorithm has its Cryptographic Lengths and the function that generates a key. The library
uses its own randomness, and accepts no other.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa, x448, x25519
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from kmipkit.errors import OperationError
from kmipkit.keys._border import foreign_errors
from kmipkit.spec.enums import (
    CryptographicAlgorithm,
    KeyFormatType,
    RecommendedCurve,
    ResultReason,
)
from kmipkit.spec.versions import V2_0, Version

CURVES: Mapping[RecommendedCurve, Callable[[], PrivateKeyTypes]] = MappingProxyType(
    {
        RecommendedCurve.P_192: lambda: ec.generate_private_key(ec.SECP192R1()),
        RecommendedCurve.P_224: lambda: ec.generate_private_key(ec.SECP224R1()),
        RecommendedCurve.P_256: lambda: ec.generate_private_key(ec.SECP256R1()),
        RecommendedCurve.P_384: lambda: ec.generate_private_key(ec.SECP384R1()),
        RecommendedCurve.P_521: lambda: ec.generate_private_key(ec.SECP521R1()),
        RecommendedCurve.SECP256K1: lambda: ec.generate_private_key(ec.SECP256K1()),
        RecommendedCurve.BRAINPOOLP256R1: lambda: ec.generate_private_key(ec.BrainpoolP256R1()),
        RecommendedCurve.BRAINPOOLP384R1: lambda: ec.generate_private_key(ec.BrainpoolP384R1()),
        RecommendedCurve.BRAINPOOLP512R1: lambda: ec.generate_private_key(ec.BrainpoolP512R1()),
        RecommendedCurve.CURVE25519: x25519.X25519PrivateKey.generate,
        RecommendedCurve.CURVE448: x448.X448PrivateKey.generate,
    }
)
"""Curves on which keys can be generated."""

_BY_LENGTH = MappingProxyType(
    {
        192: RecommendedCurve.P_192,
        224: RecommendedCurve.P_224,
        256: RecommendedCurve.P_256,
        384: RecommendedCurve.P_384,
        521: RecommendedCurve.P_521,
    }
)
"""The curve of a request with only a Cryptographic Length: those of NIST."""

_MONTGOMERY = frozenset({RecommendedCurve.CURVE25519, RecommendedCurve.CURVE448})
"""Curves for key agreement only, not for signatures (RFC 7748)."""


@dataclass(frozen=True, slots=True)
class Request:
    """The requested key; ``length`` in bits."""

    length: int | None = None
    curve: RecommendedCurve | None = None


DEFAULT_LENGTH = 2048
"""Bits of a new RSA or DSA key if the request does not say how many."""


def _rsa(request: Request) -> PrivateKeyTypes:
    # More bits take minutes; fewer are not secure.
    length = DEFAULT_LENGTH if request.length is None else request.length
    length = _check_length(length, range(1024, 8193, 8), "RSA")
    return rsa.generate_private_key(public_exponent=65537, key_size=length)


def _dsa(request: Request) -> PrivateKeyTypes:
    length = DEFAULT_LENGTH if request.length is None else request.length
    return dsa.generate_private_key(_check_length(length, (1024, 2048, 3072), "DSA"))


def _signing_curve(request: Request) -> PrivateKeyTypes:
    if request.curve in _MONTGOMERY:
        raise OperationError(
            ResultReason.INVALID_FIELD,
            f"{request.curve.name} does not support signatures, only ECDH",
        )
    return _on_curve(request)


def _on_curve(request: Request) -> PrivateKeyTypes:
    curve = request.curve
    if curve is None:
        length = 256 if request.length is None else request.length
        curve = _BY_LENGTH[_check_length(length, tuple(_BY_LENGTH), "curves")]
    make = CURVES.get(curve)
    if make is None:
        raise OperationError(
            ResultReason.INVALID_FIELD, f"keys on the curve {curve.name} are not supported"
        )
    with foreign_errors(f"the installed library does not support the curve {curve.name}"):
        return make()


_ALGORITHM = CryptographicAlgorithm

GENERATORS: Mapping[CryptographicAlgorithm, Callable[[Request], PrivateKeyTypes]] = (
    MappingProxyType(
        {
            _ALGORITHM.RSA: _rsa,
            _ALGORITHM.DSA: _dsa,
            _ALGORITHM.ECDSA: _signing_curve,
            _ALGORITHM.ECDH: _on_curve,
            _ALGORITHM.EC: _on_curve,
            _ALGORITHM.ED25519: lambda _request: ed25519.Ed25519PrivateKey.generate(),
            _ALGORITHM.ED448: lambda _request: ed448.Ed448PrivateKey.generate(),
        }
    )
)
"""Cryptographic Algorithm -> function that generates a private key."""

_F = KeyFormatType
_Formats = tuple[KeyFormatType, KeyFormatType]

FORMATS: Mapping[CryptographicAlgorithm, _Formats] = MappingProxyType(
    {
        _ALGORITHM.RSA: (_F.PKCS_1, _F.PKCS_1),
        _ALGORITHM.ECDSA: (_F.ECPRIVATEKEY, _F.X_509),
    }
)
"""Formats of private and public key in 1.x, which has no rule; PKCS#8 and X.509 for all others."""

_TRANSPARENT_EC = (_F.TRANSPARENT_EC_PRIVATE_KEY, _F.TRANSPARENT_EC_PUBLIC_KEY)

FORMATS_2: Mapping[CryptographicAlgorithm, _Formats] = MappingProxyType(
    {
        _ALGORITHM.RSA: (_F.PKCS_1, _F.PKCS_1),
        _ALGORITHM.DSA: (_F.TRANSPARENT_DSA_PRIVATE_KEY, _F.TRANSPARENT_DSA_PUBLIC_KEY),
        _ALGORITHM.ECDSA: _TRANSPARENT_EC,
        _ALGORITHM.ECDH: _TRANSPARENT_EC,
        _ALGORITHM.ECMQV: _TRANSPARENT_EC,
        _ALGORITHM.EC: _TRANSPARENT_EC,
    }
)
"""The default formats since 2.0 (KMIP 2.1 §4.26, Table 81). It has none for Edwards curves."""

DEFAULT_FORMATS = (_F.PKCS_8, _F.X_509)


def default_formats(
    algorithm: CryptographicAlgorithm, curve: RecommendedCurve | None, version: Version
) -> _Formats:
    """The formats of the keys of a pair if the request names none."""
    rows = FORMATS if version < V2_0 else FORMATS_2
    if curve in _MONTGOMERY:  # their points are not those of Q String (RFC 7748)
        return DEFAULT_FORMATS
    return rows.get(algorithm, DEFAULT_FORMATS)


def generate(
    algorithm: CryptographicAlgorithm, length: int | None, curve: RecommendedCurve | None
) -> PrivateKeyTypes:
    """A new private key with its public key. May take seconds.

    Raises:
        OperationError: Invalid Field for an algorithm without key pairs, or a length or curve that
            it does not support; the message names those that it supports.
    """
    make = GENERATORS.get(algorithm)
    if make is None:
        names = ", ".join(supported.name for supported in GENERATORS)
        raise OperationError(
            ResultReason.INVALID_FIELD,
            f"{algorithm.name} has no key pairs; algorithms with key pairs are {names}",
        )
    return make(Request(length, curve))


def _check_length(length: int, lengths: range | tuple[int, ...], name: str) -> int:
    if length not in lengths:
        valid_lengths = (
            f"{lengths[0]} to {lengths[-1]} in steps of {lengths.step}"
            if isinstance(lengths, range)
            else ", ".join(map(str, lengths))
        )
        raise OperationError(
            ResultReason.INVALID_FIELD,
            f"Cryptographic Length {length} is not valid for {name}; valid are {valid_lengths} bits",
        )
    return length
