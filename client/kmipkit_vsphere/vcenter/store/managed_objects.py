"""Numbers of managed objects, so that their identifiers stay the same over restarts."""

from kmipkit_vsphere.vcenter.store.database import Database


class ManagedObjects:
    """Kind and name of an object to a number, which is never used again for another one."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._numbers = {
            (kind, name): int(number)
            for number, kind, name in database.rows("SELECT number, kind, name FROM managed_object")
        }

    def name(self, kind: str, number: int) -> str | None:
        """The name of the object that has this number; None if there is none of this kind."""
        matches = (
            name for (k, name), known in self._numbers.items() if (k, known) == (kind, number)
        )
        return next(matches, None)

    def number(self, kind: str, name: str) -> int:
        """The number of an object, given to it when it is first asked for."""
        known = self._numbers.get((kind, name))
        if known is not None:
            return known
        self._database.write("INSERT INTO managed_object (kind, name) VALUES (?, ?)", kind, name)
        [[number]] = self._database.rows(
            "SELECT number FROM managed_object WHERE kind = ? AND name = ?", kind, name
        )
        self._numbers[kind, name] = int(number)
        return int(number)
