"""Limits on the resources that a message may use, in all three encodings."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits that are checked before memory is allocated.

    The defaults are for unauthenticated peers. One mebibyte has room for the identifiers of 20,000
    objects, or an Opaque Object larger than any certificate chain; the tree of a message with 65,536
    items needs less than 20 MiB; no structure of the standard nests deeper than a dozen.
    """

    max_message: int = 1 << 20
    """Bytes of a message in binary form, including its header."""
    max_depth: int = 32
    """Nested structures; the message itself is the first."""
    max_items: int = 1 << 16
    """Items of a message at all depths, structures included."""


DEFAULT_LIMITS = Limits()
