"""Several processes of one server: dispatchers on one database, each with a store and memory of its own.

They are in one process here, so that a test decides what happens first. What they know of each other is
in the database, and in what they ask each other.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import outcome
import trio
from kmipkit_client.calls import Call
from kmipkit_client.errors import OperationFailed
from kmipkit_server.engine.exchange import AdmitAgain
from kmipkit_server.engine.peers import Answer, PeerGone
from kmipkit_server.identity.identity import Identity
from kmipkit_server.store.lock import Share, take_lock
from kmipkit_server.store.sqlite.database import lock_file
from kmipkit_server.store.sqlite.store import SQLiteStore
from kmipkit_server.vault.file import FileVault
from laboratory import START, Laboratory

from kmipkit.model.codec import encode
from kmipkit.model.envelope import decode_response
from kmipkit.model.messages import RequestMessage, ResponseMessage
from kmipkit.spec.versions import V2_1, Version


class MemoryPeers:
    """The peers of a process, without a channel."""

    def __init__(self, number: int, all_peers: dict[int, "MemoryPeers"]) -> None:
        self.number = number
        self.answers: dict[str, Answer] = {}
        self._all = all_peers
        all_peers[number] = self

    async def ask(self, worker: int, kind: str, body: bytes) -> bytes:
        peer = self._all.get(worker)
        if peer is None:
            raise PeerGone(worker)
        return await peer.answers[kind](body)

    async def ask_others(self, kind: str, body: bytes = b"") -> list[bytes]:
        return [
            await each.answers[kind](body) for each in list(self._all.values()) if each is not self
        ]

    def answer(self, kind: str, answer: Answer) -> None:
        self.answers[kind] = answer


class Processes:
    """Processes with the numbers from 1 on, which have the same time."""

    def __init__(self, folder: Path, count: int = 2, **options: Any) -> None:
        """``options`` are those of a :class:`.Laboratory`."""
        self._folder = folder
        self._options = options
        self._peers: dict[int, MemoryPeers] = {}
        folder.mkdir(exist_ok=True)
        self._lock = take_lock(lock_file(folder / "db"))
        self.now = options.get("now", START)
        self.all = [self.open(number) for number in range(1, count + 1)]

    def open(self, number: int) -> Laboratory:
        """Start a process."""
        peers = MemoryPeers(number, self._peers)
        share = Share(self._lock, is_first=number == 1)
        vault = FileVault.open(self._folder / "root.key")
        store = SQLiteStore.open(self._folder / "db", vault, share=share)
        process = Laboratory(self._folder, store=store, peers=peers, **self._options)
        process.now = self.now
        return process

    def kill(self, number: int) -> None:
        """End a process without anything that it does at its end."""
        del self._peers[number]
        process = self.all[number - 1]
        database = process.store._database  # type: ignore[attr-defined]  # SQLite
        database._save_counter = lambda: None
        process.close()

    def restart(self, number: int) -> None:
        """Start a process again that was killed."""
        self.all[number - 1] = self.open(number)

    def pass_time(self, **duration: float) -> None:
        for process in self.all:
            process.pass_time(**duration)
        self.now = self.all[0].now

    def close(self) -> None:
        for process in self.all:
            if process.dispatcher.peers.number in self._peers:
                process.close()
        os.close(self._lock)

    @asynccontextmanager
    async def serving(self) -> Any:
        """All stores write."""
        async with AsyncExitStack() as stack:
            for process in self.all:
                if process.dispatcher.peers.number in self._peers:
                    await stack.enter_async_context(process.serving())
            yield

    def run(self, work: Callable[[], Any]) -> Any:
        """The result of asynchronous work while all processes serve, or its exception."""

        async def whole() -> outcome.Outcome[Any]:
            async with self.serving():
                return await outcome.acapture(work)

        return trio.run(whole).unwrap()

    async def respond(
        self, number: int, data: bytes, identity: str | Identity = "me"
    ) -> ResponseMessage:
        """The response of one process; its connection is that of the account."""
        dispatcher = self.all[number - 1].dispatcher
        presented = identity if isinstance(identity, Identity) else Identity(identity)
        while True:
            account = await dispatcher.admit(presented)
            try:
                response = await dispatcher.respond(data, account)
            except AdmitAgain:
                continue
            return decode_response(response.data)[0]

    def send(
        self,
        number: int,
        request: RequestMessage,
        version: Version = V2_1,
        identity: str | Identity = "me",
    ) -> ResponseMessage:
        """The response of one process to a message."""
        data = encode(request, version)
        answer: ResponseMessage = self.run(lambda: self.respond(number, data, identity))
        return answer

    def batch(
        self, number: int, *calls: Call[Any], identity: str | Identity = "me", **options: Any
    ) -> list[Any]:
        """The results of several operations in one message to one process."""
        from kmipkit_client import messages

        version = options.pop("version", V2_1)
        request = messages.request(version, calls, **options)
        return messages.results(calls, self.send(number, request, version, identity))

    def ask(self, number: int, call: Call[Any], **options: Any) -> Any:
        """The result of one operation of one process; raises OperationFailed."""
        [result] = self.batch(number, call, **options)
        if isinstance(result, OperationFailed):
            raise result
        return result


@contextmanager
def processes(folder: Path, count: int = 2, **options: Any) -> Iterator[Processes]:
    """Processes that are closed in the end."""
    opened = Processes(folder, count, **options)
    try:
        yield opened
    finally:
        opened.close()


def change(processes: Processes, number: int, work: Any) -> Any:
    """Change the store as an administrator does, in one process."""
    return processes.run(lambda: processes.all[number - 1].store.run(work, writes=True))


def reason(processes: Processes, number: int, call: Call[Any], **options: Any) -> str:
    """The Result Reason of a refusal by one process; empty for a success."""
    [result] = processes.batch(number, call, **options)
    failed = isinstance(result, OperationFailed) and result.reason is not None
    return result.reason.name if failed else ""


def reasons_of(results: Sequence[Any]) -> list[str]:
    """The Result Reasons of failures; "" for a success."""
    return [
        each.reason.name if isinstance(each, OperationFailed) and each.reason else ""
        for each in results
    ]
