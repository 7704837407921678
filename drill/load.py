"""The clients: they create, use and revoke keys, and write down what they were told.

They are the clients of kmipkit with three servers, as a program uses them. Half of them change objects,
half of them use these; half prefer the first server, half take all in turn.
"""

import hashlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random

from kmipkit_client import GCM, Client, ConnectionFailed, OperationFailed, material

from drill.database import wait_for
from drill.history import ANSWERED, Action, Operation, Outcome
from kmipkit.spec.enums import ResultReason, RevocationReasonCode
from kmipkit.spec.tags import Tag

ACTIONS_PER_SECOND = 12.0
"""Of each client."""
KEYS = 36
"""Objects that the clients use at the same time; older ones make room for new ones."""
SETTINGS: Mapping[str, float] = {"connect_timeout": 1.0, "timeout": 3.0, "deadline": 10.0}
"""What docs/high-availability.md recommends."""

_CHANGES = {
    Action.CREATE: 5, Action.ACTIVATE: 5, Action.REVOKE: 3, Action.COMPROMISE: 1, Action.DESTROY: 1
}  # fmt: skip
_USES = {Action.GET: 2, Action.STATE: 1, Action.ENCRYPT: 3}

_Call = Callable[[Client, str], str]


def _done(call: Callable[[Client, str], object]) -> _Call:
    def run(client: Client, identifier: str) -> str:
        call(client, identifier)
        return ""

    return run


def _get(client: Client, identifier: str) -> str:
    # Enough to tell keys from each other, and nothing of the key.
    return hashlib.sha256(material(client.get(identifier))).hexdigest()[:16]


def _state(client: Client, identifier: str) -> str:
    return client.get_attributes(identifier, Tag.STATE)["State"].name


CALLS: Mapping[Action, _Call] = {
    Action.ACTIVATE: _done(Client.activate),
    Action.REVOKE: _done(
        lambda client, key: client.revoke(key, RevocationReasonCode.CESSATION_OF_OPERATION)
    ),
    Action.COMPROMISE: _done(
        lambda client, key: client.revoke(key, RevocationReasonCode.KEY_COMPROMISE)
    ),
    Action.DESTROY: _done(Client.destroy),
    Action.ENCRYPT: _done(lambda client, key: client.encrypt(key, b"drill", parameters=GCM)),
    Action.GET: _get,
    Action.STATE: _state,
}


@dataclass(frozen=True, slots=True)
class Service:
    """Where the key servers are, and how clients show who they are."""

    servers: tuple[str, ...]
    pki: Path

    def client(self, order: str = "ordered") -> Client:
        """A client of all servers."""
        files = {name: self.pki / f"{stem}" for name, stem in _FILES.items()}
        return Client(self.servers, order=order, **files, **SETTINGS)  # type: ignore[arg-type]


_FILES = {"ca": "ca.crt", "cert": "admin.crt", "key": "admin.key"}


class Load:
    """All clients, each in a thread of its own."""

    def __init__(
        self, service: Service, seed: int, clients: int, clock: Callable[[], float]
    ) -> None:
        self.history: list[Operation] = []
        self.identifiers: dict[str, str] = {}
        """The objects whose creation was acknowledged, by name."""
        self.failures: Counter[str] = Counter()
        """Why operations have failed, or have had no answer."""
        self.error: BaseException | None = None
        self._service = service
        self._clock = clock
        self._keys: list[str] = []
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self.names = tuple(_name(number) for number in range(clients))
        self._threads = [
            threading.Thread(
                target=self._run, args=(number, Random(f"{seed}/{number}")), daemon=True
            )
            for number in range(clients)
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End, when all clients have their last answers."""
        self._stopped.set()
        for thread in self._threads:
            thread.join()
        if self.error is not None:
            raise self.error

    def wait_for_answers(self) -> None:
        """Wait until each client has had an answer from now on. RuntimeError if that takes too long."""
        start, names = len(self.history), set(self.names)

        def all_answered() -> bool:
            with self._lock:
                recent = self.history[start:]
            return self.error is not None or names <= {
                each.client for each in recent if each.outcome in ANSWERED
            }

        wait_for(all_answered, "all clients have an answer")

    def perform(self, client: Client, who: str, action: Action, name: str) -> Outcome:
        """Carry out one operation, and write down what has become of it."""
        begun, value = self._clock(), ""
        try:
            if action is Action.CREATE:
                self._created(name, client.create(length=128, name=name))
            else:
                value = CALLS[action](client, self.identifiers[name])
            outcome = Outcome.DONE
        except OperationFailed as error:
            # The server could not do it, whatever the object is: all other reasons are about that.
            is_failure = error.reason is ResultReason.GENERAL_FAILURE
            outcome = Outcome.FAILED if is_failure else Outcome.REFUSED
            value = "" if error.reason is None else error.reason.name
            self._count(outcome, str(error.message))
        except ConnectionFailed as error:
            outcome = Outcome.UNKNOWN if error.outcome_unknown else Outcome.FAILED
            self._count(outcome, type(error).__name__)
        operation = Operation(who, action, name, begun, self._clock(), outcome, value)
        with self._lock:
            self.history.append(operation)
        return outcome

    def _run(self, number: int, random: Random) -> None:
        weights = _USES if number % 2 else _CHANGES
        who = self.names[number]
        try:
            with self._service.client(_order(number)) as client:
                for turn in range(1 << 62):
                    if self._stopped.wait(random.expovariate(ACTIONS_PER_SECOND)):
                        return
                    [action] = random.choices(list(weights), list(weights.values()))
                    name = self._choose(action, random, f"{who}-{turn}")
                    if name is not None:
                        self.perform(client, who, action, name)
        except BaseException as error:  # of any kind: it is raised again by stop()
            self.error = error

    def _choose(self, action: Action, random: Random, new: str) -> str | None:
        """The object of an operation: mostly one for which it makes sense. None if there is none."""
        if action is Action.CREATE:
            return new
        with self._lock:
            keys = list(self._keys)
        if not keys:
            return None
        part = max(1, len(keys) // 3)
        preferred = {
            Action.ACTIVATE: keys[-part:],
            Action.REVOKE: keys[:-part] or keys,
            Action.COMPROMISE: keys[:-part] or keys,
            Action.DESTROY: keys[:part],
        }
        return random.choice(preferred.get(action, keys))

    def _created(self, name: str, identifier: str) -> None:
        with self._lock:
            self.identifiers[name] = identifier
            self._keys.append(name)
            del self._keys[:-KEYS]

    def _count(self, outcome: Outcome, what: str) -> None:
        if outcome is not Outcome.REFUSED:
            with self._lock:
                self.failures[f"{outcome}: {what}"] += 1


def _order(number: int) -> str:
    return "balanced" if number // 2 % 2 else "ordered"


def _name(number: int) -> str:
    return f"{'uses' if number % 2 else 'changes'}-{_order(number)}-{number}"


def clock() -> Callable[[], float]:
    """The seconds since now."""
    begun = time.monotonic()
    return lambda: time.monotonic() - begun
