"""The number of files and sockets that the operating system lets the server open."""

import logging
import resource

log = logging.getLogger("kmipkit.server")

OTHER_FILES = 100
"""What the server opens besides connections: the database, its readers, pipes to workers, the log."""


def permit_connections(connections: int) -> None:
    """Raise the limit of this process, as far as the system permits, and warn if that is not enough.

    Each connection is an open file. Systems usually permit 1,024 to a process that does not ask for
    more.
    """
    needed = connections + OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    permitted = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (permitted, hard))
    except (OSError, ValueError) as error:  # some systems have a lower limit that they do not tell
        log.warning("the limit of open files stays at %d: %s", soft, error)
        permitted = soft
    if permitted < needed:
        log.warning(
            "the system permits %d open files to the server, which is not enough for"
            " limits.connections = %d; raise the limit of the system, for example with LimitNOFILE of"
            " systemd",
            permitted,
            connections,
        )
