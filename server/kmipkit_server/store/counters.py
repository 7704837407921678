"""What a store counts, and the figures that it gives of itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from kmipkit_server.counters.histogram import SIZES, Histogram


@dataclass(slots=True)
class WriterCounters:
    """Counters of a group commit since the start of the server."""

    commits: int = 0
    failures: int = 0
    """Groups of which nothing could be written."""
    is_failing: bool = False
    """Whether the last group could not be written."""
    group_size: Histogram = field(default_factory=lambda: Histogram(SIZES))
    commit_seconds: Histogram = field(default_factory=Histogram)
    """For a commit to be on disk."""
    wait_seconds: Histogram = field(default_factory=Histogram)
    """From the submission of a job until it is on disk."""


class PoolFigures(NamedTuple):
    """Places for tasks that run at the same time."""

    places: int
    used: int
    waiting: int
    """Tasks that wait for a place."""


class StoreFigures(NamedTuple):
    """The state of a store."""

    writer: WriterCounters
    queued: int
    """Jobs that wait for the writer."""
    readers: PoolFigures
    objects: int
    """Objects that are not destroyed."""
    object_bytes: int
    """Bytes of the material and attributes of all objects."""
    entries: Mapping[str, int]
    """Entries by their kind, such as tickets."""
    file_bytes: Mapping[str, int]
    """The size of each file or table space, by a fixed name."""
