"""What the tables say of an operation."""

from enum import Flag, auto
from typing import NamedTuple

from kmipkit.spec.enums import Operation
from kmipkit.spec.versions import Version


class Side(Flag):
    """Who sends the request."""

    FROM_CLIENT = auto()
    FROM_SERVER = auto()


class OperationSpec(NamedTuple):
    """An operation and who may ask for it."""

    operation: Operation
    sides: Side

    def known_in(self, version: Version) -> bool:
        """Whether this version has the operation."""
        return self.operation.known_in(version)
