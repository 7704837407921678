"""The records of events, each with the hash of the one before it: a changed one shows."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from kmipkit_vsphere.model.errors import DamagedData
from kmipkit_vsphere.vcenter.store.database import Database


class Events:
    """The table of events; records are added and never changed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Append an event; it gets its number (``key``) and the hash that chains it."""
        last = self._database.rows("SELECT key, hash FROM event ORDER BY key DESC LIMIT 1")
        number, before = (last[0][0] + 1, last[0][1]) if last else (1, "")
        text = json.dumps({"key": number, **record}, sort_keys=True)
        self._database.write(
            "INSERT INTO event VALUES (?, ?, ?)", number, text, chain(before, text)
        )
        return {"key": number, **record}

    def all(self) -> list[dict[str, Any]]:
        """All events, the oldest first; :class:`DamagedData` where the chain is broken."""
        found: list[dict[str, Any]] = []
        before = ""
        rows = self._database.rows("SELECT key, record, hash FROM event ORDER BY key")
        for number, text, digest in rows:
            before = chain(before, text)
            if digest != before or number != len(found) + 1:
                raise DamagedData(
                    f"event {number} in {self._database.path} was altered, or one is missing"
                )
            found.append(json.loads(text))
        return found


def chain(before: str, text: str) -> str:
    """The hash of a record that follows the one with the hash ``before``."""
    return hashlib.sha256(f"{before}\n{text}".encode()).hexdigest()
