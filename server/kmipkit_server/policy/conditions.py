"""The conditions of rules: each is a small value that says whether it is met.

A rule applies if all of its conditions are met; a condition with several values is met if one of them
fits. A condition that cannot be judged, such as one on the state when there is no object, is not met.
"""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Protocol
from zoneinfo import ZoneInfo

from cryptography import x509
from kmipkit_certs.identity import FINGERPRINT, USER_PREFIX

from kmipkit.model.attribute import AttributeKey
from kmipkit.model.attributes import Name
from kmipkit.spec.enums import ObjectType, State
from kmipkit_server.policy.patterns import Pattern
from kmipkit_server.policy.question import Question


class Condition(Protocol):
    """One condition of a rule."""

    def is_met(self, question: Question) -> bool:
        """Whether the question meets it."""


# --- who -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Anyone:
    """All accounts."""

    def is_met(self, question: Question) -> bool:  # noqa: ARG002
        return True


@dataclass(frozen=True, slots=True)
class Accounts:
    """The accounts of these names; names are compared exactly."""

    names: frozenset[str]
    tenant: str

    def is_met(self, question: Question) -> bool:
        return question.account(self.tenant) in self.names


@dataclass(frozen=True, slots=True)
class Users:
    """The users of these names or Unique Identifiers, in the tenant of the document."""

    names: frozenset[str]
    tenant: str

    def is_met(self, question: Question) -> bool:
        if question.identity.tenant != self.tenant:
            return (
                False  # a tenant has users of its own, and may choose their names and identifiers
            )
        account = question.identity.account
        is_named = account.startswith(USER_PREFIX) and account[len(USER_PREFIX) :] in self.names
        return is_named or question.identity.user in self.names


@dataclass(frozen=True, slots=True)
class Tenants:
    """The accounts of these tenants; only the document of the server knows tenants."""

    names: frozenset[str]

    def is_met(self, question: Question) -> bool:
        return question.identity.tenant in self.names


@dataclass(frozen=True, slots=True)
class Administrators:
    """Whether the account is an administrator."""

    value: bool

    def is_met(self, question: Question) -> bool:
        return question.identity.is_administrator is self.value


@dataclass(frozen=True, slots=True)
class LinkedGroups:
    """The users that are linked to one of these Groups of the tenant of the document."""

    names: frozenset[str]
    tenant: str

    def is_met(self, question: Question) -> bool:
        # Groups of a tenant are not those of the server, whatever they are called.
        return question.identity.tenant == self.tenant and not self.names.isdisjoint(
            question.groups()
        )


@dataclass(frozen=True, slots=True)
class Networks:
    """The addresses of these networks."""

    networks: tuple[IPv4Network | IPv6Network, ...]

    def is_met(self, question: Question) -> bool:
        try:
            address = ip_address(question.identity.address.partition("%")[0])
        except ValueError:  # the server itself has no address
            return False
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in self.networks)


@dataclass(frozen=True, slots=True)
class NameParts:
    """The certificates whose subject or issuer has one of these parts, such as ``OU=Payments``."""

    parts: tuple[tuple[str, Pattern], ...]
    """The short name of each attribute, such as ``OU``, and its value."""
    of_issuer: bool

    def is_met(self, question: Question) -> bool:
        certificate = question.identity.certificate
        if certificate is None:
            return False
        text = certificate.issuer_name if self.of_issuer else certificate.subject
        return any(
            name == kind and pattern.matches(value)
            for name, value in _parts(text)
            for kind, pattern in self.parts
        )


@lru_cache(maxsize=1024)
def _parts(text: str) -> tuple[tuple[str, str], ...]:
    """The attributes of a name (RFC 4514); none if it is malformed."""
    try:
        name = x509.Name.from_rfc4514_string(text)
    except ValueError:
        return ()
    return tuple((each.rfc4514_attribute_name.upper(), str(each.value)) for each in name)


@dataclass(frozen=True, slots=True)
class AlternativeNames:
    """The certificates that have one of these Subject Alternative Names."""

    patterns: tuple[Pattern, ...]

    def is_met(self, question: Question) -> bool:
        certificate = question.identity.certificate
        names = () if certificate is None else certificate.alternative_names
        return any(pattern.matches(name) for name in names for pattern in self.patterns)


@dataclass(frozen=True, slots=True)
class Fingerprints:
    """These certificates."""

    hashes: frozenset[str]

    def is_met(self, question: Question) -> bool:
        return question.identity.certificate_hash.hex() in self.hashes


def fingerprint(text: str) -> str:
    """The hexadecimal digits of a fingerprint as ``kmipkit certs show`` prints it."""
    return text.removeprefix(FINGERPRINT).replace(":", "").lower()


OF_CONNECTION = (Networks, NameParts, AlternativeNames, Fingerprints)
"""Conditions on what only a connection has. Rules with them do not apply to what the server does itself,
such as the rotation of keys."""

DYNAMIC = (LinkedGroups,)
"""Conditions on an account that may change from one request of a connection to the next."""


# --- objects ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Owners:
    """The objects of these accounts."""

    names: frozenset[str]
    tenant: str

    def is_met(self, question: Question) -> bool:
        return question.owner(self.tenant) in self.names


@dataclass(frozen=True, slots=True)
class Types:
    """The objects of these types."""

    types: frozenset[ObjectType]

    def is_met(self, question: Question) -> bool:
        assert question.record is not None
        return question.record.object_type in self.types


@dataclass(frozen=True, slots=True)
class States:
    """The objects in these states, at the time of the request."""

    states: frozenset[State]

    def is_met(self, question: Question) -> bool:
        assert question.record is not None
        return question.record.state_at(question.now) in self.states


@dataclass(frozen=True, slots=True)
class Identifiers:
    """The objects with these Unique Identifiers."""

    identifiers: frozenset[str]
    tenant: str

    def is_met(self, question: Question) -> bool:
        return question.identifier(self.tenant) in self.identifiers


@dataclass(frozen=True, slots=True)
class AttributeTexts:
    """The objects of which an attribute has one of these texts: names and groups are such, too."""

    key: AttributeKey
    patterns: tuple[Pattern, ...]

    def is_met(self, question: Question) -> bool:
        assert question.record is not None
        for value in question.record.attributes.all(self.key):
            text = value.name_value if isinstance(value, Name) else value
            if isinstance(text, str) and any(each.matches(text) for each in self.patterns):
                return True
        return False


@dataclass(frozen=True, slots=True)
class AttributeBits:
    """The objects of which an attribute, which is a mask, has one of these bits."""

    key: AttributeKey
    bits: int

    def is_met(self, question: Question) -> bool:
        assert question.record is not None
        return any(int(value) & self.bits for value in question.record.attributes.all(self.key))


@dataclass(frozen=True, slots=True)
class AttributeValues:
    """The objects of which an attribute has one of these values, which are no texts."""

    key: AttributeKey
    values: tuple[int | bool | datetime, ...]

    def is_met(self, question: Question) -> bool:
        assert question.record is not None
        values = question.record.attributes.all(self.key)
        return any(
            value == each and isinstance(value, bool) is isinstance(each, bool)
            for value in values
            for each in self.values
        )


OF_ATTRIBUTES = (AttributeTexts, AttributeBits, AttributeValues)
"""Conditions on what a client may be able to change."""

# --- when ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Period:
    """From a time, and until before another one."""

    begin: datetime | None
    end: datetime | None

    def is_met(self, question: Question) -> bool:
        now = question.now
        return (self.begin is None or self.begin <= now) and (self.end is None or now < self.end)


@dataclass(frozen=True, slots=True)
class Days:
    """Days of the week, 0 for Monday, in a time zone."""

    days: frozenset[int]
    zone: ZoneInfo

    def is_met(self, question: Question) -> bool:
        return question.now.astimezone(self.zone).weekday() in self.days


@dataclass(frozen=True, slots=True)
class Hours:
    """Times of the day: from the first one until before the second one, which may be the next day's."""

    spans: tuple[tuple[time, time], ...]
    zone: ZoneInfo

    def is_met(self, question: Question) -> bool:
        now = question.now.astimezone(self.zone).time()
        return any(
            begin <= now < end if begin < end else now >= begin or now < end
            for begin, end in self.spans
        )


def begin_of(value: date, zone: ZoneInfo) -> datetime:
    """When a date begins, or a time as it is; without a zone of its own, it is in that of the rule."""
    moment = value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)  # noqa: DTZ001
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)


def end_of(value: date, zone: ZoneInfo) -> datetime:
    """When a date ends, or a time as it is."""
    is_time = isinstance(value, datetime)
    return begin_of(value if is_time else value + timedelta(days=1), zone)
