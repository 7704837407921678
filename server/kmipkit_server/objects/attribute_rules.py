"""Who may set, change and delete which attribute: the rules of the attribute tables.

The tables (KMIP 1.4 §3, KMIP 2.1 §4) say for each attribute whether a client may set it first,
modify it and delete it. This module enforces these rules. What the standard says about them in
prose about attributes that describe a new object is in a small table below; about dates, in
:mod:`kmipkit_server.objects.dates`.
"""

from collections.abc import Iterable
from functools import lru_cache

from kmipkit.errors import OperationError
from kmipkit.model.attribute import Attribute, AttributeKey, VendorName, attribute_name
from kmipkit.model.attributes import Name
from kmipkit.model.v3_forms import LINK_TYPES
from kmipkit.spec.attribute_spec import AttributeSpec
from kmipkit.spec.attributes import BY_TAG
from kmipkit.spec.enums import ObjectType
from kmipkit.spec.enums import ResultReason as R
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V2_0, Version
from kmipkit.ttlv.tree import Item
from kmipkit_server.objects.dates import require_changeable
from kmipkit_server.objects.foreign_values import require_storable
from kmipkit_server.objects.managed import Managed
from kmipkit_server.objects.object_types import require_type

DESCRIBES_NEW_OBJECT = frozenset(
    {
        Tag.CRYPTOGRAPHIC_ALGORITHM,
        Tag.CRYPTOGRAPHIC_LENGTH,
        Tag.CERTIFICATE_TYPE,
        Tag.CERTIFICATE_LENGTH,
        Tag.DIGITAL_SIGNATURE_ALGORITHM,
        Tag.PROTECTION_STORAGE_MASK,
        Tag.KEY_FORMAT_TYPE,
        Tag.OPAQUE_DATA_TYPE,
    }
)
"""The tables let only the server set these, but a request for a new object may have them, to describe
the object (KMIP 1.4 §4.1, §4.3, Table 171)."""


def _row(key: AttributeKey, version: Version) -> AttributeSpec | None:
    """The row of a standard attribute, None for a vendor attribute. Refuses unknown names."""
    if isinstance(key, VendorName):
        if key.vendor:
            return None
    else:
        row = BY_TAG.get(Tag.LINK if key in LINK_TYPES else key)
        # Custom Attribute is the row for the rules of vendor attributes, and no name itself.
        if row is not None and row.known_from(version) and key != Tag.CUSTOM_ATTRIBUTE:
            return row
    raise OperationError(
        R.INVALID_ATTRIBUTE,
        f"KMIP {version} has no attribute {attribute_name(key)!r}",
    )


@lru_cache(maxsize=4096)
def _require(key: AttributeKey, version: Version, right: str, action: str) -> None:
    """Refuse an action for which the row of the table does not give clients the right.

    Vendor attributes belong to clients, except those of the server (1.x: ``y-``; KMIP 1.4 §3.39).
    """
    row = _row(key, version)
    if row is not None:
        is_allowed = getattr(row.rules(version), right)
    else:
        is_allowed = isinstance(key, VendorName) and key.vendor != "y"
    if not is_allowed:
        raise OperationError(
            R.ATTRIBUTE_READ_ONLY, f"a client cannot {action} {attribute_name(key)}"
        )


def check_new(attributes: Iterable[Attribute], object_type: ObjectType, version: Version) -> None:
    """Refuse attributes that a client may not give to a new object."""
    for attribute in attributes:
        value = attribute.value
        if isinstance(value, int):
            # Most attributes of a new object are numbers, and have the same few values in thousands.
            _check_new_number(attribute.key, value, object_type, version)
        elif value.__class__ is Name and value.name_value.__class__ is str and not value.extensions:
            # Of a Name, only the type can be one of another version.
            _check_new_number(attribute.key, value.name_type, object_type, version)
        else:
            _check_new_value(attribute, object_type, version)


@lru_cache(maxsize=4096, typed=True)
def _check_new_number(
    key: AttributeKey, value: int, object_type: ObjectType, version: Version
) -> None:
    """Check a number, an enumeration, a mask or a Boolean."""
    _check_new_value(Attribute(key, value), object_type, version)


def _check_new_value(attribute: Attribute, object_type: ObjectType, version: Version) -> None:
    check_default(attribute, version)
    require_type(attribute.key, object_type, version)


def check_default(attribute: Attribute, version: Version) -> None:
    """Refuse a default that no client could give to a new object (KMIP 2.1 §6.1.53)."""
    if attribute.key in DESCRIBES_NEW_OBJECT:
        _row(attribute.key, version)
    else:
        _require(attribute.key, version, "set_by_client", "set")
    require_value(attribute, version)


def check_import(attribute: Attribute, object_type: ObjectType, version: Version) -> None:
    """Refuse an attribute that no object of the type can have.

    Import may set all others, those of the server included (KMIP 2.1 §6.1.25).
    """
    _row(attribute.key, version)
    require_type(attribute.key, object_type, version)
    require_value(attribute, version)


def check_add(attribute: Attribute, managed: Managed, version: Version) -> None:
    """Refuse an attribute that a client may not add to an existing object."""
    _require(attribute.key, version, "set_by_client", "add")
    # "Attempt to add an attribute that is not supported for this object" (KMIP 1.4 §11.15).
    reason = R.PERMISSION_DENIED if version < V2_0 else R.INVALID_ATTRIBUTE
    require_type(attribute.key, managed.object_type, version, reason)
    require_value(attribute, version)
    require_changeable(attribute.key, managed)


def check_modify(attribute: Attribute, managed: Managed, version: Version) -> None:
    """Refuse a change that a client may not make."""
    _require(attribute.key, version, "modifiable_by_client", "change")
    require_value(attribute, version)
    require_changeable(attribute.key, managed)


def check_set(attribute: Attribute, managed: Managed, version: Version) -> None:
    """Refuse a value that a client may neither add nor change (KMIP 2.1 §6.1.51)."""
    check = check_modify if attribute.key in managed.attributes else check_add
    check(attribute, managed, version)


def check_delete(key: AttributeKey, version: Version) -> None:
    """Refuse to delete an attribute that a client may not delete."""
    _require(key, version, "deletable_by_client", "delete")


def require_value(attribute: Attribute, version: Version) -> None:
    """Refuse an attribute without a value, as only Notify has it, or with one of another version."""
    if attribute.value is None:
        raise OperationError(R.INVALID_FIELD, f"{attribute_name(attribute.key)} has no value")
    if isinstance(attribute.key, Tag) and isinstance(attribute.value, Item):
        # A tag that is no attribute, or an attribute in the form of another version.
        raise OperationError(
            R.INVALID_ATTRIBUTE,
            f"KMIP {version} has no attribute {attribute_name(attribute.key)} with such a value",
        )
    require_storable(attribute.value, version)


def require_room(count: int, maximum: int) -> None:
    """Refuse an object with too many attribute instances."""
    if count > maximum:
        raise OperationError(
            R.SERVER_LIMIT_EXCEEDED,
            f"the object would have {count} attributes; the server stores {maximum} at most",
            "attributes",
        )
