"""What can be done with the encryption of a machine: the ``CryptoSpec`` kinds of vsphere.md §2.3."""

from enum import StrEnum


class CryptoSpecKind(StrEnum):
    """``CryptoSpec`` of the vSphere API; Register and NoOp change no file and are not here."""

    ENCRYPT = "Encrypt"
    DECRYPT = "Decrypt"
    SHALLOW_RECRYPT = "ShallowRecrypt"
    DEEP_RECRYPT = "DeepRecrypt"
