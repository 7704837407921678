"""The dates of an object's life, held against each other and against what has already happened.

The Process Start Date "SHALL NOT precede the Activation Date", and the Protect Stop Date "SHALL NOT be
later than the Deactivation Date" (KMIP 1.4 §3.25, §3.26; KMIP 2.1 §4.40, §4.41). Nothing holds the
Deactivation Date against the Activation Date: a client may deactivate an object by "modifying the
Deactivation Date to a date in the past" (KMIP 1.4 §3.22, transition 6), however young the object is.

The rules are for dates that a client sets. Dates that an operation sets may break them: an Activate
before the Process Start Date of long ago, or a Revoke before the Protect Stop Date.
"""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType

from kmipkit.errors import OperationError
from kmipkit.lifecycle import describe_state
from kmipkit.model.attribute import AttributeKey, Attributes, attribute_name
from kmipkit.spec.enums import ResultReason, State
from kmipkit.spec.tags import Tag
from kmipkit_server.objects.managed import Managed

_BEFORE_ACTIVATION = frozenset({State.PRE_ACTIVE})
_BEFORE_DEACTIVATION = frozenset({State.PRE_ACTIVE, State.ACTIVE})

MODIFIABLE_STATES: Mapping[Tag, frozenset[State]] = MappingProxyType(
    {
        Tag.ACTIVATION_DATE: _BEFORE_ACTIVATION,
        Tag.PROCESS_START_DATE: _BEFORE_DEACTIVATION,
        Tag.PROTECT_STOP_DATE: _BEFORE_DEACTIVATION,
        Tag.DEACTIVATION_DATE: _BEFORE_DEACTIVATION,
    }
)
"""The states in which a client may change a date (KMIP 1.4 §3.24 to §3.27)."""

_FIXED_WHEN_REACHED = frozenset({Tag.PROCESS_START_DATE, Tag.PROTECT_STOP_DATE})
"""Dates that do not change once they have occurred, although the state permits it (§3.25, §3.26)."""

_ORDER = (
    (Tag.ACTIVATION_DATE, Tag.PROCESS_START_DATE),
    (Tag.PROTECT_STOP_DATE, Tag.DEACTIVATION_DATE),
)
"""Pairs of dates, of which the first one must not be later than the second."""

ORDERED_DATES: frozenset[AttributeKey] = frozenset(tag for pair in _ORDER for tag in pair)
"""The dates that are held against others."""


def require_order(attributes: Attributes) -> None:
    """Refuse dates that contradict each other (Invalid Field)."""
    if not attributes.has_any(ORDERED_DATES):
        return
    for first, second in _ORDER:
        earlier, later = attributes.get(first), attributes.get(second)
        if isinstance(earlier, datetime) and isinstance(later, datetime) and earlier > later:
            raise OperationError(
                ResultReason.INVALID_FIELD,
                f"the {attribute_name(first)} ({earlier}) must not be later than"
                f" the {attribute_name(second)} ({later})",
            )


def require_order_with(attributes: Attributes, key: AttributeKey) -> None:
    """Refuse a new value of one date that contradicts another date."""
    if key in ORDERED_DATES:
        require_order(attributes)


def require_changeable(key: AttributeKey, managed: Managed) -> None:
    """Refuse to set or change a date that the state, or the date itself, has made final."""
    states = MODIFIABLE_STATES.get(key) if isinstance(key, Tag) else None
    if states is None:
        return
    if managed.state not in states:
        raise OperationError(
            ResultReason.WRONG_KEY_LIFECYCLE_STATE,
            f"{attribute_name(key)} cannot be changed in the state {describe_state(managed.state)}",
        )
    date = managed.get(key)
    if key in _FIXED_WHEN_REACHED and isinstance(date, datetime) and date <= managed.now:
        raise OperationError(
            ResultReason.ATTRIBUTE_READ_ONLY,
            f"{attribute_name(key)} cannot be changed after it has occurred",
        )


def activated_if_due(managed: Managed, key: AttributeKey) -> Managed:
    """In the state to which a new Activation Date leads (KMIP 1.4 §3.22, transitions 4 and 6)."""
    if key == Tag.ACTIVATION_DATE and managed.record.stored_state is State.PRE_ACTIVE:
        return managed.with_state(managed.state)
    return managed
