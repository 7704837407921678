"""Before the measurement: the objects that requests work with, and one request of each kind.

So a server that lacks an operation is found at once, with what it said, and not as a thousand errors.
One that fails now and then can be measured all the same: what it refuses is asked for again.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from random import Random
from typing import Any

from kmipkit_client import calls
from kmipkit_client.calls import Call
from kmipkit_client.errors import OperationFailed

from kmipkit.errors import ProtocolError
from kmipkit.spec.enums import Operation
from kmipkit.spec.titles import title
from kmipkit_load.errors import LinkFailed, LoadError
from kmipkit_load.keys import Kind
from kmipkit_load.mixes import MAX_PAIRS, Line
from kmipkit_load.operations import LIFE_CYCLE, Asked, Prepared, create, create_key_pair
from kmipkit_load.session import Session
from kmipkit_load.settings import Settings
from kmipkit_load.source import STAGES, Objects, Request, Source
from kmipkit_load.worker import Stock

Show = Callable[[int, int], None]
"""Is told how many objects are prepared, and how many there will be."""

ATTEMPTS = 3
"""How often a request is sent that fails."""
CREATING = frozenset({Operation.CREATE, Operation.CREATE_KEY_PAIR})


def number_of(line: Line, settings: Settings) -> int:
    """How many objects a line has."""
    if not line.operation.needs_object:
        return 0
    objects = settings.mix.objects
    return min(objects, MAX_PAIRS) if line.key.kind is Kind.PAIR else objects


def shared(settings: Settings) -> dict[Line, Line]:
    """For each line that needs objects, the first line that can have the same ones."""
    owners: dict[object, Line] = {}
    owner_of = {}
    for line in settings.mix.lines:
        if line.operation.needs_object:
            own = (line.operation, line.data) if line.operation.until_prepared else None
            owner_of[line] = owners.setdefault((line.key, own), line)
    return owner_of


def planned(settings: Settings) -> int:
    """How many objects will be prepared; a key pair is two of them."""
    owners = set(shared(settings).values())
    return sum(
        number_of(line, settings) * (2 if line.key.kind is Kind.PAIR else 1) for line in owners
    )


class Preparation:
    """Prepares objects over one connection."""

    def __init__(self, session: Session, settings: Settings, objects: Objects) -> None:
        """What is created is noted in ``objects``, also if the preparation does not end."""
        self._session = session
        self._settings = settings
        self._objects = objects
        self._numbers = count()

    def stock(self, show: Show) -> Stock:
        """The objects of all lines. LoadError if one cannot be made."""
        owner_of = shared(self._settings)
        made: dict[Line, list[Prepared]] = {line: [] for line in owner_of.values()}
        total = planned(self._settings)
        for line, objects in made.items():
            for _ in range(number_of(line, self._settings)):
                objects.append(self._prepared(line))
                show(len(self._objects), total)
        return {line: made[owner] for line, owner in owner_of.items()}

    def _prepared(self, line: Line) -> Prepared:
        for _ in range(ATTEMPTS):
            try:
                return self._made(line)
            except OperationFailed as failure:
                raise LoadError(_refusal(line, failure)) from None
            except (LinkFailed, ProtocolError) as error:
                problem = LoadError(f"{line.label}: {error}")
        raise problem

    def _made(self, line: Line) -> Prepared:
        name = f"{self._settings.prefix}prepared-{next(self._numbers):06d}"
        asked = Asked(self._settings.version, line.key, line.data, name)
        target = self._created(line, asked)
        for identifier in target.identifiers:
            self._objects.made[identifier] = True  # also if the response does not come
            self._ask(calls.activate(identifier))
        asked = replace(asked, target=target)
        if line.operation.until_prepared is not None:
            target = line.operation.until_prepared(self._ask, asked)
        self._ask(line.operation.build(replace(asked, target=target)))
        return target

    def _created(self, line: Line, asked: Asked) -> Prepared:
        is_pair = line.key.kind is Kind.PAIR
        self._objects.uncertain.append(asked.name)
        try:
            result = self._ask(create_key_pair(asked) if is_pair else create(asked))
        except OperationFailed:
            self._objects.uncertain.remove(asked.name)
            raise
        self._objects.uncertain.remove(asked.name)
        target = (
            Prepared(result.private, asked.name, result.public)
            if is_pair
            else Prepared(result, asked.name)
        )
        self._objects.made |= dict.fromkeys(target.identifiers, False)
        return target

    def _ask(self, call: Call[Any]) -> Any:
        """The result. What the server refuses had no effect, and is asked for again; and so is what has
        no response, as from a server that closes each connection after one."""
        is_lost = False
        for _ in range(ATTEMPTS - 1):
            try:
                return self._session.ask(call, self._settings.version)
            except OperationFailed:
                if is_lost and call.operation is Operation.ACTIVATE:
                    return None  # it is active already
            except LinkFailed:
                if call.operation in CREATING:
                    raise  # nobody knows the object
                is_lost = True
        return self._session.ask(call, self._settings.version)

    def rehearse(self, stock: Stock) -> None:
        """Send each kind of request once. LoadError with what the server said if one fails."""
        settings = self._settings
        for line in settings.mix.lines:
            source = Source(
                replace(settings.mix, lines=(line,)),
                stock,
                settings.version,
                settings.encoding,
                f"{settings.prefix}rehearsal-{next(self._numbers)}-",
                Random(0),  # noqa: S311 - the order of requests
            )
            try:
                self._see_all(source, len(STAGES) if line.operation.name == LIFE_CYCLE else 1)
            finally:
                self._objects.made |= source.objects.made
                self._objects.uncertain += source.objects.uncertain

    def _see_all(self, source: Source, number: int) -> None:
        """Send requests until so many kinds have succeeded."""
        seen: set[str] = set()
        failures: Counter[str] = Counter()
        while len(seen) < number:
            request = next(source)
            problem = self._problem(source, request)
            if problem is None:
                seen.add(request.label)
                continue
            failures[request.label] += 1
            if failures[request.label] == ATTEMPTS:
                raise LoadError(problem)

    def _problem(self, source: Source, request: Request) -> str | None:
        """Why a request has failed each time; None if it has succeeded."""
        problem = None
        for _ in range(ATTEMPTS):
            try:
                response = self._session.exchange(request.body)
                self._settings.encoding.decode(response)
            except (LinkFailed, ProtocolError) as error:
                source.unanswered(request, may_have_arrived=True)
                problem = f"{request.label}: {error}"
                continue
            failure = source.answered(request, response)
            if failure is None:
                return None
            said = f": {failure.example}" if failure.example else ""
            problem = f"the server refuses {request.label}: {failure.reason}{said}"
        return problem


def _refusal(line: Line, failure: OperationFailed) -> str:
    reason = title(failure.reason) if failure.reason is not None else title(failure.status)
    said = f": {failure.message}" if failure.message else ""
    return f"the server refuses {title(failure.operation)} for {line.label}: {reason}{said}"
