"""Python types of fields whose item type is not the default of that type.

``int`` is encoded as Integer, ``datetime`` as Date-Time; these aliases are for the other item types,
and for identifiers, which have more forms since 2.0.
"""

from datetime import datetime
from typing import Annotated, TypeAlias

from kmipkit.spec.enums import UniqueIdentifier
from kmipkit.spec.item_types import ItemType

LongInteger: TypeAlias = Annotated[int, ItemType.LONG_INTEGER]
"""A signed number of 64 bits."""

BigInteger: TypeAlias = Annotated[int, ItemType.BIG_INTEGER]
"""A signed number of any size."""

Interval: TypeAlias = Annotated[int, ItemType.INTERVAL]
"""A duration in whole seconds, 0 to 2**32 - 1."""

DateTimeExtended: TypeAlias = Annotated[datetime, ItemType.DATE_TIME_EXTENDED]
"""A point in time with microseconds (KMIP 2.1 §10.1)."""


class NameReference(str):  # noqa: SLOT000 - differs from a text in its meaning only
    """The Name of an object in place of its identifier (since 3.0)."""


Identifier: TypeAlias = str | UniqueIdentifier | int
"""The identifier of an object: text; since 2.0 also a symbol such as the ID Placeholder, or the number
of an identifier in the batch (KMIP 2.1 §4.58, §11.58), or a :class:`NameReference`."""

Reference: TypeAlias = Annotated[str, ItemType.REFERENCE]
"""The identifier or :class:`NameReference` of another object (since 3.0)."""
