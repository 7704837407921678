"""Protocol versions.

A version is a pair of numbers, and can be compared. Tables elsewhere have the first (``since``) and the
last version (``until``) of everything, so that the code needs no branches for versions.
"""

from typing import NamedTuple


class Version(NamedTuple):
    """A KMIP protocol version (KMIP 1.4 §6.1)."""

    major: int
    minor: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


V1_0 = Version(1, 0)
V1_1 = Version(1, 1)
V1_2 = Version(1, 2)
V1_3 = Version(1, 3)
V1_4 = Version(1, 4)
V2_0 = Version(2, 0)
V2_1 = Version(2, 1)
V3_0 = Version(3, 0)

VERSIONS = (V1_0, V1_1, V1_2, V1_3, V1_4, V2_0, V2_1, V3_0)
"""All supported versions, oldest first."""

PUBLISHED = (V1_0, V1_1, V1_2, V1_3, V1_4, V2_0, V2_1)
"""The versions that OASIS has approved; 3.0 is a draft."""
