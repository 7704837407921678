"""Item types of the TTLV encoding (KMIP 1.4 §9.1.1.2, KMIP 2.1 §10.1.2)."""

from enum import IntEnum


class ItemType(IntEnum):
    """The type of a TTLV item: the encoding of its value."""

    STRUCTURE = 0x01
    INTEGER = 0x02
    LONG_INTEGER = 0x03
    BIG_INTEGER = 0x04
    ENUMERATION = 0x05
    BOOLEAN = 0x06
    TEXT_STRING = 0x07
    BYTE_STRING = 0x08
    DATE_TIME = 0x09
    INTERVAL = 0x0A
    DATE_TIME_EXTENDED = 0x0B
    IDENTIFIER = 0x0C
    """KMIP 3.0: the identifier of an object; encoded as a Text String, like the next two."""
    REFERENCE = 0x0D
    NAME_REFERENCE = 0x0E
