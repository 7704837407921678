"""The life cycle of a managed object: states and transitions.

All rules about states are in this file (KMIP 1.4 §3.22, KMIP 2.1 §4.57): a table from (state, event)
to state, the transitions that happen at a date, and the uses that a state permits. The file knows no
operation, no store and no clock: the server turns an operation into an event, and passes the time.

A transition that is not in the table is not permitted. For example, an Active object cannot be
destroyed; it must be revoked first. Reasons are those of KMIP 2.0 and later.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from types import MappingProxyType

from kmipkit.errors import OperationError
from kmipkit.spec.enums import ResultReason, RevocationReasonCode, State


class Event(Enum):
    """An event in the life of an object; the value is its name in messages."""

    ACTIVATE = "activated"
    """The Activate operation, or an Activation Date modified to now or the past."""
    ACTIVATION_DATE_REACHED = "activated by date"
    DEACTIVATION_DATE_REACHED = "deactivated by date"
    """Also a Deactivation Date modified to now or the past."""
    REVOKE = "revoked"
    """Revoke with a reason other than a compromise."""
    REVOKE_COMPROMISE = "revoked as compromised"
    DESTROY = "destroyed"


_PRE_ACTIVE, _ACTIVE, _DEACTIVATED = State.PRE_ACTIVE, State.ACTIVE, State.DEACTIVATED
_COMPROMISED, _DESTROYED = State.COMPROMISED, State.DESTROYED
_DESTROYED_COMPROMISED = State.DESTROYED_COMPROMISED

TRANSITIONS: Mapping[tuple[State, Event], State] = MappingProxyType(
    {
        # The numbers are those of the list in KMIP 1.4 §3.22; number 1 is the creation.
        (_PRE_ACTIVE, Event.DESTROY): _DESTROYED,  # 2
        (_PRE_ACTIVE, Event.REVOKE_COMPROMISE): _COMPROMISED,  # 3
        (_PRE_ACTIVE, Event.ACTIVATE): _ACTIVE,  # 4
        (_PRE_ACTIVE, Event.ACTIVATION_DATE_REACHED): _ACTIVE,  # 4
        (_ACTIVE, Event.REVOKE_COMPROMISE): _COMPROMISED,  # 5
        (_ACTIVE, Event.REVOKE): _DEACTIVATED,  # 6
        (_ACTIVE, Event.DEACTIVATION_DATE_REACHED): _DEACTIVATED,  # 6
        (_DEACTIVATED, Event.DESTROY): _DESTROYED,  # 7
        (_DEACTIVATED, Event.REVOKE_COMPROMISE): _COMPROMISED,  # 8
        (_COMPROMISED, Event.DESTROY): _DESTROYED_COMPROMISED,  # 9
        (_DESTROYED, Event.REVOKE_COMPROMISE): _DESTROYED_COMPROMISED,  # 10
    }
)
"""Every permitted transition but the creation: a new object is Pre-Active (KMIP 1.4 §3.22)."""

DESTROYED_STATES = frozenset({_DESTROYED, _DESTROYED_COMPROMISED})
"""The states without key material."""

PROTECTING_STATES = frozenset({_ACTIVE})
"""The states in which a key may encrypt, sign, wrap, MAC or derive (KMIP 2.1 §4.57)."""

PROCESSING_STATES = frozenset({_ACTIVE, _DEACTIVATED, _COMPROMISED})
"""The states in which a key may decrypt, verify or unwrap data that was protected before."""

COMPROMISES = frozenset({RevocationReasonCode.KEY_COMPROMISE, RevocationReasonCode.CA_COMPROMISE})
"""The Revocation Reason Codes that lead to Compromised (KMIP 1.4 §3.31)."""


def describe_state(state: State) -> str:
    """The name of a state as messages show it: ``Pre-Active``."""
    return "Pre-Active" if state is _PRE_ACTIVE else state.name.replace("_", " ").title()


def revocation_event(reason: RevocationReasonCode) -> Event:
    """The event that a Revoke with this reason causes."""
    return Event.REVOKE_COMPROMISE if reason in COMPROMISES else Event.REVOKE


def next_state(state: State, event: Event) -> State:
    """The state after ``event``.

    Raises:
        OperationError: Object Destroyed if the object is already destroyed; Wrong Key Lifecycle
            State for every other transition that is not in :data:`TRANSITIONS`.
    """
    new_state = TRANSITIONS.get((state, event))
    if new_state is not None:
        return new_state
    if state in DESTROYED_STATES:
        raise OperationError(
            ResultReason.OBJECT_DESTROYED, f"a destroyed object cannot be {event.value}"
        )
    remedy = "; revoke it first" if (state, event) == (_ACTIVE, Event.DESTROY) else ""
    raise OperationError(
        ResultReason.WRONG_KEY_LIFECYCLE_STATE,
        f"an object in the state {describe_state(state)} cannot be {event.value}{remedy}",
    )


def effective_state(
    state: State,
    activation_date: datetime | None,
    deactivation_date: datetime | None,
    now: datetime,
) -> State:
    """The state at ``now``: the stored ``state`` after the transitions of the dates that have passed.

    If both dates have passed, a Pre-Active object is Deactivated: it was Active in between. Dates do
    not change the other states.
    """
    for event, date in (
        (Event.ACTIVATION_DATE_REACHED, activation_date),
        (Event.DEACTIVATION_DATE_REACHED, deactivation_date),
    ):
        if date is not None and date <= now:
            state = TRANSITIONS.get((state, event), state)
    return state


def may_protect(state: State, now: datetime, *, protect_stop_date: datetime | None = None) -> bool:
    """Whether a key may be used to apply protection: encrypt, sign, wrap, MAC, derive.

    ``state`` is the effective state; the Protect Stop Date is the last moment (KMIP 1.4 §3.26). Each
    of the two dates limits only its own uses, as the attributes define them. A sentence in §3.22
    applies both dates to all uses, but would then forbid decryption after Protect Stop.
    """
    return state in PROTECTING_STATES and (protect_stop_date is None or now <= protect_stop_date)


def may_process(state: State, now: datetime, *, process_start_date: datetime | None = None) -> bool:
    """Whether a key may be used to process protected data: decrypt, verify, unwrap.

    ``state`` is the effective state; the Process Start Date is the first moment (KMIP 1.4 §3.25).
    Deactivated and Compromised keys are permitted; the policy decides whether the client is trusted
    to use a compromised key (§3.22).
    """
    return state in PROCESSING_STATES and (process_start_date is None or process_start_date <= now)
