"""Jobs of many clients for one writer, and a store whose commits a test controls."""

import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import trio
import trio.testing
from kmipkit_server.store.base import Record, Transaction
from kmipkit_server.store.errors import StoreError
from kmipkit_server.store.sqlite.database import SQLiteDatabase
from kmipkit_server.store.writer import GroupCommit
from kmipkit_server.vault.file import FileVault

from kmipkit.model.attribute import Attributes
from kmipkit.spec.enums import ObjectType, State

PATIENCE = 300
"""Seconds until a test counts as hanging; no test takes that long."""


class ControlledStore(SQLiteDatabase):
    """A store that counts its commits. A test can delay them or make them fail."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]  # the arguments of open()
        self.transactions = 0
        self.commits = 0
        self.threads: set[int] = set()
        self.gate: threading.Event | None = None
        self.failures = 0

    def begin(self) -> Transaction:
        self.transactions += 1
        return super().begin()

    def commit(self) -> None:
        self.threads.add(threading.get_ident())
        if self.gate is not None:
            assert self.gate.wait(PATIENCE)
        if self.failures:
            self.failures -= 1
            raise StoreError("the disk is full")
        super().commit()
        self.commits += 1


def open_store(directory: Path) -> ControlledStore:
    return ControlledStore.open(directory / "db", FileVault.open(directory / "root.key"))


def record(identifier: str, owner: str = "somebody") -> Record:
    material = f"material of {identifier}".encode()
    return Record(
        identifier, owner, ObjectType.SECRET_DATA, State.PRE_ACTIVE, Attributes(), material
    )


def insert_job(identifier: str, owner: str = "somebody") -> Callable[[Transaction], str]:
    """A job that creates an object."""

    def run(transaction: Transaction) -> str:
        transaction.insert(record(identifier, owner))
        return identifier

    return run


class Refused(Exception):
    """The error of a job that fails."""


def failing_job(identifier: str, owner: str = "somebody") -> Callable[[Transaction], str]:
    """A job that fails after it has written."""

    def run(transaction: Transaction) -> str:
        transaction.insert(record(identifier, owner))
        raise Refused(identifier)

    return run


class Clients:
    """Tasks that submit one job each, and their answers."""

    def __init__(self, writer: GroupCommit, nursery: trio.Nursery) -> None:
        self.writer = writer
        self.nursery = nursery
        self.answers: dict[str, object] = {}

    def send(self, name: str, job: Callable[[Transaction], object]) -> None:
        self.nursery.start_soon(self._submit, name, job)

    async def _submit(self, name: str, job: Callable[[Transaction], object]) -> None:
        try:
            self.answers[name] = await self.writer.submit(job)
        except (Refused, StoreError) as error:
            self.answers[name] = error


@asynccontextmanager
async def waiting_clients(store: ControlledStore) -> AsyncIterator[Clients]:
    """Clients whose jobs all wait when the writer starts. At the end, all have an answer."""
    writer = GroupCommit(store)
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as running:
            async with trio.open_nursery() as sending:
                yield Clients(writer, sending)
                await trio.testing.wait_all_tasks_blocked()
                running.start_soon(writer.run)
            await writer.stop()


def stored(directory: Path, *identifiers: str) -> list[str]:
    """The identifiers of those objects that a server that starts now has, completely."""
    with closing(open_store(directory)) as store:
        existing = []
        for identifier in identifiers:
            record = store.reader.get(identifier)
            if record is not None:
                assert record.material == f"material of {identifier}".encode()
                existing.append(identifier)
        return existing
