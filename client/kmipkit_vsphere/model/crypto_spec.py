"""Encryption of hosts and machines: the states of a host, and what can be done with a machine."""

from enum import StrEnum


class CryptoState(StrEnum):
    """``HostCryptoState`` of the vSphere API (vsphere.md §6)."""

    INCAPABLE = "incapable"
    PREPARED = "prepared"
    SAFE = "safe"
    PENDING_INCAPABLE = "pendingIncapable"


class CryptoSpecKind(StrEnum):
    """``CryptoSpec`` of the vSphere API (vsphere.md §2.3); Register and NoOp change no file."""

    ENCRYPT = "Encrypt"
    DECRYPT = "Decrypt"
    SHALLOW_RECRYPT = "ShallowRecrypt"
    DEEP_RECRYPT = "DeepRecrypt"
