"""Locate.

The values of criteria are trees: a structure may lack required fields, and matches every structure
with the same values in the fields that it has (KMIP 1.4 §4.9).
"""

from typing import Annotated

from kmipkit.model.attribute import Attributes
from kmipkit.model.structure import Structure, Wire, structure
from kmipkit.model.types import Identifier
from kmipkit.spec.enums import ObjectGroupMember
from kmipkit.spec.masks import StorageStatusMask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_1, V1_3, V1_4, V2_0


@structure()
class LocateRequest(Structure):
    """Find objects by their attributes (1.4 §4.9, 2.1 §6.1.28)."""

    maximum_items: Annotated[int | None, Wire(Tag.MAXIMUM_ITEMS)] = None
    offset_items: Annotated[int | None, Wire(Tag.OFFSET_ITEMS, since=V1_3)] = None
    storage_status_mask: Annotated[StorageStatusMask | None, Wire(Tag.STORAGE_STATUS_MASK)] = None
    object_group_member: Annotated[
        ObjectGroupMember | None, Wire(Tag.OBJECT_GROUP_MEMBER, since=V1_1)
    ] = None
    attributes: Annotated[
        Attributes | None,
        Wire(Tag.ATTRIBUTE, until=V1_4, spread=True, generic=True),
        Wire(Tag.ATTRIBUTES, since=V2_0, generic=True),
    ] = None


@structure()
class LocateResponse(Structure):
    """The objects found; ``located_items`` is the number without paging (1.4 §4.9, 2.1 §6.1.28)."""

    located_items: Annotated[int | None, Wire(Tag.LOCATED_ITEMS, since=V1_3)] = None
    unique_identifiers: Annotated[tuple[Identifier, ...], Wire(Tag.UNIQUE_IDENTIFIER)] = ()
