"""Messages without their secrets, but with their structure.

What the printer shows as ``<redacted>`` is replaced by other bytes, of the same length. They depend on
the secret and on a random key that is in no file: so equal secrets in one capture have equal
replacements, and a comparison can see that the key that was registered is the key that came back. From
the replacement nobody finds the secret, nor can anybody test a guess.

The length of a text is not kept, since texts are passwords.
"""

import hashlib
import os

from kmipkit.spec.item_types import ItemType
from kmipkit.ttlv.redaction import in_secret, is_secret
from kmipkit.ttlv.text import big_integer_bytes
from kmipkit.ttlv.tree import Item, ItemValue

_KEY_SIZE = 32
_TEXT_SIZE = 8


class Pseudonyms:
    """Replaces the secrets of the messages of one capture."""

    def __init__(self) -> None:
        self._key = os.urandom(_KEY_SIZE)
        self._count = 0

    def redacted(self, message: Item) -> tuple[Item, int]:
        """The message without secrets, and how many values were replaced."""
        self._count = 0
        item = self._item(message, inside=False)
        return item, self._count

    def _item(self, item: Item, *, inside: bool) -> Item:
        inside = in_secret(item.tag, inside)
        if isinstance(item.value, tuple):
            children = tuple(self._item(child, inside=inside) for child in item.value)
            return Item(item.tag, item.type, children)
        if not is_secret(item.tag, item.type, inside):
            return item
        self._count += 1
        return Item(item.tag, item.type, self._replacement(item.type, item.value))

    def _replacement(self, item_type: ItemType, value: ItemValue) -> ItemValue:
        if isinstance(value, bytes):
            return self._bytes(value, len(value))
        if isinstance(value, str):
            return f"<redacted {self._bytes(value.encode(), _TEXT_SIZE).hex()}>"
        if isinstance(value, int) and item_type is ItemType.BIG_INTEGER:
            number = big_integer_bytes(value)
            return int.from_bytes(self._bytes(number, len(number)), "big", signed=True)
        return False if isinstance(value, bool) else 0

    def _bytes(self, value: bytes, size: int) -> bytes:
        # An extendable hash of key and value is a pseudorandom function (FIPS 202, appendix A.2).
        return hashlib.shake_256(self._key + value).digest(size)
