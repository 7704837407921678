"""Key blocks: a key's value in one of its formats, wrapped or not (KMIP 1.4 §2.1.3, KMIP 2.1 §3)."""

from typing import Annotated

from kmipkit.model.attribute import AttributeReference, Attributes
from kmipkit.model.attributes import CryptographicParameters
from kmipkit.model.structure import Structure, Wire, structure
from kmipkit.model.types import BigInteger, Identifier
from kmipkit.spec import enums
from kmipkit.spec.enums import KeyFormatType
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_1, V1_2, V1_4, V2_0, Version
from kmipkit.ttlv.tree import Item


@structure(Tag.KEY_MATERIAL)
class TransparentSymmetricKey(Structure):
    """The bytes of a symmetric key (1.4 §2.1.7.1)."""

    key: Annotated[bytes, Wire(Tag.KEY)]


@structure(Tag.KEY_MATERIAL)
class TransparentDSAPrivateKey(Structure):
    """1.4 §2.1.7.2."""

    p: Annotated[BigInteger, Wire(Tag.P)]
    q: Annotated[BigInteger, Wire(Tag.Q)]
    g: Annotated[BigInteger, Wire(Tag.G)]
    x: Annotated[BigInteger, Wire(Tag.X)]


@structure(Tag.KEY_MATERIAL)
class TransparentDSAPublicKey(Structure):
    """1.4 §2.1.7.3."""

    p: Annotated[BigInteger, Wire(Tag.P)]
    q: Annotated[BigInteger, Wire(Tag.Q)]
    g: Annotated[BigInteger, Wire(Tag.G)]
    y: Annotated[BigInteger, Wire(Tag.Y)]


@structure(Tag.KEY_MATERIAL)
class TransparentRSAPrivateKey(Structure):
    """An RSA key by its private exponent, its primes, or both (1.4 §2.1.7.4)."""

    modulus: Annotated[BigInteger, Wire(Tag.MODULUS)]
    private_exponent: Annotated[BigInteger | None, Wire(Tag.PRIVATE_EXPONENT)] = None
    public_exponent: Annotated[BigInteger | None, Wire(Tag.PUBLIC_EXPONENT)] = None
    p: Annotated[BigInteger | None, Wire(Tag.P)] = None
    q: Annotated[BigInteger | None, Wire(Tag.Q)] = None
    prime_exponent_p: Annotated[BigInteger | None, Wire(Tag.PRIME_EXPONENT_P)] = None
    prime_exponent_q: Annotated[BigInteger | None, Wire(Tag.PRIME_EXPONENT_Q)] = None
    crt_coefficient: Annotated[BigInteger | None, Wire(Tag.CRT_COEFFICIENT)] = None


@structure(Tag.KEY_MATERIAL)
class TransparentRSAPublicKey(Structure):
    """1.4 §2.1.7.5."""

    modulus: Annotated[BigInteger, Wire(Tag.MODULUS)]
    public_exponent: Annotated[BigInteger, Wire(Tag.PUBLIC_EXPONENT)]


@structure(Tag.KEY_MATERIAL)
class TransparentDHPrivateKey(Structure):
    """1.4 §2.1.7.6."""

    p: Annotated[BigInteger, Wire(Tag.P)]
    q: Annotated[BigInteger | None, Wire(Tag.Q)] = None
    g: Annotated[BigInteger, Wire(Tag.G)]
    j: Annotated[BigInteger | None, Wire(Tag.J)] = None
    x: Annotated[BigInteger, Wire(Tag.X)]


@structure(Tag.KEY_MATERIAL)
class TransparentDHPublicKey(Structure):
    """1.4 §2.1.7.7."""

    p: Annotated[BigInteger, Wire(Tag.P)]
    q: Annotated[BigInteger | None, Wire(Tag.Q)] = None
    g: Annotated[BigInteger, Wire(Tag.G)]
    j: Annotated[BigInteger | None, Wire(Tag.J)] = None
    y: Annotated[BigInteger, Wire(Tag.Y)]


@structure(Tag.KEY_MATERIAL)
class TransparentECPrivateKey(Structure):
    """An elliptic-curve key of any use: EC, and until 1.4 also ECDSA, ECDH and ECMQV (§2.1.7)."""

    recommended_curve: Annotated[enums.RecommendedCurve, Wire(Tag.RECOMMENDED_CURVE)]
    d: Annotated[BigInteger, Wire(Tag.D)]


@structure(Tag.KEY_MATERIAL)
class TransparentECPublicKey(Structure):
    """The public key of :class:`TransparentECPrivateKey`."""

    recommended_curve: Annotated[enums.RecommendedCurve, Wire(Tag.RECOMMENDED_CURVE)]
    q_string: Annotated[bytes, Wire(Tag.Q_STRING)]


TransparentKey = (
    TransparentSymmetricKey
    | TransparentDSAPrivateKey
    | TransparentDSAPublicKey
    | TransparentRSAPrivateKey
    | TransparentRSAPublicKey
    | TransparentDHPrivateKey
    | TransparentDHPublicKey
    | TransparentECPrivateKey
    | TransparentECPublicKey
)

_TRANSPARENT: dict[KeyFormatType, type[Structure]] = {
    KeyFormatType.TRANSPARENT_SYMMETRIC_KEY: TransparentSymmetricKey,
    KeyFormatType.TRANSPARENT_DSA_PRIVATE_KEY: TransparentDSAPrivateKey,
    KeyFormatType.TRANSPARENT_DSA_PUBLIC_KEY: TransparentDSAPublicKey,
    KeyFormatType.TRANSPARENT_RSA_PRIVATE_KEY: TransparentRSAPrivateKey,
    KeyFormatType.TRANSPARENT_RSA_PUBLIC_KEY: TransparentRSAPublicKey,
    KeyFormatType.TRANSPARENT_DH_PRIVATE_KEY: TransparentDHPrivateKey,
    KeyFormatType.TRANSPARENT_DH_PUBLIC_KEY: TransparentDHPublicKey,
    KeyFormatType.TRANSPARENT_ECDSA_PRIVATE_KEY: TransparentECPrivateKey,
    KeyFormatType.TRANSPARENT_ECDSA_PUBLIC_KEY: TransparentECPublicKey,
    KeyFormatType.TRANSPARENT_ECDH_PRIVATE_KEY: TransparentECPrivateKey,
    KeyFormatType.TRANSPARENT_ECDH_PUBLIC_KEY: TransparentECPublicKey,
    KeyFormatType.TRANSPARENT_ECMQV_PRIVATE_KEY: TransparentECPrivateKey,
    KeyFormatType.TRANSPARENT_ECMQV_PUBLIC_KEY: TransparentECPublicKey,
    KeyFormatType.TRANSPARENT_EC_PRIVATE_KEY: TransparentECPrivateKey,
    KeyFormatType.TRANSPARENT_EC_PUBLIC_KEY: TransparentECPublicKey,
}


def _material_class(key_format: KeyFormatType, version: Version) -> type[Structure] | None:  # noqa: ARG001
    return _TRANSPARENT.get(key_format)


@structure(Tag.KEY_VALUE)
class KeyValue(Structure):
    """The key itself, and attributes that belong to its value (1.4 §2.1.4).

    The Key Format Type of the key block determines the class of the material. Structures in unknown
    formats are trees.
    """

    key_material: Annotated[
        bytes | TransparentKey | Item,
        Wire(Tag.KEY_MATERIAL, by="outer", choose=_material_class),
    ]
    attributes: Annotated[
        Attributes | None,
        Wire(Tag.ATTRIBUTE, until=V1_4, spread=True),
        Wire(Tag.ATTRIBUTES, since=V2_0),
    ] = None


@structure(Tag.ENCRYPTION_KEY_INFORMATION)
class EncryptionKeyInformation(Structure):
    """The key that encrypts, and its parameters (1.4 §2.1.5)."""

    unique_identifier: Annotated[Identifier, Wire(Tag.UNIQUE_IDENTIFIER)]
    cryptographic_parameters: Annotated[
        CryptographicParameters | None, Wire(Tag.CRYPTOGRAPHIC_PARAMETERS)
    ] = None


@structure(Tag.MAC_SIGNATURE_KEY_INFORMATION)
class MACSignatureKeyInformation(Structure):
    """The key of the MAC or signature, and its parameters (1.4 §2.1.5)."""

    unique_identifier: Annotated[Identifier, Wire(Tag.UNIQUE_IDENTIFIER)]
    cryptographic_parameters: Annotated[
        CryptographicParameters | None, Wire(Tag.CRYPTOGRAPHIC_PARAMETERS)
    ] = None


@structure(Tag.KEY_WRAPPING_DATA)
class KeyWrappingData(Structure):
    """How a key value was wrapped (1.4 §2.1.5)."""

    wrapping_method: Annotated[enums.WrappingMethod, Wire(Tag.WRAPPING_METHOD)]
    encryption_key_information: Annotated[
        EncryptionKeyInformation | None, Wire(Tag.ENCRYPTION_KEY_INFORMATION)
    ] = None
    mac_signature_key_information: Annotated[
        MACSignatureKeyInformation | None, Wire(Tag.MAC_SIGNATURE_KEY_INFORMATION)
    ] = None
    mac_signature: Annotated[bytes | None, Wire(Tag.MAC_SIGNATURE)] = None
    iv_counter_nonce: Annotated[bytes | None, Wire(Tag.IV_COUNTER_NONCE)] = None
    encoding_option: Annotated[
        enums.EncodingOption | None, Wire(Tag.ENCODING_OPTION, since=V1_1)
    ] = None


@structure(Tag.KEY_WRAPPING_SPECIFICATION)
class KeyWrappingSpecification(Structure):
    """How to wrap a key for the client (1.4 §2.1.6, 2.1 §7.19)."""

    wrapping_method: Annotated[enums.WrappingMethod, Wire(Tag.WRAPPING_METHOD)]
    encryption_key_information: Annotated[
        EncryptionKeyInformation | None, Wire(Tag.ENCRYPTION_KEY_INFORMATION)
    ] = None
    mac_signature_key_information: Annotated[
        MACSignatureKeyInformation | None, Wire(Tag.MAC_SIGNATURE_KEY_INFORMATION)
    ] = None
    attribute_names: Annotated[tuple[str, ...], Wire(Tag.ATTRIBUTE_NAME, since=V2_0)] = ()
    """The attributes to wrap with the key, as texts: so 2.x writes them (2.1 §7.18)."""
    attribute_references: Annotated[
        tuple[AttributeReference, ...],
        Wire(Tag.ATTRIBUTE_NAME, until=V1_4),
        Wire(Tag.ATTRIBUTE_REFERENCE, since=V2_0),
    ] = ()
    """The same as references, as in all other structures of 2.x: some clients write them so."""
    encoding_option: Annotated[
        enums.EncodingOption | None, Wire(Tag.ENCODING_OPTION, since=V1_1)
    ] = None


@structure(Tag.KEY_BLOCK)
class KeyBlock(Structure):
    """A key in one format, and the information for its use (1.4 §2.1.3, 2.1 §3.1).

    ``key_value`` is bytes if the whole Key Value is wrapped. Since 1.2 it may be absent: the server
    then has only the attributes of the key.
    """

    key_format_type: Annotated[KeyFormatType, Wire(Tag.KEY_FORMAT_TYPE)]
    key_compression_type: Annotated[
        enums.KeyCompressionType | None, Wire(Tag.KEY_COMPRESSION_TYPE)
    ] = None
    key_value: Annotated[
        KeyValue | bytes | None,
        Wire(Tag.KEY_VALUE, until=V1_1, required=True, passes="key_format_type"),
        Wire(Tag.KEY_VALUE, since=V1_2, passes="key_format_type"),
    ] = None
    cryptographic_algorithm: Annotated[
        enums.CryptographicAlgorithm | None, Wire(Tag.CRYPTOGRAPHIC_ALGORITHM)
    ] = None
    cryptographic_length: Annotated[int | None, Wire(Tag.CRYPTOGRAPHIC_LENGTH)] = None
    key_wrapping_data: Annotated[KeyWrappingData | None, Wire(Tag.KEY_WRAPPING_DATA)] = None
