"""Leases as locks of files, which end with their process."""

import fcntl
import logging
import os
from pathlib import Path

log = logging.getLogger("kmipkit.server")


class FileLease:
    """The lease of a job."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None
        self._has_warned = False

    def take(self) -> bool:
        """Whether this process has the lease now."""
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            # Such as too many open files. The job waits; what else the server does goes on.
            if not self._has_warned:
                self._has_warned = True
                log.warning(
                    "%s: %s; a job waits until the file can be locked", self._path, error.strerror
                )
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def is_held(self) -> bool:
        """Whether it was taken: no other process can take the lock away."""
        return self._descriptor is not None

    def release(self) -> None:
        """Unlock the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
