"""A page of what is found, of which each object must be permitted."""

from collections.abc import Callable, Iterable
from dataclasses import replace

from kmipkit_server.store import criteria
from kmipkit_server.store.base import Located, LocateQuery, Record
from kmipkit_server.store.inventory import Found


class TooMany(Exception):
    """More objects would have to be looked at than permitted."""


def page(
    query: LocateQuery, found: Iterable[Found], permits: Callable[[Record], bool], limit: int
) -> Located:
    """The page of a query; its total only if all objects have been looked at.

    Each object is compared with the criteria itself, because nothing protects the index.
    """
    ids: list[str] = []
    count = 0
    for number, each in enumerate(found):
        if number >= limit:
            raise TooMany
        if each.record is None or not _is_part(query, each.record, permits):
            continue  # of a damaged one, nobody knows whether it is permitted
        if query.maximum is not None and len(ids) >= query.maximum:
            return Located(tuple(ids), None)
        count += 1
        if count > query.offset:
            ids.append(each.id)
    return Located(tuple(ids), count)


def _is_part(query: LocateQuery, record: Record, permits: Callable[[Record], bool]) -> bool:
    return criteria.is_met(replace(query, owner=record.owner), record) and permits(record)
