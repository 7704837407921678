"""What a restore leaves for the next start: a file that says what was restored."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import msgspec

NOTICE = "restored.json"


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """A restore that no start has recorded yet."""

    number: int
    """The part of the backup."""
    created: Annotated[datetime, msgspec.Meta(tz=True)]
    restored: Annotated[datetime, msgspec.Meta(tz=True)]
    counter: int
    has_audit: bool
    """Whether the audit log was restored, too."""


def read_notice(directory: Path) -> Notice | None:
    """The notice in a data directory; None if there is none that can be read."""
    try:
        return msgspec.json.decode((directory / NOTICE).read_bytes(), type=Notice)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None


def remove_notice(directory: Path) -> None:
    """Remove it, once it is recorded."""
    (directory / NOTICE).unlink(missing_ok=True)
