"""A page of what is found, of which each object must be permitted."""

from collections.abc import Callable, Iterable
from dataclasses import replace

from kmipkit_server.store import criteria
from kmipkit_server.store.base import Located, LocateQuery, Record
from kmipkit_server.store.errors import Damaged


class TooMany(Exception):
    """More objects would have to be looked at than permitted."""


def page(
    query: LocateQuery,
    found: Iterable[str],
    get: Callable[[str], Record | None],
    permits: Callable[[Record], bool],
    limit: int,
) -> Located:
    """The page of a query; its total only if all objects have been looked at.

    Each object is compared with the criteria itself, because nothing protects the index.
    """
    ids: list[str] = []
    count = 0
    for number, identifier in enumerate(found):
        if number >= limit:
            raise TooMany
        if not _is_part(query, identifier, get, permits):
            continue
        if query.maximum is not None and len(ids) >= query.maximum:
            return Located(tuple(ids), None)
        count += 1
        if count > query.offset:
            ids.append(identifier)
    return Located(tuple(ids), count)


def _is_part(
    query: LocateQuery,
    identifier: str,
    get: Callable[[str], Record | None],
    permits: Callable[[Record], bool],
) -> bool:
    try:
        record = get(identifier)
    except Damaged:
        return False  # nobody knows whether it is permitted
    if record is None or not criteria.is_met(replace(query, owner=record.owner), record):
        return False
    return permits(record)
