"""What one object may do, according to KMIP 1.4 §3.22: the model that histories are compared with.

It is written down a second time here, so that a fault of the server's own table does not excuse itself.
"""

from collections.abc import Mapping
from types import MappingProxyType

from drill.history import Action, Operation, Outcome
from kmipkit.spec.enums import State

_PRE_ACTIVE, _ACTIVE, _DEACTIVATED = State.PRE_ACTIVE, State.ACTIVE, State.DEACTIVATED
_COMPROMISED, _DESTROYED = State.COMPROMISED, State.DESTROYED
_DESTROYED_COMPROMISED = State.DESTROYED_COMPROMISED

TRANSITIONS: Mapping[Action, Mapping[State | None, State]] = MappingProxyType(
    {
        # The numbers of KMIP 1.4 §3.22; None is an object that does not exist.
        Action.CREATE: {None: _PRE_ACTIVE},  # 1
        Action.ACTIVATE: {_PRE_ACTIVE: _ACTIVE},  # 4
        Action.REVOKE: {_ACTIVE: _DEACTIVATED},  # 6
        Action.COMPROMISE: {
            _PRE_ACTIVE: _COMPROMISED,  # 3
            _ACTIVE: _COMPROMISED,  # 5
            _DEACTIVATED: _COMPROMISED,  # 8
            _DESTROYED: _DESTROYED_COMPROMISED,  # 10
        },
        Action.DESTROY: {
            _PRE_ACTIVE: _DESTROYED,  # 2
            _DEACTIVATED: _DESTROYED,  # 7
            _COMPROMISED: _DESTROYED_COMPROMISED,  # 9
        },
    }
)
"""Where each change leads. "Only the transitions described above are permitted"."""

USES: Mapping[Action, frozenset[State]] = MappingProxyType(
    {
        # A key that is not Active "SHALL NOT be used for applying cryptographic protection (e.g.,
        # encryption, ...)". No state forbids Get but those without material (§4.21): whoever has data
        # of a revoked key must be able to read them.
        Action.ENCRYPT: frozenset({_ACTIVE}),
        Action.GET: frozenset({_PRE_ACTIVE, _ACTIVE, _DEACTIVATED, _COMPROMISED}),
        Action.STATE: frozenset(State),
    }
)
"""In which states each use succeeds."""


class Impossible(Exception):
    """An operation cannot have this outcome in this state."""


def step(state: State | None, operation: Operation) -> State | None:
    """The state after an operation that takes place in a state. Impossible if it cannot."""
    transitions = TRANSITIONS.get(operation.action)
    if transitions is not None:
        after = transitions.get(state)
        is_possible = after is not None
    else:
        after = state
        is_possible = state in USES[operation.action] and (
            operation.action is not Action.STATE
            or state is None
            or operation.outcome is not Outcome.DONE
            or operation.value == state.name
        )
    if operation.outcome is Outcome.REFUSED:
        after, is_possible = state, not is_possible
    if not is_possible:
        raise Impossible
    return after
