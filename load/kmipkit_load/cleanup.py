"""After the measurement: destroys what the run has created, and says what is left."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

from kmipkit_client import calls, messages
from kmipkit_client.calls import Call

from kmipkit.model.codec import encode
from kmipkit.spec.enums import ResultReason, State
from kmipkit.spec.tags import Tag
from kmipkit.spec.titles import title
from kmipkit_load.driver import Driver, Work
from kmipkit_load.encoding import MALFORMED, Failure
from kmipkit_load.finding import Finder, Unfound
from kmipkit_load.interrupts import Interrupts
from kmipkit_load.measures import Measures
from kmipkit_load.network import Network
from kmipkit_load.pace import Overdue
from kmipkit_load.settings import Settings
from kmipkit_load.source import REVOCATION, Objects, Request

CONNECTIONS = 8
ATTEMPTS = 3
"""How often a request is sent whose response does not come."""
HOPELESS = 3 * CONNECTIONS
"""After so many requests without any response, no more are sent: the server is gone."""

NOT_LOCATED = "not located"
NO_RESPONSE = "no response"

_GONE = frozenset(
    map(
        title,
        (
            ResultReason.ITEM_NOT_FOUND,
            ResultReason.OBJECT_NOT_FOUND,
            ResultReason.OBJECT_DESTROYED,
        ),
    )
)
_DESTROYED = frozenset({State.DESTROYED, State.DESTROYED_COMPROMISED})

Show = Callable[[int, int], None]
"""Is told how many objects are removed, and how many there were."""


@dataclass(frozen=True, slots=True)
class Removal:
    """What became of the objects of a run."""

    removed: int
    left: dict[str, str]
    """The Unique Identifiers of those that are left (the names of those that could not be located), each
    with the reason."""


class _Step(Enum):
    """What is sent for an object."""

    REVOKE = "revoke"
    DESTROY = "destroy"
    LOOK = "get-attributes"
    """Is it destroyed? An earlier Destroy, whose response did not come, may have done it."""


@dataclass(slots=True)
class _Object:
    identifier: str
    step: _Step
    attempts: int = 0
    """Requests that may have arrived, and had no response."""
    refusal: str = ""
    """Why Destroy has failed."""


class Removals:
    """Revoke and Destroy for each object; requests without a response are sent again."""

    def __init__(self, settings: Settings, objects: Objects) -> None:
        self._settings = settings
        self._waiting = deque(
            _Object(identifier, _Step.REVOKE if is_active else _Step.DESTROY)
            for identifier, is_active in objects.made.items()
        )
        self.left: dict[str, str] = {each.identifier: "not attempted" for each in self._waiting}
        self._sent: dict[int, _Object] = {}
        self._unreached: list[_Object] = []
        self._lost = 0
        """Requests without a response since the last one with a response."""
        self._is_stopped = False
        self.removed = 0

    @property
    def has_next(self) -> bool:
        """Whether a request can be sent now."""
        return bool(self._waiting)

    @property
    def is_over(self) -> bool:
        """Whether none can be sent now, and no open one can lead to another."""
        return not self._waiting and not self._sent

    def stop(self) -> None:
        """Send nothing more."""
        self._waiting.clear()
        self._is_stopped = True

    def retry(self) -> bool:
        """Try again what had no response, unless the server is gone; whether there is anything."""
        if self._is_stopped or not self._unreached:
            return False
        self._waiting.extend(self._unreached)
        self._unreached.clear()
        for each in self._waiting:
            each.attempts = 1
        return True

    def __next__(self) -> Request:
        each = self._waiting.popleft()
        version = self._settings.version
        message = encode(messages.request(version, [_call(each)]), version)
        request = Request(each.step.value, self._settings.encoding.body(message))
        self._sent[id(request)] = each
        return request

    def answered(self, request: Request, body: bytes) -> Failure | None:
        """Go on to Destroy, or count the object as removed."""
        failure = self._settings.encoding.failure(body)
        if failure is not None and failure.reason == MALFORMED:
            self.unanswered(request, may_have_arrived=True)
            return failure
        each = self._sent.pop(id(request))
        self._lost = 0
        if each.step is _Step.REVOKE:
            # It may be revoked already; Destroy says if it is not.
            each.step = _Step.DESTROY
            self._waiting.append(each)
        elif each.step is _Step.LOOK and failure is None and not self._is_destroyed(body):
            self.left[each.identifier] = each.refusal
        elif failure is None or failure.reason in _GONE:
            self.removed += 1
            del self.left[each.identifier]
        elif each.step is _Step.DESTROY and each.attempts:
            # KMIP 1.x has no reason for an object that is destroyed already.
            each.step, each.refusal = _Step.LOOK, _shown(failure)
            self._waiting.append(each)
        else:
            self.left[each.identifier] = each.refusal or _shown(failure)
            return failure
        return None

    def _is_destroyed(self, body: bytes) -> bool:
        payload = self._settings.encoding.decode(body).batch_items[0].response_payload
        return getattr(payload, "attributes", {}).get(Tag.STATE) in _DESTROYED

    def unanswered(self, request: Request, *, may_have_arrived: bool) -> None:
        """Try again, a few times. What cannot have arrived is no attempt: another connection may have
        more luck where a server limits their number."""
        each = self._sent.pop(id(request))
        each.attempts += may_have_arrived
        self._lost += 1
        self.left[each.identifier] = NO_RESPONSE
        if each.attempts < ATTEMPTS:
            self._waiting.append(each)
        else:
            self._unreached.append(each)
        if self._lost >= HOPELESS:
            self.stop()


def _call(each: _Object) -> Call[Any]:
    if each.step is _Step.REVOKE:
        return calls.revoke(each.identifier, REVOCATION, None, None)
    if each.step is _Step.DESTROY:
        return calls.destroy(each.identifier)
    return calls.get_attributes(each.identifier, (Tag.STATE,))


def _shown(failure: Failure) -> str:
    return f"{failure.reason}: {failure.example}" if failure.example else failure.reason


class _Pace:
    """A request is due whenever there is one."""

    is_scheduled = False

    def __init__(self, removals: Removals) -> None:
        self._removals = removals

    def take(self, now: int) -> int | None:
        """Now, if there is a request."""
        return now if self._removals.has_next else None

    def wake(self) -> int | None:
        """None: only a response makes a request due."""
        return None

    def is_over(self, now: int) -> bool:
        """Whether all is done."""
        del now
        return self._removals.is_over

    def stop(self, now: int) -> None:
        """Send nothing more."""
        del now
        self._removals.stop()

    def covered(self, now: int) -> int:
        """Until now."""
        return now

    def overdue(self, now: int) -> Iterator[Overdue]:
        """None ever is."""
        del now
        return iter(())


def clean(
    network: Network, settings: Settings, objects: Objects, show: Show, interrupts: Interrupts
) -> Removal:
    """Destroy all objects. Ctrl-C ends it early; what is left then is in the result."""
    names = dict.fromkeys(objects.uncertain, NOT_LOCATED)
    removals = Removals(settings, objects)
    try:
        with interrupts.raising():
            if names:
                _locate(network, settings, objects, names)
                removals = Removals(settings, objects)
            _remove(network, settings, removals, show)
    except KeyboardInterrupt:
        removals.stop()
    return Removal(removals.removed, {**removals.left, **names})


def _locate(network: Network, settings: Settings, objects: Objects, names: dict[str, str]) -> None:
    """Find the objects whose creation was not answered by their names; not for ever if the server is
    gone."""
    finder = Finder(network, settings)
    try:
        for name in list(names):
            try:
                found = [*finder.named(name), *finder.named(f"{name}-public")]
            except Unfound as error:
                names[name] = str(error)
            else:
                objects.made |= {each: objects.made.get(each, True) for each in found}
                del names[name]
    finally:
        finder.close()


def _remove(network: Network, settings: Settings, removals: Removals, show: Show) -> None:
    """Send the requests; in the end over one connection, for a server that has refused others."""
    timeout, total = round(settings.timeout * 1e9), len(removals.left)

    def tick(now: int) -> bool:
        del now
        show(removals.removed, total)
        return False

    for connections in (min(CONNECTIONS, settings.connections, max(total, 1)), 1):
        driver = Driver(network, connections=connections, timeout=timeout)
        measures = Measures(network.now(), None, 10**9)
        driver.run(Work(removals, _Pace(removals), measures, timeout), tick)
        if not removals.retry():
            return
