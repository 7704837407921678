"""Open sets of numbers.

KMIP reserves ranges for vendors, and each version adds values. Therefore no number that fits its field
is an error: an unknown enumeration value becomes a pseudo-member with its number as name, and an
unknown mask bit stays in the mask. Each named value has the versions in which it exists.
"""

from collections.abc import Iterator
from enum import EnumType, IntEnum
from typing import Any, Self, TypeVar

from kmipkit.spec.versions import V1_0, Version

_Mask = TypeVar("_Mask", bound="OpenMask")


class _OpenType(EnumType):
    """Permits numbers in an enumeration without members, such as Opaque Data Type."""

    def __call__(cls, value: Any, *args: Any, **kwargs: Any) -> Any:
        if cls._member_map_ or args or not issubclass(cls, OpenEnum):
            return super().__call__(value, *args, **kwargs)
        return cls._missing_(value)


class OpenEnum(IntEnum, metaclass=_OpenType):
    """An enumeration of KMIP; members are declared as ``NAME = number, since[, until]``.

    ``until`` is the last version that has the value. Any number from 0 to 2**32 - 1 can be looked
    up; numbers without a name can be compared and encoded (KMIP 1.4 §9.1.3.2).
    """

    since: Version
    until: Version | None

    def __new__(cls, value: int, since: Version = V1_0, until: Version | None = None) -> Self:
        member = int.__new__(cls, value)
        member._value_ = value
        member.since = since
        member.until = until
        return member

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, int) or not 0 <= value <= 0xFFFFFFFF:
            return None
        member = int.__new__(cls, value)
        member._value_ = value
        member._name_ = f"0x{value:08X}"
        member.since = V1_0
        member.until = None
        return member

    @property
    def is_named(self) -> bool:
        """Whether the tables of the standard name this number."""
        return self._value_ in type(self)._value2member_map_

    def known_in(self, version: Version) -> bool:
        """Whether this version has the value; true for numbers without a name."""
        return self.since <= version and (self.until is None or version <= self.until)

    def known_from(self, version: Version) -> bool:
        """Whether this version or a later one has the value."""
        return self.until is None or version <= self.until

    def __str__(self) -> str:
        return f"{type(self).__name__}.{self._name_}"

    __repr__ = __str__

    def __reduce_ex__(self, proto: object) -> tuple[type[Self], tuple[int]]:
        return type(self), (int(self),)

    def __deepcopy__(self, memo: object) -> Self:
        return self


class bit:  # noqa: N801 - reads as a keyword in the tables of masks
    """A named bit of an :class:`OpenMask`, with the versions that have it."""

    def __init__(self, value: int, since: Version = V1_0, until: Version | None = None) -> None:
        self.value = value
        self.since = since
        self.until = until
        self.name = ""

    def __set_name__(self, owner: type["OpenMask"], name: str) -> None:
        self.name = name

    def __get__(self, instance: object, owner: type[_Mask]) -> _Mask:
        return owner(self.value)


class OpenMask(int):
    """A bit mask, encoded as a KMIP Integer; unknown bits survive (KMIP 1.4 §9.1.3.3).

    Values are unsigned (0 to 2**32 - 1). This is not an ``enum.IntFlag``, because that keeps every
    combination in memory, and a peer could fill the memory with combinations.
    """

    __slots__ = ()

    def __new__(cls, value: int = 0) -> Self:
        if not 0 <= value <= 0xFFFFFFFF:
            raise ValueError(f"{cls.__name__} has 32 bits; {value} does not fit")
        return int.__new__(cls, value)

    @classmethod
    def bits(cls) -> Iterator[bit]:
        """The named bits, in the order of their declaration."""
        return (member for member in vars(cls).values() if isinstance(member, bit))

    def __or__(self, other: int) -> Self:
        return type(self)(int(self) | other)

    def __and__(self, other: int) -> Self:
        return type(self)(int(self) & other)

    __ror__ = __or__
    __rand__ = __and__

    def __contains__(self, other: int) -> bool:
        return int.__and__(self, other) == other  # an integer: no mask need be made of it

    def __iter__(self) -> Iterator[Self]:
        """Each set bit as a mask, lowest first."""
        return (type(self)(1 << n) for n in range(32) if int(self) >> n & 1)

    def names(self) -> list[str]:
        """The names of the set bits, lowest first; bits without a name in hexadecimal."""
        names = {member.value: member.name for member in self.bits()}
        return [names.get(int(part), f"0x{int(part):08X}") for part in self]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({'|'.join(self.names()) or '0'})"

    __str__ = __repr__
