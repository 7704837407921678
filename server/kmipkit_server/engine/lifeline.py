"""The end of a process that works for another one, when that has ended.

A process that waits for its parent notices this by itself. One that computes, or was stopped by a
signal, does not; so it has the system end it.
"""

import fcntl
import os
import signal


def follow(descriptor: int) -> None:
    """Have this process killed as soon as nobody has the other end of a pipe open.

    Nothing may be written to the pipe, and this process may not have its other end. Only Linux can do
    so; elsewhere, this has no effect.
    """
    if not hasattr(fcntl, "F_SETSIG"):
        return
    fcntl.fcntl(descriptor, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGKILL)
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_ASYNC)
