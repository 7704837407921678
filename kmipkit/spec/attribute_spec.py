"""The form of a row of the table of attributes."""

from typing import NamedTuple

from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V2_0, Version


class Rules(NamedTuple):
    """What clients may do with an attribute (the table of rules in its clause)."""

    set_by_client: bool
    modifiable_by_client: bool
    deletable_by_client: bool


class AttributeSpec(NamedTuple):
    """An attribute as KMIP 1.4 §3 and KMIP 2.1 §4 describe it."""

    tag: Tag
    name: str
    """The name in the standard, which is also the Attribute Name of 1.x."""
    since: Version
    until: Version | None
    multi_instance: bool
    rules_1: str
    """What clients may do in 1.x: ``s`` set it first, ``m`` modify it, ``d`` delete it."""
    rules_2: str
    """The same for 2.x."""
    object_types_1: str = ""
    """The types of the objects that may have it in 1.x, as printed; empty for all objects."""
    object_types_2: str = ""
    """The same for 2.x."""

    def rules(self, version: Version) -> Rules:
        """What clients of this version may do.

        For an attribute that only a later version has, these are the rules of its first version.
        """
        letters = self.rules_2 if max(version, self.since) >= V2_0 else self.rules_1
        return Rules("s" in letters, "m" in letters, "d" in letters)

    def object_types(self, version: Version) -> str:
        """The types of the objects that may have it in this version; empty for all objects."""
        return self.object_types_2 if max(version, self.since) >= V2_0 else self.object_types_1

    def known_in(self, version: Version) -> bool:
        """Whether this version has the attribute."""
        return self.since <= version and (self.until is None or version <= self.until)

    def known_from(self, version: Version) -> bool:
        """Whether this version or a later one has the attribute."""
        return self.until is None or version <= self.until
