"""Deleting old files of the log."""

import logging
from itertools import pairwise

from kmipkit_server.audit.files import LogFile, lines, log_files, sync_directory
from kmipkit_server.audit.records import Event, Record, read
from kmipkit_server.audit.settings import AuditSettings
from kmipkit_server.engine.settings import Clock

log = logging.getLogger("kmipkit.server")


def remove_old_files(settings: AuditSettings, clock: Clock) -> Record | None:
    """Delete the files whose records are all too old; the record that says so, None without any.

    OSError if a file cannot be deleted.
    """
    if settings.keep is None:
        return None
    oldest = clock() - settings.keep
    files = log_files(settings.directory)
    removed: list[LogFile] = []
    for file, following in pairwise(files):
        # The checkpoint with which the next file begins is younger than all of this one.
        entry = read(next(lines(following.path), b""))
        if entry is None or entry.time > oldest:
            break
        file.path.unlink()
        removed.append(file)
    if not removed:
        return None
    sync_directory(settings.directory)
    log.info("%d old files of the audit log were deleted", len(removed))
    return Record(
        time=clock(),
        event=Event.REMOVED,
        first=removed[0].first,
        last=files[len(removed)].first - 1,
        count=len(removed),
        message="these files have reached their maximum age",
    )
