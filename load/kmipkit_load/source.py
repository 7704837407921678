"""Which request comes next, and what its response means.

Requests that only differ in the name of a new object are encoded once; those that read or use an object
are encoded once for each object. So a process can send more than a server of any make can answer.
"""

import itertools
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from kmipkit_client import calls, messages
from kmipkit_client.calls import Call

from kmipkit.model.codec import encode
from kmipkit.spec.enums import Operation, RevocationReasonCode
from kmipkit.spec.versions import Version
from kmipkit_load.encoding import MALFORMED, Encoding, Failure
from kmipkit_load.mixes import Line, Mix
from kmipkit_load.operations import LIFE_CYCLE, Asked, Prepared

_DRAWN = 1024
"""Lines that are drawn at a time."""

REVOCATION = RevocationReasonCode.CESSATION_OF_OPERATION


@dataclass(slots=True)
class Chain:
    """An object of a life cycle."""

    waiting: "deque[Chain]"
    """Where it goes when its next request can be sent."""
    stage: int = 0
    identifier: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """A message, and what it is for."""

    label: str
    body: bytes
    creates: str = ""
    """The name of the object that it creates."""
    chain: Chain | None = None
    operation: Operation | None = None
    """To which the response must be one; None for any."""


class Objects:
    """What a run has created and not yet destroyed."""

    def __init__(self) -> None:
        self.made: dict[str, bool] = {}
        """Unique Identifiers; whether each is active, and must be revoked before Destroy."""
        self.uncertain: list[str] = []
        """Names of objects whose creation was not answered."""

    def __len__(self) -> int:
        return len(self.made) + len(self.uncertain)


class Source(Iterator[Request]):
    """The requests of one process."""

    def __init__(
        self,
        mix: Mix,
        stock: Mapping[Line, Sequence[Prepared]],
        version: Version,
        encoding: Encoding,
        prefix: str,
        random: Random,
    ) -> None:
        """``stock`` has the prepared objects; the names of new ones begin with ``prefix``."""
        self._version = version
        self._encoding = encoding
        self._prefix = prefix
        self._random = random
        self._numbers = itertools.count()
        self.objects = Objects()
        self._makers = [self._maker(line, stock.get(line, ())) for line in mix.lines]
        self._weights = list(itertools.accumulate(line.weight for line in mix.lines))
        self._drawn: Iterator[Callable[[], Request]] = iter(())

    def __next__(self) -> Request:
        for make in self._drawn:
            return make()
        self._drawn = iter(self._random.choices(self._makers, cum_weights=self._weights, k=_DRAWN))
        return next(self)

    def answered(self, request: Request, body: bytes) -> Failure | None:
        """Judge a response, and note what it has created; the failure if it is one."""
        failure = self._encoding.failure(body, request.operation)
        if failure is not None:
            if failure.reason == MALFORMED:  # it may have taken effect
                self.unanswered(request, may_have_arrived=True)
            return failure
        if request.creates:
            identifiers = self._encoding.identifiers(body)
            if not identifiers:
                self.objects.uncertain.append(request.creates)
                return Failure(MALFORMED, "the response has no Unique Identifier")
            for identifier in identifiers:
                self.objects.made[identifier] = False
                if request.chain is not None:
                    request.chain.identifier = identifier
        if request.chain is not None:
            self._go_on(request.chain)
        return None

    def unanswered(self, request: Request, *, may_have_arrived: bool) -> None:
        """Note that a request may have taken effect or not."""
        if not may_have_arrived:
            return
        if request.creates:
            self.objects.uncertain.append(request.creates)
        elif request.chain is not None and request.chain.stage + 1 == _ACTIVATED:
            self.objects.made[request.chain.identifier] = True

    def _maker(self, line: Line, prepared: Sequence[Prepared]) -> Callable[[], Request]:
        operation = line.operation
        if operation.name == LIFE_CYCLE:
            return _LifeCycle(self, line).make
        if operation.creates:
            return self.named(line, line.label)
        targets = prepared or [Prepared("", "")]
        bodies = [
            self.request(line.label, operation.build(self.asked(line, target)))
            for target in targets
        ]
        self._random.shuffle(bodies)
        return itertools.cycle(bodies).__next__

    def asked(self, line: Line, target: Prepared = Prepared("", ""), name: str = "") -> Asked:  # noqa: B008 - it cannot change
        return Asked(self._version, line.key, line.data, name, target)

    def request(self, label: str, call: Call[Any], chain: Chain | None = None) -> Request:
        """The request of a call."""
        message = messages.request(self._version, [call])
        body = self._encoding.body(encode(message, self._version))
        return Request(label, body, chain=chain, operation=call.operation)

    def named(self, line: Line, label: str) -> Callable[..., Request]:
        """Makes the creation of an object whose name is new each time."""
        pattern = self._name(0)
        form = self.request(label, line.operation.build(self.asked(line, name=pattern)))
        parts = form.body.split(pattern.encode())

        def make(chain: Chain | None = None) -> Request:
            name = self._name(next(self._numbers))
            return Request(label, name.encode().join(parts), name, chain, form.operation)

        return make

    def _name(self, number: int) -> str:
        return f"{self._prefix}{number:010d}"

    def _go_on(self, chain: Chain) -> None:
        chain.stage += 1
        if chain.stage == _ACTIVATED:
            self.objects.made[chain.identifier] = True
        elif chain.stage == len(STAGES):
            self.objects.made.pop(chain.identifier, None)
            return
        chain.waiting.append(chain)


STAGES: tuple[tuple[str, Callable[[str], Call[Any]] | None], ...] = (
    ("create", None),
    ("activate", calls.activate),
    ("get", lambda identifier: calls.get(identifier, None, None, None)),
    ("revoke", lambda identifier: calls.revoke(identifier, REVOCATION, None, None)),
    ("destroy", calls.destroy),
)
"""The requests of a life cycle."""
_ACTIVATED = 2


class _LifeCycle:
    """Objects at all stages of their life; each request takes one of them further."""

    def __init__(self, source: Source, line: Line) -> None:
        self._source = source
        self._create = source.named(line, f"{line.label}: create")
        self._label = line.label
        self._waiting: deque[Chain] = deque()

    def make(self) -> Request:
        """The next request of an object that waits for one, or the first of a new object."""
        if not self._waiting:
            return self._create(Chain(self._waiting))
        chain = self._waiting.popleft()
        name, call = STAGES[chain.stage]
        assert call is not None  # the first stage has no object yet
        return self._source.request(f"{self._label}: {name}", call(chain.identifier), chain)
