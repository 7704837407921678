"""The records of ordinary requests, made in half the time.

Most requests are a single operation that succeeds and is about one object, as a Get is. Their records
differ in a few places only, so they are written into a form that is prepared for each operation. All
others are left to :mod:`.recorder`; a test holds that both write the same bytes.
"""

import re
from datetime import UTC, datetime
from time import perf_counter

from kmipkit.spec.enums import Operation, ResultStatus
from kmipkit.spec.titles import title
from kmipkit.spec.versions import Version
from kmipkit_server.audit.recorder import encoded_client
from kmipkit_server.engine.exchange import Exchange

_is_plain = re.compile(r"[0-9A-Za-z_.:-]{1,128}").fullmatch
"""An identifier that JSON does not escape, and that is not shortened."""

_FORM = (
    b'{"n":%%d%b,"time":"%%b.%%06dZ","event":"operation","operation":"%b","objects":["<object>"],'
    b'"outcome":"success","duration":%%d,"version":"%b"%%b,"client":%%b}'
)


class PlainRecords:
    """Makes records; it has the forms for them."""

    def __init__(self, log: str = "") -> None:
        """``log`` is the name of the log that they are for."""
        self._log = b',"log":"%b"' % log.encode() if log else b""
        self._forms: dict[tuple[Operation | None, Version], bytes] = {}
        self._now: datetime | None = None
        self._second = b""
        """The time in :attr:`_now` as text."""

    def body(self, exchange: Exchange, number: int) -> bytes | None:
        """The record of an exchange, without its hash; None if it is not an ordinary one."""
        notes = exchange.prepared_notes
        form = None if notes is None else notes.get(self)
        if form is None:
            form = self._form(exchange)
            if form is None:
                return None
            if notes is not None:
                notes[self] = form
        moment = exchange.moment
        duration = int((perf_counter() - exchange.started) * 1e6)
        # What is 0 is written in another way, and times of another zone as well.
        if not (duration and moment.microsecond) or moment.tzinfo is not UTC:
            return None
        request = exchange.request
        assert request is not None
        if exchange.now is not self._now:
            self._now = exchange.now
            self._second = exchange.now.strftime("%Y-%m-%dT%H:%M:%S").encode()
        value = exchange.correlation_value(request.version)
        correlation = b"" if value is None else b',"server_correlation_value":"%b"' % value.encode()
        return form % (
            number, self._second, moment.microsecond, duration, correlation,
            encoded_client(exchange.identity),
        )  # fmt: skip

    def _form(self, exchange: Exchange) -> bytes | None:
        """The form of a record with its operation and object; None if it is not an ordinary one."""
        identifier = _single_object(exchange)
        request = exchange.request
        if identifier is None or request is None:
            return None
        key = request.items[0].operation, request.version
        form = self._forms.get(key)
        if form is None:
            operation, version = key
            assert operation is not None
            form = self._forms[key] = _FORM % (
                self._log, title(operation).encode(), str(version).encode(),
            )  # fmt: skip
        return form.replace(b"<object>", identifier.encode())


def _single_object(exchange: Exchange) -> str | None:
    """The object of an ordinary request."""
    request, results = exchange.request, exchange.results
    if request is None or len(results) != 1 or len(request.items) != 1:
        return None
    result = results[0]
    if (
        result.result_status is not ResultStatus.SUCCESS
        or result.operation is not request.items[0].operation
        or request.header.client_correlation_value is not None
        or len(exchange.objects) != 1
        or exchange.notes
    ):
        return None
    identifiers = exchange.objects[0]
    if not identifiers or len(identifiers) > 2 or identifiers[0] != identifiers[-1]:
        return None
    return identifiers[0] if _is_plain(identifiers[0]) else None
