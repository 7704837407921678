"""Responses that an operation would give again, as long as the object is the same.

See :mod:`kmipkit_server.engine.prepared`.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from kmipkit_server.engine.call import Call
from kmipkit_server.engine.repeatable import Repeatable, Varying
from kmipkit_server.objects.access import load
from kmipkit_server.objects.managed import Managed

MAX_SECRET = 4096
"""Bytes of what is looked for in the material; it takes milliseconds to find a megabyte there."""


def note_repeatable(call: Call, managed: Managed, secret: bytes = b"") -> None:
    """Note that the response follows from the request, the object and its state alone.

    The request names the object by its field ``unique_identifier``. ``secret`` is what the response has
    of the object that nobody may keep. Only the response to a single request is ever repeated.
    """
    record, offset = managed.record, 0
    if record.version is None or not call.batch.is_single or len(secret) > MAX_SECRET:
        return
    if secret:
        material = record.material or b""
        offset = material.find(secret)
        if offset < 0:
            return  # it was converted
    call.repeatable = Repeatable(
        _load_named, record.version, call.now, _change_of_state(managed), secret, offset
    )


def note_varying(
    call: Call, managed: Managed, varying: Varying, dates: Iterable[datetime | None]
) -> None:
    """Note that the response follows from its request, the object and its state, as ``varying`` says.

    ``dates`` are those at which the object may begin or cease to be used.
    """
    version = managed.record.version
    if version is None or not call.batch.is_single:
        return
    until = _first_after(managed.now, (_change_of_state(managed), *dates))
    call.repeatable = Repeatable(_load_named, version, call.now, until, varying=varying)


def _load_named(call: Call, request: Any) -> Managed:
    return load(call, request.unique_identifier)


def _change_of_state(managed: Managed) -> datetime | None:
    """When the state changes by itself (KMIP 1.4 §3.22); None for never."""
    return _first_after(managed.now, (managed.record.activation, managed.record.deactivation))


def _first_after(now: datetime, dates: Iterable[datetime | None]) -> datetime | None:
    return min((date for date in dates if date is not None and date > now), default=None)
