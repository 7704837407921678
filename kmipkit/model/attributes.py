"""The attributes of the standard that are structures, and the type of every attribute's value.

KMIP 1.4 §3, KMIP 2.1 §4. The rules for attributes are in
:mod:`kmipkit.spec.attributes`; this module has only the types of the values.
"""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Annotated, Any

from kmipkit.model.structure import Structure, Wire, structure
from kmipkit.model.types import Identifier, Interval, LongInteger, Reference
from kmipkit.spec import enums
from kmipkit.spec.masks import CryptographicUsageMask, ProtectionStorageMask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_1, V1_2, V1_3, V1_4


@structure(Tag.NAME)
class Name(Structure):
    """A name by which clients find an object (1.4 §3.2, 2.1 §4.33)."""

    name_value: Annotated[str, Wire(Tag.NAME_VALUE)]
    name_type: Annotated[enums.NameType, Wire(Tag.NAME_TYPE)]


@structure(Tag.ALTERNATIVE_NAME)
class AlternativeName(Structure):
    """A name that need not be unique (1.4 §3.40, 2.1 §4.2)."""

    alternative_name_value: Annotated[str, Wire(Tag.ALTERNATIVE_NAME_VALUE)]
    alternative_name_type: Annotated[enums.AlternativeNameType, Wire(Tag.ALTERNATIVE_NAME_TYPE)]


@structure(Tag.ROTATE_NAME)
class RotateName(Structure):
    """The name that all generations of a rotated object share (2.1 §4.53)."""

    rotate_name_value: Annotated[str, Wire(Tag.ROTATE_NAME_VALUE)]
    rotate_name_type: Annotated[enums.RotateNameType, Wire(Tag.ROTATE_NAME_TYPE)]


@structure(Tag.CRYPTOGRAPHIC_PARAMETERS, repeats=lambda parameters: parameters.p_source is None)
class CryptographicParameters(Structure):
    """How a key is used (1.4 §3.6, 2.1 §4.16). Lengths are in bits, but Tag Length in bytes."""

    block_cipher_mode: Annotated[enums.BlockCipherMode | None, Wire(Tag.BLOCK_CIPHER_MODE)] = None
    padding_method: Annotated[enums.PaddingMethod | None, Wire(Tag.PADDING_METHOD)] = None
    hashing_algorithm: Annotated[enums.HashingAlgorithm | None, Wire(Tag.HASHING_ALGORITHM)] = None
    key_role_type: Annotated[enums.KeyRoleType | None, Wire(Tag.KEY_ROLE_TYPE)] = None
    digital_signature_algorithm: Annotated[
        enums.DigitalSignatureAlgorithm | None, Wire(Tag.DIGITAL_SIGNATURE_ALGORITHM, since=V1_2)
    ] = None
    cryptographic_algorithm: Annotated[
        enums.CryptographicAlgorithm | None, Wire(Tag.CRYPTOGRAPHIC_ALGORITHM, since=V1_2)
    ] = None
    random_iv: Annotated[bool | None, Wire(Tag.RANDOM_IV, since=V1_2)] = None
    iv_length: Annotated[int | None, Wire(Tag.IV_LENGTH, since=V1_2)] = None
    tag_length: Annotated[int | None, Wire(Tag.TAG_LENGTH, since=V1_2)] = None
    fixed_field_length: Annotated[int | None, Wire(Tag.FIXED_FIELD_LENGTH, since=V1_2)] = None
    invocation_field_length: Annotated[
        int | None, Wire(Tag.INVOCATION_FIELD_LENGTH, since=V1_2)
    ] = None
    counter_length: Annotated[int | None, Wire(Tag.COUNTER_LENGTH, since=V1_2)] = None
    initial_counter_value: Annotated[int | None, Wire(Tag.INITIAL_COUNTER_VALUE, since=V1_2)] = None
    salt_length: Annotated[int | None, Wire(Tag.SALT_LENGTH, since=V1_4)] = None
    mask_generator: Annotated[enums.MaskGenerator | None, Wire(Tag.MASK_GENERATOR, since=V1_4)] = (
        None
    )
    mask_generator_hashing_algorithm: Annotated[
        enums.HashingAlgorithm | None, Wire(Tag.MASK_GENERATOR_HASHING_ALGORITHM, since=V1_4)
    ] = None
    p_source: Annotated[bytes | None, Wire(Tag.P_SOURCE, since=V1_4)] = None
    trailer_field: Annotated[int | None, Wire(Tag.TRAILER_FIELD, since=V1_4)] = None


@structure(Tag.CRYPTOGRAPHIC_DOMAIN_PARAMETERS)
class CryptographicDomainParameters(Structure):
    """The domain parameters of a key pair (1.4 §3.7, 2.1 §4.14)."""

    qlength: Annotated[int | None, Wire(Tag.QLENGTH)] = None
    recommended_curve: Annotated[enums.RecommendedCurve | None, Wire(Tag.RECOMMENDED_CURVE)] = None


@structure(Tag.RNG_PARAMETERS)
class RNGParameters(Structure):
    """A random number generator (1.4 §2.1.18, 2.1 §7.36)."""

    rng_algorithm: Annotated[enums.RNGAlgorithm, Wire(Tag.RNG_ALGORITHM)]
    cryptographic_algorithm: Annotated[
        enums.CryptographicAlgorithm | None, Wire(Tag.CRYPTOGRAPHIC_ALGORITHM)
    ] = None
    cryptographic_length: Annotated[int | None, Wire(Tag.CRYPTOGRAPHIC_LENGTH)] = None
    hashing_algorithm: Annotated[enums.HashingAlgorithm | None, Wire(Tag.HASHING_ALGORITHM)] = None
    drbg_algorithm: Annotated[enums.DRBGAlgorithm | None, Wire(Tag.DRBG_ALGORITHM)] = None
    recommended_curve: Annotated[enums.RecommendedCurve | None, Wire(Tag.RECOMMENDED_CURVE)] = None
    fips186_variation: Annotated[enums.FIPS186Variation | None, Wire(Tag.FIPS186_VARIATION)] = None
    prediction_resistance: Annotated[bool | None, Wire(Tag.PREDICTION_RESISTANCE)] = None


@structure(Tag.CERTIFICATE_IDENTIFIER)
class CertificateIdentifier(Structure):
    """Issuer and serial number as text, superseded in 1.1 (1.4 §3.13)."""

    issuer: Annotated[str, Wire(Tag.ISSUER)]
    serial_number: Annotated[str | None, Wire(Tag.SERIAL_NUMBER)] = None


@structure(Tag.CERTIFICATE_SUBJECT)
class CertificateSubject(Structure):
    """Subject names as text, superseded in 1.1 (1.4 §3.14)."""

    distinguished_name: Annotated[str, Wire(Tag.CERTIFICATE_SUBJECT_DISTINGUISHED_NAME)]
    alternative_names: Annotated[
        tuple[str, ...], Wire(Tag.CERTIFICATE_SUBJECT_ALTERNATIVE_NAME)
    ] = ()


@structure(Tag.CERTIFICATE_ISSUER)
class CertificateIssuer(Structure):
    """Issuer names as text, superseded in 1.1 (1.4 §3.15)."""

    distinguished_name: Annotated[str, Wire(Tag.CERTIFICATE_ISSUER_DISTINGUISHED_NAME)]
    alternative_names: Annotated[
        tuple[str, ...], Wire(Tag.CERTIFICATE_ISSUER_ALTERNATIVE_NAME)
    ] = ()


@structure(Tag.X_509_CERTIFICATE_IDENTIFIER)
class X509CertificateIdentifier(Structure):
    """Issuer and serial number, DER encoded (1.4 §3.10, 2.1 §4.61)."""

    issuer_distinguished_name: Annotated[bytes, Wire(Tag.ISSUER_DISTINGUISHED_NAME)]
    certificate_serial_number: Annotated[bytes, Wire(Tag.CERTIFICATE_SERIAL_NUMBER)]


@structure(Tag.X_509_CERTIFICATE_SUBJECT)
class X509CertificateSubject(Structure):
    """Subject names, DER encoded (1.4 §3.11, 2.1 §4.63)."""

    subject_distinguished_name: Annotated[bytes, Wire(Tag.SUBJECT_DISTINGUISHED_NAME)]
    subject_alternative_names: Annotated[tuple[bytes, ...], Wire(Tag.SUBJECT_ALTERNATIVE_NAME)] = ()


@structure(Tag.X_509_CERTIFICATE_ISSUER)
class X509CertificateIssuer(Structure):
    """Issuer names, DER encoded (1.4 §3.12, 2.1 §4.62)."""

    issuer_distinguished_name: Annotated[bytes, Wire(Tag.ISSUER_DISTINGUISHED_NAME)]
    issuer_alternative_names: Annotated[tuple[bytes, ...], Wire(Tag.ISSUER_ALTERNATIVE_NAME)] = ()


@structure(Tag.DIGEST)
class Digest(Structure):
    """A hash over an object's value (1.4 §3.17, 2.1 §4.21)."""

    hashing_algorithm: Annotated[enums.HashingAlgorithm, Wire(Tag.HASHING_ALGORITHM)]
    digest_value: Annotated[bytes | None, Wire(Tag.DIGEST_VALUE)] = None
    key_format_type: Annotated[
        enums.KeyFormatType | None, Wire(Tag.KEY_FORMAT_TYPE, since=V1_1)
    ] = None


@structure(Tag.USAGE_LIMITS)
class UsageLimits(Structure):
    """Limits on the use of a key (1.4 §3.21, 2.1 §4.59).

    All three are required of the server; a client may leave the count out (1.4 §3.21).
    """

    usage_limits_total: Annotated[LongInteger | None, Wire(Tag.USAGE_LIMITS_TOTAL)] = None
    usage_limits_count: Annotated[LongInteger | None, Wire(Tag.USAGE_LIMITS_COUNT)] = None
    usage_limits_unit: Annotated[enums.UsageLimitsUnit | None, Wire(Tag.USAGE_LIMITS_UNIT)] = None


@structure(Tag.REVOCATION_REASON)
class RevocationReason(Structure):
    """The reason for a revocation (1.4 §3.31, 2.1 §4.47)."""

    revocation_reason_code: Annotated[enums.RevocationReasonCode, Wire(Tag.REVOCATION_REASON_CODE)]
    revocation_message: Annotated[str | None, Wire(Tag.REVOCATION_MESSAGE)] = None


@structure(Tag.LINK)
class Link(Structure):
    """A link from one object to another (1.4 §3.35, 2.1 §4.31)."""

    link_type: Annotated[enums.LinkType, Wire(Tag.LINK_TYPE)]
    linked_object_identifier: Annotated[Identifier, Wire(Tag.LINKED_OBJECT_IDENTIFIER)]


@structure(Tag.APPLICATION_SPECIFIC_INFORMATION)
class ApplicationSpecificInformation(Structure):
    """Data of an application (1.4 §3.36, 2.1 §4.4); since 1.3 the server may generate them."""

    application_namespace: Annotated[str, Wire(Tag.APPLICATION_NAMESPACE)]
    application_data: Annotated[
        str | None,
        Wire(Tag.APPLICATION_DATA, until=V1_2, required=True),
        Wire(Tag.APPLICATION_DATA, since=V1_3),
    ] = None


@structure(Tag.KEY_VALUE_LOCATION)
class KeyValueLocation(Structure):
    """The location of a key whose value the server does not have (1.4 §3.42, 2.1 §4.27)."""

    key_value_location_value: Annotated[str, Wire(Tag.KEY_VALUE_LOCATION_VALUE)]
    key_value_location_type: Annotated[
        enums.KeyValueLocationType, Wire(Tag.KEY_VALUE_LOCATION_TYPE)
    ]


_TEXT = (
    Tag.OPERATION_POLICY_NAME,
    Tag.OBJECT_GROUP,
    Tag.CONTACT_INFORMATION,
    Tag.PKCS_12_FRIENDLY_NAME,
    Tag.DESCRIPTION,
    Tag.COMMENT,
    *(tag for tag in Tag if Tag.CERTIFICATE_SUBJECT_CN <= tag <= Tag.CERTIFICATE_ISSUER_DN_QUALIFIER),
)  # fmt: skip

_DATES = (
    Tag.INITIAL_DATE,
    Tag.ACTIVATION_DATE,
    Tag.PROCESS_START_DATE,
    Tag.PROTECT_STOP_DATE,
    Tag.DEACTIVATION_DATE,
    Tag.DESTROY_DATE,
    Tag.COMPROMISE_OCCURRENCE_DATE,
    Tag.COMPROMISE_DATE,
    Tag.ARCHIVE_DATE,
    Tag.LAST_CHANGE_DATE,
    Tag.ORIGINAL_CREATION_DATE,
    Tag.ROTATE_DATE,
)

_FLAGS = (
    Tag.FRESH,
    Tag.KEY_VALUE_PRESENT,
    Tag.SENSITIVE,
    Tag.ALWAYS_SENSITIVE,
    Tag.EXTRACTABLE,
    Tag.NEVER_EXTRACTABLE,
    Tag.QUANTUM_SAFE,
    Tag.ROTATE_AUTOMATIC,
    Tag.ROTATE_LATEST,
)

_REFERENCES = (
    Tag.CREDENTIAL_LINK,
    Tag.GROUP_LINK,
    Tag.PASSWORD_LINK,
    Tag.SPLIT_KEY_BASE_LINK,
    Tag.JOINED_SPLIT_KEY_PARTS_LINK,
    Tag.CERTIFICATE_REQUEST_LINK,
)
"""Links of 3.0 that have no Link Type of earlier versions."""

_STRUCTURES = (
    Name,
    AlternativeName,
    RotateName,
    CryptographicParameters,
    CryptographicDomainParameters,
    CertificateIdentifier,
    CertificateSubject,
    CertificateIssuer,
    X509CertificateIdentifier,
    X509CertificateSubject,
    X509CertificateIssuer,
    Digest,
    UsageLimits,
    RevocationReason,
    Link,
    ApplicationSpecificInformation,
    KeyValueLocation,
)

ATTRIBUTE_TYPES: Mapping[Tag, Any] = MappingProxyType(
    {
        Tag.UNIQUE_IDENTIFIER: Identifier,
        Tag.OBJECT_TYPE: enums.ObjectType,
        Tag.CRYPTOGRAPHIC_ALGORITHM: enums.CryptographicAlgorithm,
        Tag.CRYPTOGRAPHIC_LENGTH: int,
        Tag.CRYPTOGRAPHIC_USAGE_MASK: CryptographicUsageMask,
        Tag.CERTIFICATE_TYPE: enums.CertificateType,
        Tag.CERTIFICATE_LENGTH: int,
        Tag.DIGITAL_SIGNATURE_ALGORITHM: enums.DigitalSignatureAlgorithm,
        Tag.LEASE_TIME: Interval,
        Tag.STATE: enums.State,
        Tag.RANDOM_NUMBER_GENERATOR: RNGParameters,
        Tag.KEY_FORMAT_TYPE: enums.KeyFormatType,
        Tag.NIST_KEY_TYPE: enums.NISTKeyType,
        Tag.OPAQUE_DATA_TYPE: enums.OpaqueDataType,
        Tag.PROTECTION_LEVEL: enums.ProtectionLevel,
        Tag.PROTECTION_PERIOD: Interval,
        Tag.PROTECTION_STORAGE_MASK: ProtectionStorageMask,
        Tag.ROTATE_GENERATION: int,
        Tag.ROTATE_INTERVAL: Interval,
        Tag.ROTATE_OFFSET: Interval,
        Tag.SHORT_UNIQUE_IDENTIFIER: bytes,
        Tag.OBJECT_CLASS: enums.ObjectClass,
        Tag.SPLIT_KEY_POLYNOMIAL: enums.SplitKeyPolynomial,
        **dict.fromkeys(_TEXT, str),
        **dict.fromkeys(_DATES, datetime),
        **dict.fromkeys(_FLAGS, bool),
        **dict.fromkeys(_REFERENCES, Reference),
        **{cls.TAG: cls for cls in _STRUCTURES if cls.TAG is not None},
    }
)
"""The Python type of each standard attribute's value, as in the annotation of a field."""
