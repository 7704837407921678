"""The settings of the audit."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path


def key_of(node: str, name: str) -> str:
    """What the store calls the log of a server with this name."""
    return "/".join(filter(None, (node, name)))


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSettings:
    """How a log is written."""

    directory: Path
    name: str = ""
    """Tells the log from those of the other processes of the server."""
    node: str = ""
    """Tells those of the server from those of other servers with the same store."""

    @property
    def key(self) -> str:
        """What the store calls the log."""
        return key_of(self.node, self.name)

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
