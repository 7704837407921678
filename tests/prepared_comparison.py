"""One store with two dispatchers: one with prepared answers, and one that keeps none."""

import os
import re
from pathlib import Path
from typing import Any

from kmipkit_client import messages as client_messages
from kmipkit_client.calls import Call
from kmipkit_server.engine.dispatcher import Dispatcher
from kmipkit_server.engine.hooks import Permissions
from kmipkit_server.engine.prepared import PreparedAnswers
from kmipkit_server.engine.seam import Hook, Seam
from kmipkit_server.identity.identity import Identity
from laboratory import Laboratory

from kmipkit.model.codec import encode
from kmipkit.model.envelope import decode_response
from kmipkit.spec.versions import V2_1


class Noting(Hook):
    """Notes what a hook sees of each message."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def before(self, call: Any, row: Any, item: Any) -> None:
        self.seen.append((call.operation, call.identity.name, row.operation, item))

    def after(self, call: Any, row: Any, item: Any) -> None:
        self.seen.append((call.has_loaded, call.named, row.operation, item))

    def finished(self, batch: Any, item: Any, result: Any) -> None:
        self.seen.append((item, result.operation, result.result_status, result.result_reason))

    def responding(self, exchange: Any) -> None:
        self.seen.append((exchange.identity.name, exchange.request, exchange.now))
        self.seen += [set(each) for each in exchange.objects]

    def answered(self, exchange: Any) -> None:
        self.seen += [(each.operation, each.result_status) for each in exchange.results]


class Nothing(PreparedAnswers):
    """Keeps no answer."""

    def keep(self, *_: Any) -> None:
        pass


class Counting(PreparedAnswers):
    """Counts the requests for which there was an answer."""

    def __init__(self) -> None:
        super().__init__()
        self.found = 0

    def find(self, data: bytes, account: str) -> Any:
        prepared = super().find(data, account)
        self.found += prepared is not None
        return prepared


def without_number(data: bytes) -> bytes:
    """A response without the number of its Server Correlation Value."""
    return re.sub(rb"[0-9a-f]{32}-[0-9a-f]{12}", b"value", data)


class Comparison:
    """Sends each request to both, and compares what they answer and what their hooks see."""

    def __init__(self, folder: Path) -> None:
        self.draws_zeros = False
        """Whether what is generated, such as an IV, consists of zeros, so that both answer the same."""
        self.laboratory = laboratory = Laboratory(folder, hooks=(), random=self._draw)
        self.hooks = (Noting(), Noting())
        self.answers = Counting()
        self.dispatchers = tuple(
            Dispatcher(
                store=laboratory.store,
                server=laboratory.dispatcher.server,
                accounts=laboratory.dispatcher.accounts,
                clock=laboratory.dispatcher.clock,
                seam=Seam((Permissions(), hook)),
                prepared=answers,
            )
            for hook, answers in zip(self.hooks, (self.answers, Nothing()), strict=True)
        )

    def _draw(self, count: int) -> bytes:
        return bytes(count) if self.draws_zeros else os.urandom(count)

    async def change(self, call: Call[Any]) -> Any:
        """Carry out an operation of the owner."""
        data = encode(client_messages.request(V2_1, [call]), V2_1)
        answer = await self.dispatchers[1].respond(data, Identity("me"))
        response, _ = decode_response(answer.data)
        return getattr(response.batch_items[0].response_payload, "unique_identifier", None)

    async def ask(self, data: bytes, name: str) -> None:
        """The same request to both, whose answers must be the same."""
        for hook in self.hooks:
            hook.seen.clear()
        answers = [
            without_number((await dispatcher.respond(data, Identity(name))).data)
            for dispatcher in self.dispatchers
        ]
        assert answers[0] == answers[1]
        fast, ordinary = (hook.seen for hook in self.hooks)
        # What the first one has begun in vain, hooks have seen before.
        assert fast[-len(ordinary) :] == ordinary
