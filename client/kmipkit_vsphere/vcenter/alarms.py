"""Alarms: what is wrong with an entity, from when it was noticed until it is over (§2.5).

An event says that something happened; an alarm lasts, also over a restart of vCenter. Which there are is
a table, :data:`~kmipkit_vsphere.vcenter.alarm_definitions.DEFINITIONS`.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

from msgspec.structs import replace

from kmipkit_vsphere.model.clock import Clock
from kmipkit_vsphere.model.colour import Color
from kmipkit_vsphere.model.encoding import decode, encode
from kmipkit_vsphere.model.errors import NotFound
from kmipkit_vsphere.model.keys import escaped
from kmipkit_vsphere.vcenter.alarm_definitions import DEFINITIONS
from kmipkit_vsphere.vcenter.calls.events import Alarm, AlarmName, Entity, Event
from kmipkit_vsphere.vcenter.store import Store

ACKNOWLEDGED_FOR: Final = timedelta(hours=24)
"""How long an acknowledgement holds for an alarm that repeats."""
_SETTING: Final = "alarm/"
_FIRST_FORMAT: Final = "alarm/machine/"
"""The names of settings when machines that are locked were the only alarm."""
_FORMER_COLOR: Final = "colour"
"""The former name of the field ``color``."""


class Alarms:
    """The alarms of one vCenter, at most one of each name for each entity."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._settings = store.providers
        self._clock = clock
        for text in self._settings.settings(_FIRST_FORMAT).values():
            alarm = decode(text.encode(), Alarm)
            self._settings.set_setting(_FIRST_FORMAT + alarm.entity.name, None)
            self._save(alarm)
        for text in self._settings.settings(_SETTING).values():
            fields = decode(text.encode(), dict[str, Any])
            if _FORMER_COLOR in fields:
                colour = Color(fields[_FORMER_COLOR])
                self._save(replace(decode(text.encode(), Alarm), colour=colour))

    # Beginning and ending ------------------------------------------------------------------------

    def begin(
        self,
        name: AlarmName,
        entity: Entity,
        event_type: str,
        message: str,
        colour: Color | None = None,
    ) -> bool:
        """Raise an alarm, or renew its message; False if there was one of this type already.

        One that becomes worse has to be acknowledged again.
        """
        colour = colour or DEFINITIONS[name].colours[-1]
        known = self.get(name, entity)
        alarm = Alarm(entity, event_type, message, self._now(), name, colour)
        is_new = known is None or known.event_type_id != event_type
        if known is not None and not is_new:
            is_worse = known.colour is Color.YELLOW and colour is Color.RED
            if not is_worse and not self._must_repeat(known):
                alarm = replace(known, message=message, colour=colour)
        self._save(alarm)
        return is_new

    def _must_repeat(self, alarm: Alarm) -> bool:
        if not DEFINITIONS[alarm.alarm].repeats or alarm.acknowledged_at is None:
            return False
        return self._clock() - datetime.fromisoformat(alarm.acknowledged_at) >= ACKNOWLEDGED_FOR

    def end(self, name: AlarmName, entity: Entity) -> bool:
        """End an alarm of an entity; False if there was none."""
        if self.get(name, entity) is None:
            return False
        self._settings.set_setting(_name(name, entity), None)
        return True

    def end_all(self, entity: Entity) -> None:
        """End all alarms of an entity that is gone."""
        for name in AlarmName:
            self.end(name, entity)

    def set(
        self,
        name: AlarmName,
        entity: Entity,
        event_type: str,
        message: str,
        colour: Color | None = None,
    ) -> bool:
        """Begin an alarm, or end it if the message is empty; whether it has begun now."""
        if message:
            return self.begin(name, entity, event_type, message, colour)
        self.end(name, entity)
        return False

    def observe(self, event: Event) -> None:
        """Begin and end the alarms that belong to an event."""
        for definition in DEFINITIONS.values():
            if definition.subject is None or definition.ends is None:
                continue
            entity = definition.subject(event)
            if entity is None or entity.type != definition.entity_type:
                continue
            if definition.begins(event):
                self.begin(definition.alarm, entity, event.event_type_id, event.message)
            elif definition.ends(event):
                self.end(definition.alarm, entity)

    def prune(self, is_there: Callable[[Entity], bool]) -> None:
        """End the alarms of entities that are not there any more."""
        for alarm in self.all():
            if not is_there(alarm.entity):
                self.end(alarm.alarm, alarm.entity)

    # Looking and acknowledging -------------------------------------------------------------------

    def get(self, name: AlarmName, entity: Entity) -> Alarm | None:
        """An alarm of an entity, None if there is none."""
        text = self._settings.setting(_name(name, entity))
        return None if text is None else decode(text.encode(), Alarm)

    def all(self) -> list[Alarm]:
        """All alarms: the red ones first, then by entity."""
        texts = self._settings.settings(_SETTING).values()
        alarms = [decode(text.encode(), Alarm) for text in texts]
        return sorted(alarms, key=lambda a: (a.colour is not Color.RED, str(a.entity), a.alarm))

    def acknowledge(self, user: str, name: AlarmName, entity: str) -> Alarm:
        """Note who knows of an alarm; :class:`NotFound` if there is none."""
        for alarm in self.all():
            if alarm.alarm is name and str(alarm.entity) == entity:
                acknowledged = replace(alarm, acknowledged_by=user, acknowledged_at=self._now())
                self._save(acknowledged)
                return acknowledged
        raise NotFound(f"{entity} has no alarm {name}; see alarms")

    def _save(self, alarm: Alarm) -> None:
        name = _name(alarm.alarm, alarm.entity)
        text = encode(alarm).decode()
        if self._settings.setting(name) != text:
            self._settings.set_setting(name, text)

    def _now(self) -> str:
        return self._clock().isoformat(timespec="seconds")


def _name(name: AlarmName, entity: Entity) -> str:
    return f"{_SETTING}{name}/{entity.type}/{escaped(entity.name)}"
