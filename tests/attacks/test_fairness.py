"""One client's long work, of whatever kind: others' requests go first, and find the server idle."""

import struct
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from group_commit import ControlledStore, insert_job, open_store
from kmipkit_client import calls, messages, opaque_object
from kmipkit_client.calls import Call
from kmipkit_server.engine import dispatcher, execution, large_requests
from kmipkit_server.engine.large_requests import ends_of_items, read_in_steps
from kmipkit_server.engine.request import UnreadableItem, read_request
from kmipkit_server.fairness.shared_loop import MEMORY, RESOLUTION
from kmipkit_server.identity.identity import Identity
from kmipkit_server.net import transport
from kmipkit_server.net.transport import TLSStream
from kmipkit_server.store import slices
from kmipkit_server.store.sqlite.turns import Turns as FileTurns
from kmipkit_server.store.writer import GroupCommit
from laboratory import Laboratory
from virtual_loop import VirtualLoop

from bench import costly
from kmipkit.errors import RemoteProtocolError
from kmipkit.model import codec
from kmipkit.model.attribute import VendorName
from kmipkit.model.codec import encode
from kmipkit.spec.versions import VERSIONS, Version
from kmipkit.ttlv.limits import DEFAULT_LIMITS

ME = Identity("me")
TIMEOUT = 300
"""Seconds that end a hang, and measure nothing."""


@pytest.fixture
def laboratory(tmp_path: Path) -> Iterator[Laboratory]:
    laboratory = Laboratory(tmp_path)
    yield laboratory
    laboratory.close()


def request(*items: Call[Any], version: Version = VERSIONS[-2]) -> bytes:
    return encode(messages.request(version, items), version)


LARGE: dict[str, list[Call[Any]]] = {
    "reading": [calls.query()] * 30,
    "writing": [costly.create] * 30,
}


@pytest.mark.parametrize("name", LARGE)
def test_the_messages_of_a_client_share_one_slice(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """With a hundred connections, a client would otherwise have a hundred slices at a time."""
    monkeypatch.setattr(slices, "SLICE", 0.0)
    loop = VirtualLoop()
    passes: list[int] = []
    original = execution.Execution._run_item

    def run_item(self: Any, *arguments: Any) -> Any:
        passes.append(loop.passes)
        return original(self, *arguments)

    monkeypatch.setattr(execution.Execution, "_run_item", run_item)

    async def work() -> None:
        async with laboratory.serving(), trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(laboratory.dispatcher.respond, request(*LARGE[name]), ME)

    loop.run(work)
    assert len(passes) == 150
    # Only the first item of each message has run before anybody knew that it takes long.
    assert len(set(passes)) >= 145


# --- requests ------------------------------------------------------------------------------------


def test_others_read_while_a_large_request_is_decoded(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To decode 600 items takes ten milliseconds, in which others would wait."""
    monkeypatch.setattr(slices, "SLICE", 0.0)
    monkeypatch.setattr(dispatcher, "SMALL_MESSAGE", 0)
    order: list[str] = []
    original = codec.decode

    def decode(*arguments: Any, **options: Any) -> Any:
        order.append("item")
        return original(*arguments, **options)

    monkeypatch.setattr(large_requests, "decode", decode)

    async def other() -> None:
        order.append("other")

    async def work() -> None:
        async with laboratory.serving(), trio.open_nursery() as nursery:
            nursery.start_soon(laboratory.dispatcher.respond, request(*LARGE["reading"]), ME)
            await trio.lowlevel.checkpoint()
            nursery.start_soon(other)

    VirtualLoop().run(work)
    assert order.count("item") == 31, "the header and the items"
    assert order.index("other") < 10


def read_by_items(data: bytes, *, strict: bool = False) -> Any:
    ends = ends_of_items(data, 1000)
    assert ends is not None
    return slices.finish_in_thread(read_in_steps(data, ends, DEFAULT_LIMITS, strict=strict))


@pytest.mark.parametrize("version", VERSIONS[:-1], ids=str)
def test_a_request_is_the_same_item_by_item(version: Version) -> None:
    """Whoever sends a large message must not get another meaning."""
    items: list[Call[Any]] = [
        costly.create,
        calls.get("1", None, None, None),
        calls.locate("name", None, None, None, None, None),
        calls.register(opaque_object(bytes(100)), None, "name", None),
        calls.add_attribute("1", VendorName("x", "note"), "text"),
    ]
    data = request(*items * 3, version=version)
    assert read_by_items(data) == read_request(data, DEFAULT_LIMITS)


def malformed(data: bytes) -> Iterator[bytes]:
    """The message with each of its words replaced."""
    for at in range(0, len(data) - 3, 4):
        for word in (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x42\0\x0f\x01"):
            yield data[:at] + word + data[at + 4 :]


@pytest.mark.parametrize("strict", [False, True])
def test_a_malformed_request_is_the_same_item_by_item(strict: bool) -> None:
    """What cannot be read item by item is read as a whole, which says what is wrong with it."""
    data = request(calls.get("1", None, None, None), costly.create)
    read = 0
    for mutant in malformed(data):
        ends = ends_of_items(mutant, 1000)
        if ends is None:
            continue
        steps = read_in_steps(mutant, ends, DEFAULT_LIMITS, strict=strict)
        by_items = slices.finish_in_thread(steps)
        if by_items is not None:
            read += 1
            assert by_items == read_request(mutant, DEFAULT_LIMITS, strict=strict)
        else:
            with pytest.raises(RemoteProtocolError):
                _require_read(mutant, strict)
    assert read


def _require_read(data: bytes, strict: bool) -> None:
    """RemoteProtocolError if a message, or an item of it, has something that is not in order."""
    whole = read_request(data, DEFAULT_LIMITS, strict=strict)
    for item in whole.items:
        if isinstance(item, UnreadableItem):
            raise item.error
    if whole.later:
        raise whole.later[0]


def test_the_items_of_a_request_are_found_in_few_steps() -> None:
    """A megabyte of empty elements would otherwise take as long as a thousand requests."""
    head = request(costly.create)
    empty = struct.pack(">II", 0x42000F01, 0)
    ends = ends_of_items(head + empty * 100_000, 1000)
    assert ends is not None
    assert len(ends) == 1002
    assert ends_of_items(head + struct.pack(">II", 0x42000D01, 0) * 100_000, 1000) is None
    assert all(begin < end for begin, end in pairwise(ends))


# --- responses -----------------------------------------------------------------------------------


class Socket:
    """A connection that takes all it gets, each byte in a nanosecond."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self.sent: list[bytes] = []
        self.passes: list[int] = []

    def send(self, data: memoryview) -> int:
        self._loop.work(len(data) * 1e-8)
        self.sent.append(bytes(data))
        self.passes.append(self._loop.passes)
        return len(data)


def test_a_large_response_is_sent_in_parts() -> None:
    """To encrypt four megabytes takes ten milliseconds, in which others would wait."""
    loop = VirtualLoop()
    connection = Socket(loop)
    stream = TLSStream.__new__(TLSStream)
    stream._socket = connection  # type: ignore[assignment]
    data = bytes(range(256)) * 8 * 1024

    async def work() -> None:
        loop.ask("other")
        await stream.send_all(data, "me")

    loop.run(work)
    assert b"".join(connection.sent) == data
    assert max(map(len, connection.sent)) <= transport.PART
    assert len(set(connection.passes)) == len(connection.passes) == len(data) // transport.PART
    assert loop.rests


# --- writing -------------------------------------------------------------------------------------


def test_others_go_first_between_the_jobs_of_a_group(tmp_path: Path) -> None:
    """256 Creates in one commit take a tenth of a second, in which others would wait."""
    loop = VirtualLoop()
    store = open_store(tmp_path)
    passes: list[int] = []

    def job(transaction: Any) -> None:
        loop.work(0.001)
        passes.append(loop.passes)

    loop.run(lambda: _submit(loop, store, job, ["me"] * 20, asking=True))
    assert len(set(passes)) == 20
    store.close()


def test_a_group_runs_at_once_if_nobody_else_asks(tmp_path: Path) -> None:
    """Whoever is alone must not pay for others."""
    loop = VirtualLoop()
    store = open_store(tmp_path)
    passes: list[int] = []

    def job(transaction: Any) -> None:
        loop.work(0.001)
        passes.append(loop.passes)

    loop.run(lambda: _submit(loop, store, job, ["me"] * 20, asking=False))
    assert len(set(passes)) == 1
    store.close()


@pytest.mark.parametrize("accounts", [["me"], ["me", "me"], ["me", "other"]])
def test_the_writer_does_not_rest_while_others_wait_for_it(
    tmp_path: Path, accounts: list[str]
) -> None:
    """One client's long message, which rests for those who read, would keep those waiting who write."""
    loop = VirtualLoop()
    store = open_store(tmp_path)

    def job(transaction: Any) -> Iterator[None]:
        for _ in range(10):
            loop.work(2 * RESOLUTION)
            yield

    loop.run(lambda: _submit(loop, store, job, accounts, asking=True))
    # Both have to wait for the end of the group.
    expected = 0 if "other" in accounts else 20 * len(accounts) * RESOLUTION
    assert sum(loop.rests) == pytest.approx(expected, abs=2 * RESOLUTION)
    store.close()


class Turns:
    """The turns of a process, for which another one waits."""

    is_awaited = True

    async def take(self) -> None:
        """Wait for nobody."""

    def release(self) -> None:
        """Nothing."""


def test_the_writer_does_not_rest_while_another_process_waits_for_it(tmp_path: Path) -> None:
    """The clients of the other process would wait twice as long."""
    loop = VirtualLoop()
    store = open_store(tmp_path)

    def job(transaction: Any) -> Iterator[None]:
        for _ in range(10):
            loop.work(2 * RESOLUTION)
            yield

    loop.run(lambda: _submit(loop, store, job, ["me"], asking=True, turns=Turns()))
    assert loop.rests == []
    store.close()


def test_a_process_sees_who_waits_for_its_turn(tmp_path: Path) -> None:
    async def work() -> None:
        own, others = FileTurns(tmp_path / "db"), FileTurns(tmp_path / "db")
        await own.take()
        assert not own.is_awaited
        with trio.fail_after(TIMEOUT):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(others.take)
                while not own.is_awaited:
                    await trio.lowlevel.checkpoint()
                own.release()
            while own.is_awaited:
                await trio.lowlevel.checkpoint()
        own.close()
        others.close()

    trio.run(work)


async def _submit(
    loop: VirtualLoop,
    store: ControlledStore,
    job: Callable[[Any], Any],
    accounts: list[str],
    *,
    asking: bool,
    turns: Turns | None = None,
) -> None:
    """Have the writer run a group of jobs for accounts."""
    writer = GroupCommit(store, turns=turns)

    async def submit(account: str) -> None:
        await writer.submit(job, account=account)

    async with trio.open_nursery() as nursery:
        for account in accounts:
            nursery.start_soon(submit, account)
        await trio.testing.wait_all_tasks_blocked()
        loop.ask("me")
        await loop.shared.hand_over("me")
        loop.work(2 * MEMORY)  # nobody knows what was asked before
        if asking:
            loop.asking = "asking"
            loop.ask("asking")
        await nursery.start(writer.run)
        await writer.submit(insert_job("last"), account=accounts[-1])
        await writer.stop()
