"""Sightings of several processes: each stores its own now and then, and reads those of the others.

So each of them knows which accounts have connected to any, a minute later.
"""

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from hashlib import sha256
from itertools import islice

import msgspec
import trio

from kmipkit_server.identity.sightings import SeenCertificate, Sighting, Sightings
from kmipkit_server.store.base import Entry, Reader, Store, Transaction
from kmipkit_server.store.errors import StoreError

log = logging.getLogger("kmipkit.server")

SEEN = "sighting"
KINDS = (SEEN,)
"""The kinds of entries."""
SECONDS = 60.0
"""How often a process stores and reads."""
REMEMBER = timedelta(days=400)
"""How long an account is remembered that does not connect any longer."""
_PER_TRANSACTION = 256


class _Stored(msgspec.Struct, frozen=True):
    """The content of an entry."""

    account: str
    last: datetime
    certificates: tuple[SeenCertificate, ...] = ()
    """In the order of their last use."""


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Stored).decode
_decode_all = msgspec.json.Decoder(list[_Stored]).decode


async def share(store: Store, sightings: Sightings) -> None:
    """Share the sightings of this process with others, until cancelled."""
    while True:
        try:
            await exchange(store, sightings)
        except StoreError as error:
            log.warning("which accounts have connected is not shared: %s", error)
        await trio.sleep(SECONDS)


async def exchange(store: Store, sightings: Sightings) -> None:
    """Store what is new in this process, and read what others have stored. StoreError if that fails."""
    changed = iter(sightings.take_changed())
    while accounts := tuple(islice(changed, _PER_TRANSACTION)):
        own = {each: found for each in accounts if (found := sightings.of(each)) is not None}
        try:
            await store.run(partial(_write, own=own), writes=True)
        except StoreError:
            sightings.change(*accounts, *changed)
            raise
    for account, sighting in await store.run(_read, slow=True):
        sightings.merge(account, sighting)


def _write(transaction: Transaction, *, own: Mapping[str, Sighting]) -> None:
    for account, sighting in own.items():
        key = sha256(account.encode()).digest()
        entry, known = transaction.entry(SEEN, key), Sightings()
        known.merge(account, sighting)
        if entry is not None:
            known.merge(*_unpack(entry))
        merged = known.of(account)
        assert merged is not None
        content = _encode(_stored(account, merged))
        expires = merged.last.replace(microsecond=0) + REMEMBER
        transaction.put_entry(Entry(SEEN, key, account, expires, content))


def _read(reader: Reader) -> list[tuple[str, Sighting]]:
    return list(map(_unpack, reader.entries(SEEN)))


def _unpack(entry: Entry) -> tuple[str, Sighting]:
    return _found(_decode(entry.content))


def pack(sightings: Sightings, since: datetime) -> bytes:
    """The sightings that the store may not have yet, and those since a time, for another process."""
    return _encode([_stored(*each) for each in sightings.recent(since)])


def unpack(data: bytes) -> list[tuple[str, Sighting]]:
    """Sightings of another process."""
    return list(map(_found, _decode_all(data)))


def _stored(account: str, sighting: Sighting) -> _Stored:
    return _Stored(account, sighting.last, tuple(sighting.certificates.values()))


def _found(stored: _Stored) -> tuple[str, Sighting]:
    sighting = Sighting(stored.last)
    for certificate in stored.certificates:
        sighting.certificates[bytes.fromhex(certificate.fingerprint)] = certificate
    return stored.account, sighting
