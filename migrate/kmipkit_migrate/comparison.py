"""Comparing two servers: which objects are missing, and what of the others differs.

Nothing is changed. Keys are compared by their digests, if both servers tell them, or else in memory;
neither keys nor digests are shown: that of a password could be guessed.
"""

import hmac
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from kmipkit_client import material
from kmipkit_client.errors import ClientError

from kmipkit.errors import LocalProtocolError, ProtocolError
from kmipkit.lifecycle import DESTROYED_STATES
from kmipkit.model.attribute import Attribute, Attributes, VendorName
from kmipkit.model.codec import encode
from kmipkit.model.objects import ManagedObject
from kmipkit.model.structure import Structure
from kmipkit.spec.enums import ObjectType
from kmipkit.spec.tags import Tag
from kmipkit.spec.titles import title
from kmipkit.spec.versions import V2_1
from kmipkit_migrate import rules
from kmipkit_migrate.copying import MARK
from kmipkit_migrate.errors import MigrationError
from kmipkit_migrate.server import FAILURES, Server, reason_of

EQUAL, DIFFERENT, MISSING, EXTRA = "equal", "different", "missing", "extra"

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that the two servers have differently."""

    what: str
    source: str
    target: str


@dataclass(frozen=True, slots=True)
class Compared:
    """An object of one of the servers, or of both."""

    outcome: str
    id: str | None
    """On the source; None if it is not there."""
    to: str | None
    """On the target; None if it is not there."""
    type: str = ""
    name: str = ""
    differences: tuple[Difference, ...] = ()
    notes: tuple[str, ...] = ()
    """What cannot be compared, or differs because the object was registered anew."""


@dataclass
class Comparison:
    """Compares the objects of two servers."""

    source: Server
    target: Server
    identifiers: Mapping[str, str] = field(default_factory=dict)
    """From identifiers of the source to those of the target, where they differ."""
    compares_material: bool = True
    """Whether to compare what the objects are, besides their attributes."""

    def run(self, workers: int, progress: Progress) -> list[Compared]:
        """All objects of both servers. MigrationError if a server is lost."""
        try:
            ours, theirs = self.source.identifiers(), self.target.identifiers()
            there = set(theirs)
            matched = {each: self.identifiers.get(each, each) for each in ours}
            with ThreadPoolExecutor(workers) as pool:
                pairs = [(each, to if to in there else None) for each, to in matched.items()]
                results: list[Compared | None] = []
                for result in pool.map(lambda pair: self._pair(*pair), pairs):
                    results.append(result)
                    progress("comparing", len(results), len(pairs))
                copies = set(matched.values())
                results += pool.map(self._extra, [each for each in theirs if each not in copies])
        except (ClientError, ProtocolError) as error:
            raise MigrationError(str(error)) from None
        return [each for each in results if each is not None]

    def _pair(self, identifier: str, to: str | None) -> Compared | None:
        try:
            attributes = self.source.attributes(identifier)
        except FAILURES as error:
            outcome = MISSING if to is None else DIFFERENT
            return Compared(outcome, identifier, to, notes=(f"source: {reason_of(error)}",))
        if rules.is_wrapping_key(attributes):
            return None
        about = _about(attributes)
        if to is None:
            return Compared(MISSING, identifier, None, *about)
        try:
            others = self.target.attributes(to)
        except FAILURES as error:
            return Compared(
                DIFFERENT, identifier, to, *about, notes=(f"target: {reason_of(error)}",)
            )
        notes: list[str] = []
        differences = [*self._attributes(attributes, others, notes, is_same=identifier == to)]
        differences += self._material(identifier, to, attributes, others, notes)
        outcome = DIFFERENT if differences else EQUAL
        return Compared(outcome, identifier, to, *about, tuple(differences), tuple(notes))

    def _extra(self, identifier: str) -> Compared | None:
        try:
            attributes = self.target.attributes(identifier)
        except FAILURES:
            return Compared(EXTRA, None, identifier)
        if rules.is_wrapping_key(attributes):
            return None
        return Compared(EXTRA, None, identifier, *_about(attributes))

    # --- attributes ------------------------------------------------------------------------------

    def _attributes(
        self, source: Attributes, target: Attributes, notes: list[str], *, is_same: bool
    ) -> Iterator[Difference]:
        ours, theirs = self._values(source, self.identifiers), self._values(target, {})
        for key in dict.fromkeys([*ours, *theirs]):
            left, right = ours.get(key, Counter()), theirs.get(key, Counter())
            if left == right:
                continue
            name = rules.name_of(Attribute(key, None))
            one, two = _shown(left - right), _shown(right - left)
            unknown = self._unknown(key)
            if unknown:
                notes.append(f"{name}: {unknown}")
            elif key in rules.HISTORY:
                notes.append(f"{name}: a server vouches for the time since it has the object")
            elif not is_same and (key in rules.DATES or key is Tag.REVOCATION_REASON):
                notes.append(f"{name}: {one} and {two}: the object was registered anew")
            elif not left and not isinstance(key, VendorName) and not rules.is_link(key):
                notes.append(f"{name}: the target adds {two}")
            else:
                yield Difference(name, one, two)

    def _unknown(self, key: Any) -> str:
        """Why only one of the servers can have an attribute."""
        for server in (self.source, self.target):
            reason = rules.unknown_to(server.version, Attribute(key, None))
            if reason is not None:
                return reason
        return ""

    def _values(
        self, attributes: Attributes, identifiers: Mapping[str, str]
    ) -> dict[Any, Counter[str]]:
        found: dict[Any, Counter[str]] = {}
        for each in attributes:
            if rules.is_of_the_server(each.key) or each.key == MARK:
                continue
            value = each.value
            linked = getattr(value, "linked_object_identifier", None)
            if isinstance(linked, str) and linked in identifiers:
                value = value.replace(linked_object_identifier=identifiers[linked])
            found.setdefault(each.key, Counter())[_text(value)] += 1
        return found

    # --- keys ------------------------------------------------------------------------------------

    def _material(
        self, identifier: str, to: str, source: Attributes, target: Attributes, notes: list[str]
    ) -> Iterator[Difference]:
        states = {rules.state_of(source), rules.state_of(target)}
        if not self.compares_material or states <= DESTROYED_STATES:
            return
        ours, theirs = _digests(source), _digests(target)
        shared = ours.keys() & theirs.keys()
        if shared:
            if any(ours[each] != theirs[each] for each in shared):
                yield Difference("the object itself", "one value", "another value")
            return
        try:
            one = self.source.client.get(identifier)
            two = self.target.client.get(to)
        except FAILURES as error:
            notes.append(f"the object itself is not compared: {reason_of(error)}")
            return
        if not hmac.compare_digest(_bytes(one), _bytes(two)):
            yield Difference("the object itself", "one value", "another value")


def _about(attributes: Attributes) -> tuple[str, str]:
    """Type and name of an object."""
    name = attributes.get(Tag.NAME)
    kind = attributes.get(Tag.OBJECT_TYPE)
    return (
        "" if kind is None else title(ObjectType(kind)),
        "" if name is None else name.name_value,
    )


def _digests(attributes: Attributes) -> dict[tuple[object, object], bytes]:
    """The digests that a server tells, by algorithm and Key Format Type."""
    return {
        (each.hashing_algorithm, each.key_format_type): each.digest_value
        for each in attributes.all(Tag.DIGEST)
        if each.digest_value
    }


def _bytes(value: ManagedObject) -> bytes:
    try:
        return material(value)
    except LocalProtocolError:  # a transparent key
        return encode(value, V2_1)


def _text(value: Any) -> str:
    """The value of an attribute in a form that is equal for equal values."""
    if isinstance(value, Structure):
        fields = ((name, getattr(value, name)) for name in type(value).__annotations__)
        return ", ".join(f"{name} {_text(each)}" for name, each in fields if each not in (None, ()))
    name = getattr(value, "name", None)
    if isinstance(name, str):
        return name
    if isinstance(value, bytes):
        return value.hex()
    return str(value)


def _shown(values: "Counter[str]") -> str:
    return "; ".join(sorted(values.elements())) or "none"
