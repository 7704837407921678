"""What the roles send each other and keep: immutable records with the field names of the API."""

from typing import Annotated, Final, dataclass_transform

import msgspec
from msgspec import Meta, Struct, field

MAX_TEXT: Final = 4096
MAX_LONG_TEXT: Final = 1 << 16

Text = Annotated[str, Meta(min_length=1, max_length=MAX_TEXT)]
"""A name or another short text, not empty."""
LongText = Annotated[str, Meta(min_length=1, max_length=MAX_LONG_TEXT)]
"""A text such as a certificate in PEM."""
Count = Annotated[int, Meta(ge=0, le=1 << 62)]
Size = Annotated[int, Meta(ge=1, le=1 << 62)]
"""A number of bytes that is not zero."""
Port = Annotated[int, Meta(ge=1, le=65535)]


__all__ = [
    "MAX_LONG_TEXT",
    "MAX_TEXT",
    "Count",
    "LongText",
    "Message",
    "Port",
    "Size",
    "Text",
    "field",
]


@dataclass_transform(frozen_default=True, field_specifiers=(msgspec.field,))
class Message(Struct, frozen=True, rename="camel"):
    """An immutable record. Its fields are ``snake_case`` here and ``camelCase`` as JSON.

    Subclasses pass no options to ``class``: they inherit these.
    """
