"""Room on the disk for records to come, so that a full disk does not stop the server at once.

The blocks belong to the file of the log, beyond its end; so nobody else can take them, and nobody sees
them. Python has no function for this (``os.posix_fallocate`` would make the file longer).
"""

import ctypes
import os
from collections.abc import Callable

ROOM = 16 * 1024 * 1024
"""Bytes for records that are not written yet; some 40,000 of them."""

_KEEP_SIZE = 1
"""FALLOC_FL_KEEP_SIZE of fallocate(2)."""


def _find() -> Callable[[int, int, int, int], int] | None:
    try:
        function = ctypes.CDLL(None, use_errno=True).fallocate
    except AttributeError:  # not on Linux
        return None
    function.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    return function


_fallocate = _find()


def reserve(descriptor: int, start: int) -> None:
    """Reserve room from an offset on. OSError if there is none, or the file system cannot do it."""
    if _fallocate is not None and _fallocate(descriptor, _KEEP_SIZE, start, ROOM) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def release(descriptor: int, size: int) -> None:
    """Cut a file to this size, and give back what was reserved beyond it."""
    # Another program may have cut it already: then it must not grow again, by zeros.
    os.ftruncate(descriptor, min(size, os.fstat(descriptor).st_size))
