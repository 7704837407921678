"""A server without sockets that has an audit log."""

from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import trio
from kmipkit_client import messages
from kmipkit_client.calls import Call
from kmipkit_server.audit.anchor import known_hashes, read_anchor
from kmipkit_server.audit.files import log_files
from kmipkit_server.audit.records import Entry, Event, decode
from kmipkit_server.audit.service import Audit
from kmipkit_server.audit.settings import AuditSettings
from kmipkit_server.audit.signatures import PURPOSE, Signer, Verifier
from kmipkit_server.audit.sinks.sink import Sink
from kmipkit_server.audit.verification import Expected, Report, verify
from kmipkit_server.engine.hooks import Permissions
from kmipkit_server.engine.seam import Seam
from kmipkit_server.identity.identity import Identity
from laboratory import Laboratory

from kmipkit.model.codec import encode
from kmipkit.model.credentials import Credential
from kmipkit.model.envelope import decode_response
from kmipkit.spec.enums import BatchErrorContinuationOption
from kmipkit.spec.versions import V2_1, Version

ADDRESS = "2001:db8::7"


class AuditedLaboratory(Laboratory):
    """A laboratory whose requests are recorded."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        super().__init__(folder, **settings)
        self.folder = folder
        self._is_open = True

    def close(self) -> None:
        if self._is_open:
            super().close()
        self._is_open = False

    @property
    def directory(self) -> Path:
        return self.folder / "audit"

    @asynccontextmanager
    async def audited(
        self, *, crash: bool = False, sinks: Sequence[Sink] = (), **settings: Any
    ) -> AsyncIterator[Audit]:
        """Runs the audit and the store; with ``crash``, nothing is written at the end."""
        audit = await Audit.start(
            AuditSettings(directory=self.directory, **settings),
            self.store,
            self.dispatcher.clock,
            sinks,
        )
        self.store.journal = audit.outbox
        self.dispatcher.seam = Seam((Permissions(), audit.hook))
        async with self.serving():
            async with trio.open_nursery() as nursery:
                await nursery.start(audit.run, self.store)
                yield audit
                nursery.cancel_scope.cancel()
            if crash:
                audit.log.close()
            else:
                await audit.stop(self.store)

    def run(self, work: Callable[[Audit], Coroutine[Any, Any, Any]], **settings: Any) -> Any:
        """Run a test's work while requests are recorded."""

        async def run() -> Any:
            async with self.audited(**settings) as audit:
                return await work(audit)

        return trio.run(run)

    async def respond(self, data: bytes, identity: str | Identity = "me") -> bytes:
        """The response to an encoded request of an account."""
        presented = Identity(identity) if isinstance(identity, str) else identity
        account = await self.dispatcher.admit(replace(presented, address=ADDRESS, port=4711))
        return (await self.dispatcher.respond(data, account)).data

    async def request(
        self,
        *calls: Call[Any],
        version: Version = V2_1,
        identity: str | Identity = "me",
        credential: Credential | None = None,
        on_error: BatchErrorContinuationOption | None = None,
    ) -> list[Any]:
        """The results of a message; an exception for an operation that failed."""
        request = messages.request(version, calls, credential, on_error)
        response, _ = decode_response(await self.respond(encode(request, version), identity))
        return messages.results(calls, response)

    def entries(self) -> list[Entry]:
        """All records in the log that can be read."""
        lines = [
            line
            for file in log_files(self.directory)
            for line in file.path.read_bytes().splitlines()
        ]
        return [decode(line) for line in lines if line.endswith(b'"}')]

    def operations(self) -> list[Entry]:
        """The records of requests."""
        return [each for each in self.entries() if each.event in (Event.OPERATION, Event.MESSAGE)]

    def expected(self) -> Expected:
        """What the store knows of the log."""

        def read(reader: Any) -> Expected:
            anchor = read_anchor(reader)
            assert anchor is not None
            return Expected(anchor.chain, known_hashes(reader))

        expected: Expected = trio.run(self.store.run, read)
        return expected

    @property
    def verifier(self) -> Verifier:
        return Verifier([Signer(self.store.derive_key(PURPOSE)).public_key])

    def verify(self) -> Report:
        """The result of a verification with all that the server knows."""
        return verify(log_files(self.directory), self.verifier, self.expected())
