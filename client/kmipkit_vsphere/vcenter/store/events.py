"""The events, each with the hash of the one before it, so that a change is noticed."""

import hashlib

from kmipkit_vsphere.model.encoding import decode, encode
from kmipkit_vsphere.model.errors import DamagedData
from kmipkit_vsphere.vcenter.calls.events import Event
from kmipkit_vsphere.vcenter.store.database import Database


class Events:
    """The table of events; events are added and never changed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def next_key(self) -> int:
        """The number of the next event."""
        [[last]] = self._database.rows("SELECT ifnull(max(key), 0) FROM event")
        return int(last) + 1

    def add(self, event: Event) -> None:
        """Append an event with its number, and the hash that chains it to the last one."""
        last = self._database.rows("SELECT hash FROM event ORDER BY key DESC LIMIT 1")
        before = last[0][0] if last else ""
        text = encode(event).decode()
        self._database.write(
            "INSERT INTO event VALUES (?, ?, ?)", event.key, text, chain(before, text)
        )

    def all(self) -> list[Event]:
        """All events, the oldest first; :class:`DamagedData` where the chain is broken."""
        events: list[Event] = []
        before = ""
        rows = self._database.rows("SELECT key, record, hash FROM event ORDER BY key")
        for number, text, digest in rows:
            before = chain(before, text)
            if digest != before or number != len(events) + 1:
                raise DamagedData(
                    f"event {number} in {self._database.path} was altered, or one is missing"
                )
            events.append(decode(text.encode(), Event))
        return events


def chain(before: str, text: str) -> str:
    """The hash of a record that follows the one with the hash ``before``."""
    return hashlib.sha256(f"{before}\n{text}".encode()).hexdigest()
