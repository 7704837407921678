"""How much a peer may make us hold; the same for all three encodings."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds that are checked before memory is taken.

    The defaults are for a peer that nobody has authenticated. One mebibyte holds the identifiers
    of 20,000 objects, or an Opaque Object larger than any certificate chain; with 65,536 items the
    tree of a message stays under 20 MiB; no structure of the standard nests deeper than a dozen.
    """

    max_message: int = 1 << 20
    """Bytes of a whole message in binary form, its header included."""
    max_depth: int = 32
    """Structures inside each other; the message itself is the first."""
    max_items: int = 1 << 16
    """Items of a message at all depths, structures included."""


DEFAULT_LIMITS = Limits()
