"""A server that keeps prepared answers, and its twin that keeps none, on one store.

Each has the state of a process of its own: its policies, tenants and blocked accounts. Both have the
hooks of a running server, and one audit log.
"""

import os
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from administered import Administered
from kmipkit_client import messages
from kmipkit_client.calls import Call
from kmipkit_server.audit.records import Entry
from kmipkit_server.engine.dispatcher import Dispatcher
from kmipkit_server.engine.exchange import AdmitAgain
from kmipkit_server.engine.server import Server
from kmipkit_server.identity.accounts import Accounts
from kmipkit_server.identity.certificate import NoIdentity
from kmipkit_server.identity.identity import Identity
from prepared_comparison import Counting, Nothing, without_number
from tenancy import set_tenants, tenant

from kmipkit.model.codec import encode
from kmipkit.model.envelope import decode_response
from kmipkit.spec.versions import V2_1, Version

HERE, AWAY = "192.0.2.1", "198.51.100.1"


@dataclass
class _Draws:
    """Random bytes; zeros while both are to draw the same."""

    zeros: bool = False

    def __call__(self, count: int) -> bytes:
        return bytes(count) if self.zeros else os.urandom(count)


class Twins:
    """Sends each request to both servers, whose answers must be the same."""

    def __init__(self, folder: Path) -> None:
        self._draws = _Draws()
        self.laboratory = laboratory = Administered(folder, random=self._draws)
        set_tenants(
            laboratory, tenant("acme", accounts=("a-*",)), tenant("globex", accounts=("g-*",))
        )
        self.answers = laboratory.dispatcher.prepared = Counting()

    def begin(self) -> None:
        """Make the twin; the hooks must be there."""
        fast = self.laboratory.dispatcher
        server = Server(fast.server.settings, fast.server.registry, None)
        self.twin = Dispatcher(
            store=fast.store,
            server=server,
            accounts=Accounts(
                fast.store, frozenset({"administrator"}), tenants=lambda: server.state.tenants
            ),
            clock=fast.clock,
            seam=fast.seam,
            prepared=Nothing(),
        )

    @contextmanager
    def _same_draws(self) -> Any:
        self._draws.zeros = True
        yield
        self._draws.zeros = False

    async def answer(self, dispatcher: Dispatcher, data: bytes, name: str, address: str) -> bytes:
        """The response of one of them."""
        while True:
            try:
                account = await dispatcher.admit(Identity(name))
                account = replace(account, address=address, port=4711)
                response = await dispatcher.respond(data, account)
            except AdmitAgain:
                continue
            except NoIdentity:
                return b"no identity"
            return without_number(response.data)

    async def ask(self, data: bytes, name: str, address: str = HERE) -> None:
        """Send a request to both."""
        with self._same_draws():
            answers = [
                await self.answer(dispatcher, data, name, address)
                for dispatcher in (self.laboratory.dispatcher, self.twin)
            ]
        assert answers[0] == answers[1]

    async def change(
        self, call: Call[Any], name: str = "me", version: Version = V2_1, *, twin: bool = True
    ) -> Any:
        """Carry out an operation on one of them; the payload of its response."""
        data = encode(messages.request(version, [call]), version, strict=False)
        dispatcher = self.twin if twin else self.laboratory.dispatcher
        while True:
            try:
                account = await dispatcher.admit(Identity(name))
                answer = await dispatcher.respond(data, account)
            except AdmitAgain:
                continue
            except NoIdentity:
                return None
            response, _ = decode_response(answer.data)
            return response.batch_items[0].response_payload

    def compare_records(self, names: Sequence[str]) -> None:
        """The records of each request that both had are the same."""
        records = [each for each in self.laboratory.operations() if each.client.address in names]
        assert len(records) % 2 == 0
        for one, other in zip(records[::2], records[1::2], strict=True):
            assert _comparable(one) == _comparable(other)
            # Only the first Get of an object changes it; nobody repeats an answer that would.
            assert one.change or not other.change


_OWN = frozenset({"n", "duration", "server_correlation_value", "hash", "signature", "change"})


def _comparable(record: Entry) -> dict[str, Any]:
    """A record without what two requests have of their own."""
    return {name: getattr(record, name) for name in record.__struct_fields__ if name not in _OWN}
