"""A session from a capture of ``kmipkit proxy``: the messages as they were, but for secrets."""

from collections import deque
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from kmipkit import captures
from kmipkit.errors import ProtocolError
from kmipkit.ttlv.limits import Limits
from kmipkit_conformance.clients.observed import Connection, Exchange, Message, Session
from kmipkit_conformance.errors import ConformanceError

MAX_CAPTURE = 1 << 30
"""Bytes of a capture that is read."""
MESSAGE_LIMITS = Limits(max_message=256 << 20, max_items=1 << 20)
_MALFORMED = ("a malformed message of", f"from the {captures.CLIENT}:")
"""What a note has about a malformed message of the client. Bytes of another protocol, such as HTTPS, are
no fault of the client: the proxy does not understand them."""


def load(path: Path) -> Session:
    """The session in a file. ConformanceError if it is no capture, or cannot be read."""
    try:
        if path.stat().st_size > MAX_CAPTURE:
            raise ConformanceError(f"{path}: more than {MAX_CAPTURE >> 20} MiB")
        with path.open("rb") as file:
            if not captures.is_capture(file.peek(64)):
                raise ConformanceError(f"{path}: not a capture of kmipkit proxy")
            return _session(captures.read(file))
    except OSError as error:
        raise ConformanceError(f"{path}: {error.strerror}") from None
    except ProtocolError as error:
        raise ConformanceError(f"{path}: {error}") from None


def _session(entries: Iterable[captures.Entry]) -> Session:
    session = Session()
    connections: dict[int, Connection] = {}
    waiting: dict[int, deque[Exchange]] = {}
    for entry in entries:
        if entry.connection not in connections:
            connections[entry.connection] = Connection(entry.connection)
            session.connections.append(connections[entry.connection])
        connection = connections[entry.connection]
        unanswered = waiting.setdefault(entry.connection, deque())
        if not entry.message:
            if all(words in entry.note for words in _MALFORMED):
                session.unreadable.append((connection, entry.note))
            continue
        message = Message.read(entry.message, _seconds(entry.time), MESSAGE_LIMITS)
        if entry.sender == captures.CLIENT and not _is_response(message):
            number = len(connection.exchanges) + 1
            exchange = Exchange(connection=connection, number=number, request=message)
            connection.exchanges.append(exchange)
            unanswered.append(exchange)
        elif entry.sender == captures.SERVER and _is_response(message) and unanswered:
            unanswered.popleft().response = message
    return session


def _is_response(message: Message) -> bool:
    """Whether a message answers: a client that has the server's role answers as well."""
    return message.data[:3] == b"\x42\x00\x7b"


def _seconds(time: str) -> float:
    try:
        return datetime.fromisoformat(time).timestamp()
    except ValueError:
        return 0.0
