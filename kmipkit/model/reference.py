"""The reference codec: converts structures to and from the generic tree, field by field of the plan.

If the compiled codec falls back, this one decides. It accepts what the standard permits, such as
vendor items among the declared ones, or raises an error that says what is wrong and where. The
fields of a structure have the order of the standard (KMIP 1.4 §9.1.1.4).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from kmipkit.errors import Cause
from kmipkit.model.attribute import Attribute, Attributes
from kmipkit.model.field_types import FieldType, Place, local_error, remote_error, wrong_type
from kmipkit.model.structure import Structure
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.names import tag_name
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import Version
from kmipkit.ttlv.tree import Item

EXTENSIONS = range(0x540000, 0x550000)
"""Tags that vendors may use (KMIP 1.4 §9.1.3.1)."""


@dataclass(frozen=True, slots=True)
class Form:
    """A form of a field: its tag and the field type of its value."""

    tag: Tag
    field_type: FieldType


@dataclass(frozen=True, slots=True)
class FieldPlan:
    """A field in a version. ``forms`` is empty if the version does not have the field."""

    name: str
    forms: tuple[Form, ...]
    required: bool
    repeated: bool
    default: object
    spread: bool = False
    by: str = ""
    passes: str = ""

    @property
    def many(self) -> bool:
        """Whether the field may have more than one item."""
        return self.repeated or self.spread

    def form_of(self, tag: int) -> Form | None:
        """The form with this tag, if the field has one."""
        return next((form for form in self.forms if form.tag == tag), None)

    def takes(self, item: Item) -> bool:
        """Whether the field may have an item with this tag and type."""
        form = self.form_of(item.tag)
        return form is not None and item.type in form.field_type.item_types

    @property
    def label(self) -> str:
        """The name of the field in the standard, for messages."""
        return " or ".join(tag_name(form.tag) for form in self.forms)


@dataclass(frozen=True, slots=True)
class StructureType:
    """A structure of a known class."""

    cls: type[Structure]
    version: Version
    plan: Callable[[], tuple[FieldPlan, ...]]
    later_plans: Callable[[], Mapping[str, tuple[FieldPlan, ...]]]
    """The plans of each field in later versions, oldest version first."""
    item_types: frozenset[ItemType] = frozenset((ItemType.STRUCTURE,))

    def accepts(self, value: object) -> bool:
        return isinstance(value, self.cls)

    def field_of(self, tag: int) -> FieldPlan | None:
        """The field that may appear under this tag, if there is one."""
        return next((field for field in self.plan() if field.form_of(tag)), None)

    def _plan_for(self, field: FieldPlan, item: Item, place: Place) -> FieldPlan:
        """The plan by which to read a field that may begin with this item.

        It is that of a later version if only that one has the item at this place, and is accepted.
        """
        if place.judge is None or any(each.takes(item) for each in self.plan()):
            return field
        plans = self.later_plans().get(field.name, ())
        later = next((each for each in plans if each.takes(item)), None)
        message = f"KMIP {self.version} does not have {tag_name(item.tag)} here"
        inside = place.enter(item.tag)
        if later is None or not inside.accepts_later(message, item, Cause.UNEXPECTED_FIELD):
            return field
        return later

    def read(self, item: Item, place: Place, outer: object = None) -> Structure:
        assert isinstance(item.value, tuple)
        children = _Children(item, place, self)
        values: dict[str, Any] = {"outer": outer}
        for field in self.plan():
            values[field.name] = self._read_field(field, children, values)
        children.finish()
        del values["outer"]
        return self.cls(**values, extensions=tuple(children.extensions))

    def _read_field(
        self, field: FieldPlan, children: "_Children", values: dict[str, Any]
    ) -> object:
        child = children.peek()
        plan = field if child is None else self._plan_for(field, child, children.place)
        elements: list[Any] = []
        while child is not None and (form := plan.form_of(child.tag)):
            place = children.place.enter(child.tag, len(elements) if plan.many else None)
            if child.type not in form.field_type.item_types:
                raise wrong_type(tag_name(form.tag), form.field_type.item_types, place, child)
            selector = values[plan.by] if plan.by else values.get(plan.passes)
            elements.append(form.field_type.read(child, place, selector))
            children.advance()
            if not plan.many:
                return elements[0]
            child = children.peek()
        if field.required and not elements:
            raise children.missing(field)
        if plan.spread and elements:
            return Attributes(tuple(elements))
        return tuple(elements) if field.repeated else field.default

    def write(self, tag: int, value: Any, place: Place) -> Item:
        if type(value) is not self.cls:
            raise local_error(f"expected {self.cls.__name__}, not {type(value).__name__}", place)
        items: list[Item] = []
        for field in self.plan():
            items.extend(self._write_field(field, getattr(value, field.name), place))
        items.extend(value.extensions)
        return Item(tag, ItemType.STRUCTURE, tuple(items))

    def _write_field(self, field: FieldPlan, value: Any, place: Place) -> list[Item]:
        if value is None or (value == field.default and not field.forms):
            if field.required:
                raise local_error(f"{field.label} is missing", place, Cause.MISSING_FIELD)
            return []
        if not field.forms:
            if place.strict and value != ():
                message = f"KMIP {self.version} does not have the field {field.name} here"
                raise local_error(message, place, Cause.WRONG_VERSION)
            return []
        if field.spread and not isinstance(value, Attributes):
            raise local_error(f"expected Attributes, not {type(value).__name__}", place)
        values = value if field.many else (value,)
        if field.required and field.many and not values:
            raise local_error(f"{field.label} is missing", place, Cause.MISSING_FIELD)
        items = [
            form.field_type.write(form.tag, element, place.enter(form.tag, index))
            for index, element in enumerate(values)
            for form in [_form_for(field, element)]
        ]
        # A response repeats the attribute that a client has set. If only a later version has it, it is
        # left out nevertheless.
        is_needed = place.strict or not isinstance(value, Attribute)
        if field.required and not field.many and items == [None] and is_needed:
            message = f"KMIP {self.version} does not have this value of {field.label}"
            raise local_error(message, place, Cause.WRONG_VERSION)
        return [item for item in items if item is not None]


def _form_for(field: FieldPlan, value: object) -> Form:
    if len(field.forms) == 1:
        return field.forms[0]
    return next((form for form in field.forms if form.field_type.accepts(value)), field.forms[0])


class _Children:
    """The items of a structure, in their order.

    Vendor items that the structure does not declare become extensions, wherever they are. If the place
    is tolerant, the items may have any order, and those that no field reads become extensions, too.
    """

    def __init__(self, parent: Item, place: Place, structure: StructureType) -> None:
        assert isinstance(parent.value, tuple)
        self.parent = parent
        self.items = parent.value
        self.place = place
        self.structure = structure
        self.position = 0
        self.extensions: list[Item] = []
        if place.tolerant:
            self.items = tuple(sorted(parent.value, key=self._rank))

    def _rank(self, item: Item) -> int:
        """The place of an item in the order of the standard; undeclared items are last."""
        fields = self.structure.plan()
        ranks = (rank for rank, field in enumerate(fields) if field.form_of(item.tag))
        return next(ranks, len(fields))

    def peek(self) -> Item | None:
        while self.position < len(self.items):
            item = self.items[self.position]
            if item.tag not in EXTENSIONS or self.structure.field_of(item.tag):
                return item
            self.extensions.append(item)
            self.position += 1
        return None

    def advance(self) -> None:
        self.position += 1

    def missing(self, field: FieldPlan) -> Exception:
        following = self.peek()
        if following is not None and self._is_repeated(following):
            return self._surplus(following)  # "the same field more than once" (KMIP 1.4 §11.1)
        position = f" before {tag_name(following.tag)}" if following else ""
        message = f"{field.label} is missing{position}"
        return remote_error(Cause.MISSING_FIELD, message, self.place, following or self.parent)

    def finish(self) -> None:
        """Refuse items that no field has read, or, if tolerant, make them extensions."""
        while (item := self.peek()) is not None:
            if not self.place.tolerant:
                raise self._surplus(item)
            self.extensions.append(item)
            self.advance()

    def _is_repeated(self, item: Item) -> bool:
        return any(earlier.tag == item.tag for earlier in self.items[: self.position])

    def _surplus(self, item: Item) -> Exception:
        place = self.place.enter(item.tag)
        if self.structure.field_of(item.tag) is None:
            message = f"{tag_name(item.tag)} is not permitted here in KMIP {self.structure.version}"
            return remote_error(Cause.UNEXPECTED_FIELD, message, place, item)
        if self._is_repeated(item):
            message = f"{tag_name(item.tag)} must not be repeated"
            return remote_error(Cause.REPEATED_FIELD, message, place, item)
        message = f"{tag_name(item.tag)} is out of order"
        return remote_error(Cause.UNEXPECTED_FIELD, message, place, item)
