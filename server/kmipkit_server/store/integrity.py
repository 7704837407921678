"""Message authentication codes (MACs) over what the store has in clear text.

An index must compare attributes, so they are not encrypted. The MAC of an object's row covers
everything in it that the server acts on: identifier, owner, type, state, attributes and the nonce of
its material, so that a change or exchange of any of them is detected. The dates and the storage status
in other columns only repeat attributes. The MAC is BLAKE2b with a key (RFC 7693 §2.9), which takes
half the time of HMAC-SHA-256.
"""

import struct
from functools import lru_cache
from hashlib import blake2b
from hmac import compare_digest

from kmipkit.model.attribute import Attributes
from kmipkit_server.store import packing

MAC_SIZE = 32

_MAX_CACHED = 2048
"""Objects whose rows and attributes are in memory."""

_OBJECT = struct.Struct(">Bqqq4I")
"""Kind of row, type, state, number of the data key, and the sizes of the variable fields.

Numbers have the 64 bits of SQLite's, so that a row with any numbers has a MAC."""
_SETTING = struct.Struct(">BI")
_SUMMARY = struct.Struct(">Bqq")
_ENTRY = struct.Struct(">Bqq3I")
_KIND_OBJECT, _KIND_SETTING, _KIND_SUMMARY, _KIND_DERIVED, _KIND_ENTRY = 1, 2, 3, 4, 5


class Integrity:
    """Computes and compares MACs with the integrity key of a database."""

    def __init__(self, key: bytes) -> None:
        # A copy of this takes less time than a new one with the key.
        self._new = blake2b(key=key, digest_size=MAC_SIZE).copy
        # Clients get the same objects again and again, and a row that is the same as before, with its
        # MAC, is known to be unchanged.
        self.attributes = lru_cache(maxsize=_MAX_CACHED)(self._attributes)
        """The attributes of an object, from its row; see :meth:`_attributes`."""

    def _attributes(
        self,
        identifier: str,
        owner: str,
        object_type: int,
        state: int,
        own: bytes,
        shared: bytes,
        data_key: int | None,
        nonce: bytes | None,
        mac: bytes,
    ) -> Attributes | None:
        """The attributes of an object; None if its row has another MAC."""
        expected = self.of_object(
            identifier, owner, object_type, state, own, shared, data_key, nonce
        )
        return packing.unpack_all(own, shared) if is_same_mac(mac, expected) else None

    def of_object(
        self,
        identifier: str,
        owner: str,
        object_type: int,
        state: int,
        own: bytes,
        shared: bytes,
        data_key: int | None,
        nonce: bytes | None,
    ) -> bytes:
        """The MAC of an object; ``own`` and ``shared`` are its attributes.

        The nonce identifies the material: no two sealed materials have the same one.
        """
        id_, name = identifier.encode(), owner.encode()
        head = _OBJECT.pack(
            _KIND_OBJECT, object_type, state, data_key or 0,
            len(id_), len(name), len(own), len(shared),
        )  # fmt: skip
        return self._mac(b"".join((head, id_, name, own, shared, nonce or b"")))

    def of_setting(self, name: str, value: bytes) -> bytes:
        """The MAC of a setting."""
        encoded = name.encode()
        return self._mac(_SETTING.pack(_KIND_SETTING, len(encoded)) + encoded + value)

    def of_entry(
        self,
        kind: str,
        key: bytes,
        owner: str,
        expires: int,
        content: bytes,
        data_key: int | None,
        nonce: bytes | None,
    ) -> bytes:
        """The MAC of an entry; ``expires`` is in seconds since 1970.

        The nonce identifies a sealed content, which need not be read then.
        """
        encoded, name = kind.encode(), owner.encode()
        head = _ENTRY.pack(
            _KIND_ENTRY, expires, data_key or 0, len(encoded), len(key), len(name)
        )  # fmt: skip
        rest = content if nonce is None else nonce
        return self._mac(b"".join((head, encoded, key, name, rest)))

    def of_summary(self, counter: int, newest: int, total: bytes) -> bytes:
        """The MAC of the summary of the database."""
        return self._mac(_SUMMARY.pack(_KIND_SUMMARY, counter, newest) + total)

    def derive_key(self, purpose: str) -> bytes:
        """A key for another purpose. No MAC has the same bytes: they begin with the kind of row."""
        return self._mac(bytes([_KIND_DERIVED]) + purpose.encode())

    def _mac(self, message: bytes) -> bytes:
        mac = self._new()
        mac.update(message)
        return mac.digest()


is_same_mac = compare_digest
"""Whether two MACs are equal; it takes the same time wherever they differ."""
