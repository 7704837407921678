"""Events: what vCenter writes down about every operation with keys (vsphere.md §5.3).

Each crypto event shows user, time, key id and operation (requirement R35), also where it failed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from kmipkit_vsphere.keys import CryptoKeyId
from kmipkit_vsphere.store import Store

PREFIX: Final = "com.vmware.vc."

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Entity:
    """What an event is about: a ``host``, a ``machine`` or a ``provider``."""

    type: str
    name: str
    uuid: str = ""


class EventLog:
    """Appends events to the store. The clock gives aware times."""

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
        **arguments: Any,
    ) -> None:
        """Append one event; ``event_type`` goes without the common prefix. No key bytes, ever."""
        self._store.add_event(
            {
                "createdTime": self._clock().isoformat(timespec="milliseconds"),
                "userName": user,
                "eventTypeId": PREFIX + event_type,
                "severity": "error" if failed else "info",
                "operation": operation,
                "result": "failure" if failed else "success",
                "keyId": key_id.key_id if key_id else "",
                "providerId": key_id.provider_id if key_id else "",
                "entity": {"type": entity.type, "name": entity.name, "uuid": entity.uuid}
                if entity
                else None,
                "arguments": arguments,
                "message": message,
            }
        )
