"""What a client claims about an object that it supplies, compared with the object itself.

KMIP 1.4 §2.1.3 and §2.2, KMIP 2.1 §2 and §3.1: which formats an object type has, that algorithm and
length are those of the material, that the parts of a split key are numbered within their total. What
this library cannot read is accepted with the client's claims, provided that it is well-formed and the
claims are complete. The content of wrapped keys, and of keys without a value, is not visible.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeVar

from kmipkit.errors import OperationError
from kmipkit.keys import contents
from kmipkit.keys._der import SEQUENCE, shape
from kmipkit.keys.contents import Contents
from kmipkit.keys.generate import LENGTHS
from kmipkit.model.keyblock import (
    KeyBlock,
    KeyValue,
    TransparentECPublicKey,
    TransparentSymmetricKey,
)
from kmipkit.model.objects import (
    OBJECT_TYPE_OF,
    CertificateRequest,
    ManagedObject,
    PublicKey,
    SplitKey,
)
from kmipkit.spec.enums import (
    CertificateRequestType,
    CryptographicAlgorithm,
    EncodingOption,
    KeyCompressionType,
    KeyFormatType,
    ObjectType,
    ResultReason,
    SplitKeyMethod,
    WrappingMethod,
)
from kmipkit.spec.titles import title

_Claim = TypeVar("_Claim")

_F = KeyFormatType
_BYTES = frozenset({_F.RAW, _F.OPAQUE})
_SYMMETRIC = _BYTES | {_F.TRANSPARENT_SYMMETRIC_KEY}
_PRIVATE_STRUCTURES = frozenset(f for f in _F if f.name.endswith("_PRIVATE_KEY"))
_PUBLIC_STRUCTURES = frozenset(f for f in _F if f.name.endswith("_PUBLIC_KEY"))
_STRUCTURES = _PRIVATE_STRUCTURES | _PUBLIC_STRUCTURES | {_F.TRANSPARENT_SYMMETRIC_KEY}
_PRIVATE = _BYTES | _PRIVATE_STRUCTURES | {_F.PKCS_1, _F.PKCS_8, _F.ECPRIVATEKEY, _F.PKCS_12}

FORMATS: Mapping[ObjectType, frozenset[KeyFormatType]] = MappingProxyType(
    {
        ObjectType.SYMMETRIC_KEY: _SYMMETRIC,
        ObjectType.SECRET_DATA: _SYMMETRIC,
        ObjectType.PGP_KEY: _BYTES,
        ObjectType.PUBLIC_KEY: _BYTES | _PUBLIC_STRUCTURES | {_F.PKCS_1, _F.X_509},
        ObjectType.PRIVATE_KEY: _PRIVATE,
        # The parts of a private key may be in its format (KMIP 1.4 §2.2.5).
        ObjectType.SPLIT_KEY: _SYMMETRIC | (_PRIVATE - _PRIVATE_STRUCTURES),
    }
)
"""The Key Format Types of each object type (KMIP 1.4 §2.1.3); extensions come in addition."""

_WITH_ALGORITHM = frozenset(
    {ObjectType.SYMMETRIC_KEY, ObjectType.PUBLIC_KEY, ObjectType.PRIVATE_KEY}
)
"""Keys whose algorithm and length must be known (KMIP 1.4 §2.1.3: not Secret Data).

The parts of a split key need none in the official cases (TC-SJ-3): the whole key may be no key.
"""

_ENCRYPTING = frozenset(
    {
        WrappingMethod.ENCRYPT,
        WrappingMethod.ENCRYPT_THEN_MAC_SIGN,
        WrappingMethod.MAC_SIGN_THEN_ENCRYPT,
        WrappingMethod.TR_31,
    }
)

_A = CryptographicAlgorithm
_ON_CURVES = frozenset({_A.ECDSA, _A.ECDH, _A.ECMQV, _A.EC, _A.SM2})
_EDWARDS = frozenset({_A.ED25519, _A.ED448})
_PARITY = frozenset({_A.DES, _A.DES3})
_LENGTHS_WITHOUT_LEADING_BITS = MappingProxyType({256: {255}, 456: {448}})
"""Lengths of Ed25519, X25519 and Ed448 by their fields, for which KMIP defines none."""


def check_claims(
    value: ManagedObject,
    algorithm: CryptographicAlgorithm | None = None,
    length: int | None = None,
) -> None:
    """Refuse an object of a client whose claims are wrong or incomplete.

    ``algorithm`` and ``length`` are the attributes that the client gives with the object.

    Raises:
        OperationError: Invalid Field, or Encoding Option Error for a wrapped Key Value with
            attributes and No Encoding.
    """
    if isinstance(value, CertificateRequest):
        _check_request(value)
    if isinstance(value, SplitKey):
        _check_parts(value)
    block = getattr(value, "key_block", None)
    if isinstance(block, KeyBlock):
        _check_block(block, OBJECT_TYPE_OF[type(value)], algorithm, length)
    if isinstance(value, PublicKey):
        _check_compression(value.key_block)


def _check_request(value: CertificateRequest) -> None:
    """A PKCS#10 request is a SEQUENCE (RFC 2986 §4.2), PEM is text; others are not read."""
    data = value.certificate_request_value
    is_valid = bool(data)
    if value.certificate_request_type == CertificateRequestType.PKCS_10:
        is_valid = shape(data)[:2] == (SEQUENCE, SEQUENCE)
    elif value.certificate_request_type == CertificateRequestType.PEM:
        is_valid = b"-----BEGIN" in data
    if not is_valid:
        raise _invalid(f"Certificate Request Value is not {value.certificate_request_type.name}")


def _check_parts(value: SplitKey) -> None:
    """The numbers of KMIP 1.4 §2.2.5."""
    total, threshold = value.split_key_parts, value.split_key_threshold
    if not 1 <= value.key_part_identifier <= total:
        raise _invalid(
            f"Key Part Identifier is {value.key_part_identifier}; it must be from 1 to the"
            f" Split Key Parts, {total}"
        )
    if not 1 <= threshold <= total:
        raise _invalid(
            f"Split Key Threshold is {threshold}; it must be from 1 to the Split Key Parts, {total}"
        )
    if value.split_key_method == SplitKeyMethod.XOR and threshold != total:
        raise _invalid("with XOR, the Split Key Threshold is the number of Split Key Parts")
    size = value.prime_field_size
    if value.split_key_method == SplitKeyMethod.POLYNOMIAL_SHARING_PRIME_FIELD and size is None:
        raise _invalid("Polynomial Sharing Prime Field needs a Prime Field Size")
    if size is not None and (size <= 1 or (size > 2 and size % 2 == 0)):
        raise _invalid("Prime Field Size is not a prime")


def _check_block(
    block: KeyBlock,
    object_type: ObjectType,
    algorithm: CryptographicAlgorithm | None,
    length: int | None,
) -> None:
    algorithm = _agreed("Cryptographic Algorithm", algorithm, block.cryptographic_algorithm)
    length = _agreed("Cryptographic Length", length, block.cryptographic_length)
    if length is not None and length < int(object_type in _WITH_ALGORITHM):
        raise _invalid(f"a Cryptographic Length of {length} is not valid")
    _check_format(block, object_type)
    _check_wrapping(block)
    found = Contents()
    if isinstance(block.key_value, KeyValue) and not _is_encrypted(block):
        _check_material_type(block, object_type)
        found = contents.read(
            block.key_value.key_material, block.key_format_type, object_type, algorithm
        )
        _compare(found, object_type, algorithm, length)
    _require_complete(found, object_type, algorithm, length)


def _agreed(name: str, attribute: _Claim | None, in_block: _Claim | None) -> _Claim | None:
    if attribute is not None and in_block is not None and attribute != in_block:
        raise _invalid(f"the attribute {name} is {attribute!s}, but the key block has {in_block!s}")
    return in_block if attribute is None else attribute


def _check_format(block: KeyBlock, object_type: ObjectType) -> None:
    key_format = block.key_format_type
    if key_format.is_named and key_format not in FORMATS[object_type]:
        raise _invalid(
            f"{key_format.name} is not a Key Format Type of an object of type {title(object_type)}"
        )


def _is_encrypted(block: KeyBlock) -> bool:
    data = block.key_wrapping_data
    return data is not None and data.wrapping_method in _ENCRYPTING


def _check_wrapping(block: KeyBlock) -> None:
    """Key Wrapping Data is complete, and present for a wrapped key (KMIP 1.4 §2.1.3, §2.1.5)."""
    data = block.key_wrapping_data
    if data is None:
        # A PKCS#12 container is encrypted without Key Wrapping Data.
        if isinstance(block.key_value, bytes) and block.key_format_type != _F.PKCS_12:
            raise _invalid("Key Value is a byte string, so the key block needs Key Wrapping Data")
        return
    if data.encryption_key_information is None and data.mac_signature_key_information is None:
        raise _invalid(
            "Key Wrapping Data needs Encryption Key Information or MAC/Signature Key Information"
        )
    value = block.key_value
    if (
        data.encoding_option == EncodingOption.NO_ENCODING
        and isinstance(value, KeyValue)
        and value.attributes
    ):
        raise OperationError(
            ResultReason.ENCODING_OPTION_ERROR,
            "with the Encoding Option No Encoding, the Key Value has no attributes",
        )


def _check_material_type(block: KeyBlock, object_type: ObjectType) -> None:
    """A structure for transparent formats, bytes for the others (KMIP 1.4 §2.1.4); not empty."""
    assert isinstance(block.key_value, KeyValue)
    material, key_format = block.key_value.key_material, block.key_format_type
    if key_format.is_named and isinstance(material, bytes) == (key_format in _STRUCTURES):
        form = "structure" if key_format in _STRUCTURES else "byte string"
        raise _invalid(f"in the Key Format Type {key_format.name}, Key Material is a {form}")
    data = material.key if isinstance(material, TransparentSymmetricKey) else material
    if data == b"" and object_type is not ObjectType.SECRET_DATA:
        raise _invalid("Key Material is empty")


def _compare(
    found: Contents,
    object_type: ObjectType,
    algorithm: CryptographicAlgorithm | None,
    length: int | None,
) -> None:
    if found.bytes_ is not None:
        _compare_size(found.bytes_, object_type, algorithm, length)
        return
    if found.algorithm is not None and algorithm is not None:
        require_algorithm(found.algorithm, algorithm)
    if found.length is not None and length is not None:
        require_length(found.length, length)


def require_algorithm(actual: CryptographicAlgorithm, claim: CryptographicAlgorithm) -> None:
    """Refuse a claim of another algorithm. Curves are of all algorithms that use curves."""
    if not claim.is_named or claim == actual:
        return
    if claim in _ON_CURVES and actual in _ON_CURVES | _EDWARDS:
        return
    raise _invalid(f"Cryptographic Algorithm is {claim.name}, but the key is {actual.name}")


def require_length(actual: int, claim: int) -> None:
    """Refuse a claim of another length; it may be rounded up to whole bytes."""
    if claim in {actual, (actual + 7) // 8 * 8, *_LENGTHS_WITHOUT_LEADING_BITS.get(actual, ())}:
        return
    raise _invalid(f"Cryptographic Length is {claim}, but the key has {actual} bits")


def _compare_size(
    size: int,
    object_type: ObjectType,
    algorithm: CryptographicAlgorithm | None,
    length: int | None,
) -> None:
    """The bytes of a symmetric key have the claimed length, which its algorithm permits."""
    if object_type not in (ObjectType.SYMMETRIC_KEY, ObjectType.SECRET_DATA):
        return  # a part may be longer than the key (KMIP 1.4 §2.2.5), PGP keys are text (§2.2.9)
    lengths = {8 * size}
    if algorithm in _PARITY:
        lengths.add(7 * size)
    if length is not None and length not in lengths and not 0 <= 8 * size - length < 8:
        raise _invalid(f"Cryptographic Length is {length}, but the key has {8 * size} bits")
    permitted = LENGTHS.get(algorithm) if algorithm is not None else None
    if object_type is not ObjectType.SYMMETRIC_KEY or not isinstance(permitted, tuple):
        return
    if lengths.isdisjoint(permitted):
        assert algorithm is not None
        raise _invalid(f"a key of {size} bytes is not a key of {algorithm.name}")


def _require_complete(
    found: Contents,
    object_type: ObjectType,
    algorithm: CryptographicAlgorithm | None,
    length: int | None,
) -> None:
    """Algorithm and length come from the client if the material does not show them (Table 7)."""
    if object_type not in _WITH_ALGORITHM:
        return
    for name, claim, actual in (
        ("Cryptographic Algorithm", algorithm, found.algorithm),
        ("Cryptographic Length", length, found.length),
    ):
        if claim is None and actual is None:
            raise _invalid(f"the key block does not show the {name}, so the request must have it")


_POINT_FORMS: Mapping[KeyCompressionType, bytes] = MappingProxyType(
    {
        KeyCompressionType.EC_PUBLIC_KEY_TYPE_UNCOMPRESSED: b"\x04",
        KeyCompressionType.EC_PUBLIC_KEY_TYPE_X9_62_COMPRESSED_PRIME: b"\x02\x03",
        KeyCompressionType.EC_PUBLIC_KEY_TYPE_X9_62_COMPRESSED_CHAR2: b"\x02\x03",
        KeyCompressionType.EC_PUBLIC_KEY_TYPE_X9_62_HYBRID: b"\x06\x07",
    }
)


def _check_compression(block: KeyBlock) -> None:
    """The Key Compression Type is that of the point, where the key block shows it."""
    value = block.key_value
    material = value.key_material if isinstance(value, KeyValue) else None
    forms = _POINT_FORMS.get(block.key_compression_type) if block.key_compression_type else None
    if forms is None or not isinstance(material, TransparentECPublicKey):
        return
    if material.q_string[:1] not in {bytes([form]) for form in forms}:
        raise _invalid("Key Compression Type is not that of the point in Q String")


def _invalid(message: str) -> OperationError:
    return OperationError(ResultReason.INVALID_FIELD, message)
