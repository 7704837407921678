"""Routes for the backups that the server makes by itself.

To whom they are encrypted, and where they are, is said in the configuration alone: whoever could choose
the recipient of a backup would get the root key.
"""

from datetime import datetime

import msgspec

from kmipkit.errors import KMIPError
from kmipkit_server.administration.context import Context
from kmipkit_server.administration.problems import unavailable
from kmipkit_server.administration.routes import Empty, Request, Route, Who
from kmipkit_server.backup.directory import Part
from kmipkit_server.backup.schedule import Backups


class Backup(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a chain of backups."""

    number: int
    kind: str
    """full, or increment: that needs the parts before it."""
    created: datetime
    """The time whose state it has."""
    file: str
    bytes: int
    objects: int


class BackupStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The backups of the server."""

    configured: bool
    """Whether the server makes backups by itself (the section backup of its configuration)."""
    directory: str | None
    recipients: tuple[str, ...]
    every_seconds: float
    last: Backup | None
    """The newest one."""
    age_seconds: float | None
    """Seconds since the time whose state it has."""
    late: bool
    """Whether that is too long."""
    running: bool
    """Whether one is being made now."""
    error: str | None
    """Why the last attempt has failed."""
    failing_since: datetime | None


class MakeBackup(Request, frozen=True):
    """A backup to make now."""

    full: bool = False
    """Whether it has all of the database, and begins a chain."""


async def show_backups(context: Context, _request: Empty) -> BackupStatus:
    """The newest backup, and what became of the last attempt."""
    backups = _backups(context)
    section, figures = backups.config.backup, backups.figures
    return BackupStatus(
        configured=backups.is_configured,
        directory=None if section.directory is None else str(section.directory),
        recipients=section.recipients,
        every_seconds=section.every_seconds,
        last=None if figures.last is None else _shown(figures.last),
        age_seconds=backups.age(),
        late=backups.is_late,
        running=figures.is_running,
        error=figures.error or None,
        failing_since=figures.failing_since,
    )


async def make_backup(context: Context, request: MakeBackup) -> Backup:
    """Make a backup now, into the directory and to the recipients of the configuration."""
    try:
        made = await _backups(context).make(is_full=request.full)
    except KMIPError as error:
        raise unavailable(f"no backup was made: {error}") from None
    context.request.subject = made.part.data.name
    return _shown(made.part)


def _backups(context: Context) -> Backups:
    return context.live.backups


def _shown(part: Part) -> Backup:
    manifest = part.manifest
    return Backup(
        number=manifest.number,
        kind=manifest.kind.value,
        created=manifest.created,
        file=part.data.name,
        bytes=manifest.size,
        objects=manifest.objects,
    )


ROUTES = (
    Route(
        method="GET",
        path="/backup",
        name="backup status",
        summary="Show the newest backup, and whether the last attempt has failed.",
        who=Who.SERVER,
        request=Empty,
        answer=BackupStatus,
        handler=show_backups,
    ),
    Route(
        method="POST",
        path="/backup",
        name="backup now",
        summary="Make a backup now, as the configuration says.",
        who=Who.SERVER,
        request=MakeBackup,
        answer=Backup,
        handler=make_backup,
    ),
)
