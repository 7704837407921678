"""The log of events about every operation with keys (vsphere.md §5.3).

Each crypto event shows user, time, key id and operation (requirement R35), also where it failed.
"""

import csv
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

from kmipkit_vsphere.model.clock import Clock
from kmipkit_vsphere.model.encoding import encode, to_builtins
from kmipkit_vsphere.model.errors import InvalidArgument
from kmipkit_vsphere.model.keys import CryptoKeyId
from kmipkit_vsphere.vcenter.alarm_definitions import PREFIX, full_id
from kmipkit_vsphere.vcenter.calls.events import (
    Entity,
    Event,
    ExportEvents,
    QueryEvents,
    Severity,
)
from kmipkit_vsphere.vcenter.event_types import EVENT_TYPES
from kmipkit_vsphere.vcenter.store import Store

NO_KEY: Final = "-"
"""The key id of an operation that failed before it had a key (R35: no field is empty)."""


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Selects events; fields that are None select all. Times have a time zone."""

    since: datetime | None = None
    until: datetime | None = None
    user: str | None = None
    key_id: str | None = None
    event_type: str | None = None

    @classmethod
    def of(cls, request: QueryEvents | ExportEvents) -> "EventFilter":
        """The filter in a request; :class:`InvalidArgument` for a time that is none."""
        return cls(
            since=_time(request.since, "since"),
            until=_time(request.until, "until"),
            user=request.user,
            key_id=request.key_id,
            event_type=request.event_type_id,
        )

    def matches(self, event: Event) -> bool:
        """Whether an event is selected; a type may be given with or without its prefix."""
        created = datetime.fromisoformat(event.created_time)
        return (
            (self.since is None or created >= self.since)
            and (self.until is None or created < self.until)
            and (self.user is None or event.user_name == self.user)
            and (self.key_id is None or event.key_id == self.key_id)
            and (
                self.event_type is None
                or event.event_type_id.removeprefix(PREFIX).startswith(
                    self.event_type.removeprefix(PREFIX)
                )
            )
        )


def _time(text: str | None, name: str) -> datetime | None:
    """A time in ISO 8601, UTC unless it says otherwise."""
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidArgument(
            f"the parameter {name} must be a time such as 2026-01-31T12:00:00"
        ) from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


class EventLog:
    """Appends events to the store, and finds them again; ``observe`` gets each of them."""

    def __init__(self, store: Store, clock: Clock, observe: Callable[[Event], None]) -> None:
        self._store = store
        self._clock = clock
        self.listeners: list[Callable[[], None]] = []
        """Called after each event."""
        self._observe = observe

    def add(
        self,
        event_type: str,
        message: str,
        *,
        user: str,
        operation: str = "",
        key_id: CryptoKeyId | None = None,
        entity: Entity | None = None,
        failed: bool = False,
        severity: Severity | None = None,
        **arguments: Any,
    ) -> None:
        """Append one event; ``event_type`` is without the common prefix. Never pass key bytes.

        Its severity is that of its type, but an operation that failed is an error.
        """
        usual = EVENT_TYPES[event_type].severity
        if failed and usual is Severity.INFO:
            usual = Severity.ERROR
        about = {entity.type: entity.name} if entity is not None else {}
        if key_id is not None and key_id.key_id:
            about["key"] = str(key_id)
        event = Event(
            key=self._store.events.next_key(),
            created_time=self._clock().isoformat(timespec="milliseconds"),
            user_name=user,
            event_type_id=full_id(event_type),
            severity=severity or usual,
            operation=operation,
            result="failure" if failed else "success",
            key_id=(key_id.key_id if key_id else "") or (NO_KEY if operation else ""),
            provider_id=key_id.provider_id if key_id else "",
            entity=entity,
            arguments=about | arguments,
            message=message,
        )
        self._store.events.add(event)
        self._observe(event)
        for listener in self.listeners:
            listener()

    def find(self, selection: EventFilter | None = None) -> list[Event]:
        """The events that match, the oldest first; DamagedData where the chain is broken."""
        events = self._store.events.all()
        if selection is None:
            return events
        return [event for event in events if selection.matches(event)]


COLUMNS: Final = (
    "key",
    "createdTime",
    "userName",
    "eventTypeId",
    "severity",
    "operation",
    "result",
    "keyId",
    "providerId",
    "entityType",
    "entityName",
    "entityUuid",
    "message",
)


def as_csv(events: Iterable[Event]) -> str:
    """Events as CSV with a header line (RFC 4180)."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore", restval="")
    writer.writeheader()
    for event in events:
        row = to_builtins(event)
        row |= {f"entity{name.title()}": value for name, value in (row["entity"] or {}).items()}
        writer.writerow({name: _inert(row.get(name, "")) for name in COLUMNS})
    return text.getvalue()


def as_json_lines(events: Iterable[Event]) -> str:
    """Events as JSON, one a line."""
    return "".join(encode(event).decode() + "\n" for event in events)


def _inert(value: Any) -> Any:
    # Users choose names: a spreadsheet must not take one for a formula.
    risky = isinstance(value, str) and value[:1] in ("=", "+", "-", "@") and value != NO_KEY
    return f"'{value}" if risky else value


def export(events: Iterable[Event], form: Literal["csv", "jsonl"]) -> str:
    """Events as a text (requirement R34)."""
    return as_csv(events) if form == "csv" else as_json_lines(events)
