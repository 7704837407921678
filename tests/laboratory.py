"""The server without sockets: a dispatcher on a store, with a clock that the test sets."""

import os
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
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
from kmipkit_server.engine.exchange import AdmitAgain
from kmipkit_server.engine.hooks import Permissions
from kmipkit_server.engine.peers import ALONE, Peers
from kmipkit_server.engine.registry import Registry, ServedOperation
from kmipkit_server.engine.seam import Hook, Seam
from kmipkit_server.engine.server import Server
from kmipkit_server.engine.settings import Settings
from kmipkit_server.identity.accounts import Accounts
from kmipkit_server.identity.identity import Identity
from kmipkit_server.operations.table import STANDARD
from kmipkit_server.store.base import Entry, Record, Store
from stores import open_store

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
        hooks: Sequence[Hook] = (Permissions(),),
        delay: float = 0,
        now: datetime = START,
        message_limits: MessageLimits = MessageLimits(),  # noqa: B008 - immutable
        computer: Computer | None = None,
        strict: bool = False,
        offered: Iterable[ServedOperation] | None = None,
        versions: tuple[Version, ...] = VERSIONS,
        store: Store | None = None,
        peers: Peers = ALONE,
        **settings: Any,
    ) -> None:
        """``delay`` is the time in seconds until asynchronous requests are carried out.

        ``store`` is for one of several processes, with its ``peers``.
        """
        self.now = now
        folder.mkdir(exist_ok=True)
        self.store = open_store(folder) if store is None else store
        random = settings.pop("random", os.urandom)
        all_settings = Settings("kmipkit", "laboratory", "0", random, versions, **settings)
        clients = None if offered is None else Registry(offered)
        server = Server(all_settings, Registry(rows), clients)
        self.state = server.state
        administrators = frozenset({"administrator"})
        self.dispatcher = Dispatcher(
            store=self.store,
            server=server,
            accounts=Accounts(
                self.store,
                administrators,
                tenants=lambda: self.state.tenants,
            ),
            clock=SteadyClock(lambda: self.now, self.store.newest_time),
            seam=Seam(hooks),
            message_limits=message_limits,
            computer=computer or Computer(),
            strict=strict,
            asynchronous_delay=timedelta(seconds=delay),
            peers=peers,
        )

    def close(self) -> None:
        self.store.close()

    @property
    def database(self) -> Any:
        """The database of the store, which each kind of store has."""
        return self.store._database  # type: ignore[attr-defined]

    def record(self, identifier: str) -> Record | None:
        """The record of an object in the store."""
        return trio.run(self.store.run, lambda reader: reader.get(identifier))

    def entries(self, kind: str) -> list[Entry]:
        """The entries of the store of one kind."""
        return list(trio.run(self.store.run, lambda reader: reader.entries(kind)))

    def pass_time(self, **duration: float) -> None:
        self.now += timedelta(**duration)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Runs the writer of the store, which requests that write need."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self.store.serve)
            yield
            await self.store.stop()

    def exchange(self, data: bytes, identity: str | Identity = "me") -> bytes:
        """The response to an encoded request; an account without a certificate is its name."""
        presented = identity if isinstance(identity, Identity) else Identity(identity)

        async def work() -> bytes:
            async with self.serving():
                while True:  # as a connection does that may have come into a tenant meanwhile
                    account = await self.dispatcher.admit(presented)
                    with suppress(AdmitAgain):
                        response = await self.dispatcher.respond(data, account)
                        break
            return response.data

        return trio.run(work)

    def send(
        self, request: RequestMessage, version: Version = V2_1, identity: str | Identity = "me"
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
        identity: str | Identity = "me",
        on_error: BatchErrorContinuationOption | None = None,
    ) -> list[Any]:
        """The results of several operations in one message; an exception for one that failed."""
        request = messages.request(version, calls, on_error=on_error)
        return messages.results(calls, self.send(request, version, identity))

    def ask(self, call: Call[Any], version: Version = V2_1, identity: str | Identity = "me") -> Any:
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
