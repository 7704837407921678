"""What a large store is compared with a small one by: two servers at the same time, asked in turn."""

import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from kmipkit_load.session import Session

from bench import load, messages
from bench.million import filling, population, processor, queries
from bench.million.places import Place, SQLitePlace
from bench.million.population import Population
from bench.million.queries import Query
from bench.servers import Server
from kmipkit.model.envelope import decode_response
from kmipkit.model.payloads.locate import LocateResponse
from kmipkit.spec.enums import ResultReason, ResultStatus

Progress = Callable[[str], None]

REFUSED = -1
PAGE = 1000
"""Maximum Items of the pages that are read to the end."""
CONNECTIONS = 32
"""Of those who create objects."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How often things are measured: the best counts, since other programs use the machine."""

    searches: int = 15
    """Searches of each kind on each server."""
    creates: int = 3
    """Rounds of Creates on each server."""
    create_seconds: float = 2.0


USUAL = Effort()


@dataclass(frozen=True, slots=True)
class Searched:
    """A search in both stores."""

    group: str
    name: str
    small: float
    """Milliseconds in the small store: processor time of an embedded store, otherwise what a client
    sees."""
    large: float
    found: tuple[int, int]
    """Identifiers in the answers."""

    @property
    def ratio(self) -> float:
        """How much longer the search takes in the large store."""
        return self.large / self.small

    @property
    def is_equal(self) -> bool:
        """Whether the answers have equal size."""
        return self.found[0] == self.found[1]


@dataclass(frozen=True, slots=True)
class Pages:
    """All objects of an account, in pages."""

    pages: int
    objects: int
    seconds: float
    first: float
    """Milliseconds for a page: the median of the first tenth."""
    last: float
    """The same of the last tenth."""


@dataclass(frozen=True, slots=True)
class Size:
    """What a store of a number of objects costs."""

    objects: int
    start: float
    """Seconds from the command to the first answer."""
    memory: float
    """Megabytes of the server, after all searches."""
    object_bytes: float
    """Bytes of the database for each object."""
    creates: float
    """Durable Creates in a second."""


@dataclass(frozen=True, slots=True)
class Result:
    """A store of many objects beside one of few."""

    store: str
    small: Size
    large: Size
    searches: tuple[Searched, ...]
    pages: Pages

    def document(self) -> dict[str, Any]:
        """As a file has it."""
        return asdict(self)


def measure(
    small: Place,
    large: Place,
    kinds: list[str],
    progress: Progress,
    effort: Effort = USUAL,
) -> Result:
    """Compare two stores that are filled."""
    places = (small, large)
    numbers = (small.objects(), large.objects())
    asked = _queries(small, kinds)
    searches: tuple[Searched, ...] = ()
    if isinstance(small, SQLitePlace):
        progress(f"{places[0].name}: searches in this process ...")
        searches = tuple(_searches_in_process(places, asked, effort.searches))
    filled = [place.size() / number for place, number in zip(places, numbers, strict=True)]
    with _serving(small) as (first, first_start), _serving(large) as (second, second_start):
        both = (first, second)
        progress(f"{places[0].name}: searches of a client ...")
        of_client = tuple(_searches(places, both, asked, effort.searches))
        progress(f"{places[0].name}: all pages ...")
        pages = _pages(large, second)
        memory = [each.memory() for each in both]
        progress(f"{places[0].name}: Creates ...")
        creates = _creates(places, both, effort)
    sizes = [
        Size(number, start, megabytes, size, rate)
        for number, start, megabytes, size, rate in zip(
            numbers, (first_start, second_start), memory, filled, creates, strict=True
        )
    ]
    return Result(places[0].name, sizes[0], sizes[1], searches or of_client, pages)


@contextmanager
def _serving(place: Place) -> Iterator[tuple[Server, float]]:
    """A server, and the seconds until it has answered."""
    begun = time.perf_counter()
    with place.serving() as server:
        with load.connect(load.target(server.port, place.pki)) as session:
            messages.check_success(session.exchange(messages.locate("no such name")))
        yield server, time.perf_counter() - begun


def _queries(place: Place, kinds: list[str]) -> list[Query]:
    database = place.open_database()
    try:
        return list(queries.queries(Population(filling.prototypes_of(database, kinds))))
    finally:
        database.close()


def _searches_in_process(
    places: tuple[Place, Place], asked: list[Query], rounds: int
) -> Iterator[Searched]:
    """The processor time of the searches, without servers."""
    small, large = (place.open_database() for place in places)
    try:
        readers = small.open_reader(), large.open_reader()
        for query, first, second in processor.times(*readers, population.MAIN, asked, rounds):
            found = (first[1], second[1])
            yield Searched(query.group, query.name, first[0], second[0], found)
        for reader in readers:
            reader.connection.close()
    finally:
        small.close()
        large.close()


def _searches(
    places: tuple[Place, Place],
    servers: tuple[Server, Server],
    asked: list[Query],
    rounds: int,
) -> Iterator[Searched]:
    targets = [
        load.target(server.port, place.pki) for server, place in zip(servers, places, strict=True)
    ]
    with load.connect(targets[0]) as small, load.connect(targets[1]) as large:
        for query in asked:
            found = (_found(small.exchange(query.body)), _found(large.exchange(query.body)))
            times: tuple[list[float], list[float]] = ([], [])
            for _ in range(rounds):
                times[0].append(_milliseconds(small, query.body))
                times[1].append(_milliseconds(large, query.body))
            yield Searched(query.group, query.name, min(times[0]), min(times[1]), found)


def _milliseconds(session: Session, body: bytes) -> float:
    begun = time.perf_counter()
    session.exchange(body)
    return 1000 * (time.perf_counter() - begun)


def _identifiers(answer: bytes) -> tuple[str, ...]:
    message, _ = decode_response(answer)
    [item] = message.batch_items
    if item.result_status is not ResultStatus.SUCCESS:
        raise AssertionError(f"the server reported: {item.result_message}")
    assert isinstance(item.response_payload, LocateResponse)
    return tuple(map(str, item.response_payload.unique_identifiers))


def _found(answer: bytes) -> int:
    """The identifiers in an answer; -1 if the search would take too long."""
    [item] = decode_response(answer)[0].batch_items
    if item.result_reason is ResultReason.SERVER_LIMIT_EXCEEDED:
        return REFUSED
    return len(_identifiers(answer))


def _pages(place: Place, server: Server) -> Pages:
    """Read all objects of the account; no identifier may come twice, and none may be missing."""
    seen: set[str] = set()
    times: list[float] = []
    with load.connect(load.target(server.port, place.pki)) as session:
        while True:
            body = queries.page(len(seen), PAGE)
            begun = time.perf_counter()
            page = _identifiers(session.exchange(body))
            times.append(1000 * (time.perf_counter() - begun))
            before = len(seen)
            seen.update(page)
            if len(seen) - before != len(page):
                raise AssertionError(f"the page at offset {before} has identifiers again")
            if len(page) < PAGE:
                break
    whole = times[:-1] or times
    tenth = max(1, len(whole) // 10)
    return Pages(
        len(times),
        len(seen),
        sum(times) / 1000,
        statistics.median(whole[:tenth]),
        statistics.median(whole[-tenth:]),
    )


def _creates(
    places: tuple[Place, Place], servers: tuple[Server, Server], effort: Effort
) -> list[float]:
    """Creates in a second on each server, in turn; the best round counts."""
    best = [0.0, 0.0]
    for turn, number in itertools.product(range(effort.creates), range(2)):
        target = load.target(servers[number].port, places[number].pki)
        requests = messages.creates(f"further-{time.time_ns()}-{turn}")
        rate = load.rate(target, requests, CONNECTIONS, effort.create_seconds)
        best[number] = max(best[number], rate)
    return best
