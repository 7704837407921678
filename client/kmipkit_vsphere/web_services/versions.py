"""Versions of the API: their identifiers, and which releases the laboratory can be.

Client and server agree on none: a client names in ``SOAPAction`` the version whose types it knows, and
gets nothing that is newer, because pyVmomi does not accept unknown elements.
"""

import re
from dataclasses import dataclass
from functools import total_ordering
from typing import Final, Self

_IN_ACTION: Final = re.compile(r'/(\d{1,4}(?:\.\d{1,4}){0,5})"?\s*$')


@total_ordering
@dataclass(frozen=True, slots=True)
class Version:
    """An identifier such as ``8.0.3.0``; they are ordered number by number."""

    numbers: tuple[int, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """ValueError if the text is not numbers with dots between them."""
        return cls(tuple(int(part) for part in text.split(".")))

    def __lt__(self, other: "Version") -> bool:
        return self.numbers < other.numbers

    def __str__(self) -> str:
        return ".".join(map(str, self.numbers))


ANY_VERSION: Final = Version(())
"""Older than all others."""


@dataclass(frozen=True, slots=True)
class Release:
    """A release of the product: its own version, and that of its API."""

    version: str
    api: Version


RELEASES: Final = {
    release.version: release
    for release in (
        Release("8.0.3", Version((8, 0, 3, 0))),
        Release("9.0.0", Version((9, 0, 0, 0))),
    )
}
DEFAULT_RELEASE: Final = "8.0.3"

PRIOR_VERSIONS: Final = tuple(
    Version.parse(text)
    for text in (
        *("9.0.0.0", "8.0.3.0", "8.0.2.0", "8.0.1.0", "8.0.0.1"),
        *("7.0.3.2", "7.0.3.0", "7.0.2.0", "7.0.1.0", "7.0.0.0"),
        *("6.7.3", "6.7.2", "6.7.1", "6.7", "6.5", "6.0", "5.5"),
    )
)
"""What ``/sdk/vimServiceVersions.xml`` lists, as far as it is not newer than the release."""


def of_client(action: str, release: Release) -> Version:
    """The version whose types an answer may use, from the header ``SOAPAction``."""
    named = _IN_ACTION.search(action)
    return min(Version.parse(named[1]), release.api) if named else release.api
