"""Several servers on one database: what one has acknowledged holds for all of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nodes
import pytest
import stores
import trio
from kmipkit_server.config import Config
from kmipkit_server.config.sections import StoreConfig
from kmipkit_server.service.stores import exists, open_root_key
from kmipkit_server.store.base import Usage
from kmipkit_server.store.errors import StoreError
from kmipkit_server.vault.errors import VaultError
from stored_objects import OWNER, by_name, name, numbered

from kmipkit.spec.enums import State
from kmipkit.spec.tags import Tag

pytestmark = stores.needs_postgresql

TIMES = 25


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Any, Any]:
    """Two servers; :func:`nodes.serving` closes them."""
    return nodes.open_node(tmp_path, "a"), nodes.open_node(tmp_path, "b")


async def _at_the_same_time(works: list[Callable[[], Any]]) -> list[Any]:
    results: list[Any] = []

    async def run(work: Callable[[], Any]) -> None:
        results.append(await work())

    async with trio.open_nursery() as nursery:
        for work in works:
            nursery.start_soon(run, work)
    return results


def test_what_one_server_has_revoked_no_other_one_uses(pair: tuple[Any, Any]) -> None:
    """The answer to a Revoke says that the key is not used any more, wherever a client asks."""
    first, second = pair

    async def run() -> None:
        async with nodes.serving(first, second):
            for number in range(TIMES):
                identifier = await nodes.write(first, nodes.creates(f"key-{number}"))
                assert (await nodes.read(second, identifier)) is not None

                def revoke(transaction: Any, identifier: str = identifier) -> None:
                    old = transaction.get(identifier)
                    transaction.update(old, old.replace(stored_state=State.DEACTIVATED))

                await nodes.write(second, revoke)
                stored = await nodes.read(first, identifier)
                assert stored is not None
                assert stored.stored_state is State.DEACTIVATED

    trio.run(run)


def test_no_change_of_an_object_is_lost(pair: tuple[Any, Any]) -> None:
    """Usage limits, links and states are read and written again: two servers at once must not both
    begin with the same value."""
    first, second = pair

    async def run() -> None:
        async with nodes.serving(first, second):
            await nodes.write(first, nodes.creates("counter"))
            works = [
                lambda store=store: nodes.write(store, nodes.counts("counter"))
                for _ in range(TIMES)
                for store in (first, second)
            ]
            numbers = await _at_the_same_time(works)
            assert sorted(numbers) == list(range(1, 2 * TIMES + 1)), "each number is given once"
            assert nodes.count_of(await nodes.read(second, "counter")) == 2 * TIMES

    trio.run(run)


def test_a_name_is_given_once(pair: tuple[Any, Any]) -> None:
    """Whether a name is free is a look-up of what is not there."""

    def work(identifier: str) -> Callable[[Any], bool]:
        def create(transaction: Any) -> bool:
            if transaction.find_by_name(OWNER, "the only one"):
                return False
            attributes = numbered((Tag.NAME, name("the only one")))
            nodes.creates(identifier, attributes=attributes)(transaction)
            return True

        return create

    first, second = pair

    async def run() -> None:
        async with nodes.serving(first, second):
            works = [
                lambda store=store, number=number: nodes.write(store, work(f"id-{number}"))
                for number in range(6)
                for store in (first, second)
            ]
            assert sum(await _at_the_same_time(works)) == 1
            query = by_name("the only one")
            located = await first.run(lambda reader: reader.locate(query))
            assert located.total == 1

    trio.run(run)


def test_a_quota_holds_for_all_servers_together(pair: tuple[Any, Any]) -> None:
    limit = 7

    def work(identifier: str) -> Callable[[Any], bool]:
        def create(transaction: Any) -> bool:
            if transaction.usage(OWNER).objects >= limit:
                return False
            nodes.creates(identifier)(transaction)
            return True

        return create

    first, second = pair

    async def run() -> None:
        async with nodes.serving(first, second):
            works = [
                lambda store=store, number=number, kind=kind: nodes.write(
                    store, work(f"{kind}-{number}")
                )
                for number in range(TIMES)
                for kind, store in zip("ab", (first, second), strict=True)
            ]
            assert sum(await _at_the_same_time(works)) == limit
            counts = [(await each.usages())[OWNER].objects for each in (first, second)]
            assert counts == [limit, limit]

    trio.run(run)


def test_an_object_is_destroyed_once(pair: tuple[Any, Any]) -> None:
    """Two servers destroy the last objects of shared attribute sets and data keys."""
    first, second = pair

    def destroy(identifier: str) -> Callable[[Any], bool]:
        def work(transaction: Any) -> bool:
            old = transaction.get(identifier)
            if old is None:
                return False
            transaction.remove(old)
            return True

        return work

    async def run() -> None:
        async with nodes.serving(first, second):
            names = [f"key-{number}" for number in range(TIMES)]
            for identifier in names:
                await nodes.write(first, nodes.creates(identifier))
            works = [
                lambda store=store, identifier=identifier: nodes.write(store, destroy(identifier))
                for identifier in names
                for store in (first, second)
            ]
            assert sum(await _at_the_same_time(works)) == TIMES
            assert (await first.usages()).get(OWNER, Usage()) == Usage()
            # What the caches of a server have may be gone: the next object must not refer to it.
            for store, identifier in ((first, "next"), (second, "next but one")):
                await nodes.write(store, nodes.creates(identifier))
                assert (await nodes.read(first, identifier)) is not None

    trio.run(run)


def test_an_identifier_is_used_by_one_server(pair: tuple[Any, Any]) -> None:
    """Both import an object with the same identifier at the same time."""
    first, second = pair

    async def run() -> None:
        results: list[str] = []

        async def create(store: Any) -> None:
            try:
                await nodes.write(store, nodes.creates("imported"))
            except StoreError:
                results.append("refused")
            else:
                results.append("stored")

        async with nodes.serving(first, second), trio.open_nursery() as nursery:
            nursery.start_soon(create, first)
            nursery.start_soon(create, second)
        assert sorted(results) == ["refused", "stored"]

    trio.run(run)


def test_the_sums_of_the_macs_agree(
    pair: tuple[Any, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Each server has its part of the sum: an alarm about the work of the others would be ignored
    when there is a reason for one."""
    first, second = pair

    async def run() -> None:
        async with nodes.serving(first, second):
            for number in range(4):
                store, other = (first, second) if number % 2 else (second, first)
                await nodes.write(store, nodes.creates(f"key-{number}"))
                await nodes.write(other, nodes.counts(f"key-{number}"))
                await nodes.write(
                    other, lambda transaction: transaction.set_setting("name", b"value")
                )
            first._database.check()
            assert not caplog.records
            first._database._sql.run("DELETE FROM settings WHERE name = 'name'")
            first._database.check()
            assert "was changed by another program" in caplog.text
            caplog.clear()
            second._database.check()
            assert not caplog.records, "it is said once"

    trio.run(run)


def test_two_servers_need_two_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one name, each would write the row of the other, and the chain of its audit log."""
    from kmipkit_server.store.postgresql import database

    monkeypatch.setattr(database, "SECONDS_FOR_NAME", 0)
    first = nodes.open_node(tmp_path, "a")
    try:
        with pytest.raises(StoreError, match=r"another server with the name 'a'.*store\.node"):
            nodes.open_node(tmp_path, "a")
    finally:
        first.close()
    nodes.open_node(tmp_path, "a").close()


def test_a_server_needs_the_root_key_of_the_others(tmp_path: Path) -> None:
    """Another root key would open none of the objects."""
    from kmipkit_server.store.postgresql.store import PostgreSQLStore
    from kmipkit_server.store.postgresql.target import Target
    from kmipkit_server.vault.file import FileVault

    nodes.open_node(tmp_path, "a").close()
    with pytest.raises(StoreError):
        PostgreSQLStore.open(
            Target.parse(stores.url_of(tmp_path)),
            FileVault.open(tmp_path / "other.key"),
            node="b",
        )


def test_a_job_is_done_by_one_server(pair: tuple[Any, Any]) -> None:
    """Two servers that rotate the same key would make two new ones. If one server ends, another one
    goes on with its job."""
    from kmipkit_server.store.postgresql.leases import AdvisoryLease

    first, second = pair
    running: list[str] = []
    begun = trio.Event()
    taken_over = trio.Event()

    def job(label: str) -> Callable[[], Any]:
        async def run() -> None:
            running.append(label)
            begun.set()
            if len(running) > 1:
                taken_over.set()
            try:
                await trio.sleep_forever()
            finally:
                running.append(f"{label} ends")

        return run

    async def run() -> None:
        with trio.fail_after(nodes.PATIENCE):
            async with nodes.serving(first, second), trio.open_nursery() as nursery:
                nursery.start_soon(first.run_alone, "rotation", job("first"))
                await begun.wait()
                other = AdvisoryLease(second._database.target, "rotation")
                assert not await trio.to_thread.run_sync(other.take), "the first one has it"
                other.release()
                nursery.start_soon(second.run_alone, "rotation", job("second"))
                stores.server().sql(
                    "SELECT pg_terminate_backend(l.pid) FROM pg_locks l JOIN pg_stat_activity a"
                    " USING (pid) WHERE l.locktype = 'advisory' AND a.query = 'SELECT 1'"
                    f" AND a.datname = '{first._database.target.parameters['dbname']}'"
                )
                await taken_over.wait()
                nursery.cancel_scope.cancel()
        assert running[1] in ("first ends", "first", "second"), "the first one is cancelled"

    trio.run(run)


def test_a_job_that_breaks_a_rule_of_the_database_fails_alone(pair: tuple[Any, Any]) -> None:
    """The other clients whose changes are in the same transaction get what they have asked for."""
    first, second = pair

    async def run() -> None:
        failed: list[str] = []

        async def create_again() -> None:
            try:
                await nodes.write(first, nodes.creates("there already"))
            except StoreError as error:
                failed.append(str(error))

        async with nodes.serving(first, second):
            await nodes.write(first, nodes.creates("there already"))
            async with trio.open_nursery() as nursery:
                for number in range(5):
                    nursery.start_soon(nodes.write, first, nodes.creates(f"other-{number}"))
                    nursery.start_soon(create_again)
            assert len(failed) == 5
            for number in range(5):
                assert (await nodes.read(second, f"other-{number}")) is not None

    trio.run(run)


def test_a_further_server_without_the_root_key_is_told_where_it_was(tmp_path: Path) -> None:
    """And not to give up the database of the others."""
    nodes.open_node(tmp_path, "a").close()
    folder = tmp_path / "b"
    folder.mkdir()
    config = Config(store=StoreConfig(directory=folder, url=stores.url_of(tmp_path)))
    with pytest.raises(VaultError, match="copy it from another server of the same data") as caught:
        open_root_key(config, may_create=not exists(config))
    assert f"which was last at file:{tmp_path / 'root.key'}" in str(caught.value)
    assert not (folder / "root.key").exists()
