"""After the measurement: destroys what the run has created, and says what is left."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from kmipkit_client import calls, messages
from kmipkit_client.calls import Call
from kmipkit_client.errors import OperationFailed

from kmipkit.errors import ProtocolError
from kmipkit.model.codec import encode
from kmipkit.spec.enums import ResultReason
from kmipkit.spec.titles import title
from kmipkit_load.driver import Driver, Work
from kmipkit_load.encoding import Failure
from kmipkit_load.errors import LinkFailed
from kmipkit_load.measures import Measures
from kmipkit_load.network import Network
from kmipkit_load.session import Session
from kmipkit_load.settings import Settings
from kmipkit_load.source import REVOCATION, Objects, Request

CONNECTIONS = 8
ATTEMPTS = 3
"""How often a request is sent whose response does not come."""
HOPELESS = 3 * CONNECTIONS
"""After so many requests without any response, no more are sent: the server is gone."""

NOT_LOCATED = "not located"

_GONE = title(ResultReason.ITEM_NOT_FOUND)

Show = Callable[[int, int], None]
"""Is told how many objects are removed, and how many there were."""


@dataclass(frozen=True, slots=True)
class Removal:
    """What became of the objects of a run."""

    removed: int
    left: dict[str, str]
    """The Unique Identifiers of those that are left (the names of those that could not be located), each
    with the reason."""


@dataclass(slots=True)
class _Object:
    identifier: str
    is_active: bool
    attempts: int = 0


class Removals:
    """Revoke and Destroy for each object; requests without a response are sent again."""

    def __init__(self, settings: Settings, objects: Objects) -> None:
        self._settings = settings
        self._waiting = deque(
            _Object(identifier, is_active) for identifier, is_active in objects.made.items()
        )
        self.left: dict[str, str] = {each.identifier: "not attempted" for each in self._waiting}
        self._sent: dict[int, _Object] = {}
        self._lost = 0
        """Requests without a response since the last one with a response."""
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

    def __next__(self) -> Request:
        each = self._waiting.popleft()
        call: Call[Any] = (
            calls.revoke(each.identifier, REVOCATION, None, None)
            if each.is_active
            else calls.destroy(each.identifier)
        )
        version = self._settings.version
        message = encode(messages.request(version, [call]), version)
        request = Request("revoke" if each.is_active else "destroy", self._body(message))
        self._sent[id(request)] = each
        return request

    def _body(self, message: bytes) -> bytes:
        return self._settings.encoding.body(message)

    def answered(self, request: Request, body: bytes) -> Failure | None:
        """Go on to Destroy, or count the object as removed."""
        each = self._sent.pop(id(request))
        self._lost = 0
        failure = self._settings.encoding.failure(body)
        if each.is_active:
            # It may be revoked already; Destroy says if it is not.
            each.is_active = False
            self._waiting.append(each)
            return None
        if failure is None or failure.reason == _GONE:
            self.removed += 1
            del self.left[each.identifier]
            return None
        said = f": {failure.example}" if failure.example else ""
        self.left[each.identifier] = f"{failure.reason}{said}"
        return failure

    def unanswered(self, request: Request, *, may_have_arrived: bool) -> None:
        """Try again, a few times."""
        del may_have_arrived
        each = self._sent.pop(id(request))
        each.attempts += 1
        self._lost += 1
        self.left[each.identifier] = "no response"
        if each.attempts < ATTEMPTS:
            self._waiting.append(each)
        if self._lost >= HOPELESS:
            self.stop()


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

    def overdue(self, now: int) -> Iterator[int]:
        """None ever is."""
        del now
        return iter(())


def clean(network: Network, settings: Settings, objects: Objects, show: Show) -> Removal:
    """Destroy all objects. Ctrl-C ends it early; what is left then is in the result."""
    names = dict.fromkeys(objects.uncertain, NOT_LOCATED)
    removals = Removals(settings, objects)
    try:
        if names:
            _locate(network, settings, objects, names)
            removals = Removals(settings, objects)
        _remove(network, settings, removals, len(objects.made), show)
    except KeyboardInterrupt:
        removals.stop()
    return Removal(removals.removed, {**removals.left, **names})


def _locate(network: Network, settings: Settings, objects: Objects, names: dict[str, str]) -> None:
    """Find the objects whose creation was not answered by their names; not for ever if the server is
    gone."""
    session = Session(network, settings.encoding, settings.timeout)
    lost = 0
    for name in list(names):
        if lost >= ATTEMPTS:
            names[name] = NOT_LOCATED
            continue
        for variant in (name, f"{name}-public"):
            try:
                found = session.ask(
                    calls.locate(variant, None, None, None, None, None), settings.version
                )
            except (LinkFailed, OperationFailed, ProtocolError) as error:
                names[name] = str(error)
                lost = lost + 1 if isinstance(error, LinkFailed) else 0
                break
            lost = 0
            objects.made |= {each: objects.made.get(each, True) for each in found.ids}
        else:
            del names[name]
    session.close()


def _remove(
    network: Network, settings: Settings, removals: Removals, total: int, show: Show
) -> None:
    timeout = round(settings.timeout * 1e9)
    driver = Driver(network, connections=min(CONNECTIONS, max(total, 1)), timeout=timeout)
    measures = Measures(network.now(), None, 10**9)

    def tick(now: int) -> bool:
        del now
        show(removals.removed, total)
        return False

    driver.run(Work(removals, _Pace(removals), measures, timeout), tick)
