"""Where pages of searches have ended, so that the next page begins there.

Locate counts its pages by offsets. To pass over a million objects for the last of a thousand pages would
take a thousand times as long as the first page. So a server keeps in memory for some minutes where
the pages of a search have ended, and a later page of the same search begins at the nearest such place:
objects that were added or removed in between neither repeat nor skip others. The first objects
of a search are counted each time.
"""

from collections import OrderedDict
from datetime import datetime, timedelta
from hashlib import sha256
from threading import Lock
from typing import NamedTuple

from kmipkit_server.store.base import LocateQuery

COUNTED = 1000
"""Objects that are counted each time."""
MAX_SEARCHES = 1000
MAX_PLACES = 8
"""Places of one search that are kept."""
LIFETIME = timedelta(minutes=5)


class Place(NamedTuple):
    """The end of a page."""

    offset: int
    """How many objects come before it."""
    position: int
    """The position of the last of them."""
    since: datetime


class Positions:
    """The places of the last searches, for all threads."""

    def __init__(self) -> None:
        self._searches: OrderedDict[bytes, list[Place]] = OrderedDict()
        self._lock = Lock()

    def nearest(self, query: LocateQuery) -> Place | None:
        """The last known place before the page of a query."""
        if query.offset < COUNTED:
            return None
        key = _key(query)
        with self._lock:
            places = [
                place
                for place in self._searches.get(key, ())
                if place.offset <= query.offset and query.now - place.since < LIFETIME
            ]
        return max(places, default=None)

    def note(self, query: LocateQuery, offset: int, position: int) -> None:
        """Note where a page has ended."""
        if offset < COUNTED:
            return
        key, place = _key(query), Place(offset, position, query.now)
        with self._lock:
            others = [each for each in self._searches.pop(key, ()) if each.offset != offset]
            self._searches[key] = [*others, place][-MAX_PLACES:]
            if len(self._searches) > MAX_SEARCHES:
                self._searches.popitem(last=False)


def _key(query: LocateQuery) -> bytes:
    """What two pages of the same search have in common."""
    parts = (
        query.owner,
        query.criteria,
        query.storage_status_mask,
        query.object_group_member,
        query.oldest_first,
    )
    return sha256(repr(parts).encode("utf-8", "surrogatepass")).digest()
