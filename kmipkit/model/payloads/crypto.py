"""Cryptography with keys on the server: Encrypt to Hash, and random numbers.

Multi-part operations (1.3 and later) have a Correlation Value and two indicators, and need not have
the fields that a single call requires; therefore only 1.2 requires input and output data. From 2.0
on, the data of a request can also refer to the output of an earlier batch item (2.1 §7.9).
"""

from typing import Annotated

from kmipkit.model.attributes import CryptographicParameters
from kmipkit.model.structure import Structure, Wire, structure
from kmipkit.model.types import Identifier
from kmipkit.spec.enums import Data, ValidityIndicator
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_2, V1_3, V1_4, V2_0

DataInput = bytes | Data | int
"""The data; in 2.x also a reference to the output of an earlier batch item."""


@structure()
class EncryptRequest(Structure):
    """Encrypt (1.4 §4.29, 2.1 §6.1.17)."""

    unique_identifier: Annotated[Identifier | None, Wire(Tag.UNIQUE_IDENTIFIER)] = None
    cryptographic_parameters: Annotated[
        CryptographicParameters | None, Wire(Tag.CRYPTOGRAPHIC_PARAMETERS)
    ] = None
    data: Annotated[
        DataInput | None,
        Wire(Tag.DATA, until=V1_2, as_=bytes, required=True),
        Wire(Tag.DATA, since=V1_3, until=V1_4, as_=bytes),
        Wire(Tag.DATA, since=V2_0),
    ] = None
    iv_counter_nonce: Annotated[bytes | None, Wire(Tag.IV_COUNTER_NONCE)] = None
    correlation_value: Annotated[bytes | None, Wire(Tag.CORRELATION_VALUE, since=V1_3)] = None
    init_indicator: Annotated[bool | None, Wire(Tag.INIT_INDICATOR, since=V1_3)] = None
    final_indicator: Annotated[bool | None, Wire(Tag.FINAL_INDICATOR, since=V1_3)] = None
    authenticated_encryption_additional_data: Annotated[
        bytes | None, Wire(Tag.AUTHENTICATED_ENCRYPTION_ADDITIONAL_DATA, since=V1_4)
    ] = None


@structure()
class EncryptResponse(Structure):
    """The ciphertext (1.4 §4.29, 2.1 §6.1.17)."""

    unique_identifier: Annotated[Identifier, Wire(Tag.UNIQUE_IDENTIFIER)]
    data: Annotated[
        bytes | None, Wire(Tag.DATA, until=V1_2, required=True), Wire(Tag.DATA, since=V1_3)
    ] = None
    iv_counter_nonce: Annotated[bytes | None, Wire(Tag.IV_COUNTER_NONCE)] = None
    correlation_value: Annotated[bytes | None, Wire(Tag.CORRELATION_VALUE, since=V1_3)] = None
    authenticated_encryption_tag: Annotated[
        bytes | None, Wire(Tag.AUTHENTICATED_ENCRYPTION_TAG, since=V1_4)
    ] = None


@structure()
class DecryptRequest(Structure):
    """Decrypt (1.4 §4.30, 2.1 §6.1.11)."""

    unique_identifier: Annotated[Identifier | None, Wire(Tag.UNIQUE_IDENTIFIER)] = None
    cryptographic_parameters: Annotated[
        CryptographicParameters | None, Wire(Tag.CRYPTOGRAPHIC_PARAMETERS)
    ] = None
    data: Annotated[
        DataInput | None,
        Wire(Tag.DATA, until=V1_2, as_=bytes, required=True),
        Wire(Tag.DATA, since=V1_3, until=V1_4, as_=bytes),
        Wire(Tag.DATA, since=V2_0),
    ] = None
    iv_counter_nonce: Annotated[bytes | None, Wire(Tag.IV_COUNTER_NONCE)] = None
    correlation_value: Annotated[bytes | None, Wire(Tag.CORRELATION_VALUE, since=V1_3)] = None
    init_indicator: Annotated[bool | None, Wire(Tag.INIT_INDICATOR, since=V1_3)] = None
    final_indicator: Annotated[bool | None, Wire(Tag.FINAL_INDICATOR, since=V1_3)] = None
    authenticated_encryption_additional_data: Annotated[
        bytes | None, Wire(Tag.AUTHENTICATED_ENCRYPTION_ADDITIONAL_DATA, since=V1_4)
    ] = None
    authenticated_encryption_tag: Annotated[
        bytes | None, Wire(Tag.AUTHENTICATED_ENCRYPTION_TAG, since=V1_4)
    ] = None


@structure()
class DecryptResponse(Structure):
    """The plaintext (1.4 §4.30, 2.1 §6.1.11)."""

    unique_identifier: Annotated[Identifier, Wire(Tag.UNIQUE_IDENTIFIER)]
    data: Annotated[
        bytes | None, Wire(Tag.DATA, until=V1_2, required=True), Wire(Tag.DATA, since=V1_3)
    ] = None
    correlation_value: Annotated[bytes | None, Wire(Tag.CORRELATION_VALUE, since=V1_3)] = None


@structure()
class SignRequest(Structure):
    """Sign data, or a digest that the client computed (1.4 §4.31, 2.1 §6.1.55)."""

    unique_identifier: Annotated[Identifier | None, Wire(Tag.UNIQUE_IDENTIFIER)] = None
    cryptographic_parameters: Annotated[
        CryptographicParameters | None, Wire(Tag.CRYPTOGRAPHIC_PARAMETERS)
    ] = None
    data: Annotated[
        DataInput | None,
        Wire(Tag.DATA, until=V1_2, as_=bytes, required=True),
        Wire(Tag.DATA, since=V1_3, until=V1_4, as_=bytes),
        Wire(Tag.DATA, since=V2_0),
    ] = None
    digested_data: Annotated[bytes | None, Wire(Tag.DIGESTED_DATA, since=V1_4)] = None
    correlation_value: Annotated[bytes | None, Wire(Tag.CORRELATION_VALUE, since=V1_3)] = None
    init_indicator: Annotated[bool | None, Wire(Tag.INIT_INDICATOR, since=V1_3)] = None
    final_indicator: Annotated[bool | None, Wire(Tag.FINAL_INDICATOR, since=V1_3)] = None


@structure()
class SignResponse(Structure):
    """The signature (1.4 §4.31, 2.1 §6.1.55)."""

    unique_identifier: Annotated[Identifier, Wire(Tag.UNIQUE_IDENTIFIER)]
    signature_data: Annotated[
        bytes | None,
        Wire(Tag.SIGNATURE_DATA, until=V1_2, required=True),
        Wire(Tag.SIGNATURE_DATA, since=V1_3),
    ] = None
    correlation_value: Annotated[bytes | None, Wire(Tag.CORRELATION_VALUE, since=V1_3)] = None


@structure()
class SignatureVerifyRequest(Structure):
    """Verify a signature (1.4 §4.32, 2.1 §6.1.56)."""

    unique_identifier: Annotated[Identifier | None, Wire(Tag.UNIQUE_IDENTIFIER)] = None
    cryptographic_parameters: Annotated[
        CryptographicParameters | None, Wire(Tag.CRYPTOGRAPHIC_PARAMETERS)
    ] = None
    data: Annotated[
        DataInput | None, Wire(Tag.DATA, until=V1_4, as_=bytes), Wire(Tag.DATA, since=V2_0)
    ] = None
    digested_data: Annotated[bytes | None, Wire(Tag.DIGESTED_DATA, since=V1_4)] = None
    signature_data: Annotated[
        bytes | None,
        Wire(Tag.SIGNATURE_DATA, until=V1_2, required=True),
        Wire(Tag.SIGNATURE_DATA, since=V1_3),
    ] = None
    correlation_value: Annotated[bytes | None, Wire(Tag.CORRELATION_VALUE, since=V1_3)] = None
    init_indicator: Annotated[bool | None, Wire(Tag.INIT_INDICATOR, since=V1_3)] = None
    final_indicator: Annotated[bool | None, Wire(Tag.FINAL_INDICATOR, since=V1_3)] = None


@structure()
class SignatureVerifyResponse(Structure):
    """The validity, and data recovered from the signature (1.4 §4.32, 2.1 §6.1.56)."""

    unique_identifier: Annotated[Identifier, Wire(Tag.UNIQUE_IDENTIFIER)]
    validity_indicator: Annotated[
        ValidityIndicator | None,
        Wire(Tag.VALIDITY_INDICATOR, until=V1_2, required=True),
        Wire(Tag.VALIDITY_INDICATOR, since=V1_3),
    ] = None
    data: Annotated[bytes | None, Wire(Tag.DATA)] = None
    correlation_value: Annotated[bytes | None, Wire(Tag.CORRELATION_VALUE, since=V1_3)] = None


@structure()
class MACRequest(Structure):
    """Compute a message authentication code (1.4 §4.33, 2.1 §6.1.32)."""

    unique_identifier: Annotated[Identifier | None, Wire(Tag.UNIQUE_IDENTIFIER)] = None
    cryptographic_parameters: Annotated[
        CryptographicParameters | None, Wire(Tag.CRYPTOGRAPHIC_PARAMETERS)
    ] = None
    data: Annotated[
        DataInput | None,
        Wire(Tag.DATA, until=V1_2, as_=bytes, required=True),
        Wire(Tag.DATA, since=V1_3, until=V1_4, as_=bytes),
        Wire(Tag.DATA, since=V2_0),
    ] = None
    correlation_value: Annotated[bytes | None, Wire(Tag.CORRELATION_VALUE, since=V1_3)] = None
    init_indicator: Annotated[bool | None, Wire(Tag.INIT_INDICATOR, since=V1_3)] = None
    final_indicator: Annotated[bool | None, Wire(Tag.FINAL_INDICATOR, since=V1_3)] = None


@structure()
class MACResponse(Structure):
    """The code (1.4 §4.33, 2.1 §6.1.32)."""

    unique_identifier: Annotated[Identifier, Wire(Tag.UNIQUE_IDENTIFIER)]
    mac_data: Annotated[
        bytes | None, Wire(Tag.MAC_DATA, until=V1_2, required=True), Wire(Tag.MAC_DATA, since=V1_3)
    ] = None
    correlation_value: Annotated[bytes | None, Wire(Tag.CORRELATION_VALUE, since=V1_3)] = None


@structure()
class MACVerifyRequest(Structure):
    """Verify a message authentication code (1.4 §4.34, 2.1 §6.1.33)."""

    unique_identifier: Annotated[Identifier | None, Wire(Tag.UNIQUE_IDENTIFIER)] = None
    cryptographic_parameters: Annotated[
        CryptographicParameters | None, Wire(Tag.CRYPTOGRAPHIC_PARAMETERS)
    ] = None
    data: Annotated[
        DataInput | None, Wire(Tag.DATA, until=V1_4, as_=bytes), Wire(Tag.DATA, since=V2_0)
    ] = None
    mac_data: Annotated[
        bytes | None, Wire(Tag.MAC_DATA, until=V1_2, required=True), Wire(Tag.MAC_DATA, since=V1_3)
    ] = None
    correlation_value: Annotated[bytes | None, Wire(Tag.CORRELATION_VALUE, since=V1_3)] = None
    init_indicator: Annotated[bool | None, Wire(Tag.INIT_INDICATOR, since=V1_3)] = None
    final_indicator: Annotated[bool | None, Wire(Tag.FINAL_INDICATOR, since=V1_3)] = None


@structure()
class MACVerifyResponse(Structure):
    """The validity (1.4 §4.34, 2.1 §6.1.33)."""

    unique_identifier: Annotated[Identifier, Wire(Tag.UNIQUE_IDENTIFIER)]
    validity_indicator: Annotated[
        ValidityIndicator | None,
        Wire(Tag.VALIDITY_INDICATOR, until=V1_2, required=True),
        Wire(Tag.VALIDITY_INDICATOR, since=V1_3),
    ] = None
    correlation_value: Annotated[bytes | None, Wire(Tag.CORRELATION_VALUE, since=V1_3)] = None


@structure()
class HashRequest(Structure):
    """Compute a digest (1.4 §4.37, 2.1 §6.1.24)."""

    cryptographic_parameters: Annotated[CryptographicParameters, Wire(Tag.CRYPTOGRAPHIC_PARAMETERS)]
    data: Annotated[
        DataInput | None,
        Wire(Tag.DATA, until=V1_2, as_=bytes, required=True),
        Wire(Tag.DATA, since=V1_3, until=V1_4, as_=bytes),
        Wire(Tag.DATA, since=V2_0),
    ] = None
    correlation_value: Annotated[bytes | None, Wire(Tag.CORRELATION_VALUE, since=V1_3)] = None
    init_indicator: Annotated[bool | None, Wire(Tag.INIT_INDICATOR, since=V1_3)] = None
    final_indicator: Annotated[bool | None, Wire(Tag.FINAL_INDICATOR, since=V1_3)] = None


@structure()
class HashResponse(Structure):
    """The digest (1.4 §4.37, 2.1 §6.1.24)."""

    data: Annotated[
        bytes | None, Wire(Tag.DATA, until=V1_2, required=True), Wire(Tag.DATA, since=V1_3)
    ] = None
    correlation_value: Annotated[bytes | None, Wire(Tag.CORRELATION_VALUE, since=V1_3)] = None


@structure()
class RNGRetrieveRequest(Structure):
    """Retrieve random bytes (1.4 §4.35, 2.1 §6.1.49)."""

    data_length: Annotated[int, Wire(Tag.DATA_LENGTH)]


@structure()
class RNGRetrieveResponse(Structure):
    """Random bytes (1.4 §4.35, 2.1 §6.1.49)."""

    data: Annotated[
        bytes | None, Wire(Tag.DATA, until=V1_4, required=True), Wire(Tag.DATA, since=V2_0)
    ] = None
    """Absent in the result of an Ephemeral item (2.1 §8.3)."""


@structure()
class RNGSeedRequest(Structure):
    """Seed the random number generator (1.4 §4.36, 2.1 §6.1.50)."""

    data: Annotated[DataInput, Wire(Tag.DATA, until=V1_4, as_=bytes), Wire(Tag.DATA, since=V2_0)]


@structure()
class RNGSeedResponse(Structure):
    """The number of bytes of the seed that were used (1.4 §4.36, 2.1 §6.1.50)."""

    data_length: Annotated[int, Wire(Tag.DATA_LENGTH)]
