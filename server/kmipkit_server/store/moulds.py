"""The stored form of objects that are like another one but for a few values.

Of objects of the same template, the store knows the stored form from the first one: the attributes that
they do not share, in their encoding and as rows of the index, differ in the Name, the Digest, the Short
Unique Identifier and the time of creation only.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache

from kmipkit.model.attribute import Attribute, AttributeKey
from kmipkit.model.attributes import Digest, Name
from kmipkit.model.codec import encode_attribute
from kmipkit.spec.tags import Tag
from kmipkit_server.store import index, packing
from kmipkit_server.store.base import Written


class Mould:
    """The stored form of objects, without their own values."""

    def __init__(
        self,
        shared: tuple[Attribute, ...],
        constant: Sequence[Attribute],
        dates: tuple[AttributeKey, ...],
        name: Name,
        digest: Digest,
        short: bytes,
    ) -> None:
        """``constant`` are the same for all of them, and ``dates`` are the time of creation.

        The others are those of an example. ValueError if it has the same bytes in several places, or
        if 2.1 has no encoding of them.
        """
        if digest.digest_value is None:
            raise ValueError
        digest_attribute = Attribute(Tag.DIGEST, digest, 0)
        short_attribute = Attribute(Tag.SHORT_UNIQUE_IDENTIFIER, short, 0)
        self._shared = shared
        self._dates = dates
        before, self._after_digest = _around(digest.digest_value, digest_attribute)
        self._before_digest = b"".join(map(_encoded, constant)) + before
        self._before_short, self._after_short = _around(short, short_attribute)
        rows = index.listed(
            [Attribute(Tag.NAME, name, 0), *constant, digest_attribute, short_attribute]
        )
        rows += index.live_names_of(rows)
        self._places = (
            *[(attribute, field, instance) for attribute, field, _, instance in rows],
            *[(index.name_of(date), index.WHOLE, 0) for date in dates],
        )
        self._values = [value for _, _, value, _ in rows]
        text = index.text(name.name_value)
        self._places_of_name = [at for at, value in enumerate(self._values) if value == text]
        self._place_of_digest = self._values.index(index.of_bytes(digest.digest_value))
        self._place_of_short = self._values.index(index.of_bytes(short))
        if len(self._places_of_name) != 2:  # the Name, and that of an object that is not destroyed
            raise ValueError

    def written(
        self, name: Attribute, digest: bytes, short: bytes, created: datetime
    ) -> Written | None:
        """The stored form of an object with these values; None if its Name has no encoding in 2.1.

        The Name has the type of that of the example, and the others have its lengths.
        """
        encoded = encode_attribute(name)
        if encoded is None:
            return None
        dates, date = _of_dates(self._dates, created)
        own = packing.packed(
            b"".join(
                (
                    encoded, self._before_digest, digest, self._after_digest, dates,
                    self._before_short, short, self._after_short,
                )
            )
        )  # fmt: skip
        values = self._values.copy()
        text = index.text(name.value.name_value)
        for at in self._places_of_name:
            values[at] = text
        values[self._place_of_digest] = index.of_bytes(digest)
        values[self._place_of_short] = index.of_bytes(short)
        values += [date] * len(self._dates)
        return Written(self._shared, own, self._places, values)


def _encoded(attribute: Attribute) -> bytes:
    encoded = encode_attribute(attribute)
    if encoded is None:
        raise ValueError
    return encoded


def _around(value: bytes, attribute: Attribute) -> tuple[bytes, bytes]:
    """What is before and after a value in the encoding of an attribute."""
    encoded = _encoded(attribute)
    if encoded.count(value) != 1:
        raise ValueError
    before, _, after = encoded.partition(value)
    return before, after


@lru_cache(maxsize=64)
def _of_dates(keys: tuple[AttributeKey, ...], created: datetime) -> tuple[bytes, bytes]:
    """Attributes with the time of creation in their encoding, and their value in the index."""
    return b"".join([_encoded(Attribute(key, created, 0)) for key in keys]), index.of_date(created)
