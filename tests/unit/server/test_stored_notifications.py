"""Notifications outlive the process whose request has caused them.

A loss: a client that keeps a copy of its keys never hears of one, because the server was killed.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
import trio.testing
from kmipkit_client import calls
from kmipkit_server.engine import notifications
from kmipkit_server.engine.hooks import Permissions
from kmipkit_server.engine.notifications import NOTICE, Notification, Notifications
from kmipkit_server.operations.notify import NotificationHook, RequestSource
from kmipkit_server.store.base import Transaction
from laboratory import START, reasons
from processes import Processes, processes

from kmipkit.model.attribute import VendorName
from kmipkit.model.envelope import decode_request
from kmipkit.spec.enums import BatchErrorContinuationOption, CryptographicAlgorithm, Operation
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V2_1

CREATE = calls.create(CryptographicAlgorithm.AES, 128, CryptographicUsageMask.ENCRYPT, None, None)
MISSING = calls.get("no such object", None, None, None)


@pytest.fixture
def queue() -> Notifications:
    return Notifications(frozenset({"me"}), is_stored=True)


@pytest.fixture
def both(tmp_path: Path, queue: Notifications) -> Iterator[Processes]:
    hooks = (Permissions(), NotificationHook(queue))
    with processes(tmp_path / "data", hooks=hooks) as opened:
        yield opened


def source(both: Processes, number: int, queue: Notifications) -> RequestSource:
    process = both.all[number - 1]
    return RequestSource(process.store, queue, lambda: process.now, process.state.policies)


def fetched(both: Processes, number: int, queue: Notifications) -> list[Operation]:
    """What a client of one process is sent when it takes the role of the server."""

    async def work() -> list[Operation]:
        requests = source(both, number, queue).requests("me", V2_1)
        found = [decode_request(data)[0].batch_items[0].operation async for data in requests]
        return [each for each in found if each in (Operation.PUT, Operation.NOTIFY)]

    result: list[Operation] = both.run(work)
    return result


def test_a_client_hears_from_another_process_of_what_one_has_changed(
    both: Processes, queue: Notifications
) -> None:
    key = both.ask(1, CREATE)
    both.ask(1, calls.activate(key))
    both.kill(1)
    assert fetched(both, 2, queue) == [Operation.PUT, Operation.NOTIFY]
    assert fetched(both, 2, queue) == []
    both.restart(1)
    assert fetched(both, 1, queue) == []


def test_what_is_undone_is_told_to_nobody(both: Processes, queue: Notifications) -> None:
    undo = BatchErrorContinuationOption.UNDO
    assert reasons(both.batch(1, CREATE, MISSING, on_error=undo))[-1] == "OBJECT_NOT_FOUND"
    assert fetched(both, 2, queue) == []


def test_the_oldest_are_dropped(
    both: Processes, queue: Notifications, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that never comes back must not fill the store."""
    monkeypatch.setattr(notifications, "MAX_QUEUE_LENGTH", 3)
    monkeypatch.setattr(notifications, "PUT_AT_ONCE", 2)
    keys = [both.ask(1, CREATE) for _ in range(9)]
    stored = both.run(
        lambda: both.all[0].store.run(lambda store: notifications.stored(store, "me"))
    )
    assert [each.identifier for each in stored] == keys[-3:]
    kept = both.run(
        lambda: both.all[0].store.run(lambda store: len(store.entries(notifications.NOTICE, "me")))
    )
    assert kept <= 3 + 2


def test_the_oldest_are_dropped_of_each_account(
    both: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if accounts are notified by turns, so that one of them always has the odd ones."""
    monkeypatch.setattr(notifications, "MAX_QUEUE_LENGTH", 3)
    monkeypatch.setattr(notifications, "PUT_AT_ONCE", 2)
    notice = Notification(Operation.PUT, "object", V2_1)

    def put(transaction: Transaction) -> None:
        for _ in range(9):
            for account in ("me", "you"):
                notifications.put(transaction, account, notice)

    both.run(lambda: both.all[0].store.run(put, writes=True))
    assert set(Counter(each.owner for each in both.all[0].entries(NOTICE)).values()) <= {3, 4, 5}


def test_names_of_vendors_survive_the_store(both: Processes, queue: Notifications) -> None:
    key = both.ask(1, CREATE)
    both.ask(1, calls.add_attribute(key, VendorName("x", "Owner"), "somebody"))
    [_, told] = both.run(
        lambda: both.all[1].store.run(lambda store: notifications.stored(store, "me"))
    )
    assert VendorName("x", "Owner") in told.changes
    assert all(isinstance(each, VendorName | Tag) for each in told.changes)


def test_one_process_sends_those_of_all_and_each_once(
    both: Processes, queue: Notifications
) -> None:
    """Those that nobody has received are sent after a restart as well."""
    key = both.ask(1, CREATE)
    sender = Notifications(frozenset({"me"}), is_stored=True)
    requests = source(both, 2, sender)

    async def work() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(requests.feed, ("me",))
            await wait_for(sender, 1)
            [first] = sender.take("me")
            assert first.identifier == key
            assert await requests.message("me", first) is not None
            await requests.delivered("me", first)
            assert await requests.message("me", first) is None
            await both.respond(1, encoded())
            sender.on_stored()
            await wait_for(sender, 1)
            [second] = sender.take("me")
            assert second.identifier != key
            nursery.cancel_scope.cancel()

    both.run(work)
    assert len(both.all[0].entries(NOTICE)) == 1


class SlowStore:
    """A store in which somebody who is not there has many notifications."""

    looks = 0

    async def run(self, *_: object, **__: object) -> list[Notification]:
        self.looks += 1
        await trio.sleep(0.05)
        return []


def test_notices_that_nobody_fetches_do_not_slow_down_each_change(queue: Notifications) -> None:
    """To look at them takes most of the time of a process, if it does so after each change."""
    store = SlowStore()
    requests = RequestSource(store, queue, lambda: START)  # type: ignore[arg-type]  # only run()

    async def change() -> None:
        while True:
            await trio.sleep(0.01)
            queue.on_stored()

    async def work() -> None:
        with trio.move_on_after(10):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(requests.feed, ("me",))
                nursery.start_soon(change)

    trio.run(work, clock=trio.testing.MockClock(autojump_threshold=0))
    assert 10 < store.looks < 30


def encoded() -> bytes:
    from kmipkit_client import messages

    from kmipkit.model.codec import encode

    return encode(messages.request(V2_1, [CREATE]), V2_1)


async def wait_for(queue: Notifications, count: int) -> None:
    """Wait until so many notifications are in the queue."""
    with trio.fail_after(60):
        while queue.length < count:
            new = trio.Event()
            queue.on_new = lambda _account, new=new: new.set()  # type: ignore[misc]  # a default
            await new.wait()
