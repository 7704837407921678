"""Several servers on one PostgreSQL database, as far as the store goes."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import stores
import trio
from kmipkit_server.store.base import Record, Store
from kmipkit_server.vault.file import FileVault
from stored_objects import record

from kmipkit.model.attribute import Attribute, Attributes, VendorName

PATIENCE = 300
"""Seconds until a test counts as hanging."""

COUNT = VendorName("x", "count")


def open_node(folder: Path, name: str, url: str | None = None, **options: Any) -> Any:
    """The store of a server of this name, on the database of a folder."""
    from kmipkit_server.store.postgresql.store import PostgreSQLStore
    from kmipkit_server.store.postgresql.target import Target

    timeout = options.pop("timeout", 30.0)
    target = Target.parse(url or stores.url_of(folder), timeout=timeout)
    return PostgreSQLStore.open(target, FileVault.open(folder / "root.key"), node=name, **options)


@asynccontextmanager
async def serving(*opened: Store) -> AsyncIterator[None]:
    """Runs the stores, and closes them."""
    async with AsyncExitStack() as cleanup:
        for store in opened:
            cleanup.callback(store.close)
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                for store in opened:
                    await nursery.start(store.serve)
                yield
                for store in opened:
                    await store.stop()


async def write(store: Store, work: Callable[[Any], Any]) -> Any:
    """The result of work that writes."""
    return await store.run(work, writes=True)


async def read(store: Store, identifier: str) -> Record | None:
    """An object, with its attributes and its material."""

    def work(reader: Any) -> Record | None:
        found: Record | None = reader.get(identifier)
        if found is not None:
            assert found.attributes is not None
            assert found.material != b""
        return found

    return await store.run(work)


def creates(identifier: str, **fields: Any) -> Callable[[Any], str]:
    """Work that creates an object."""

    def work(transaction: Any) -> str:
        transaction.insert(record(identifier, **fields))
        return identifier

    return work


def counts(identifier: str) -> Callable[[Any], int]:
    """Work that adds one to a number in an object: it reads, and writes what follows from that."""

    def work(transaction: Any) -> int:
        old = transaction.get(identifier)
        number = count_of(old) + 1
        rest = tuple(each for each in old.attributes if each.key != COUNT)
        new = old.replace(attributes=Attributes((*rest, Attribute(COUNT, number, 0))))
        transaction.update(old, new)
        return number

    return work


def count_of(stored: Record | None) -> int:
    """The number in an object."""
    assert stored is not None
    return int(stored.attributes.get(COUNT) or 0)
