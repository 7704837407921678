"""One item for each field type of the model, made from the declarations without any chance."""

from typing import Any

from kmipkit.model.attribute_field_types import (
    AttributeListType,
    AttributeReferenceType,
    AttributeType,
)
from kmipkit.model.field_types import (
    ChoiceType,
    DependentType,
    EnumerationType,
    FieldType,
    GenericType,
)
from kmipkit.model.plan import plan
from kmipkit.model.reference import FieldPlan, StructureType
from kmipkit.model.structure import Structure
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V2_0, Version
from kmipkit.ttlv.tree import Item, ItemValue

_VALUES: dict[ItemType, ItemValue] = {
    ItemType.STRUCTURE: (),
    ItemType.BOOLEAN: True,
    ItemType.TEXT_STRING: "text",
    ItemType.IDENTIFIER: "text",
    ItemType.REFERENCE: "text",
    ItemType.NAME_REFERENCE: "text",
    ItemType.BYTE_STRING: b"bytes",
}
"""Values by item type; 1 for the others."""

_TEXT = Item(Tag.CONTACT_INFORMATION, ItemType.TEXT_STRING, "text")
_ATTRIBUTE = (
    Item(Tag.ATTRIBUTE_NAME, ItemType.TEXT_STRING, "Contact Information"),
    Item(Tag.ATTRIBUTE_VALUE, ItemType.TEXT_STRING, "text"),
)


def item_of(tag: int, field_type: FieldType, selector: Any = None) -> Item:
    """An item of this type, with the required fields only."""
    match field_type:
        case ChoiceType():
            return item_of(tag, field_type.options[0], selector)
        case EnumerationType():
            known = (int(each) for each in field_type.enumeration if field_type.has(each))
            return Item(tag, ItemType.ENUMERATION, next(known, 0x80000001))
        case DependentType():
            return item_of(tag, field_type.resolve(selector))
        case StructureType():
            return structure_of(tag, field_type.cls, field_type.version, outer=selector)
        case AttributeType():
            return Item(tag, ItemType.STRUCTURE, _ATTRIBUTE if field_type.by_name else (_TEXT,))
        case AttributeListType():
            by_name = Item(Tag.ATTRIBUTE, ItemType.STRUCTURE, _ATTRIBUTE)
            inner = by_name if field_type.attribute_type.by_name else _TEXT
            return Item(tag, ItemType.STRUCTURE, (inner,))
        case AttributeReferenceType() if field_type.version >= V2_0:
            return Item(tag, ItemType.ENUMERATION, int(Tag.CONTACT_INFORMATION))
        case GenericType():
            return Item(tag, ItemType.STRUCTURE, ())
    item_type = min(field_type.item_types)
    return Item(tag, item_type, _VALUES.get(item_type, 1))


def structure_of(
    tag: int,
    cls: type[Structure],
    version: Version,
    *,
    outer: Any = None,
    replaced: FieldPlan | None = None,
) -> Item:
    """A structure with its required fields, and the field ``replaced`` in the form that it has there."""
    items: list[Item] = []
    values: dict[str, Any] = {"outer": outer}
    for own in plan(cls, version):
        field = replaced if replaced is not None and own.name == replaced.name else own
        if not field.forms or not (field.required or field is replaced):
            continue
        form = field.forms[0]
        selector = values.get(field.by) if field.by else values.get(field.passes)
        item = item_of(form.tag, form.field_type, selector)
        if isinstance(form.field_type, EnumerationType):
            values[field.name] = form.field_type.enumeration(item.value)
        items.append(item)
    return Item(tag, ItemType.STRUCTURE, tuple(items))
