"""Events: what vCenter writes down about every operation with keys (vsphere.md §5.3).

Each crypto event shows user, time, key id and operation (requirement R35), also where it failed.
"""

import csv
import io
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from kmipkit_vsphere.model.clock import Clock
from kmipkit_vsphere.model.errors import InvalidArgument
from kmipkit_vsphere.model.keys import CryptoKeyId
from kmipkit_vsphere.vcenter.store import Store

PREFIX: Final = "com.vmware.vc."
HOST_SIDE: Final = "esx."
"""Events of hosts have no prefix but this."""
NO_KEY: Final = "-"
"""The key id in the record of an operation that came to no key (R35: no field is empty)."""


class Severity(StrEnum):
    """How bad an event is."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Entity:
    """What an event is about: a ``host``, a ``machine`` or a ``provider``."""

    type: str
    name: str
    uuid: str = ""


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events are asked for; what is None does not matter. Times are aware."""

    since: datetime | None = None
    until: datetime | None = None
    user: str | None = None
    key_id: str | None = None
    event_type: str | None = None

    def matches(self, event: dict[str, Any]) -> bool:
        """Whether an event is one of those; a type may be given with or without its prefix."""
        created = datetime.fromisoformat(event["createdTime"])
        return (
            (self.since is None or created >= self.since)
            and (self.until is None or created < self.until)
            and (self.user is None or event["userName"] == self.user)
            and (self.key_id is None or event["keyId"] == self.key_id)
            and (
                self.event_type is None
                or event["eventTypeId"]
                .removeprefix(PREFIX)
                .startswith(self.event_type.removeprefix(PREFIX))
            )
        )


class EventLog:
    """Appends events to the store, and finds them again. The clock gives aware times."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

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
        """Append one event; ``event_type`` goes without the common prefix. No key bytes, ever."""
        self._store.events.add(
            {
                "createdTime": self._clock().isoformat(timespec="milliseconds"),
                "userName": user,
                "eventTypeId": event_type
                if event_type.startswith(HOST_SIDE)
                else PREFIX + event_type,
                "severity": severity or (Severity.ERROR if failed else Severity.INFO),
                "operation": operation,
                "result": "failure" if failed else "success",
                "keyId": (key_id.key_id if key_id else "") or (NO_KEY if operation else ""),
                "providerId": key_id.provider_id if key_id else "",
                "entity": {"type": entity.type, "name": entity.name, "uuid": entity.uuid}
                if entity
                else None,
                "arguments": arguments,
                "message": message,
            }
        )

    def find(self, wanted: EventFilter | None = None) -> list[dict[str, Any]]:
        """The events that match, the oldest first; DamagedData where the chain is broken."""
        found = self._store.events.all()
        return found if wanted is None else [event for event in found if wanted.matches(event)]


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


def as_csv(events: Iterable[dict[str, Any]]) -> str:
    """Events as CSV with a header line (RFC 4180)."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore", restval="")
    writer.writeheader()
    for event in events:
        entity = {f"entity{name.title()}": value for name, value in (event["entity"] or {}).items()}
        row = {**event, **entity}
        writer.writerow({name: _inert(row.get(name, "")) for name in COLUMNS})
    return text.getvalue()


def as_json_lines(events: Iterable[dict[str, Any]]) -> str:
    """Events as JSON, one a line."""
    return "".join(json.dumps(event, ensure_ascii=False) + "\n" for event in events)


def _inert(value: Any) -> Any:
    # Names are chosen by others: a spreadsheet must not take one for a formula.
    risky = isinstance(value, str) and value[:1] in ("=", "+", "-", "@") and value != NO_KEY
    return f"'{value}" if risky else value


FORMATS: Final = {"csv": as_csv, "jsonl": as_json_lines}


def export(events: Iterable[dict[str, Any]], form: str) -> str:
    """Events as a text in one of :data:`FORMATS` (requirement R34)."""
    if form not in FORMATS:
        raise InvalidArgument(f"events are exported as {' or '.join(FORMATS)}, not as {form}")
    return FORMATS[form](events)
