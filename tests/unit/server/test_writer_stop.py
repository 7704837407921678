"""Group commit: clients that leave, a writer that stops, and a server that is killed."""

import signal
import subprocess
import sys
import textwrap
import threading
from contextlib import closing
from pathlib import Path

import pytest
import trio
import trio.testing
from group_commit import (
    PATIENCE,
    Clients,
    ControlledStore,
    insert_job,
    stored,
)
from kmipkit_server.store.base import Transaction
from kmipkit_server.store.writer import MAX_GROUP_SIZE, GroupCommit


def test_a_client_that_leaves_before_its_turn_changes_nothing(
    store: ControlledStore, tmp_path: Path
) -> None:
    async def test() -> None:
        writer = GroupCommit(store)
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                with trio.move_on_after(PATIENCE) as patience:
                    nursery.start_soon(cancel_when_blocked, patience)
                    await writer.submit(insert_job("gone"))
                nursery.start_soon(writer.run)
                assert await writer.submit(insert_job("here")) == "here"
                await writer.stop()

    async def cancel_when_blocked(scope: trio.CancelScope) -> None:
        await trio.testing.wait_all_tasks_blocked()
        scope.cancel()

    with closing(store):
        trio.run(test)
    assert stored(tmp_path, "gone", "here") == ["here"]


@pytest.mark.parametrize("who", ["client", "writer"])
def test_a_commit_that_has_begun_is_finished(
    store: ControlledStore, tmp_path: Path, who: str
) -> None:
    """Neither a client that leaves nor a stop of the server loses the keys of other clients."""
    gate = store.gate = threading.Event()
    answers: dict[str, object] = {}

    async def test() -> None:
        writer = GroupCommit(store)
        running, waiting = trio.CancelScope(), trio.CancelScope()

        async def serve() -> None:
            with running:
                await writer.run()

        async def submit(name: str, scope: trio.CancelScope) -> None:
            with scope:
                answers[name] = await writer.submit(insert_job(name))

        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(submit, "leaving", waiting)
                nursery.start_soon(submit, "staying", trio.CancelScope())
                await trio.testing.wait_all_tasks_blocked()
                nursery.start_soon(serve)
                await trio.testing.wait_all_tasks_blocked()
                (waiting if who == "client" else running).cancel()
                await trio.testing.wait_all_tasks_blocked()
                gate.set()
                await writer.stop()

    with closing(store):
        trio.run(test)
    assert answers["staying"] == "staying"
    assert ("leaving" in answers) == (who == "writer")
    assert stored(tmp_path, "leaving", "staying") == ["leaving", "staying"]


def test_a_group_that_has_begun_is_answered_although_the_writer_stops(
    store: ControlledStore, tmp_path: Path
) -> None:
    """Otherwise clients would wait forever after a stop between the jobs and their commit."""

    async def test() -> None:
        writer = GroupCommit(store)
        running = trio.CancelScope()

        async def serve() -> None:
            with running:
                await writer.run()

        def last(transaction: Transaction) -> str:
            running.cancel()
            return insert_job("last")(transaction)

        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(serve)
                assert await writer.submit(last) == "last"

    with closing(store):
        trio.run(test)
    assert stored(tmp_path, "last") == ["last"]


def test_a_stop_waits_for_all_submitted_jobs(store: ControlledStore, tmp_path: Path) -> None:
    """A restart loses no request."""
    names = [f"id-{number}" for number in range(MAX_GROUP_SIZE + 5)]

    async def test() -> None:
        writer = GroupCommit(store)
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                clients = Clients(writer, nursery)
                for name in names:
                    clients.send(name, insert_job(name))
                await trio.testing.wait_all_tasks_blocked()
                await writer.stop()
                await writer.run()
        assert len(clients.answers) == len(names)

    with closing(store):
        trio.run(test)
    assert stored(tmp_path, *names) == names


CHILD = """
    import sys
    import trio
    from pathlib import Path
    from kmipkit.model.attribute import Attributes
    from kmipkit.spec.enums import ObjectType, State
    from kmipkit_server.store.base import Record
    from kmipkit_server.store.sqlite.database import SQLiteDatabase
    from kmipkit_server.store.writer import GroupCommit
    from kmipkit_server.vault.file import FileVault

    directory = Path(sys.argv[1])
    store = SQLiteDatabase.open(directory / "db", FileVault.open(directory / "root.key"))
    writer = GroupCommit(store)

    async def client(who):
        number = 0
        while True:
            name = f"{who}-{number}"
            record = Record(name, f"owner {who}", ObjectType.SECRET_DATA, State.PRE_ACTIVE,
                            Attributes(), f"material of {name}".encode())
            await writer.submit(lambda transaction: transaction.insert(record))
            print(name, flush=True)
            number += 1

    async def main():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(writer.run)
            for who in range(20):
                nursery.start_soon(client, who)

    trio.run(main)
"""


def test_every_acknowledged_object_survives_a_kill(tmp_path: Path) -> None:
    """The server is killed while it works; every key that it has acknowledged is stored."""
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(CHILD), str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        acknowledged = [child.stdout.readline().strip() for _ in range(300)]
        child.send_signal(signal.SIGKILL)
        acknowledged += child.stdout.read().split("\n")[:-1]
    assert child.returncode == -signal.SIGKILL
    assert all(acknowledged)
    assert stored(tmp_path, *acknowledged) == acknowledged
