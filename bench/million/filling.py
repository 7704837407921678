"""Fill the store of a server that does not run, through the layer with which the server writes it.

What a Create costs beyond its rows (TLS, the message, the audit log, waiting for the disk) is left out,
so that a million objects take minutes.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from kmipkit_client import calls, certificate, opaque_object, secret_data
from kmipkit_client.calls import Call
from kmipkit_server.store.base import Record, Transaction

from bench import load, messages
from bench.million.places import Place, PostgreSQLPlace
from bench.million.population import Population
from bench.servers import Server
from kmipkit.spec.enums import CryptographicAlgorithm as Algorithm
from kmipkit.spec.masks import CryptographicUsageMask as Mask

Progress = Callable[[str], None]

PER_COMMIT = 10_000
"""Objects: the index entries of many have pages in common."""
SECONDS_BETWEEN_REPORTS = 10.0

ENCRYPTION = Mask.ENCRYPT | Mask.DECRYPT


def filled(place: Place, number: int, progress: Progress) -> list[str]:
    """Fill a store, unless an earlier run has filled it; the identifiers of its prototypes."""
    if not place.is_filled:
        place.begin()
        with place.serving() as running:
            kinds = prototypes(running, place)
        begun = time.monotonic()
        fill(place, kinds, number, progress)
        place.settled()
        _note(place, kinds)
        progress(f"{place.name}: {number:,} objects in {time.monotonic() - begun:,.0f} s")
    noted: list[str] = json.loads(place.note.read_text(encoding="utf-8"))
    return noted


def copied(place: PostgreSQLPlace, original: Path, progress: Progress) -> None:
    """Fill a store with a copy of a filled one that has been kept."""
    place.begin()
    begun = time.monotonic()
    place.copy_from(original / "data")
    place.settled()
    place.note.write_bytes((original / place.note.name).read_bytes())
    progress(f"{place.name}: copied in {time.monotonic() - begun:,.0f} s")


def _note(place: Place, kinds: list[str]) -> None:
    place.note.write_text(json.dumps(kinds), encoding="utf-8")


def prototypes(server: Server, place: Place) -> list[str]:
    """Have a server make one object of each kind; their identifiers."""
    authority = (place.pki / "ca.crt").read_text(encoding="ascii")
    requests: list[Call[Any]] = [
        *[calls.create(Algorithm.AES, bits, ENCRYPTION, None, None) for bits in (256, 256, 128)],
        calls.create(Algorithm.AES, 256, Mask.WRAP_KEY | Mask.UNWRAP_KEY, None, None),
        calls.create(Algorithm.DES3, 192, ENCRYPTION, None, None),
        calls.create(Algorithm.HMAC_SHA256, 256, Mask.MAC_GENERATE | Mask.MAC_VERIFY, None, None),
        calls.register(secret_data(b"a pass phrase"), None, None, None),
        calls.register(opaque_object(bytes(200)), None, None, None),
        calls.register(certificate(_der(authority)), None, None, None),
    ]
    with load.connect(load.target(server.port, place.pki)) as session:
        return [messages.check_success(session.exchange(messages.of(each))) for each in requests]


def _der(pem: str) -> bytes:
    import ssl

    return ssl.PEM_cert_to_DER_cert(pem)


class Database(Protocol):
    """The database of either store, as far as it is filled."""

    def begin(self) -> Transaction:
        """Open the transaction."""

    def commit(self) -> None:
        """Make the transaction durable."""

    def close(self) -> None:
        """Release what it holds."""


def fill(place: Place, kinds: list[str], number: int, progress: Progress) -> None:
    """Add the objects with the numbers below ``number`` to the store of a server that has ended."""
    database: Any = place.open_database()
    try:
        population = Population(prototypes_of(database, kinds))
        begun = last = time.monotonic()
        for first in range(0, number, PER_COMMIT):
            _insert(place, database, population, first, min(first + PER_COMMIT, number))
            now = time.monotonic()
            if now - last > SECONDS_BETWEEN_REPORTS:
                last = now
                rate = (first + PER_COMMIT) / (now - begun)
                progress(
                    f"{place.name}: {first + PER_COMMIT:,} of {number:,} objects,"
                    f" {rate:,.0f}/s, {(number - first) / rate:,.0f} s to go"
                )
    finally:
        database.close()


def _insert(
    place: Place, database: Database, population: Population, first: int, last: int
) -> None:
    transaction = database.begin()
    place.hasten(transaction)
    for record in population.records(first, last):
        transaction.insert(record)
    database.commit()


def prototypes_of(database: Any, kinds: list[str]) -> list[Record]:
    """The objects that the server has made."""
    reader: Any = database.open_reader()
    found: list[Record | None] = [reader.get(each) for each in kinds]
    # Attributes and material are read now: later the database is closed.
    records = [each for each in found if each is not None and each.attributes and each.material]
    reader.sql.raw.close()
    if len(records) < len(kinds):
        raise RuntimeError("the store has not the objects that the server has made")
    return records
