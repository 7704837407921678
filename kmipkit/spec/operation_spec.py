"""The form of a row of the table of operations."""

from enum import Flag, auto
from typing import NamedTuple

from kmipkit.spec.enums import Operation
from kmipkit.spec.versions import Version


class Side(Flag):
    """A side of a connection that sends requests."""

    FROM_CLIENT = auto()
    FROM_SERVER = auto()


class OperationSpec(NamedTuple):
    """An operation, and the sides that may request it."""

    operation: Operation
    sides: Side

    def known_in(self, version: Version) -> bool:
        """Whether this version has the operation."""
        return self.operation.known_in(version)
