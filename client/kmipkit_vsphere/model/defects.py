"""What a process does about an error that nobody expected: it logs it, and goes on."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from kmipkit_vsphere.model.errors import VSphereError


def describe(defect: BaseException) -> str:
    """The kind of an error and its place; never its text, which could hold what was passed in.

    An error of the operating system also has its own words, such as "Permission denied".
    """
    while isinstance(defect, BaseExceptionGroup):
        defect = defect.exceptions[0]
    where = defect.__traceback__
    while where is not None and where.tb_next is not None:
        where = where.tb_next
    place = f"{where.tb_frame.f_code.co_filename}:{where.tb_lineno}" if where else "unknown"
    words = f" ({defect.strerror})" if isinstance(defect, OSError) and defect.strerror else ""
    return f"{type(defect).__name__}{words} at {place}"


@contextmanager
def contained(log: logging.Logger, title: str) -> Iterator[None]:
    """Log what the work inside raises, whatever it is: background work never ends its process.

    ``title`` names the work, as in "host esx01".
    """
    try:
        yield
    except VSphereError as failure:
        log.warning("%s: %s", title, failure.message)
    except Exception as defect:
        log.error("%s failed: %s", title, describe(defect))
