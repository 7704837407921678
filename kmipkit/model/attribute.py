"""Attributes as values: one form for both encodings of attributes.

KMIP 1.x writes an attribute as a name, an optional index and a value (1.4 §2.1.1); 2.x writes it
under its own tag, and a vendor's attribute by vendor and name (2.1 §4.60). Here an attribute is a
key, a value in plain Python, and in 1.x perhaps an index. A 1.x custom attribute ``x-Owner``
and the 2.x vendor attribute with Vendor Identification "x" and Attribute Name "Owner" are the same.
"""

from collections.abc import Iterable, Iterator, KeysView
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kmipkit.model.attribute_access import AttributeAccess
from kmipkit.model.attribute_names import (
    CUSTOM_PREFIXES,
    AttributeKey,
    AttributeReference,
    VendorName,
    attribute_key,
    attribute_name,
    custom,
)

if TYPE_CHECKING:
    from kmipkit.model.attributes import Name

__all__ = [
    "CUSTOM_PREFIXES",
    "NO_ATTRIBUTES",
    "Attribute",
    "AttributeKey",
    "AttributeReference",
    "Attributes",
    "VendorName",
    "attribute_key",
    "attribute_name",
    "custom",
]


@dataclass(frozen=True, slots=True, init=False)
class Attribute:
    """One instance of an attribute.

    ``value`` is plain Python for attributes of the standard. A vendor's value is str, bytes, bool,
    int (Integer) or datetime, and a tree item for any other type. None means "no value", which
    only Notify sends.
    """

    key: AttributeKey
    value: Any
    index: int | None = None

    def __init__(self, key: AttributeKey, value: Any, index: int | None = None) -> None:
        # A message is mostly attributes; this takes half the time of the generated method.
        _set_key(self, key)
        _set_value(self, value)
        _set_index(self, index)

    def __repr__(self) -> str:
        index = "" if self.index is None else f"[{self.index}]"
        return f"Attribute({attribute_name(self.key)}{index}: {self.value!r})"


_set_key = Attribute.__dict__["key"].__set__
_set_value = Attribute.__dict__["value"].__set__
_set_index = Attribute.__dict__["index"].__set__


@dataclass(frozen=True, slots=True, init=False)
class Attributes(AttributeAccess):
    """An immutable list of attribute instances; ``templates`` are names of 1.x templates.

    ``attributes["State"]`` and ``"x-Owner" in attributes`` take names as calls of clients do.
    """

    items: tuple[Attribute, ...] = ()
    templates: tuple["Name", ...] = ()
    _by_key: dict[AttributeKey, Any] | None = field(
        default=None, init=False, repr=False, compare=False
    )

    def __init__(
        self, items: tuple[Attribute, ...] = (), templates: tuple["Name", ...] = ()
    ) -> None:
        # For speed, as in Attribute.
        _set_items(self, items)
        _set_templates(self, templates)
        _set_by_key(self, None)

    @classmethod
    def of(cls, *pairs: tuple[AttributeKey, Any]) -> "Attributes":
        """From pairs of key and value; a list gives one instance for each of its values."""
        return cls(
            tuple(
                Attribute(key, instance)
                for key, value in pairs
                for instance in (value if isinstance(value, list) else [value])
            )
        )

    def __iter__(self) -> Iterator[Attribute]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def __bool__(self) -> bool:
        """Whether there is anything in the list: names of templates are, too (KMIP 1.3 §2.1.8)."""
        return bool(self.items or self.templates)

    def __contains__(self, key: object) -> bool:
        wanted = attribute_key(key) if isinstance(key, str) else key
        return wanted in (self._by_key or self._first_values())

    def has_any(self, keys: frozenset[AttributeKey]) -> bool:
        """Whether there is an attribute with one of these keys."""
        return not keys.isdisjoint(self._by_key or self._first_values())

    def _first_values(self) -> dict[AttributeKey, Any]:
        """The value of each first instance; computed once, because handlers ask for several."""
        if self._by_key is None:
            # In reverse order, so that the first instance of a key is stored last.
            _set_by_key(self, {item.key: item.value for item in self.items[::-1]})
            assert self._by_key is not None
        return self._by_key

    def keys(self) -> KeysView[AttributeKey]:
        """The keys of all attributes, each once."""
        return (self._by_key or self._first_values()).keys()

    def plus(self, *instances: Attribute) -> "Attributes":
        """A copy with these instances appended."""
        copy = Attributes((*self.items, *instances), self.templates)
        if self._by_key is not None:
            # Few keys can have many instances, so that this takes less time than to compute it anew.
            by_key = self._by_key.copy()
            for instance in instances:
                by_key.setdefault(instance.key, instance.value)
            _set_by_key(copy, by_key)
        return copy

    def only(self, keys: Iterable[AttributeKey]) -> "Attributes":
        """A copy with only the attributes of these keys."""
        included = frozenset(keys)
        return Attributes(
            tuple([item for item in self.items if item.key in included]), self.templates
        )

    def without(self, *keys: AttributeKey) -> "Attributes":
        """The attributes without those of these keys."""
        kept = tuple([item for item in self.items if item.key not in keys])
        if len(kept) == len(self.items):
            return self
        copy = Attributes(kept, self.templates)
        if self._by_key is not None:
            by_key = self._by_key.copy()
            for key in keys:
                by_key.pop(key, None)
            _set_by_key(copy, by_key)
        return copy


_set_items = Attributes.__dict__["items"].__set__
_set_templates = Attributes.__dict__["templates"].__set__
_set_by_key = Attributes.__dict__["_by_key"].__set__

NO_ATTRIBUTES = Attributes()
