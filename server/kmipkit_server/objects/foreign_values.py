"""Enumeration values that the version of a request does not have.

The decoder keeps every number, since vendors have numbers of their own. A number that only another
version names would be stored, and then be missing in the responses to the client that has set it.
"""

from kmipkit.errors import OperationError
from kmipkit.model.attribute import Attribute, Attributes
from kmipkit.model.structure import Structure, field_names
from kmipkit.spec.enumeration import OpenEnum
from kmipkit.spec.enums import ResultReason
from kmipkit.spec.versions import V2_1, V3_0, Version


def require_known(value: object, version: Version) -> None:
    """Refuse an attribute value or object with a value of another version (Invalid Field)."""
    foreign = _foreign(value, version)
    if foreign is not None:
        raise OperationError(ResultReason.INVALID_FIELD, f"KMIP {version} does not have {foreign}")


def _foreign(value: object, version: Version) -> OpenEnum | None:
    if isinstance(value, OpenEnum):
        # A 3.0 message has neither the type of a Name nor that of a Link: they are those of 2.1.
        is_known = value.known_in(version) or (version == V3_0 and value.known_in(V2_1))
        return None if is_known else value
    parts: list[object] = []
    if isinstance(value, Structure):
        parts += [getattr(value, name) for name in field_names(type(value))]
    elif isinstance(value, tuple | Attributes):
        parts += value
    elif isinstance(value, Attribute):
        parts.append(value.value)
    found = (_foreign(part, version) for part in parts)
    return next((each for each in found if each is not None), None)
