"""The attributes in a request, in the forms of 1.x and 2.x alike."""

from collections.abc import Iterator
from dataclasses import dataclass

from kmipkit.spec.attribute_spec import AttributeSpec
from kmipkit.spec.attributes import BY_NAME, BY_TAG
from kmipkit.spec.tags import Tag
from kmipkit.ttlv.tree import Item, ItemValue
from kmipkit_conformance.cases import children
from kmipkit_conformance.clients.observed import Act, find, parts, value

CONTAINERS = frozenset(
    {
        Tag.TEMPLATE_ATTRIBUTE,
        Tag.COMMON_TEMPLATE_ATTRIBUTE,
        Tag.PRIVATE_KEY_TEMPLATE_ATTRIBUTE,
        Tag.PUBLIC_KEY_TEMPLATE_ATTRIBUTE,
        Tag.ATTRIBUTES,
        Tag.COMMON_ATTRIBUTES,
        Tag.PRIVATE_KEY_ATTRIBUTES,
        Tag.PUBLIC_KEY_ATTRIBUTES,
        Tag.NEW_ATTRIBUTE,
    }
)
"""Structures of a payload in which a client says what attributes shall be."""


_NAMING = frozenset(tag for tag in CONTAINERS if "TEMPLATE" in tag.name)
"""Those of 1.x, in which the Name of a Template may stand."""


@dataclass(frozen=True, slots=True)
class Given:
    """An attribute in a request."""

    container: int
    """The tag of the structure that has it."""
    name: str
    """Its name, or that of the vendor's attribute."""
    vendor: str | None
    """The Vendor Identification of a vendor's attribute of 2.x."""
    item: Item | None
    """Its value."""

    @property
    def spec(self) -> AttributeSpec | None:
        """What the standard says of it; None for one of a vendor."""
        return BY_NAME.get(self.name) if self.vendor is None else None

    @property
    def value(self) -> "ItemValue | None":
        """Its value."""
        return None if self.item is None else self.item.value


def given(act: Act) -> list[Given]:
    """The attributes that a request gives to an object, or looks for."""
    return list(_given(act.payload))


def _given(payload: Item | None) -> Iterator[Given]:
    for item in parts(payload):
        if item.tag in CONTAINERS:
            for child in parts(item):
                yield from _attribute(item.tag, child)
        elif item.tag == Tag.ATTRIBUTE:
            yield from _attribute(Tag.REQUEST_PAYLOAD, item)


def _attribute(container: int, item: Item) -> Iterator[Given]:
    if item.tag == Tag.ATTRIBUTE:
        name, vendor = value(item, Tag.ATTRIBUTE_NAME), value(item, Tag.VENDOR_IDENTIFICATION)
        own = vendor if isinstance(vendor, str) else None
        yield Given(container, str(name), own, find(item, Tag.ATTRIBUTE_VALUE))
    elif (spec := BY_TAG.get(item.tag)) is not None:  # type: ignore[call-overload]  # any tag may come
        yield Given(container, spec.name, None, item)


def referred(act: Act) -> list[str]:
    """The names of the standard's attributes that a request changes or deletes by reference."""
    if act.payload is None:
        return []
    names = [child.value for child in children(act.payload, Tag.ATTRIBUTE_NAME)]
    for reference in children(act.payload, Tag.ATTRIBUTE_REFERENCE):
        spec = BY_TAG.get(reference.value)  # type: ignore[call-overload]  # any value may come
        names += [spec.name] if spec is not None else []
    for current in children(act.payload, Tag.CURRENT_ATTRIBUTE):
        names += [each.name for child in parts(current) for each in _attribute(current.tag, child)]
    return [name for name in names if isinstance(name, str) and name in BY_NAME]


def has_template(act: Act) -> bool:
    """Whether attributes may come from a Template that the request names (1.x)."""
    with_names = (item for item in parts(act.payload) if item.tag in _NAMING)
    return any(children(item, Tag.NAME) for item in with_names)
