"""What clients have asked and what they were told: the operations of a drill, with their times."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum


class Action(StrEnum):
    """What a client asks for."""

    CREATE = "Create"
    ACTIVATE = "Activate"
    REVOKE = "Revoke"
    COMPROMISE = "Revoke as compromised"
    DESTROY = "Destroy"
    GET = "Get"
    ENCRYPT = "Encrypt"
    STATE = "State"


CHANGES = frozenset(
    {Action.CREATE, Action.ACTIVATE, Action.REVOKE, Action.COMPROMISE, Action.DESTROY}
)


class Outcome(StrEnum):
    """What a client knows afterwards."""

    DONE = "done"
    """The server has acknowledged it."""
    REFUSED = "refused"
    """The server has refused it because of the object; nothing has changed."""
    FAILED = "failed"
    """It did not reach a server, or a server that could not do it; nothing has changed."""
    UNKNOWN = "unknown"
    """It was sent, and there is no answer: it may have been carried out, or may yet be."""


ANSWERED = frozenset({Outcome.DONE, Outcome.REFUSED})


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a client; times are seconds since the drill began."""

    client: str
    action: Action
    name: str
    """Of the object, which the client has chosen: no two have the same."""
    begun: float
    ended: float
    outcome: Outcome
    value: str = ""
    """The state, a digest of the key material, or the Result Reason of a refusal."""

    @property
    def is_change(self) -> bool:
        """Whether it may change the object."""
        return self.action in CHANGES

    def __str__(self) -> str:
        value = f" ({self.value})" if self.value else ""
        return f"{self.begun:.3f} to {self.ended:.3f} {self.client}: {self.action} {self.outcome}{value}"


def by_name(history: Iterable[Operation]) -> Mapping[str, list[Operation]]:
    """The operations on each object, in the order in which they began."""
    found: dict[str, list[Operation]] = {}
    for operation in sorted(history, key=lambda each: each.begun):
        found.setdefault(operation.name, []).append(operation)
    return found
