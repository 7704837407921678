"""Which hosts answer vCenter: an event when a connection is lost, and one when it is back.

A single call that is lost says little, so a host counts as not responding only after several looks in
a row. A real host sends heartbeats, and vCenter waits 60 seconds for them; here vCenter looks every 5.
"""

from typing import Final

from kmipkit_vsphere.model.errors import HostUnreachable
from kmipkit_vsphere.model.records import HostRecord
from kmipkit_vsphere.vcenter.alarms import Alarms
from kmipkit_vsphere.vcenter.calls.events import AlarmName, Entity
from kmipkit_vsphere.vcenter.events import EventLog

LOST_AFTER: Final = 3
"""Looks in a row that a host does not answer until its connection counts as lost."""


class HostConnections:
    """The connections to the hosts of one vCenter. That one is lost is an alarm, which lasts."""

    def __init__(self, events: EventLog, alarms: Alarms) -> None:
        self._events = events
        self._alarms = alarms
        self._failures: dict[str, int] = {}

    def is_lost(self, host: HostRecord) -> bool:
        """Whether the host counts as not responding."""
        return self._alarms.get(AlarmName.HOST_CONNECTION, _entity(host)) is not None

    def note_answer(self, host: HostRecord) -> None:
        """The host answered."""
        self._failures.pop(host.name, None)
        if self.is_lost(host):
            self._events.add(
                "vim.event.HostConnectedEvent",
                f"vCenter is connected to host {host.name} again",
                user="vCenter",
                entity=_entity(host),
            )

    def note_failure(self, host: HostRecord, failure: HostUnreachable) -> None:
        """The host did not answer in one of vCenter's looks."""
        failures = self._failures.get(host.name, 0) + 1
        self._failures[host.name] = failures
        if failures >= LOST_AFTER and not self.is_lost(host):
            self._events.add(
                "vim.event.HostConnectionLostEvent",
                f"vCenter has lost the connection to {failure.message}",
                user="vCenter",
                entity=_entity(host),
                failed=True,
            )

    def forget(self, name: str) -> None:
        """A host is no longer in the inventory."""
        self._failures.pop(name, None)


def _entity(host: HostRecord) -> Entity:
    return Entity("host", host.name, host.uuid)
