"""The server without sockets: a dispatcher on a store, with a clock that the test sets."""

import os
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import trio
from kmipkit_client import messages
from kmipkit_client.calls import Call
from kmipkit_client.errors import OperationFailed
from kmipkit_server.engine.budget import MessageLimits
from kmipkit_server.engine.clock import SteadyClock
from kmipkit_server.engine.computing import Computer
from kmipkit_server.engine.dispatcher import Dispatcher
from kmipkit_server.engine.hooks import TicketRights
from kmipkit_server.engine.registry import Registry, ServedOperation
from kmipkit_server.engine.seam import Hook, Seam
from kmipkit_server.engine.server import Server
from kmipkit_server.engine.settings import Settings
from kmipkit_server.identity.accounts import Accounts
from kmipkit_server.identity.identity import Identity
from kmipkit_server.operations.table import STANDARD
from kmipkit_server.store.base import Record
from kmipkit_server.store.sqlite.store import SQLiteStore
from kmipkit_server.vault.file import FileVault

from kmipkit.model.codec import encode
from kmipkit.model.envelope import decode_response
from kmipkit.model.messages import RequestMessage, ResponseMessage
from kmipkit.spec.enums import BatchErrorContinuationOption
from kmipkit.spec.versions import V2_1, VERSIONS, Version

START = datetime(2026, 11, 23, 12, tzinfo=UTC)


class Laboratory:
    """A server in the process of the test, with its database in a file."""

    def __init__(
        self,
        folder: Path,
        *,
        rows: Iterable[ServedOperation] = STANDARD,
        hooks: Sequence[Hook] = (TicketRights(),),
        delay: float = 0,
        now: datetime = START,
        message_limits: MessageLimits = MessageLimits(),  # noqa: B008 - immutable
        computer: Computer | None = None,
        strict: bool = False,
        **settings: Any,
    ) -> None:
        """``delay`` is the time in seconds until asynchronous requests are carried out."""
        self.now = now
        folder.mkdir(exist_ok=True)
        self.store = SQLiteStore.open(folder / "db", FileVault.open(folder / "root.key"))
        all_settings = Settings("kmipkit", "laboratory", "0", os.urandom, VERSIONS, **settings)
        server = Server(all_settings, Registry(rows))
        self.state = server.state
        administrators = frozenset({"administrator"})
        self.dispatcher = Dispatcher(
            store=self.store,
            server=server,
            accounts=Accounts(self.store, administrators, sessions=self.state.sessions),
            clock=SteadyClock(lambda: self.now, self.store.newest_time),
            seam=Seam(hooks),
            message_limits=message_limits,
            computer=computer or Computer(),
            strict=strict,
            asynchronous_delay=timedelta(seconds=delay),
        )

    def close(self) -> None:
        self.store.close()

    def record(self, identifier: str) -> Record | None:
        """The record of an object in the store."""
        return trio.run(self.store.run, lambda reader: reader.get(identifier))

    def pass_time(self, **duration: float) -> None:
        self.now += timedelta(**duration)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Runs the writer of the store, which requests that write need."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self.store.serve)
            yield
            await self.store.stop()

    def exchange(self, data: bytes, identity: str = "me") -> bytes:
        """The response to an encoded request."""

        async def work() -> bytes:
            async with self.serving():
                account = await self.dispatcher.admit(Identity(identity))
                response = await self.dispatcher.respond(data, account)
            return response.data

        return trio.run(work)

    def send(
        self, request: RequestMessage, version: Version = V2_1, identity: str = "me"
    ) -> ResponseMessage:
        """The response to a request message."""
        data = self.exchange(encode(request, version), identity)
        response, response_version = decode_response(data)
        assert response_version == version
        return response

    def batch(
        self,
        *calls: Call[Any],
        version: Version = V2_1,
        identity: str = "me",
        on_error: BatchErrorContinuationOption | None = None,
    ) -> list[Any]:
        """The results of several operations in one message; an exception for one that failed."""
        request = messages.request(version, calls, on_error=on_error)
        return messages.results(calls, self.send(request, version, identity))

    def ask(self, call: Call[Any], version: Version = V2_1, identity: str = "me") -> Any:
        """The result of one operation; raises OperationFailed."""
        [result] = self.batch(call, version=version, identity=identity)
        if isinstance(result, OperationFailed):
            raise result
        return result


def reasons(results: Sequence[Any]) -> list[str]:
    """The Result Reasons of failures; "" for a success."""
    return [
        result.reason.name if isinstance(result, OperationFailed) and result.reason else ""
        for result in results
    ]
