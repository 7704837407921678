"""Every bit mask (KMIP 1.4 §9.1.3.3, KMIP 2.1 §12).

Made by tools/gen_spec.py from the tables of the specifications; do not edit.
"""

from kmipkit.spec.enumeration import OpenMask, bit
from kmipkit.spec.versions import V1_0, V1_4, V2_0


class CryptographicUsageMask(OpenMask):
    """Cryptographic Usage Mask (KMIP 1.4 §9.1.3.3.1, KMIP 2.1 §12.1)."""

    SIGN = bit(0x00000001, V1_0)
    VERIFY = bit(0x00000002, V1_0)
    ENCRYPT = bit(0x00000004, V1_0)
    DECRYPT = bit(0x00000008, V1_0)
    WRAP_KEY = bit(0x00000010, V1_0)
    UNWRAP_KEY = bit(0x00000020, V1_0)
    EXPORT = bit(0x00000040, V1_0, V1_4)
    MAC_GENERATE = bit(0x00000080, V1_0)
    MAC_VERIFY = bit(0x00000100, V1_0)
    DERIVE_KEY = bit(0x00000200, V1_0)
    CONTENT_COMMITMENT_NON_REPUDIATION = bit(0x00000400, V1_0, V1_4)
    KEY_AGREEMENT = bit(0x00000800, V1_0)
    CERTIFICATE_SIGN = bit(0x00001000, V1_0)
    CRL_SIGN = bit(0x00002000, V1_0)
    GENERATE_CRYPTOGRAM = bit(0x00004000, V1_0, V1_4)
    VALIDATE_CRYPTOGRAM = bit(0x00008000, V1_0, V1_4)
    TRANSLATE_ENCRYPT = bit(0x00010000, V1_0, V1_4)
    TRANSLATE_DECRYPT = bit(0x00020000, V1_0, V1_4)
    TRANSLATE_WRAP = bit(0x00040000, V1_0, V1_4)
    TRANSLATE_UNWRAP = bit(0x00080000, V1_0, V1_4)
    AUTHENTICATE = bit(0x00100000, V2_0)
    UNRESTRICTED = bit(0x00200000, V2_0)
    FPE_ENCRYPT = bit(0x00400000, V2_0)
    FPE_DECRYPT = bit(0x00800000, V2_0)


class ProtectionStorageMask(OpenMask):
    """Protection Storage Mask (KMIP 2.1 §12.2)."""

    SOFTWARE = bit(0x00000001, V2_0)
    HARDWARE = bit(0x00000002, V2_0)
    ON_PROCESSOR = bit(0x00000004, V2_0)
    ON_SYSTEM = bit(0x00000008, V2_0)
    OFF_SYSTEM = bit(0x00000010, V2_0)
    HYPERVISOR = bit(0x00000020, V2_0)
    OPERATING_SYSTEM = bit(0x00000040, V2_0)
    CONTAINER = bit(0x00000080, V2_0)
    ON_PREMISES = bit(0x00000100, V2_0)
    OFF_PREMISES = bit(0x00000200, V2_0)
    SELF_MANAGED = bit(0x00000400, V2_0)
    OUTSOURCED = bit(0x00000800, V2_0)
    VALIDATED = bit(0x00001000, V2_0)
    SAME_JURISDICTION = bit(0x00002000, V2_0)


class StorageStatusMask(OpenMask):
    """Storage Status Mask (KMIP 1.4 §9.1.3.3.2, KMIP 2.1 §12.3)."""

    ON_LINE_STORAGE = bit(0x00000001, V1_0)
    ARCHIVAL_STORAGE = bit(0x00000002, V1_0)
    DESTROYED_STORAGE = bit(0x00000004, V2_0)
