"""Alarms: what is wrong with an entity, from when it was noticed until it is over (§2.5).

An event says that something happened; an alarm lasts, also over a restart of vCenter.
"""

from typing import Final

from kmipkit_vsphere.model.clock import Clock
from kmipkit_vsphere.model.encoding import decode, encode
from kmipkit_vsphere.vcenter.calls.events import Alarm, Entity
from kmipkit_vsphere.vcenter.store import Store

_SETTING: Final = "alarm/"


class Alarms:
    """The alarms of one vCenter, at most one for each entity."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._settings = store.providers
        self._clock = clock

    def begin(self, entity: Entity, event_type: str, message: str) -> bool:
        """Raise an alarm, or renew its message; False if there was one of this type already."""
        known = self.get(entity)
        is_new = known is None or known.event_type_id != event_type
        since = (
            self._clock().isoformat(timespec="seconds") if known is None or is_new else known.since
        )
        alarm = Alarm(entity, event_type, message, since)
        if alarm != known:
            self._settings.set_setting(_name(entity), encode(alarm).decode())
        return is_new

    def end(self, entity: Entity) -> bool:
        """End the alarm of an entity; False if there was none."""
        if self.get(entity) is None:
            return False
        self._settings.set_setting(_name(entity), None)
        return True

    def get(self, entity: Entity) -> Alarm | None:
        """The alarm of an entity, None if there is none."""
        text = self._settings.setting(_name(entity))
        return None if text is None else decode(text.encode(), Alarm)

    def all(self) -> list[Alarm]:
        """All alarms, by entity."""
        texts = self._settings.settings(_SETTING).values()
        return [decode(text.encode(), Alarm) for text in texts]


def _name(entity: Entity) -> str:
    return f"{_SETTING}{entity.type}/{entity.name}"
