"""Events: what was done with keys, and by whom (vsphere.md §5.3)."""

from enum import StrEnum
from typing import Annotated, Any, Final, Literal

import click
from msgspec import Meta

from kmipkit_vsphere.model.colour import Color
from kmipkit_vsphere.model.keys import escaped
from kmipkit_vsphere.model.message import Message, Text, field
from kmipkit_vsphere.vcenter.command import Argument, Row, VCenterQuery, VCenterRequest
from kmipkit_vsphere.vcenter.command_line import aligned
from kmipkit_vsphere.vcenter.privileges import Privilege

COMMON_PREFIX: Final = "com.vmware.vc."
"""What the types of most events begin with."""


class Severity(StrEnum):
    """How bad an event is."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Entity(Message):
    """What an event or an alarm is about.

    The type is ``host``, ``machine``, ``provider``, ``keyServer`` or ``key``; the last two are named
    after their provider as well.
    """

    type: str
    name: str
    uuid: str = ""

    def __str__(self) -> str:
        return f"{self.type}/{self.name}"


def key_server(provider: str, server: str) -> Entity:
    """A key server of a provider, as alarms name it."""
    return Entity("keyServer", f"{escaped(provider)}/{server}")


class Event(Message):
    """One event; ``key`` is its number. ``arguments`` depend on the type, and are never keys."""

    key: int
    created_time: str
    user_name: str
    event_type_id: str
    severity: Severity
    operation: str
    result: str
    key_id: str
    provider_id: str
    entity: Entity | None
    arguments: dict[str, Any]
    message: str


class EventTypeInfo(Message):
    """A type of event: when it is written, how bad it is, and the names of its arguments.

    The severity of a failed operation is at least that of an error.
    """

    id: str
    severity: Severity
    description: str
    arguments: tuple[str, ...] = ()


class ListEventTypes(VCenterQuery[list[EventTypeInfo]]):
    """List all types of events."""


class AlarmName(StrEnum):
    """The alarms that there are; see :mod:`kmipkit_vsphere.vcenter.alarm_definitions`."""

    KEY_SERVER_CONNECTION = "keyServerConnection"
    KEY_PROVIDER_HEALTH = "keyProviderHealth"
    CERTIFICATE = "certificate"
    NATIVE_PROVIDER_BACKUP = "nativeProviderBackup"
    KEY_MISSING = "keyMissing"
    HOST_CONNECTION = "hostConnection"
    HOST_NEEDS_ENCRYPTION = "hostNeedsEncryption"
    HOST_KEY_MISSING = "hostKeyMissing"
    MACHINE_LOCKED = "machineLocked"
    MACHINE_INTEGRITY = "machineIntegrity"
    MIXED_KEYS = "mixedKeys"
    CONSOLIDATION_NEEDED = "consolidationNeeded"
    POLICY_COMPLIANCE = "policyCompliance"
    HOST_ATTESTATION = "hostAttestation"
    TRUST_AUTHORITY = "trustAuthority"
    PRIMARY_KEY = "primaryKey"


class Alarm(Message):
    """What is wrong with an entity, and since when; the type is that of its event.

    Whoever acknowledges an alarm knows of it; it ends when its reason does.
    """

    entity: Entity
    event_type_id: str
    message: str
    since: str
    alarm: AlarmName = AlarmName.MACHINE_LOCKED
    colour: Color = field(default=Color.RED, name="color")
    acknowledged_by: str | None = None
    acknowledged_at: str | None = None


class AlarmDefinition(Message):
    """An alarm that there may be: about what, when, and which events belong to it."""

    alarm: AlarmName
    entity_type: str
    condition: str
    colours: list[Color] = field(name="colors")
    raised_by: list[str]
    cleared_by: str


class ListAlarms(VCenterQuery[list[Alarm]]):
    """Show what is wrong now, such as machines that are locked."""


class ListAlarmDefinitions(VCenterQuery[list[AlarmDefinition]]):
    """Show which alarms there are, and what raises and clears them."""


class AcknowledgeAlarm(VCenterRequest[Alarm]):
    """Note that somebody looks after an alarm; it stays until its reason is gone."""

    alarm: AlarmName
    entity: Text


class QueryEvents(VCenterQuery[list[Event]]):
    """Show what was done with keys, and by whom."""

    since: Text | None = None
    until: Text | None = None
    user: Text | None = None
    key_id: Text | None = None
    event_type_id: Text | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 1000


class ExportEvents(VCenterQuery[str]):
    """Print the events as CSV or as JSON lines."""

    since: Text | None = None
    until: Text | None = None
    user: Text | None = None
    key_id: Text | None = None
    event_type_id: Text | None = None
    format: Literal["csv", "jsonl"] = "csv"


def event_lines(events: list[dict[str, Any]]) -> list[str]:
    """A line for each event: time, severity, user, entity, type and message."""
    return aligned(
        [
            (
                event["createdTime"],
                event["severity"],
                event["userName"],
                "{type}/{name}".format_map(event["entity"]) if event["entity"] else "",
                event["eventTypeId"].removeprefix(COMMON_PREFIX),
                event["message"],
            )
            for event in events
        ]
    )


_FILTERS = (
    Argument("--since", "since", help="Time in ISO 8601."),
    Argument("--until", "until", help="Time in ISO 8601."),
    Argument("--user", "user", help="The user who did it."),
    Argument("--key", "keyId", help="Id of the key."),
    Argument("--type", "eventTypeId", help="Beginning of the event id, such as crypto."),
)

ROWS: Final = (
    Row(
        QueryEvents,
        Privilege.VIEW,
        command="events",
        arguments=(*_FILTERS, Argument("--limit", "limit", click.IntRange(1, 1000), 100)),
        example="events --user administrator --type crypto.Operation",
        lines=event_lines,
    ),
    Row(ListAlarms, Privilege.VIEW, command="alarms"),
    Row(ListEventTypes, Privilege.VIEW, command="event-types"),
    Row(ListAlarmDefinitions, Privilege.VIEW, command="alarm-definitions"),
    Row(
        AcknowledgeAlarm,
        Privilege.ACKNOWLEDGE_ALARM,
        command="acknowledge-alarm",
        arguments=(
            Argument("ALARM", "alarm", click.Choice([alarm.value for alarm in AlarmName])),
            Argument("ENTITY", "entity", help="TYPE/NAME, as alarms shows them."),
        ),
        example="acknowledge-alarm machineLocked machine/db1",
    ),
    Row(
        ExportEvents,
        Privilege.VIEW,
        command="export-events",
        arguments=(
            *_FILTERS,
            Argument("--format", "format", click.Choice(["csv", "jsonl"]), "csv"),
        ),
        example="export-events --format jsonl > events.jsonl",
    ),
)
