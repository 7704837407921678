"""Which differences between two responses are permitted (KMIP Profiles 2.1 §4.1.1), as tables."""

from collections.abc import Mapping
from types import MappingProxyType

from kmipkit.spec.enums import CryptographicAlgorithm, Operation, PaddingMethod
from kmipkit.spec.tags import Tag

ANY_VALUE = frozenset(
    {
        Tag.TIME_STAMP,
        Tag.SERVER_CORRELATION_VALUE,
        Tag.CLIENT_CORRELATION_VALUE,
        Tag.ASYNCHRONOUS_CORRELATION_VALUE,
        Tag.CORRELATION_VALUE,
        Tag.RESULT_MESSAGE,
        Tag.LEASE_TIME,
        Tag.INITIAL_DATE,
        Tag.LAST_CHANGE_DATE,
        Tag.ORIGINAL_CREATION_DATE,
        Tag.VENDOR_IDENTIFICATION,
        Tag.SERVER_INFORMATION,
        Tag.RANDOM_NUMBER_GENERATOR,
        Tag.RNG_PARAMETERS,
        Tag.SHORT_UNIQUE_IDENTIFIER,
        Tag.CAPABILITY_INFORMATION,
        Tag.EXTENSION_INFORMATION,
        Tag.VALIDATION_INFORMATION,
        Tag.PROFILE_INFORMATION,
        Tag.LOCATED_ITEMS,
        Tag.UNIQUE_BATCH_ITEM_ID,
    }
)
"""Items whose value the server chooses: first list, 5, 6, 9, 19, 20; second list, 4 to 9."""

OPTIONAL = frozenset(
    {
        Tag.RESULT_MESSAGE,
        Tag.SERVER_CORRELATION_VALUE,
        Tag.CLIENT_CORRELATION_VALUE,
        Tag.LOCATED_ITEMS,
        Tag.TEMPLATE_ATTRIBUTE,
        Tag.SERVER_INFORMATION,
        Tag.APPLICATION_NAMESPACE,
        Tag.EXTENSION_INFORMATION,
        Tag.UNIQUE_BATCH_ITEM_ID,
        Tag.MESSAGE_EXTENSION,
    }
)
"""Items that may be in one response only; a critical extension is checked separately."""

OPTIONAL_IN_QUERY = OPTIONAL | {Tag.VALIDATION_INFORMATION}
"""The same for Query: "zero or more Validation Information fields SHALL be returned" (KMIP 1.4
§4.25)."""

OPTIONAL_OF_CLIENT = frozenset(
    {
        Tag.AUTHENTICATION,
        Tag.CLIENT_CORRELATION_VALUE,
        Tag.TIME_STAMP,
        Tag.UNIQUE_BATCH_ITEM_ID,
        Tag.BATCH_ORDER_OPTION,
        Tag.MESSAGE_EXTENSION,
    }
)
"""Items that a client may add to any request, or leave out (behaviour, 2, 4 and 6)."""

OF_CERTIFICATE = frozenset(
    {
        Tag.CERTIFICATE_VALUE,
        Tag.CERTIFICATE_LENGTH,
        Tag.CERTIFICATE_IDENTIFIER,
        Tag.CERTIFICATE_ISSUER,
        Tag.X_509_CERTIFICATE_IDENTIFIER,
        Tag.X_509_CERTIFICATE_ISSUER,
    }
)
"""Items that depend on the authority, date and serial number of a certificate."""

OF_GENERATED = OF_CERTIFICATE | frozenset(
    {
        Tag.KEY_MATERIAL,
        Tag.KEY_VALUE,
        Tag.KEY_FORMAT_TYPE,
        Tag.DATA,
        Tag.SIGNATURE_DATA,
        Tag.MAC_DATA,
        Tag.DIGEST,
        Tag.DIGEST_VALUE,
    }
)
"""Items that vary if the server generated the object: first list, 7, 8, 11, 12."""

ALWAYS_VARYING = frozenset({Tag.IV_COUNTER_NONCE, Tag.AUTHENTICATED_ENCRYPTION_TAG})
"""Items that vary with a random IV."""

RANDOM_OUTPUT: Mapping[Operation, frozenset[int]] = MappingProxyType(
    {
        Operation.ENCRYPT: frozenset({PaddingMethod.OAEP, PaddingMethod.PKCS1_V1_5}),
        Operation.SIGN: frozenset({PaddingMethod.PSS}),
    }
)
"""Paddings with which each output of an operation differs: inherently variable operations (8)."""

RANDOM_SIGNATURES = frozenset({CryptographicAlgorithm.DSA, CryptographicAlgorithm.ECDSA})
"""Algorithms with which each signature differs."""

ANY_VALUE_IN: Mapping[Operation, frozenset[Tag]] = MappingProxyType(
    {
        Operation.RNG_SEED: frozenset({Tag.DATA_LENGTH}),
        Operation.PKCS_11: frozenset({Tag.PKCS_11_OUTPUT_PARAMETERS}),
        Operation.ADD_ATTRIBUTE: frozenset({Tag.ATTRIBUTE_INDEX, Tag.USAGE_LIMITS_COUNT}),
        Operation.MODIFY_ATTRIBUTE: frozenset({Tag.USAGE_LIMITS_COUNT}),
    }
)
"""Items whose value the server chooses in one operation: how much of a seed it uses (KMIP 1.4
§4.36), the manufacturer of a PKCS#11 token, the index of a new instance (§4.14), and a Usage Limits
Count (§3.21)."""

CHOSEN_BY_SERVER: Mapping[Operation, frozenset[Tag]] = MappingProxyType(
    {
        Operation.ADD_ATTRIBUTE: frozenset({Tag.ATTRIBUTE_INDEX, Tag.USAGE_LIMITS_COUNT}),
        Operation.MODIFY_ATTRIBUTE: frozenset({Tag.USAGE_LIMITS_COUNT}),
        Operation.GET: frozenset({Tag.CRYPTOGRAPHIC_PARAMETERS}),
        Operation.QUERY_ASYNCHRONOUS_REQUESTS: frozenset({Tag.ASYNCHRONOUS_REQUEST}),
    }
)
"""Items that a successful response to one operation may have or not: an index of 0 may be left out
(KMIP 1.4 §2.1.1), the server chooses the index (§4.14), Key Wrapping Data need not name parameters
that are those of the wrapping key (§2.1.5), and earlier requests may be outstanding (KMIP 2.1
§6.1.41)."""

GROUP_MEMBERS = frozenset({Tag.OBJECT_GROUP_MEMBER})
"""Items of a Locate request for which the server may create an object (KMIP 1.4 §4.9)."""

PAGING = frozenset({Tag.MAXIMUM_ITEMS, Tag.OFFSET_ITEMS})
"""Items of a Locate request that ask for a page, so that the order counts."""

SUPERSETS = frozenset({Tag.OPERATION, Tag.OBJECT_TYPE, Tag.PROTOCOL_VERSION, Tag.QUERY_FUNCTION})
"""Repeated items of Query and Discover Versions: the server may list more (15 to 17; 5)."""

GENERATING = frozenset(
    {
        Operation.CREATE,
        Operation.CREATE_KEY_PAIR,
        Operation.DERIVE_KEY,
        Operation.RE_KEY,
        Operation.RE_KEY_KEY_PAIR,
        Operation.CREATE_SPLIT_KEY,
        Operation.CERTIFY,
        Operation.RE_CERTIFY,
    }
)
"""Operations whose new objects get their value from the server."""

OPTIONAL_IN: Mapping[Operation, frozenset[Tag]] = MappingProxyType(
    {Operation.CHECK: frozenset({Tag.RESPONSE_PAYLOAD})}
)
"""Optional items of a failed operation: Check may say what it denies (KMIP 1.4 §4.10)."""

CREATING = GENERATING | {
    Operation.REGISTER,
    Operation.IMPORT,
    Operation.JOIN_SPLIT_KEY,
}
"""Operations that create objects, which are to be removed after a run."""

ATTRIBUTE_ITEMS = frozenset({Tag.ATTRIBUTE, Tag.ATTRIBUTE_NAME, Tag.ATTRIBUTE_REFERENCE})
"""Items that are attributes in a payload: in any order, and more than expected (21)."""

DATES_TOLERANCE = 90
"""Seconds by which a date relative to now may differ."""
