"""The colours in which vSphere shows how something is."""

from enum import StrEnum


class Color(StrEnum):
    """``ManagedEntityStatus`` of the vSphere API."""

    GREEN = "green"
    YELLOW = "yellow"
    RED = "red"
    GRAY = "gray"
