"""Values in a document: from TOML to conditions. An InvalidValue says what a value must be."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time
from ipaddress import ip_network
from types import MappingProxyType
from typing import Any, get_args
from zoneinfo import ZoneInfo

from kmipkit.model.attribute import CUSTOM_PREFIXES, AttributeKey, VendorName
from kmipkit.model.attributes import ATTRIBUTE_TYPES
from kmipkit.model.structure import Structure
from kmipkit.spec.attributes import BY_NAME
from kmipkit.spec.enumeration import OpenEnum, OpenMask
from kmipkit.spec.enums import ObjectType, State
from kmipkit.spec.tags import Tag
from kmipkit.spec.titles import title
from kmipkit_server.policy import conditions
from kmipkit_server.policy.conditions import Condition
from kmipkit_server.policy.errors import InvalidValue
from kmipkit_server.policy.patterns import Pattern, has_wildcards
from kmipkit_server.toml.suggestion import suggestion


@dataclass(frozen=True, slots=True)
class Context:
    """What the meaning of a value depends on."""

    tenant: str
    groups: Mapping[str, frozenset[str]]
    """The groups of the document."""
    is_broad: bool
    """Whether names of objects are compared broadly: see :mod:`.patterns`."""
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))


Read = Callable[[object, Context], Condition]


def texts(value: object) -> tuple[str, ...]:
    """A string, or a list of strings."""
    values = value if isinstance(value, list) else [value]
    if not values or not all(isinstance(each, str) and each for each in values):
        raise InvalidValue("must be a string or a list of strings, which are not empty")
    return tuple(values)


def exact_texts(value: object) -> frozenset[str]:
    """Names that are compared exactly; a wildcard in one would not mean what it seems to."""
    names = texts(value)
    for name in names:
        if "*" in name:
            raise InvalidValue(f"takes whole names; {name!r} has a wildcard")
    return frozenset(names)


def flag(value: object) -> bool:
    """true or false."""
    if not isinstance(value, bool):
        raise InvalidValue("must be true or false")
    return value


def patterns(value: object, *, is_broad: bool) -> tuple[Pattern, ...]:
    """Names, which may have wildcards."""
    return tuple(Pattern(text, is_broad) for text in texts(value))


# --- who -------------------------------------------------------------------------------------------


def accounts(value: object, context: Context) -> Condition:
    """Names of accounts; ``*`` for all of them."""
    if value == "*":
        return conditions.Anyone()
    return conditions.Accounts(exact_texts(value), context.tenant)


def _groups(value: object, context: Context) -> Condition:
    members: set[str] = set()
    for name in texts(value):
        if name not in context.groups:
            similar = suggestion(name, context.groups)
            raise InvalidValue(f"names {name!r}, which is not in [groups]{similar}")
        members |= context.groups[name]
    return conditions.Accounts(frozenset(members), context.tenant)


def _tenants(value: object, context: Context) -> Condition:
    if context.tenant:
        raise InvalidValue("can only be in the document of the server")
    return conditions.Tenants(exact_texts(value))


def _networks(value: object, _context: Context) -> Condition:
    networks = []
    for text in texts(value):
        try:
            networks.append(ip_network(text))
        except ValueError:
            raise InvalidValue(
                f"must have addresses or networks such as 10.1.0.0/16; {text!r} is none"
            ) from None
    return conditions.Networks(tuple(networks))


def _name_parts(value: object, *, of_issuer: bool) -> Condition:
    parts = []
    for text in texts(value):
        kind, separator, pattern = text.partition("=")
        if not separator or not kind.strip() or not pattern.strip():
            raise InvalidValue(f"must have parts of a name such as OU=Payments; {text!r} is none")
        parts.append((kind.strip().upper(), Pattern(pattern.strip())))
    return conditions.NameParts(tuple(parts), of_issuer)


def _fingerprints(value: object, _context: Context) -> Condition:
    hashes = frozenset(map(conditions.fingerprint, texts(value)))
    for each in hashes:
        if not re.fullmatch("[0-9a-f]{64}", each):
            raise InvalidValue(
                "must have fingerprints as kmipkit certs show prints them, which begin with"
                " signed-sha256:"
            )
    return conditions.Fingerprints(hashes)


WHO: Mapping[str, Read] = MappingProxyType(
    {
        "accounts": accounts,
        "groups": _groups,
        "users": lambda value, context: conditions.Users(exact_texts(value), context.tenant),
        "linked_groups": lambda value, context: conditions.LinkedGroups(
            exact_texts(value), context.tenant
        ),
        "administrators": lambda value, context: conditions.Administrators(flag(value)),
        "tenants": _tenants,
        "networks": _networks,
        "subject": lambda value, context: _name_parts(value, of_issuer=False),
        "issuer": lambda value, context: _name_parts(value, of_issuer=True),
        "san": lambda value, context: conditions.AlternativeNames(patterns(value, is_broad=False)),
        "fingerprints": _fingerprints,
    }
)
"""The keys of ``who``."""


# --- objects ---------------------------------------------------------------------------------------


def members_named(value: object, kind: type[OpenEnum]) -> frozenset[Any]:
    """Members of an enumeration by their names in the standard, in any spelling."""
    by_name = {_plain(title(member)): member for member in kind}
    found = set()
    for text in texts(value):
        member = by_name.get(_plain(text))
        if member is None:
            similar = suggestion(text, map(title, kind))
            raise InvalidValue(f"has no value {text!r}{similar}")
        found.add(member)
    return frozenset(found)


def _plain(name: str) -> str:
    return "".join(char for char in name.lower() if char.isalnum())


def names(value: object, context: Context) -> Condition:
    """Names of objects."""
    return _attribute_texts(Tag.NAME, value, context)


def _attribute_texts(key: AttributeKey, value: object, context: Context) -> Condition:
    return conditions.AttributeTexts(key, patterns(value, is_broad=context.is_broad))


def _owner_groups(value: object, context: Context) -> Condition:
    members = _groups(value, context)
    assert isinstance(members, conditions.Accounts)
    return conditions.Owners(members.names, context.tenant)


OBJECTS: Mapping[str, Read] = MappingProxyType(
    {
        "owners": lambda value, context: conditions.Owners(exact_texts(value), context.tenant),
        "owner_groups": _owner_groups,
        "types": lambda value, context: conditions.Types(members_named(value, ObjectType)),
        "states": lambda value, context: conditions.States(members_named(value, State)),
        "names": names,
        "groups": lambda value, context: _attribute_texts(Tag.OBJECT_GROUP, value, context),
        "identifiers": lambda value, context: conditions.Identifiers(
            exact_texts(value), context.tenant
        ),
    }
)
"""The keys of ``objects`` besides ``attributes``."""


_COLUMNS: Mapping[Tag, str] = MappingProxyType(
    {
        Tag.UNIQUE_IDENTIFIER: "identifiers", Tag.OBJECT_TYPE: "types", Tag.STATE: "states",
        Tag.NAME: "names", Tag.OBJECT_GROUP: "groups",
    }
)  # fmt: skip
"""Attributes that have keys of their own."""


def attribute_key(name: str) -> AttributeKey:
    """The attribute of a name: one of the standard, or a custom one such as ``x-Environment``."""
    row = BY_NAME.get(name)
    if row is not None:
        if row.tag in _COLUMNS:
            raise InvalidValue(f"is objects.{_COLUMNS[row.tag]} in a rule")
        if row.tag not in ATTRIBUTE_TYPES or row.tag is Tag.OBJECT_CLASS:
            raise InvalidValue("is not an attribute that objects are stored with")
        return row.tag
    vendor, dash, rest = name.partition("-")
    similar = suggestion(name, BY_NAME)
    if dash and rest and (vendor in CUSTOM_PREFIXES or not similar):
        return VendorName(vendor, rest)
    raise InvalidValue(
        "is no attribute of the standard, and a custom one is written as x-NAME or VENDOR-NAME"
        + similar
    )


def attribute(name: str, value: object, context: Context) -> Condition:
    """A condition on the values of the attribute of a name."""
    key = attribute_key(name)
    values: list[Any] = value if isinstance(value, list) else [value]
    kind = type_of(key)
    if kind is not None and issubclass(kind, OpenEnum):
        return conditions.AttributeValues(key, tuple(sorted(members_named(value, kind))))
    if kind is not None and issubclass(kind, OpenMask):
        return conditions.AttributeBits(key, _bits(value, kind))
    if kind is not None and issubclass(kind, Structure | bytes):
        raise InvalidValue("is a structure or bytes; rules compare single values")
    expected = (str, bool, int, datetime) if kind is None else (kind,)
    is_local = any(isinstance(each, datetime) and each.tzinfo is None for each in values)
    if not values or is_local or not all(type(each) in expected for each in values):
        words = " or ".join(_WORDS[each] for each in expected)
        raise InvalidValue(f"must be {words}, or a list of such values")
    if all(isinstance(each, str) for each in values):
        return _attribute_texts(key, value, context)
    return conditions.AttributeValues(key, tuple(values))


_WORDS: Mapping[type, str] = MappingProxyType(
    {
        str: "a string",
        bool: "true or false",
        int: "a number",
        datetime: "a date with a time and zone",
    }
)


def type_of(key: AttributeKey) -> type | None:
    """The type of an attribute's values; None for a custom one, whose values may have any."""
    if not isinstance(key, Tag):
        return None
    declared = ATTRIBUTE_TYPES[key]
    types = [each for each in (get_args(declared) or (declared,)) if isinstance(each, type)]
    for kind in (OpenEnum, OpenMask, Structure, bool, datetime, bytes):
        found = next((each for each in types if issubclass(each, kind)), None)
        if found is not None:
            return found
    return str if any(issubclass(each, str) for each in types) else int


def _bits(value: object, kind: type[OpenMask]) -> int:
    by_name = {_plain(each.name): each.value for each in kind.bits()}
    bits = 0
    for text in texts(value):
        if _plain(text) not in by_name:
            known = ", ".join(each.name.replace("_", " ").title() for each in kind.bits())
            raise InvalidValue(f"has no bit {text!r}; the bits are {known}")
        bits |= by_name[_plain(text)]
    return bits


# --- when ------------------------------------------------------------------------------------------

_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_HOURS = re.compile(
    r"([01][0-9]|2[0-3]):([0-5][0-9])\s*-\s*(?:([01][0-9]|2[0-3]):([0-5][0-9])|24:00)"
)


def zone(value: object) -> ZoneInfo:
    """A time zone by its name, such as Europe/Berlin."""
    if isinstance(value, str) and not has_wildcards(value):
        try:
            return ZoneInfo(value)
        except (KeyError, ValueError, OSError):  # unknown, malformed, or a directory
            pass
    raise InvalidValue(f"must be the name of a time zone such as Europe/Berlin, not {value!r}")


def moment(value: object) -> date:
    """A date, or a date with a time."""
    if not isinstance(value, date):
        raise InvalidValue(
            "must be a date, such as 2026-12-31, or a date with a time, without quotes"
        )
    return value


def days(value: object, context: Context) -> Condition:
    """Days of the week, such as ``Monday`` or ``Mon-Fri``."""
    found: set[int] = set()
    for text in texts(value):
        first, dash, last = text.partition("-")
        begin = _day(first)
        end = _day(last) if dash else begin
        found |= {(begin + number) % 7 for number in range((end - begin) % 7 + 1)}
    return conditions.Days(frozenset(found), context.zone)


def _day(text: str) -> int:
    plain = text.strip().lower()
    for number, name in enumerate(_DAYS):
        if plain in (name, name[:3]):
            return number
    raise InvalidValue(f"must have days such as Monday or Mon-Fri; {text!r} is none")


def hours(value: object, context: Context) -> Condition:
    """Times of the day, such as ``08:00-18:00``."""
    spans = []
    for text in texts(value):
        match = _HOURS.fullmatch(text.strip())
        if match is None:
            raise InvalidValue(f"must have times such as 08:00-18:00; {text!r} is none")
        begin = time(int(match[1]), int(match[2]))
        end = time() if match[3] is None else time(int(match[3]), int(match[4]))
        spans.append((begin, end))
    return conditions.Hours(tuple(spans), context.zone)
