"""A migration: all objects of the source, one after the other, then their links."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

from kmipkit_client.errors import ClientError

from kmipkit.errors import ProtocolError
from kmipkit_migrate.copying import Copier
from kmipkit_migrate.errors import MigrationError
from kmipkit_migrate.journal import LEFT_OUT, Entry, Journal
from kmipkit_migrate.server import Server
from kmipkit_migrate.transit import destroy_all, transit

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and of how much."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to migrate."""

    wraps: bool = True
    """Whether to wrap keys on their way, if the servers can."""
    workers: int = 4
    """Objects that are copied at the same time."""
    again: bool = False
    """Whether to try those again that could not be copied."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of all objects of the source."""

    entries: tuple[Entry, ...]
    problem: str
    """Why keys were not wrapped; empty if they were."""


def migrate(
    source: Server, target: Server, journal: Journal, options: Options, progress: Progress
) -> Outcome:
    """Copy all objects that are not copied yet. MigrationError if a server is lost: run it again."""
    try:
        destroy_all(source, target, journal)
        with transit(source, target, journal, wraps=options.wraps) as keys:
            identifiers = [each for each in source.identifiers() if each != keys.at_source]
            copier = Copier(source, target, keys, journal)
            left = [each for each in identifiers if _is_left(journal, each, options)]
            done = len(identifiers) - len(left)
            for number, _ in enumerate(_spread(copier.copy, left, options.workers), done + 1):
                progress("copying", number, len(identifiers))
            linked = [
                entry
                for entry in journal.entries.values()
                if entry.to is not None and entry.id not in journal.links_done
            ]
            for number, _ in enumerate(_spread(copier.link, linked, options.workers), 1):
                progress("linking", number, len(linked))
            problem = keys.problem
    except (ClientError, ProtocolError) as error:
        raise MigrationError(
            f"{error}; what is done is in {journal.path}: the same command goes on"
        ) from None
    entries = (journal.entries[each] for each in identifiers)
    return Outcome(tuple(each for each in entries if each.outcome != LEFT_OUT), problem)


def _is_left(journal: Journal, identifier: str, options: Options) -> bool:
    entry = journal.entries.get(identifier)
    return entry is None or (options.again and entry.to is None)


def _spread(work: Callable[..., Entry], items: Iterable[object], workers: int) -> Iterator[Entry]:
    """The results of work that several threads do, in order; an error ends it after what has begun."""
    left = iter(items)
    with ThreadPoolExecutor(workers) as pool:
        waiting = [pool.submit(work, item) for item in islice(left, 2 * workers)]
        try:
            while waiting:
                yield waiting.pop(0).result()
                waiting += [pool.submit(work, item) for item in islice(left, 1)]
        finally:
            pool.shutdown(cancel_futures=True)
