"""Algorithm rules as values: what a rule demands, of which keys, and from when on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from kmipkit.spec.enumeration import OpenEnum
from kmipkit.spec.enums import CryptographicAlgorithm, ObjectType, RecommendedCurve
from kmipkit.spec.masks import CryptographicUsageMask


class Subject(StrEnum):
    """What a rule allows or forbids by name; the value is its key in the document."""

    ALGORITHMS = "algorithms"
    CURVES = "curves"
    BLOCK_CIPHER_MODES = "block_cipher_modes"
    PADDING_METHODS = "padding_methods"
    HASHING_ALGORITHMS = "hashing_algorithms"
    SIGNATURE_ALGORITHMS = "signature_algorithms"
    WRAPPING_METHODS = "wrapping_methods"


@dataclass(frozen=True, slots=True)
class Choice:
    """Which values are permitted."""

    allowed: frozenset[OpenEnum] | None = None
    """If given, no other value is permitted."""
    forbidden: frozenset[OpenEnum] = frozenset()

    def permits(self, value: OpenEnum | None) -> bool:
        """Whether a value is permitted; None is one that is not known."""
        if self.allowed is not None and value not in self.allowed:
            return False
        return value not in self.forbidden


WARNING_TIME = timedelta(days=30)
"""How long before a key becomes too old the server warns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlgorithmRule:
    """One rule; a key or a use must meet all that it demands."""

    name: str
    since: datetime | None = None
    """When it takes effect; before, it only warns. None for at once."""
    object_types: frozenset[ObjectType] = frozenset()
    """The types of objects that it is about; all if empty."""
    usage: CryptographicUsageMask = CryptographicUsageMask(0)  # noqa: RUF009 - immutable
    """It is about keys whose usage mask has one of these bits; all keys if zero."""
    choices: Mapping[Subject, Choice] = field(default_factory=lambda: MappingProxyType({}))
    minimum_length: Mapping[CryptographicAlgorithm, int] = field(
        default_factory=lambda: MappingProxyType({})
    )
    """Bits of the Cryptographic Length."""
    minimum_strength: int | None = None
    """Bits of security, see :mod:`.strength`."""
    quantum_safe: bool = False
    maximum_age: timedelta | None = None
    """Since the Activation Date or the Initial Date, whichever is later."""
    warning_time: timedelta = WARNING_TIME
    refuses_processing: bool = False
    """Whether it also refuses to decrypt, verify and unwrap."""


class Key(NamedTuple):
    """What the rules look at in a key, or in another object with an algorithm."""

    object_type: ObjectType
    algorithm: CryptographicAlgorithm | None
    """None for an object that has none; the rules do not judge it by algorithm and length."""
    length: int | None
    curve: RecommendedCurve | None
    usage: CryptographicUsageMask
    began: datetime | None = None
    """From when its age counts; None for a new key."""
    has_known_curve: bool = True
    """Whether the curve was looked for in the bytes of the key; otherwise no rule judges it."""


ON_CURVES = frozenset(
    {
        CryptographicAlgorithm.EC,
        CryptographicAlgorithm.ECDSA,
        CryptographicAlgorithm.ECDH,
        CryptographicAlgorithm.ECMQV,
    }
)
"""Algorithms whose keys are on a curve that they name."""


class Violation(NamedTuple):
    """Something that a rule does not permit, or will not."""

    rule: AlgorithmRule
    text: str
    """What is wrong, as a clause of a sentence."""
    begins: datetime | None = None
    """From when on it is refused; None for at once."""

    def is_in_force(self, now: datetime) -> bool:
        """Whether it is refused now."""
        return self.begins is None or self.begins <= now

    def message(self, now: datetime) -> str:
        """The refusal, or the warning that it will be refused."""
        if self.begins is None or self.begins <= now:
            return f"the algorithm rule {self.rule.name!r} does not permit it: {self.text}"
        return (
            f"the algorithm rule {self.rule.name!r} will not permit it from"
            f" {self.begins:%Y-%m-%d %H:%M} UTC on: {self.text}"
        )


@dataclass(frozen=True, slots=True)
class AlgorithmRules:
    """All algorithm rules of a policy."""

    rules: tuple[AlgorithmRule, ...] = ()

    def __len__(self) -> int:
        return len(self.rules)

    def plus(self, other: "AlgorithmRules") -> "AlgorithmRules":
        """These rules and others."""
        return AlgorithmRules((*self.rules, *other.rules)) if other.rules else self

    @property
    def name_curves(self) -> bool:
        """Whether a rule needs to know the curves of keys."""
        return any(Subject.CURVES in rule.choices for rule in self.rules)


NO_RULES = AlgorithmRules()
