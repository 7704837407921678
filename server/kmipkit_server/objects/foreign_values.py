"""Enumeration values that the version of a request does not have.

The decoder keeps every number, since vendors have numbers of their own. A number that only an earlier
version names would be stored, and then be missing in the responses to the client that has set it; one
that no version names is reserved, and may mean anything in a later version. A number that only a later
version names is stored: a strict server has refused it before, another one takes it as meant
(``engine/request``).
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from types import NoneType

from kmipkit.errors import OperationError
from kmipkit.model.attribute import Attribute, Attributes
from kmipkit.model.structure import Structure, field_names
from kmipkit.spec.enumeration import OpenEnum
from kmipkit.spec.enums import ResultReason
from kmipkit.spec.versions import V2_1, V3_0, Version

_EXTENSION = 8
"""The first four bits of a vendor's number: "Extensions, 8XXXXXXX" (KMIP 1.4 §9.1.1.4, §9.1.3.2)."""

_Test = Callable[[OpenEnum, Version], bool]

_PLAIN = frozenset({bool, bytes, datetime, int, str, NoneType})
"""Types without parts. Most values have one of them, and each new object is looked through."""


def require_known(value: object, version: Version) -> None:
    """Refuse to send an attribute value or object with a value of another version (Invalid Field)."""
    _require(value, version, _is_known)


def require_storable(value: object, version: Version) -> None:
    """Refuse to store a value of earlier versions only, or a reserved one (Invalid Field).

    Only vendors' extensions need no name: all other numbers without one are reserved.
    """
    _require(value, version, _is_storable)


def _is_known(value: OpenEnum, version: Version) -> bool:
    # A 3.0 message has neither the type of a Name nor that of a Link: they are those of 2.1.
    return value.known_in(version) or (version == V3_0 and value.known_in(V2_1))


def _is_storable(value: OpenEnum, version: Version) -> bool:
    if not value.is_named:
        return value >> 28 == _EXTENSION
    return value.known_from(version) or _is_known(value, version)


def _require(value: object, version: Version, test: _Test) -> None:
    foreign = _foreign(value, version, test)
    if foreign is not None:
        raise OperationError(ResultReason.INVALID_FIELD, f"KMIP {version} does not have {foreign}")


def _foreign(value: object, version: Version, test: _Test) -> OpenEnum | None:
    """The first value inside a value that fails the test."""
    if type(value) in _PLAIN:
        return None
    if isinstance(value, OpenEnum):
        return None if test(value, version) else value
    for part in _parts(value):
        if type(part) not in _PLAIN:
            foreign = _foreign(part, version, test)
            if foreign is not None:
                return foreign
    return None


def _parts(value: object) -> Iterable[object]:
    if isinstance(value, Structure):
        return [getattr(value, name) for name in field_names(type(value))]
    if isinstance(value, tuple | Attributes):
        return value
    return (value.value,) if isinstance(value, Attribute) else ()
