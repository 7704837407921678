"""Objects with what happened to them, and a store in which it has happened."""

from dataclasses import dataclass
from pathlib import Path

from kmipkit_server.store.base import Record
from kmipkit_server.store.sqlite.database import SQLiteDatabase
from kmipkit_server.vault.file import FileVault

from kmipkit.lifecycle import DESTROYED_STATES
from kmipkit.model.attribute import Attributes
from kmipkit.spec.enums import ObjectType, State


@dataclass(frozen=True)
class History:
    """An object as it was created, and as it was changed, if it was."""

    owner: str
    object_type: ObjectType
    created: tuple[State, Attributes]
    changed: tuple[State, Attributes] | None = None

    def records(self, identifier: str) -> tuple[Record, Record]:
        """The object after its creation and at the end."""
        state, attributes = self.created
        record = Record(identifier, self.owner, self.object_type, state, attributes, b"material")
        if self.changed is None:
            return record, record
        state, attributes = self.changed
        material = None if state in DESTROYED_STATES else b"material"
        return record, record.replace(stored_state=state, attributes=attributes, material=material)


def fill_store(
    directory: Path, vault: FileVault, histories: list[History]
) -> tuple[SQLiteDatabase, list[Record]]:
    """A store with these objects, and their records; changes are transactions of their own."""
    store = SQLiteDatabase.open(directory / "db", vault)
    pairs = [history.records(f"id-{number}") for number, history in enumerate(histories)]
    transaction = store.begin()
    for created, _ in pairs:
        transaction.insert(created)
    store.commit()
    transaction = store.begin()
    for created, changed in pairs:
        if changed is not created:
            stored = transaction.get(created.id)
            assert stored is not None
            transaction.update(stored, changed)
    store.commit()
    return store, [changed for _, changed in pairs]
