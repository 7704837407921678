"""Constraints and defaults for new objects (2.1 on), and the rights of a ticket (2.0 on)."""

from typing import Annotated

from kmipkit.model.attribute import Attributes
from kmipkit.model.attributes import UsageLimits
from kmipkit.model.structure import Structure, Wire, structure
from kmipkit.model.types import Identifier
from kmipkit.spec.enums import ObjectType, Operation
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V2_0, V2_1


@structure(Tag.OBJECT_GROUPS)
class ObjectGroups(Structure):
    """Values of the Object Group attribute (2.1 §7.23)."""

    object_groups: Annotated[tuple[str, ...], Wire(Tag.OBJECT_GROUP)] = ()


@structure(Tag.OBJECT_TYPES)
class ObjectTypes(Structure):
    """A list of object types (2.1 §7.24)."""

    object_types: Annotated[tuple[ObjectType, ...], Wire(Tag.OBJECT_TYPE)] = ()


@structure(Tag.OPERATIONS)
class Operations(Structure):
    """A list of operations (2.1 §7.25)."""

    operations: Annotated[tuple[Operation, ...], Wire(Tag.OPERATION)] = ()


@structure(Tag.OBJECTS)
class Objects(Structure):
    """A list of objects (2.1 §7.21)."""

    unique_identifiers: Annotated[tuple[Identifier, ...], Wire(Tag.UNIQUE_IDENTIFIER)] = ()


@structure(Tag.CONSTRAINT)
class Constraint(Structure):
    """Requirements on new objects of these types and groups (2.1 §7.6)."""

    object_types: Annotated[ObjectTypes | None, Wire(Tag.OBJECT_TYPES)] = None
    object_groups: Annotated[ObjectGroups | None, Wire(Tag.OBJECT_GROUPS)] = None
    attributes: Annotated[Attributes | None, Wire(Tag.ATTRIBUTES)] = None


@structure(Tag.CONSTRAINTS)
class Constraints(Structure):
    """A set of constraints (2.1 §7.7)."""

    constraints: Annotated[tuple[Constraint, ...], Wire(Tag.CONSTRAINT)] = ()


@structure(Tag.OBJECT_DEFAULTS)
class ObjectDefaults(Structure):
    """Default attribute values for new objects (2.1 §7.22).

    For one type, or from 2.1 on for a list of types; exactly one of the two fields is present.
    """

    object_type: Annotated[
        ObjectType | None,
        Wire(Tag.OBJECT_TYPE, until=V2_0, required=True),
        Wire(Tag.OBJECT_TYPE, since=V2_1),
    ] = None
    object_types: Annotated[ObjectTypes | None, Wire(Tag.OBJECT_TYPES, since=V2_1)] = None
    attributes: Annotated[Attributes, Wire(Tag.ATTRIBUTES)]
    object_groups: Annotated[ObjectGroups | None, Wire(Tag.OBJECT_GROUPS, since=V2_1)] = None


@structure(Tag.DEFAULTS_INFORMATION)
class DefaultsInformation(Structure):
    """The defaults of a server (2.1 §7.11)."""

    object_defaults: Annotated[tuple[ObjectDefaults, ...], Wire(Tag.OBJECT_DEFAULTS)] = ()


@structure(Tag.RIGHT)
class Right(Structure):
    """A right of a ticket; an absent field does not restrict it (2.1 §7.34)."""

    usage_limits: Annotated[UsageLimits | None, Wire(Tag.USAGE_LIMITS)] = None
    operations: Annotated[Operations | None, Wire(Tag.OPERATIONS)] = None
    objects: Annotated[Objects | None, Wire(Tag.OBJECTS)] = None
    object_groups: Annotated[ObjectGroups | None, Wire(Tag.OBJECT_GROUPS, since=V2_1)] = None


@structure(Tag.RIGHTS)
class Rights(Structure):
    """The rights of a ticket; one that permits the request is enough (2.1 §7.35)."""

    rights: Annotated[tuple[Right, ...], Wire(Tag.RIGHT)] = ()


@structure()
class SetConstraintsRequest(Structure):
    """Replace the constraints (2.1 §6.1.52).

    The table says that Constraints are required, and the official case TC-MD-24-21 removes all
    constraints with a request that has none, as Set Defaults does (2.1 §6.1.53).
    """

    constraints: Annotated[Constraints | None, Wire(Tag.CONSTRAINTS)] = None


@structure()
class SetConstraintsResponse(Structure):
    """No fields (2.1 §6.1.52)."""


@structure()
class GetConstraintsRequest(Structure):
    """No fields (2.1 §6.1.22)."""


@structure()
class GetConstraintsResponse(Structure):
    """The constraints in force (2.1 §6.1.22)."""

    constraints: Annotated[Constraints, Wire(Tag.CONSTRAINTS)]


@structure()
class SetDefaultsRequest(Structure):
    """Replace the defaults, or remove them all (2.1 §6.1.53)."""

    defaults_information: Annotated[DefaultsInformation | None, Wire(Tag.DEFAULTS_INFORMATION)] = (
        None
    )


@structure()
class SetDefaultsResponse(Structure):
    """No fields (2.1 §6.1.53)."""
