"""Rotations while several processes, or several servers with PostgreSQL, use one store."""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trio
from kmipkit_server.store.base import Store
from kmipkit_server.store.key_rotator import KeyRotator
from kmipkit_server.store.lock import Share, take_lock
from kmipkit_server.store.sqlite.database import lock_file
from kmipkit_server.store.sqlite.store import SQLiteStore
from kmipkit_server.vault.file import FileVault
from stored_objects import record
from stores import needs_postgresql, url_of

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
COUNT = 30

Pair = tuple[Store, Store]


def material(name: str) -> bytes:
    return name.encode() * 8


def sqlite_stores(folder: Path) -> Iterator[Pair]:
    lock = take_lock(lock_file(folder / "db"))
    first, second = (
        SQLiteStore.open(folder / "db", vault(folder), share=Share(lock, is_first=is_first))
        for is_first in (True, False)
    )
    yield first, second
    second.close()
    first.close()
    os.close(lock)


def postgresql_stores(folder: Path) -> Iterator[Pair]:
    from kmipkit_server.store.postgresql.store import PostgreSQLStore
    from kmipkit_server.store.postgresql.target import Target

    target = Target.parse(url_of(folder))
    first = PostgreSQLStore.open(target, vault(folder), node="a")
    second = PostgreSQLStore.open(target, vault(folder), node="b")
    yield first, second
    second.close()
    first.close()


def vault(folder: Path) -> FileVault:
    return FileVault.open(folder / "root.key")


@pytest.fixture(
    params=[sqlite_stores, pytest.param(postgresql_stores, marks=needs_postgresql)],
    ids=["processes", "servers"],
)
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pair]:
    yield from request.param(tmp_path)


@asynccontextmanager
async def serving(stores: Pair) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        for store in stores:
            await nursery.start(store.serve)
        yield
        for store in stores:
            await store.stop()


async def add(store: Store, name: str) -> None:
    stored = record(name, material=material(name))
    await store.run(lambda transaction: transaction.insert(stored), writes=True)


async def check(store: Store, name: str) -> None:
    def read(reader: Any) -> bytes | None:
        found: bytes | None = reader.get(name).material
        return found

    assert await store.run(read) == material(name), name


async def begin(store: Store, new: FileVault | None) -> None:
    """Begin a rotation of the root key, or of the data keys."""
    rotations = store.rotations
    if new is None:
        await store.run(lambda each: rotations.begin_data(each, NOW, "admin"), writes=True)
        return
    prepared = await store.run(lambda reader: rotations.prepare(reader, new), slow=True)
    await store.run(
        lambda each: rotations.begin_root(each, prepared, NOW, "admin"),
        writes=True,
        on_commit=lambda _: rotations.root_began(prepared),
    )


async def rotate_while_others_work(stores: Pair, new: FileVault | None) -> None:
    first, second = stores
    names = [f"{number}" for number in range(COUNT)]
    async with serving(stores):
        for number, name in enumerate(names):
            await add(stores[number % 2], name)
        await begin(first, new)

        async def work() -> None:
            for number in range(COUNT):
                name = f"new-{number}"
                await add(second, name)
                names.append(name)
                await check(second, names[number])
                await check(first, name)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(work)
            nursery.start_soon(KeyRotator(first).carry_out)
        await KeyRotator(second).carry_out()
        for store in stores:
            await add(store, f"last-{id(store)}")
            for name in names:
                await check(store, name)
        figures = await first.run(lambda reader: reader.key_figures(), slow=True)
        assert figures.rotation is None
        assert figures.sealed == len(names) + 2
        assert [each.number for each in figures.root_keys] == [1 if new is None else 2]
        assert figures.root_keys[0].data_keys == figures.data_keys


def test_the_root_key_is_rotated_by_one_of_them(stores: Pair, tmp_path: Path) -> None:
    """The other one writes and reads meanwhile, and finds the new root key by itself."""
    new = FileVault.open(tmp_path / "second.key")
    trio.run(rotate_while_others_work, stores, new)


def test_the_data_keys_are_rotated_by_one_of_them(stores: Pair) -> None:
    trio.run(rotate_while_others_work, stores, None)
