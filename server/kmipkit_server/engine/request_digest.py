"""What a request asks for, as a digest: equal if and only if all its parameters are equal.

Not the encoding of the payload, because that of a version may lack fields that the server has obeyed
(:mod:`kmipkit_server.engine.request`): these must not be changed after an approval either.

A request may have a password. The digest of one that is stored has a key, so that nobody can guess the
password with the database alone.
"""

import hmac
from collections.abc import Callable
from datetime import datetime
from typing import Any

from kmipkit.model.attribute import Attribute, Attributes
from kmipkit.model.structure import Structure, field_names
from kmipkit.ttlv.tree import Item

PURPOSE = "requests"
"""Of the key (:meth:`kmipkit_server.store.base.Store.derive_key`)."""


def digest_of(*values: Any, key: bytes = b"") -> str:
    """The digest of request payloads and plain values."""
    return hmac.digest(key, _form(values), "sha256").hex()


def _form(value: Any) -> bytes:
    """An unambiguous form: the kind of value, its length, and its content."""
    kind = type(value).__name__
    for types, content_of in _CONTENTS:
        if isinstance(value, types):
            content = content_of(value)
            return b"%b %d:%b" % (kind.encode(), len(content), content)
    raise TypeError(f"a request has a value of the type {kind}")


def _fields(*names: str) -> Callable[[Any], bytes]:
    return lambda value: b"".join(_form(getattr(value, name)) for name in names)


def _structure(value: Structure) -> bytes:
    return _fields(*field_names(type(value)))(value)


_CONTENTS: tuple[tuple[type | tuple[type, ...], Callable[[Any], bytes]], ...] = (
    (type(None), lambda _: b""),
    (bytes, bytes),
    (str, lambda value: value.encode("utf-8", "surrogatepass")),
    (int, lambda value: b"%d" % int(value)),
    (datetime, lambda value: value.isoformat().encode()),
    ((tuple, list), lambda value: b"".join(map(_form, value))),
    (Structure, _structure),
    (Attributes, _fields("items", "templates")),
    (Attribute, _fields("key", "value", "index")),
    (Item, _fields("tag", "type", "value")),
)
"""The types of values in requests, and their contents as bytes."""
