"""Every attribute: since when, how often, and what clients may do with it.

Made by tools/gen_spec.py from the tables of the specifications; do not edit.
"""

from kmipkit.spec.attribute_spec import AttributeSpec
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_0, V1_1, V1_2, V1_3, V1_4, V2_0, V2_1, V3_0

ATTRIBUTES = (
    AttributeSpec(Tag.UNIQUE_IDENTIFIER, "Unique Identifier", V1_0, None, False, "", ""),
    AttributeSpec(Tag.NAME, "Name", V1_0, None, True, "smd", "smd"),
    AttributeSpec(Tag.OBJECT_TYPE, "Object Type", V1_0, None, False, "", ""),
    AttributeSpec(
        Tag.CRYPTOGRAPHIC_ALGORITHM, "Cryptographic Algorithm", V1_0, None, False, "", ""
    ),
    AttributeSpec(Tag.CRYPTOGRAPHIC_LENGTH, "Cryptographic Length", V1_0, None, False, "", ""),
    AttributeSpec(
        Tag.CRYPTOGRAPHIC_PARAMETERS, "Cryptographic Parameters", V1_0, None, True, "smd", "smd"
    ),
    AttributeSpec(
        Tag.CRYPTOGRAPHIC_DOMAIN_PARAMETERS,
        "Cryptographic Domain Parameters",
        V1_0,
        None,
        False,
        "s",
        "s",
    ),
    AttributeSpec(Tag.CERTIFICATE_TYPE, "Certificate Type", V1_0, None, False, "", ""),
    AttributeSpec(Tag.CERTIFICATE_LENGTH, "Certificate Length", V1_1, None, False, "", ""),
    AttributeSpec(
        Tag.X_509_CERTIFICATE_IDENTIFIER, "X.509 Certificate Identifier", V1_1, None, False, "", ""
    ),
    AttributeSpec(
        Tag.X_509_CERTIFICATE_SUBJECT, "X.509 Certificate Subject", V1_1, None, False, "", ""
    ),
    AttributeSpec(
        Tag.X_509_CERTIFICATE_ISSUER, "X.509 Certificate Issuer", V1_1, None, False, "", ""
    ),
    AttributeSpec(Tag.CERTIFICATE_IDENTIFIER, "Certificate Identifier", V1_0, V1_4, False, "", ""),
    AttributeSpec(Tag.CERTIFICATE_SUBJECT, "Certificate Subject", V1_0, V1_4, False, "", ""),
    AttributeSpec(Tag.CERTIFICATE_ISSUER, "Certificate Issuer", V1_0, V1_4, False, "", ""),
    AttributeSpec(
        Tag.DIGITAL_SIGNATURE_ALGORITHM, "Digital Signature Algorithm", V1_1, None, True, "", ""
    ),
    AttributeSpec(Tag.DIGEST, "Digest", V1_0, None, True, "", ""),
    AttributeSpec(Tag.OPERATION_POLICY_NAME, "Operation Policy Name", V1_0, V1_4, False, "s", "s"),
    AttributeSpec(
        Tag.CRYPTOGRAPHIC_USAGE_MASK, "Cryptographic Usage Mask", V1_0, None, False, "s", "s"
    ),
    AttributeSpec(Tag.LEASE_TIME, "Lease Time", V1_0, None, False, "", ""),
    AttributeSpec(Tag.USAGE_LIMITS, "Usage Limits", V1_0, None, False, "smd", "smd"),
    AttributeSpec(Tag.STATE, "State", V1_0, None, False, "", ""),
    AttributeSpec(Tag.INITIAL_DATE, "Initial Date", V1_0, None, False, "", ""),
    AttributeSpec(Tag.ACTIVATION_DATE, "Activation Date", V1_0, None, False, "sm", "sm"),
    AttributeSpec(Tag.PROCESS_START_DATE, "Process Start Date", V1_0, None, False, "sm", "sm"),
    AttributeSpec(Tag.PROTECT_STOP_DATE, "Protect Stop Date", V1_0, None, False, "sm", "sm"),
    AttributeSpec(Tag.DEACTIVATION_DATE, "Deactivation Date", V1_0, None, False, "sm", "sm"),
    AttributeSpec(Tag.DESTROY_DATE, "Destroy Date", V1_0, None, False, "", ""),
    AttributeSpec(
        Tag.COMPROMISE_OCCURRENCE_DATE, "Compromise Occurrence Date", V1_0, None, False, "", ""
    ),
    AttributeSpec(Tag.COMPROMISE_DATE, "Compromise Date", V1_0, None, False, "", ""),
    AttributeSpec(Tag.REVOCATION_REASON, "Revocation Reason", V1_0, None, False, "", ""),
    AttributeSpec(Tag.ARCHIVE_DATE, "Archive Date", V1_0, None, False, "", ""),
    AttributeSpec(Tag.OBJECT_GROUP, "Object Group", V1_0, V2_1, True, "smd", "smd"),
    AttributeSpec(Tag.FRESH, "Fresh", V1_1, None, False, "s", "s"),
    AttributeSpec(Tag.LINK, "Link", V1_0, None, True, "smd", "smd"),
    AttributeSpec(
        Tag.APPLICATION_SPECIFIC_INFORMATION,
        "Application Specific Information",
        V1_0,
        None,
        True,
        "smd",
        "smd",
    ),
    AttributeSpec(Tag.CONTACT_INFORMATION, "Contact Information", V1_0, None, False, "smd", "smd"),
    AttributeSpec(Tag.LAST_CHANGE_DATE, "Last Change Date", V1_0, None, False, "", ""),
    AttributeSpec(Tag.CUSTOM_ATTRIBUTE, "Custom Attribute", V1_0, V1_4, True, "smd", "smd"),
    AttributeSpec(Tag.ALTERNATIVE_NAME, "Alternative Name", V1_2, None, True, "smd", "smd"),
    AttributeSpec(Tag.KEY_VALUE_PRESENT, "Key Value Present", V1_2, None, False, "", ""),
    AttributeSpec(Tag.KEY_VALUE_LOCATION, "Key Value Location", V1_2, None, True, "smd", "smd"),
    AttributeSpec(
        Tag.ORIGINAL_CREATION_DATE, "Original Creation Date", V1_2, None, False, "s", "s"
    ),
    AttributeSpec(
        Tag.RANDOM_NUMBER_GENERATOR, "Random Number Generator", V1_3, None, False, "s", "s"
    ),
    AttributeSpec(
        Tag.PKCS_12_FRIENDLY_NAME, "PKCS#12 Friendly Name", V1_4, None, False, "smd", "smd"
    ),
    AttributeSpec(Tag.DESCRIPTION, "Description", V1_4, None, False, "smd", "smd"),
    AttributeSpec(Tag.COMMENT, "Comment", V1_4, None, False, "smd", "smd"),
    AttributeSpec(Tag.SENSITIVE, "Sensitive", V1_4, None, False, "sm", "sm"),
    AttributeSpec(Tag.ALWAYS_SENSITIVE, "Always Sensitive", V1_4, None, False, "", ""),
    AttributeSpec(Tag.EXTRACTABLE, "Extractable", V1_4, None, False, "sm", "sm"),
    AttributeSpec(Tag.NEVER_EXTRACTABLE, "Never Extractable", V1_4, None, False, "", ""),
    AttributeSpec(Tag.KEY_FORMAT_TYPE, "Key Format Type", V2_0, None, False, "", ""),
    AttributeSpec(Tag.NIST_KEY_TYPE, "NIST Key Type", V2_0, None, True, "s", "s"),
    AttributeSpec(Tag.OPAQUE_DATA_TYPE, "Opaque Data Type", V2_0, None, False, "", ""),
    AttributeSpec(Tag.PROTECTION_LEVEL, "Protection Level", V2_0, None, False, "smd", "smd"),
    AttributeSpec(Tag.PROTECTION_PERIOD, "Protection Period", V2_0, None, False, "smd", "smd"),
    AttributeSpec(
        Tag.PROTECTION_STORAGE_MASK, "Protection Storage Mask", V2_0, None, False, "", ""
    ),
    AttributeSpec(Tag.QUANTUM_SAFE, "Quantum Safe", V2_0, None, False, "smd", "smd"),
    AttributeSpec(Tag.ROTATE_AUTOMATIC, "Rotate Automatic", V2_1, None, False, "s", "s"),
    AttributeSpec(Tag.ROTATE_DATE, "Rotate Date", V2_1, None, False, "", ""),
    AttributeSpec(Tag.ROTATE_GENERATION, "Rotate Generation", V2_1, None, False, "", ""),
    AttributeSpec(Tag.ROTATE_INTERVAL, "Rotate Interval", V2_1, None, False, "s", "s"),
    AttributeSpec(Tag.ROTATE_LATEST, "Rotate Latest", V2_1, None, False, "", ""),
    AttributeSpec(Tag.ROTATE_NAME, "Rotate Name", V2_1, None, False, "smd", "smd"),
    AttributeSpec(Tag.ROTATE_OFFSET, "Rotate Offset", V2_1, None, False, "s", "s"),
    AttributeSpec(
        Tag.SHORT_UNIQUE_IDENTIFIER, "Short Unique Identifier", V2_0, None, False, "", ""
    ),
    AttributeSpec(Tag.CERTIFICATE_SUBJECT_CN, "Certificate Subject CN", V1_4, None, True, "", ""),
    AttributeSpec(Tag.CERTIFICATE_SUBJECT_O, "Certificate Subject O", V1_4, None, True, "", ""),
    AttributeSpec(Tag.CERTIFICATE_SUBJECT_OU, "Certificate Subject OU", V1_4, None, True, "", ""),
    AttributeSpec(
        Tag.CERTIFICATE_SUBJECT_EMAIL, "Certificate Subject Email", V1_4, None, True, "", ""
    ),
    AttributeSpec(Tag.CERTIFICATE_SUBJECT_C, "Certificate Subject C", V1_4, None, True, "", ""),
    AttributeSpec(Tag.CERTIFICATE_SUBJECT_ST, "Certificate Subject ST", V1_4, None, True, "", ""),
    AttributeSpec(Tag.CERTIFICATE_SUBJECT_L, "Certificate Subject L", V1_4, None, True, "", ""),
    AttributeSpec(Tag.CERTIFICATE_SUBJECT_UID, "Certificate Subject UID", V1_4, None, True, "", ""),
    AttributeSpec(
        Tag.CERTIFICATE_SUBJECT_SERIAL_NUMBER,
        "Certificate Subject Serial Number",
        V1_4,
        None,
        True,
        "",
        "",
    ),
    AttributeSpec(
        Tag.CERTIFICATE_SUBJECT_TITLE, "Certificate Subject Title", V1_4, None, True, "", ""
    ),
    AttributeSpec(Tag.CERTIFICATE_SUBJECT_DC, "Certificate Subject DC", V1_4, None, True, "", ""),
    AttributeSpec(
        Tag.CERTIFICATE_SUBJECT_DN_QUALIFIER,
        "Certificate Subject DN Qualifier",
        V1_4,
        None,
        True,
        "",
        "",
    ),
    AttributeSpec(Tag.CERTIFICATE_ISSUER_CN, "Certificate Issuer CN", V1_4, None, True, "", ""),
    AttributeSpec(Tag.CERTIFICATE_ISSUER_O, "Certificate Issuer O", V1_4, None, True, "", ""),
    AttributeSpec(Tag.CERTIFICATE_ISSUER_OU, "Certificate Issuer OU", V1_4, None, True, "", ""),
    AttributeSpec(
        Tag.CERTIFICATE_ISSUER_EMAIL, "Certificate Issuer Email", V1_4, None, True, "", ""
    ),
    AttributeSpec(Tag.CERTIFICATE_ISSUER_C, "Certificate Issuer C", V1_4, None, True, "", ""),
    AttributeSpec(Tag.CERTIFICATE_ISSUER_ST, "Certificate Issuer ST", V1_4, None, True, "", ""),
    AttributeSpec(Tag.CERTIFICATE_ISSUER_L, "Certificate Issuer L", V1_4, None, True, "", ""),
    AttributeSpec(Tag.CERTIFICATE_ISSUER_UID, "Certificate Issuer UID", V1_4, None, True, "", ""),
    AttributeSpec(
        Tag.CERTIFICATE_ISSUER_SERIAL_NUMBER,
        "Certificate Issuer Serial Number",
        V1_4,
        None,
        True,
        "",
        "",
    ),
    AttributeSpec(
        Tag.CERTIFICATE_ISSUER_TITLE, "Certificate Issuer Title", V1_4, None, True, "", ""
    ),
    AttributeSpec(Tag.CERTIFICATE_ISSUER_DC, "Certificate Issuer DC", V1_4, None, True, "", ""),
    AttributeSpec(
        Tag.CERTIFICATE_ISSUER_DN_QUALIFIER,
        "Certificate Issuer DN Qualifier",
        V1_4,
        None,
        True,
        "",
        "",
    ),
    AttributeSpec(Tag.OBJECT_CLASS, "Object Class", V3_0, None, False, "", ""),
    AttributeSpec(Tag.CREDENTIAL_LINK, "Credential Link", V3_0, None, True, "", "smd"),
    AttributeSpec(Tag.GROUP_LINK, "Group Link", V3_0, None, True, "", "smd"),
    AttributeSpec(Tag.PASSWORD_LINK, "Password Link", V3_0, None, True, "", "smd"),
    AttributeSpec(Tag.SPLIT_KEY_BASE_LINK, "Split Key Base Link", V3_0, None, True, "", "smd"),
    AttributeSpec(
        Tag.JOINED_SPLIT_KEY_PARTS_LINK, "Joined Split Key Parts Link", V3_0, None, True, "", "smd"
    ),
    AttributeSpec(
        Tag.CERTIFICATE_REQUEST_LINK, "Certificate Request Link", V3_0, None, True, "", "smd"
    ),
)
"""The attributes of KMIP 1.4 §3 and KMIP 2.1 §4, in that order, and those of 3.0."""

BY_TAG = {row.tag: row for row in ATTRIBUTES}
BY_NAME = {row.name: row for row in ATTRIBUTES}
