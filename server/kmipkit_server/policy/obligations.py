"""What a decision asks for besides: data, which the caller fulfils in its transaction.

A rule that allows may have obligations, and a rule with ``require`` has nothing else. Which there are is
the table :data:`READERS`: a key of a rule, and how its value is read. How an obligation is fulfilled is
not known here; see :mod:`kmipkit_server.engine.obligations`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kmipkit_server.policy.approvals import read_approvals
from kmipkit_server.policy.counts import read_count
from kmipkit_server.policy.values import Context


@dataclass(frozen=True, slots=True)
class Obligation:
    """Something that must be done, or must be the case, so that an operation is permitted."""

    kind: str
    """The key of the rule."""
    rule: str
    """The name of the rule."""
    value: Any
    """What the rule says, as it was read."""


Reader = Callable[[object, Context], Any]
"""From the value in TOML to that of the obligation; an InvalidValue says what it must be."""

READERS: dict[str, Reader] = {"approvals": read_approvals, "count": read_count}
"""The kinds of obligations."""
