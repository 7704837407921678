"""What Key Material says about itself: its algorithm and length, read without the library.

The library refuses much that a client may store: rare curves, short RSA keys, post-quantum keys,
encrypted PKCS#8. This module reads what claims can be compared with and checks that the rest is
well-formed. It is fast: it tests no number for primality. For the usual curves, the library checks
points and scalars.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from kmipkit.errors import OperationError
from kmipkit.keys import formats, transparent
from kmipkit.keys._der import (
    BIT_STRING,
    CONTEXT_0,
    NULL,
    OBJECT_IDENTIFIER,
    OCTET_STRING,
    SEQUENCE,
    Element,
    bits,
    elements,
    integer,
    integers,
    object_identifier,
    require_nested,
    sequence,
)
from kmipkit.keys.identifiers import CURVE_LENGTHS, DSA, EC, FIXED, RSA_KEYS
from kmipkit.keys.numbers import dh_contents, dsa_contents, ec_contents, rsa_contents
from kmipkit.model.keyblock import (
    TransparentDHPrivateKey,
    TransparentDHPublicKey,
    TransparentDSAPrivateKey,
    TransparentDSAPublicKey,
    TransparentECPrivateKey,
    TransparentECPublicKey,
    TransparentRSAPrivateKey,
    TransparentRSAPublicKey,
    TransparentSymmetricKey,
)
from kmipkit.spec.enums import CryptographicAlgorithm as Algorithm
from kmipkit.spec.enums import KeyFormatType, ObjectType, ResultReason


class Contents(NamedTuple):
    """The algorithm and the length in bits of a key; ``None`` for what its bytes do not show."""

    algorithm: Algorithm | None = None
    length: int | None = None
    bytes_: int | None = None
    """For the bytes of a symmetric key: their number, since parity bits may count or not."""


_UNKNOWN = Contents()

_LIBRARY_CURVES = frozenset(
    {
        *(f"1.2.840.10045.3.1.{arc}" for arc in (1, 7)),
        *(f"1.3.132.0.{arc}" for arc in (10, 33, 34, 35)),
        *(f"1.3.36.3.3.2.8.1.1.{arc}" for arc in (7, 11, 13)),
    }
)
"""Curves of which the library verifies points and scalars."""


def read(
    material: object,
    key_format: KeyFormatType,
    object_type: ObjectType,
    algorithm: Algorithm | None = None,
) -> Contents:
    """What the Key Material of a key, which is not wrapped, says about itself.

    ``algorithm`` is what the client claims; bytes in the format Raw need it.

    Raises:
        OperationError: Invalid Field if the material is not in the format.
    """
    try:
        return _read(material, key_format, object_type, algorithm)
    except (ValueError, ZeroDivisionError, OverflowError):
        raise OperationError(
            ResultReason.INVALID_FIELD,
            f"Key Material is not a {object_type.name} in Key Format Type {key_format.name}",
        ) from None


def _read(
    material: object, key_format: KeyFormatType, object_type: ObjectType, claim: Algorithm | None
) -> Contents:
    numbers = _STRUCTURES.get(type(material))
    if numbers is not None:
        return numbers(material)
    if not isinstance(material, bytes):
        return _UNKNOWN
    if key_format == KeyFormatType.RAW:
        return _raw(material, object_type, claim)
    reader = _READERS.get((object_type, key_format))
    return _UNKNOWN if reader is None else reader(material)


_ASYMMETRIC = frozenset({ObjectType.PRIVATE_KEY, ObjectType.PUBLIC_KEY})
_RAW_SIZES = {Algorithm.ED25519: 32, Algorithm.ED448: 57}


def _raw(material: bytes, object_type: ObjectType, claim: Algorithm | None) -> Contents:
    if object_type not in _ASYMMETRIC:
        return Contents(None, None, len(material))
    size = _RAW_SIZES.get(claim) if claim is not None else None
    if size is None:
        return _UNKNOWN
    if len(material) != size:
        raise ValueError("the key does not have the size of its algorithm")
    return Contents(claim, 8 * size)


# --- bytes ---------------------------------------------------------------------------------------


def _pkcs_1_private(data: bytes) -> Contents:
    """RSAPrivateKey of RFC 8017 §A.1.2; more than two primes have version 1."""
    version, n, e, d, p, q, dp, dq, coefficient, *others = sequence(data)
    if integer(version) not in (0, 1) or bool(others) != bool(integer(version)):
        raise ValueError("the version is not that of the structure")
    n_, e_, d_, *crt = integers([n, e, d, p, q, dp, dq, coefficient])
    if others:
        return Contents(*rsa_contents(n_, e_, d_))
    return Contents(*rsa_contents(n_, e_, d_, *crt))


def _pkcs_1_public(data: bytes) -> Contents:
    n, e = integers(sequence(data))
    return Contents(*rsa_contents(n, e))


def _pkcs_8(data: bytes) -> Contents:
    """PrivateKeyInfo or EncryptedPrivateKeyInfo of RFC 5958 and RFC 5208."""
    require_nested(data)
    parts = sequence(data)
    if [part.tag for part in parts] == [SEQUENCE, OCTET_STRING]:
        object_identifier(next(elements(parts[0].content)))
        return _UNKNOWN
    version, algorithm, key, *_ = parts
    if integer(version) not in (0, 1) or algorithm.tag != SEQUENCE or key.tag != OCTET_STRING:
        raise ValueError("the key is not PKCS#8")
    identifier, parameters = _algorithm(algorithm)
    if identifier in RSA_KEYS:
        return _pkcs_1_private(key.content)
    if identifier == EC:
        return _ec_private(key.content, parameters, data, KeyFormatType.PKCS_8)
    if identifier == DSA:
        return _dsa(parameters, x=_one_integer(key.content))
    fixed = FIXED.get(identifier)
    if fixed is None:
        return _UNKNOWN
    if fixed.size is not None:
        [secret] = elements(key.content)
        _require_size(secret.content, fixed.size)
    return Contents(fixed.algorithm, fixed.length)


def _subject_public_key(data: bytes) -> Contents:
    """SubjectPublicKeyInfo of RFC 5280 §4.1."""
    require_nested(data)
    algorithm, key = sequence(data)
    if algorithm.tag != SEQUENCE or key.tag != BIT_STRING:
        raise ValueError("the key is not a SubjectPublicKeyInfo")
    identifier, parameters = _algorithm(algorithm)
    if identifier in RSA_KEYS:
        return _pkcs_1_public(bits(key))
    if identifier == EC:
        return _ec_public(parameters, data)
    if identifier == DSA:
        return _dsa(parameters, y=_one_integer(bits(key)))
    fixed = FIXED.get(identifier)
    if fixed is None:
        return _UNKNOWN
    if fixed.size is not None:
        _require_size(bits(key), fixed.size)
    return Contents(fixed.algorithm, fixed.length)


def read_subject_public_key(data: bytes) -> Contents:
    """The contents of a SubjectPublicKeyInfo; :func:`read` for that of a certificate."""
    return read(data, KeyFormatType.X_509, ObjectType.PUBLIC_KEY)


def _algorithm(element: Element) -> tuple[str, Element | None]:
    identifier, *parameters = elements(element.content)
    if len(parameters) > 1:
        raise ValueError("an AlgorithmIdentifier has at most two elements")
    return object_identifier(identifier), parameters[0] if parameters else None


def _one_integer(data: bytes) -> int:
    [element] = elements(data)
    return integer(element)


def _require_size(content: bytes, size: int) -> None:
    if len(content) != size:
        raise ValueError("the key does not have the size of its algorithm")


def _dsa(parameters: Element | None, *, x: int | None = None, y: int | None = None) -> Contents:
    """A DSA key; it may inherit its parameters from an issuer (RFC 3279 §2.3.2)."""
    if parameters is None or parameters.tag == NULL:
        return Contents(Algorithm.DSA)
    p, q, g = integers(list(elements(parameters.content)))
    return Contents(*dsa_contents(p, q, g, x=x, y=y))


def _curve(parameters: Element | None) -> str | None:
    """The identifier of a named curve; ``None`` for explicit parameters, or none."""
    if parameters is None or parameters.tag != OBJECT_IDENTIFIER:
        return None
    return object_identifier(parameters)


def _ec_private_key(data: bytes) -> Contents:
    require_nested(data)
    return _ec_private(data, None, data, KeyFormatType.ECPRIVATEKEY)


def _ec_private(
    data: bytes, parameters: Element | None, whole: bytes, key_format: KeyFormatType
) -> Contents:
    """ECPrivateKey of RFC 5915 §3, alone or in PKCS#8, which then names the curve."""
    version, secret, *more = sequence(data)
    if integer(version) != 1 or secret.tag != OCTET_STRING or not secret.content:
        raise ValueError("the key is not an ECPrivateKey")
    for element in more:
        if element.tag == CONTEXT_0 and parameters is None:
            [parameters] = elements(element.content)
    curve = _curve(parameters)
    if curve in _LIBRARY_CURVES:
        _require_loadable(formats.load_private_key, whole, key_format)
    return Contents(Algorithm.ECDSA, CURVE_LENGTHS.get(curve) if curve else None)


def _ec_public(parameters: Element | None, data: bytes) -> Contents:
    curve = _curve(parameters)
    if curve in _LIBRARY_CURVES:
        _require_loadable(formats.load_public_key, data, KeyFormatType.X_509)
    return Contents(Algorithm.ECDSA, CURVE_LENGTHS.get(curve) if curve else None)


def _require_loadable(
    load: Callable[[bytes, KeyFormatType], object], data: bytes, key_format: KeyFormatType
) -> None:
    try:
        load(data, key_format)
    except OperationError as error:
        if error.reason is not ResultReason.UNSUPPORTED_CRYPTOGRAPHIC_PARAMETERS:
            raise


def _pkcs_12(data: bytes) -> Contents:
    """PFX of RFC 7292 §4: its content is usually encrypted, so it says nothing here."""
    version, content, *_ = sequence(data)
    if integer(version) != 3 or content.tag != SEQUENCE:
        raise ValueError("the data is not PKCS#12")
    return _UNKNOWN


_PRIVATE, _PUBLIC = ObjectType.PRIVATE_KEY, ObjectType.PUBLIC_KEY
_READERS: Mapping[tuple[ObjectType, KeyFormatType], Callable[[bytes], Contents]] = MappingProxyType(
    {
        (_PRIVATE, KeyFormatType.PKCS_1): _pkcs_1_private,
        (_PRIVATE, KeyFormatType.PKCS_8): _pkcs_8,
        (_PRIVATE, KeyFormatType.ECPRIVATEKEY): _ec_private_key,
        (_PRIVATE, KeyFormatType.PKCS_12): _pkcs_12,
        (_PUBLIC, KeyFormatType.PKCS_1): _pkcs_1_public,
        (_PUBLIC, KeyFormatType.X_509): _subject_public_key,
    }
)


# --- structures ----------------------------------------------------------------------------------


def _symmetric(key: TransparentSymmetricKey) -> Contents:
    return Contents(None, None, len(key.key))


def _rsa(key: TransparentRSAPrivateKey | TransparentRSAPublicKey) -> Contents:
    key = transparent.unsigned(key)
    if isinstance(key, TransparentRSAPublicKey):
        return Contents(*rsa_contents(key.modulus, key.public_exponent))
    crt = (key.prime_exponent_p, key.prime_exponent_q)
    if key.private_exponent is None and None in (key.p, key.q) and None in crt:
        raise ValueError("the private key lacks exponent and primes (KMIP 1.4 §2.1.7.4)")
    return Contents(
        *rsa_contents(
            key.modulus,
            key.public_exponent,
            key.private_exponent,
            *(key.p, key.q, *crt, key.crt_coefficient),
        )
    )


def _transparent_dsa(key: TransparentDSAPrivateKey | TransparentDSAPublicKey) -> Contents:
    key = transparent.unsigned(key)
    x = key.x if isinstance(key, TransparentDSAPrivateKey) else None
    y = key.y if isinstance(key, TransparentDSAPublicKey) else None
    return Contents(*dsa_contents(key.p, key.q, key.g, x=x, y=y))


def _transparent_dh(key: TransparentDHPrivateKey | TransparentDHPublicKey) -> Contents:
    key = transparent.unsigned(key)
    x = key.x if isinstance(key, TransparentDHPrivateKey) else None
    y = key.y if isinstance(key, TransparentDHPublicKey) else None
    return Contents(*dh_contents(key.p, key.q, key.g, j=key.j, x=x, y=y))


def _transparent_ec(key: TransparentECPrivateKey | TransparentECPublicKey) -> Contents:
    key = transparent.unsigned(key)
    if key.recommended_curve in transparent.CURVES:
        try:
            transparent.load(key)
        except OperationError as error:
            if error.reason is not ResultReason.UNSUPPORTED_CRYPTOGRAPHIC_PARAMETERS:
                raise
    secret = key.d if isinstance(key, TransparentECPrivateKey) else None
    point = key.q_string if isinstance(key, TransparentECPublicKey) else None
    return Contents(*ec_contents(key.recommended_curve, d=secret, point=point))


_STRUCTURES: Mapping[type, Callable[..., Contents]] = MappingProxyType(
    {
        TransparentSymmetricKey: _symmetric,
        TransparentRSAPrivateKey: _rsa,
        TransparentRSAPublicKey: _rsa,
        TransparentDSAPrivateKey: _transparent_dsa,
        TransparentDSAPublicKey: _transparent_dsa,
        TransparentDHPrivateKey: _transparent_dh,
        TransparentDHPublicKey: _transparent_dh,
        TransparentECPrivateKey: _transparent_ec,
        TransparentECPublicKey: _transparent_ec,
    }
)
