"""Telling the service manager that the server is ready: what ``Type=notify`` of systemd waits for.

The protocol is a datagram to a socket (sd_notify(3)): too little for a library.
"""

import logging
import os
import socket
from collections.abc import MutableMapping

log = logging.getLogger("kmipkit.server")

VARIABLE = "NOTIFY_SOCKET"
"""Where the manager waits; not set without one."""


def take_address(environment: MutableMapping[str, str] = os.environ) -> str | None:
    """Where the manager waits. Processes that are started later shall not answer for this one."""
    return environment.pop(VARIABLE, None)


def notify(address: str | None, *lines: str) -> None:
    """Send lines such as ``READY=1``. That nobody takes them is no reason not to serve."""
    if not address:
        return
    # A name that begins with @ is in the abstract name space, in which it begins with a zero.
    place = "\0" + address[1:] if address.startswith("@") else address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as stream:
        try:
            stream.sendto("\n".join(lines).encode(), place)
        except OSError as error:
            log.warning("%s=%s: %s", VARIABLE, address, error.strerror)
