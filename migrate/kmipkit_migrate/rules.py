"""Which attributes a server takes over, and how: from the tables of the standard.

With Import, a server takes over all attributes, those included that otherwise only it sets (KMIP 1.4
§4.41, 2.1 §6.1.25). Without it, a client can set what the tables of rules permit, and states follow from
operations.
"""

from collections.abc import Iterable
from datetime import datetime

from kmipkit.model.attribute import Attribute, AttributeKey, Attributes, VendorName, attribute_name
from kmipkit.model.v3_forms import LINK_TYPES
from kmipkit.spec.attributes import BY_TAG
from kmipkit.spec.enums import State
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import Version

OF_THE_SERVER = frozenset(
    {
        Tag.UNIQUE_IDENTIFIER, Tag.SHORT_UNIQUE_IDENTIFIER, Tag.OBJECT_TYPE, Tag.OBJECT_CLASS,
        Tag.DIGEST, Tag.LEASE_TIME, Tag.KEY_VALUE_PRESENT, Tag.PROTECTION_STORAGE_MASK,
        Tag.KEY_FORMAT_TYPE, Tag.LAST_CHANGE_DATE, Tag.FRESH,
    }
)  # fmt: skip
"""What each server has of its own, or computes from the object itself."""

DERIVED_PREFIXES = ("CERTIFICATE_SUBJECT", "CERTIFICATE_ISSUER", "X_509_CERTIFICATE")
"""What a server reads from a certificate."""

CORE = frozenset(
    {
        Tag.CRYPTOGRAPHIC_ALGORITHM, Tag.CRYPTOGRAPHIC_LENGTH, Tag.CRYPTOGRAPHIC_USAGE_MASK,
        Tag.STATE, Tag.INITIAL_DATE, Tag.ACTIVATION_DATE, Tag.DEACTIVATION_DATE, Tag.DESTROY_DATE,
        Tag.COMPROMISE_DATE, Tag.COMPROMISE_OCCURRENCE_DATE, Tag.REVOCATION_REASON,
        Tag.CERTIFICATE_TYPE, Tag.OPAQUE_DATA_TYPE, Tag.SENSITIVE, Tag.EXTRACTABLE,
    }
)  # fmt: skip
"""Without which an object would be another one; all others can be added one by one."""

BARE = frozenset(
    {Tag.CRYPTOGRAPHIC_ALGORITHM, Tag.CRYPTOGRAPHIC_LENGTH, Tag.CRYPTOGRAPHIC_USAGE_MASK}
)
"""What every server takes when a key is registered."""

HISTORY = frozenset({Tag.ALWAYS_SENSITIVE, Tag.NEVER_EXTRACTABLE})
"""What a server vouches for, and cannot know of the time before an object came to it."""

STATES = frozenset(
    {Tag.STATE, Tag.REVOCATION_REASON, Tag.COMPROMISE_DATE, Tag.COMPROMISE_OCCURRENCE_DATE}
)
"""What a server without Import has from operations."""

DESCRIPTIONS = frozenset({Tag.CRYPTOGRAPHIC_ALGORITHM, Tag.CRYPTOGRAPHIC_LENGTH})
"""What a request for a new object may have to describe it (KMIP 1.4 §4.3)."""

DATES = frozenset(
    {
        Tag.INITIAL_DATE, Tag.ACTIVATION_DATE, Tag.PROCESS_START_DATE, Tag.PROTECT_STOP_DATE,
        Tag.DEACTIVATION_DATE, Tag.DESTROY_DATE, Tag.COMPROMISE_DATE, Tag.ORIGINAL_CREATION_DATE,
        Tag.COMPROMISE_OCCURRENCE_DATE,
    }
)  # fmt: skip


WRAPPING_KEY = "kmipkit-migrate-"
"""How the names of wrapping keys begin."""


def is_wrapping_key(attributes: Attributes) -> bool:
    """Whether an object is the wrapping key of a migration."""
    names = attributes.all(Tag.NAME)
    return any(each.name_value.startswith(WRAPPING_KEY) for each in names)


def is_of_the_server(key: AttributeKey) -> bool:
    """Whether an attribute is not copied, since the target has its own."""
    if isinstance(key, VendorName):
        return key.vendor == "y"  # KMIP 1.4 §3.39: those of the server
    return key in OF_THE_SERVER or key.name.startswith(DERIVED_PREFIXES)


def is_link(key: AttributeKey) -> bool:
    """Whether an attribute refers to another object."""
    return key is Tag.LINK or key in LINK_TYPES


def unknown_to(version: Version, attribute: Attribute) -> str | None:
    """Why a version of KMIP has no such attribute; None if it has."""
    key = attribute.key
    if isinstance(key, VendorName) or is_link(key):
        return None
    row = BY_TAG.get(key)
    if row is None:
        return "it is no attribute of the standard"
    return None if row.known_in(version) else f"KMIP {version} has no such attribute"


def can_set(version: Version, attribute: Attribute) -> bool:
    """Whether a client can give the attribute to a new object."""
    key = attribute.key
    if isinstance(key, VendorName) or is_link(key) or key in DESCRIPTIONS:
        return True
    row = BY_TAG.get(key)
    return row is not None and row.rules(version).set_by_client


def can_add(version: Version, key: AttributeKey) -> bool:
    """Whether a client can add the attribute to an object later."""
    if isinstance(key, VendorName) or is_link(key):
        return True
    row = BY_TAG.get(key)
    return row is not None and row.rules(version).set_by_client


def state_of(attributes: Attributes) -> State | None:
    """The state of an object; None if its type has none."""
    state = attributes.get(Tag.STATE)
    return None if state is None else State(state)


def without_index(items: Iterable[Attribute]) -> tuple[Attribute, ...]:
    """The same instances as the new server shall number them."""
    return tuple(Attribute(each.key, each.value) for each in items)


def name_of(attribute: Attribute) -> str:
    """The name of an attribute for people."""
    return attribute_name(attribute.key)


def second(moment: datetime) -> datetime:
    """A time as KMIP has it."""
    return moment.replace(microsecond=0)
