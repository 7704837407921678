"""Transparent keys: conversion between structures of numbers and keys of the library.

KMIP 1.4 §2.1.7, KMIP 2.1 §3. One row per structure class says how to read it, one per Key Format Type
how to write it.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from kmipkit.errors import OperationError
from kmipkit.keys import _library
from kmipkit.keys._border import foreign_errors
from kmipkit.model.keyblock import (
    TransparentDHPrivateKey,
    TransparentDHPublicKey,
    TransparentDSAPrivateKey,
    TransparentDSAPublicKey,
    TransparentECPrivateKey,
    TransparentECPublicKey,
    TransparentRSAPrivateKey,
    TransparentRSAPublicKey,
)
from kmipkit.model.structure import Structure, field_names
from kmipkit.spec.enums import KeyFormatType, RecommendedCurve, ResultReason

_Structure = TypeVar("_Structure")

CURVES: Mapping[RecommendedCurve, type[ec.EllipticCurve]] = MappingProxyType(
    {
        RecommendedCurve.P_192: ec.SECP192R1,
        RecommendedCurve.P_224: ec.SECP224R1,
        RecommendedCurve.P_256: ec.SECP256R1,
        RecommendedCurve.P_384: ec.SECP384R1,
        RecommendedCurve.P_521: ec.SECP521R1,
        RecommendedCurve.SECP256K1: ec.SECP256K1,
        RecommendedCurve.BRAINPOOLP256R1: ec.BrainpoolP256R1,
        RecommendedCurve.BRAINPOOLP384R1: ec.BrainpoolP384R1,
        RecommendedCurve.BRAINPOOLP512R1: ec.BrainpoolP512R1,
    }
)
"""Values of Recommended Curve that the library supports."""

_CURVE_NAMES: Mapping[str, RecommendedCurve] = {
    str(curve().name): number for number, curve in CURVES.items()
}


# --- reading -------------------------------------------------------------------------------------


def _rsa_private(key: TransparentRSAPrivateKey, *, is_validated: bool = False) -> Any:
    """From primes and exponents; missing ones are computed from the others (§2.1.7.4)."""
    n, e, d, p, q = key.modulus, key.public_exponent, key.private_exponent, key.p, key.q
    if e is None:
        raise _incomplete("the public exponent")
    if p is None or q is None:
        if d is None:
            raise _incomplete("the private exponent or the primes")
        p, q = rsa.rsa_recover_prime_factors(n, e, d)
    if d is None:
        d = pow(e, -1, (p - 1) * (q - 1))
    numbers = rsa.RSAPrivateNumbers(
        p=p,
        q=q,
        d=d,
        dmp1=key.prime_exponent_p or rsa.rsa_crt_dmp1(d, p),
        dmq1=key.prime_exponent_q or rsa.rsa_crt_dmq1(d, q),
        iqmp=key.crt_coefficient or rsa.rsa_crt_iqmp(p, q),
        public_numbers=rsa.RSAPublicNumbers(e, n),
    )
    return numbers.private_key(unsafe_skip_rsa_key_validation=is_validated)


def _rsa_public(key: TransparentRSAPublicKey) -> Any:
    return rsa.RSAPublicNumbers(key.public_exponent, key.modulus).public_key()


def _dsa_private(key: TransparentDSAPrivateKey) -> Any:
    parameters = dsa.DSAParameterNumbers(key.p, key.q, key.g)
    public = dsa.DSAPublicNumbers(pow(key.g, key.x, key.p), parameters)
    return dsa.DSAPrivateNumbers(key.x, public).private_key()


def _dsa_public(key: TransparentDSAPublicKey) -> Any:
    return dsa.DSAPublicNumbers(key.y, dsa.DSAParameterNumbers(key.p, key.q, key.g)).public_key()


def _dh_private(key: TransparentDHPrivateKey) -> Any:
    public = _library.DHPublicNumbers(
        pow(key.g, key.x, key.p), _library.DHParameterNumbers(key.p, key.g, key.q)
    )
    return _library.DHPrivateNumbers(key.x, public).private_key()


def _dh_public(key: TransparentDHPublicKey) -> Any:
    return _library.DHPublicNumbers(
        key.y, _library.DHParameterNumbers(key.p, key.g, key.q)
    ).public_key()


def _curve(number: RecommendedCurve) -> ec.EllipticCurve:
    curve = CURVES.get(number)
    if curve is None:
        raise OperationError(
            ResultReason.UNSUPPORTED_CRYPTOGRAPHIC_PARAMETERS,
            f"keys on the curve {number.name} are not supported",
        )
    return curve()


def _ec_private(key: TransparentECPrivateKey) -> Any:
    return ec.derive_private_key(key.d, _curve(key.recommended_curve))


def _ec_public(key: TransparentECPublicKey) -> Any:
    curve = _curve(key.recommended_curve)
    return ec.EllipticCurvePublicKey.from_encoded_point(curve, key.q_string)


_READERS: Mapping[type, Callable[[Any], Any]] = MappingProxyType(
    {
        TransparentRSAPrivateKey: _rsa_private,
        TransparentRSAPublicKey: _rsa_public,
        TransparentDSAPrivateKey: _dsa_private,
        TransparentDSAPublicKey: _dsa_public,
        TransparentDHPrivateKey: _dh_private,
        TransparentDHPublicKey: _dh_public,
        TransparentECPrivateKey: _ec_private,
        TransparentECPublicKey: _ec_public,
    }
)


def is_transparent(material: object) -> bool:
    """Whether Key Material is a structure of an asymmetric key."""
    return type(material) in _READERS


def unsigned(material: _Structure) -> _Structure:
    """The structure with its numbers read as unsigned.

    No number of a key is negative. Some clients omit the leading zero byte of a number whose first
    bit is set, so that it looks negative in two's complement (KMIP 1.4 §9.1.1.4).
    """
    if not isinstance(material, Structure):
        return material
    numbers: dict[str, Any] = {
        name: _unsigned(value)
        for name in field_names(type(material))
        if isinstance(value := getattr(material, name), int) and value < 0
    }
    return material.replace(**numbers) if numbers else material


def _unsigned(number: int) -> int:
    """A negative number as unsigned, in the multiple of eight bytes that its encoding has."""
    octets = 8 * ((~number).bit_length() // 64 + 1)
    return int.from_bytes(number.to_bytes(octets, "big", signed=True), "big")


def load(material: object, *, is_validated: bool = False) -> Any:
    """The key as an object of the library.

    ``is_validated`` is that of :func:`kmipkit.keys.formats.load_private_key`.

    Raises:
        OperationError: Invalid Field for numbers that are not a valid key; Unsupported Cryptographic
            Parameters for a curve that the library does not support.
    """
    material = unsigned(material)
    with foreign_errors("the numbers are not a valid key", ResultReason.INVALID_FIELD):
        if isinstance(material, TransparentRSAPrivateKey):
            return _rsa_private(material, is_validated=is_validated)
        return _READERS[type(material)](material)


def _incomplete(field: str) -> OperationError:
    return OperationError(ResultReason.INVALID_FIELD, f"the key is incomplete: {field} is missing")


# --- writing -------------------------------------------------------------------------------------


def _write_rsa_private(key: rsa.RSAPrivateKey) -> TransparentRSAPrivateKey:
    numbers = key.private_numbers()
    return TransparentRSAPrivateKey(
        modulus=numbers.public_numbers.n,
        private_exponent=numbers.d,
        public_exponent=numbers.public_numbers.e,
        p=numbers.p,
        q=numbers.q,
        prime_exponent_p=numbers.dmp1,
        prime_exponent_q=numbers.dmq1,
        crt_coefficient=numbers.iqmp,
    )


def _write_rsa_public(key: rsa.RSAPublicKey) -> TransparentRSAPublicKey:
    numbers = key.public_numbers()
    return TransparentRSAPublicKey(modulus=numbers.n, public_exponent=numbers.e)


def _write_dsa_private(key: dsa.DSAPrivateKey) -> TransparentDSAPrivateKey:
    numbers = key.private_numbers()
    group = numbers.public_numbers.parameter_numbers
    return TransparentDSAPrivateKey(p=group.p, q=group.q, g=group.g, x=numbers.x)


def _write_dsa_public(key: dsa.DSAPublicKey) -> TransparentDSAPublicKey:
    numbers = key.public_numbers()
    group = numbers.parameter_numbers
    return TransparentDSAPublicKey(p=group.p, q=group.q, g=group.g, y=numbers.y)


def _write_dh_private(key: Any) -> TransparentDHPrivateKey:
    numbers = key.private_numbers()
    group = numbers.public_numbers.parameter_numbers
    return TransparentDHPrivateKey(p=group.p, q=group.q, g=group.g, x=numbers.x)


def _write_dh_public(key: Any) -> TransparentDHPublicKey:
    numbers = key.public_numbers()
    group = numbers.parameter_numbers
    return TransparentDHPublicKey(p=group.p, q=group.q, g=group.g, y=numbers.y)


def _write_ec_private(key: ec.EllipticCurvePrivateKey) -> TransparentECPrivateKey:
    return TransparentECPrivateKey(
        recommended_curve=_CURVE_NAMES[key.curve.name], d=key.private_numbers().private_value
    )


def _write_ec_public(key: ec.EllipticCurvePublicKey) -> TransparentECPublicKey:
    point = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return TransparentECPublicKey(recommended_curve=_CURVE_NAMES[key.curve.name], q_string=point)


_Writer = tuple[Any, Callable[[Any], Any]]
_EC_PRIVATE: _Writer = (ec.EllipticCurvePrivateKey, _write_ec_private)
_EC_PUBLIC: _Writer = (ec.EllipticCurvePublicKey, _write_ec_public)

_WRITERS: Mapping[KeyFormatType, _Writer] = MappingProxyType(
    {
        KeyFormatType.TRANSPARENT_RSA_PRIVATE_KEY: (rsa.RSAPrivateKey, _write_rsa_private),
        KeyFormatType.TRANSPARENT_RSA_PUBLIC_KEY: (rsa.RSAPublicKey, _write_rsa_public),
        KeyFormatType.TRANSPARENT_DSA_PRIVATE_KEY: (dsa.DSAPrivateKey, _write_dsa_private),
        KeyFormatType.TRANSPARENT_DSA_PUBLIC_KEY: (dsa.DSAPublicKey, _write_dsa_public),
        KeyFormatType.TRANSPARENT_DH_PRIVATE_KEY: (_library.DHPrivateKey, _write_dh_private),
        KeyFormatType.TRANSPARENT_DH_PUBLIC_KEY: (_library.DHPublicKey, _write_dh_public),
        KeyFormatType.TRANSPARENT_EC_PRIVATE_KEY: _EC_PRIVATE,
        KeyFormatType.TRANSPARENT_EC_PUBLIC_KEY: _EC_PUBLIC,
        KeyFormatType.TRANSPARENT_ECDSA_PRIVATE_KEY: _EC_PRIVATE,
        KeyFormatType.TRANSPARENT_ECDSA_PUBLIC_KEY: _EC_PUBLIC,
        KeyFormatType.TRANSPARENT_ECDH_PRIVATE_KEY: _EC_PRIVATE,
        KeyFormatType.TRANSPARENT_ECDH_PUBLIC_KEY: _EC_PUBLIC,
        KeyFormatType.TRANSPARENT_ECMQV_PRIVATE_KEY: _EC_PRIVATE,
        KeyFormatType.TRANSPARENT_ECMQV_PUBLIC_KEY: _EC_PUBLIC,
    }
)

FORMATS = frozenset(_WRITERS)
"""The formats that :func:`dump` writes."""


def dump(key: object, key_format: KeyFormatType) -> Any:
    """The structure of a key in one of :data:`FORMATS`.

    Raises:
        OperationError: Key Format Type Not Supported if the format does not support the key.
    """
    cls, write = _WRITERS[key_format]
    curve = getattr(getattr(key, "curve", None), "name", None)
    if not isinstance(key, cls) or (curve is not None and curve not in _CURVE_NAMES):
        raise OperationError(
            ResultReason.KEY_FORMAT_TYPE_NOT_SUPPORTED,
            f"{key_format.name} does not support this key",
        )
    return write(key)
