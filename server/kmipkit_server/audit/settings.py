"""The settings of the audit."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSettings:
    """How a log is written."""

    directory: Path
    durable: bool = False
    """Whether each response waits until its records are on the disk."""
    refuses: bool = True
    """Whether nothing is served while records cannot be written."""
    checkpoint: timedelta = timedelta(minutes=1)
    """The time between two checkpoints, if there are records."""
    file_size: int = 64 * 1024 * 1024
    file_age: timedelta = timedelta(days=1)
    keep: timedelta | None = None
    """The age at which files are deleted; None to keep them."""
