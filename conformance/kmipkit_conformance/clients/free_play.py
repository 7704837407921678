"""Free play: a server that lets a client do what it wants, watches it, and provokes errors on purpose.

It stands between the client and a real key server, so that whatever the client asks has a real answer.
What a provocation needs is done here. Each connection has a thread and a connection of its own to the
key server. Credentials in requests are taken out: the tester accepts any.
"""

import os
import socket
import ssl
import threading
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from typing import Self

from kmipkit_client.errors import ClientError

from kmipkit.errors import ProtocolError
from kmipkit.model.codec import encode
from kmipkit.model.envelope import decode_request, decode_response
from kmipkit.model.messages import ResponseBatchItem
from kmipkit.model.payloads.query import DiscoverVersionsRequest, DiscoverVersionsResponse
from kmipkit.spec.enums import Operation, ResultReason, ResultStatus
from kmipkit.spec.reasons import reason_for
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import Version
from kmipkit.ttlv import binary
from kmipkit.ttlv.tree import Item
from kmipkit_conformance.clients.observed import Connection, Exchange, Message, Session, find, parts
from kmipkit_conformance.clients.observed import value as value_of
from kmipkit_conformance.clients.plan import Plan
from kmipkit_conformance.clients.provocations import PROVOCATIONS, new_bait
from kmipkit_conformance.clients.table import PENDING
from kmipkit_conformance.clients.tls_stream import ServerStream
from kmipkit_conformance.clients.transport_rules import OLDER
from kmipkit_conformance.clock import SYSTEM_CLOCK, Clock
from kmipkit_conformance.errors import ConformanceError, NoAnswer
from kmipkit_conformance.probes import response
from kmipkit_conformance.streams import received
from kmipkit_conformance.target import Target, TargetConnection

POLLS = 1
"""How many polls say that an operation is still pending."""
MAX_EXCHANGES = 100_000
"""Requests or connections after which free play ends, so that its memory is bounded."""
MAX_CONNECTIONS = 200
"""Connections at the same time; further ones are closed at once."""
_ANSWERS = {provocation.key: provocation.answer for provocation in PROVOCATIONS}
_NO_CERTIFICATE = "PEER_DID_NOT_RETURN_A_CERTIFICATE"


@dataclass(frozen=True, slots=True)
class Contexts:
    """The TLS settings of the tester, and those with a certificate that nobody can trust."""

    own: ssl.SSLContext
    impostor: ssl.SSLContext


@dataclass(slots=True)
class FreePlay:
    """Serves clients in threads until it is left as a context manager."""

    listener: socket.socket
    contexts: Contexts
    target: Target
    timeout: float = 60.0
    """Seconds to wait for a client that is silent within a connection."""
    clock: Clock = SYSTEM_CLOCK
    plan: Plan = field(default_factory=lambda: Plan([]))
    session: Session = field(default_factory=Session)
    problem: str = ""
    """Why the key server behind it cannot be reached."""
    last_activity: float = 0.0
    _pending: dict[bytes, list[bytes]] = field(default_factory=dict)
    """The answers to Poll that are to come, by correlation value."""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _threads: dict[threading.Thread, socket.socket] = field(default_factory=dict)
    _accepting: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self.last_activity = self.clock.now()
        self._accepting = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._accepting.start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)  # wakes the thread, which close() does not
        self.listener.close()
        self._accepting.join()
        self.end_connections(0)

    def end_connections(self, grace: float) -> None:
        """Wait so many seconds for the clients to close their connections, then close them."""
        with self._lock:
            threads = dict(self._threads)
        for thread in threads:
            thread.join(grace)
        for thread, plain in threads.items():
            with suppress(OSError):
                plain.shutdown(socket.SHUT_RDWR)
            thread.join()

    @property
    def is_full(self) -> bool:
        """Whether more requests or connections have come than free play keeps."""
        connections = self.session.connections
        seen = max(len(connections), sum(len(each.exchanges) for each in connections))
        return seen >= MAX_EXCHANGES

    def _accept(self) -> None:
        while True:
            try:
                plain, _ = self.listener.accept()
            except OSError:  # closed
                return
            if len(self._threads) >= MAX_CONNECTIONS or self.is_full:
                plain.close()
                continue
            with self._lock:
                connection = Connection(len(self.session.connections) + 1)
                self.session.connections.append(connection)
                thread = threading.Thread(
                    target=self._thread, args=(plain, connection), daemon=True
                )
                self._threads[thread] = plain
            thread.start()

    def _thread(self, plain: socket.socket, connection: Connection) -> None:
        with plain:
            plain.settimeout(self.timeout)
            self.plan.opened(connection)
            self._touch()
            try:
                self._serve(plain, connection)
            except NoAnswer as error:  # the key server has closed the connection: so do we
                connection.problem = f"the key server: {error}"
            except (ConformanceError, ClientError) as error:
                self.problem = str(error)
            except OSError as error:
                connection.problem = connection.problem or str(error)
            except ProtocolError as error:
                with self._lock:
                    self.session.unreadable.append((connection, str(error)))
        with self._lock:
            self._threads.pop(threading.current_thread(), None)

    def _touch(self) -> None:
        self.last_activity = self.clock.now()

    def _serve(self, plain: socket.socket, connection: Connection) -> None:
        own = self.contexts.impostor if connection.is_impostor else self.contexts.own
        stream = ServerStream(plain, own)
        try:
            stream.handshake()
            connection.is_accepted = connection.has_certificate = True
        except ssl.SSLError as error:
            connection.is_accepted = False
            connection.problem = _explained(error)
            is_about_client = error.reason in (_NO_CERTIFICATE, "CERTIFICATE_VERIFY_FAILED")
            connection.has_certificate = False if is_about_client else None
            return
        finally:
            connection.hello = stream.hello
        with ExitStack() as stack:
            backend = None
            for data in received(stream):
                self._touch()
                exchange = self._exchange(connection, data)
                if connection.is_impostor or self.is_full:
                    return
                backend = backend or stack.enter_context(self.target.connect())
                answer = self._answer(exchange, backend)
                if answer is None:
                    return
                exchange.response = Message.read(answer, self.clock.now())
                stream.sendall(answer)

    def _exchange(self, connection: Connection, data: bytes) -> Exchange:
        number = len(connection.exchanges) + 1
        request = Message.read(data, self.clock.now())
        exchange = Exchange(connection=connection, number=number, request=request)
        connection.exchanges.append(exchange)
        return exchange

    def _answer(self, exchange: Exchange, backend: TargetConnection) -> bytes | None:
        """The answer to a request; None if the connection ends without one."""
        for way in (self._from_older, self._from_pending, self._without_role):
            answer = way(exchange, backend)
            if answer is not None:
                return answer
        key = self.plan.choose(exchange)
        if key in _ANSWERS and (provoking := _ANSWERS[key]) is not None:
            exchange.provoked, exchange.bait = key, new_bait()
            return provoking.to(exchange, exchange.bait)
        answer = backend.exchange(forwarded(exchange.request))
        if not key:
            return answer
        exchange.provoked = key
        return self._make_pending(exchange, answer) if key == PENDING else None

    def _from_older(self, exchange: Exchange, backend: TargetConnection) -> bytes | None:
        """The answer of a server that has older versions only, while the tester is one."""
        listed = listed_versions(exchange)
        limit = self.plan.older_limit(exchange, listed)
        if limit is None or exchange.version is None:
            return None
        if exchange.operations == [Operation.DISCOVER_VERSIONS]:
            exchange.provoked = OLDER
            return _limited(backend.exchange(forwarded(exchange.request)), limit)
        if exchange.version > limit:
            exchange.provoked = OLDER
            return _refusal(limit, exchange.version)
        self.plan.fell_back()
        return None

    def _make_pending(self, exchange: Exchange, answer: bytes) -> bytes:
        """Keep the answer for later, and say that the operation is pending, if it is not anyhow."""
        message = Message.read(answer, self.clock.now())
        if (
            value_of(message.item, Tag.BATCH_ITEM, Tag.RESULT_STATUS)
            == ResultStatus.OPERATION_PENDING
        ):
            return answer
        value = os.urandom(8)
        assert exchange.version is not None
        act = exchange.acts[0]
        pending = response(
            exchange.version,
            [
                ResponseBatchItem(
                    operation=act.operation,
                    unique_batch_item_id=act.item_id,
                    result_status=ResultStatus.OPERATION_PENDING,
                    asynchronous_correlation_value=value,
                )
            ],
        )
        self._pending[value] = [pending] * POLLS + [answer]
        return pending

    def _from_pending(self, exchange: Exchange, _backend: TargetConnection) -> bytes | None:
        if exchange.operations != [Operation.POLL]:
            return None
        answers = self._pending.get(exchange.acts[0].get(Tag.ASYNCHRONOUS_CORRELATION_VALUE))  # type: ignore[arg-type]  # any value may come
        if not answers:
            return None
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def _without_role(self, exchange: Exchange, _backend: TargetConnection) -> bytes | None:
        """A refusal of Set Endpoint Role: nothing here sends requests to clients."""
        if exchange.operations != [Operation.SET_ENDPOINT_ROLE] or exchange.version is None:
            return None
        failure = ResponseBatchItem(
            operation=Operation.SET_ENDPOINT_ROLE,
            unique_batch_item_id=exchange.acts[0].item_id,
            result_status=ResultStatus.OPERATION_FAILED,
            result_reason=ResultReason.OPERATION_NOT_SUPPORTED,
        )
        return response(exchange.version, [failure])


def _explained(error: ssl.SSLError) -> str:
    if error.reason == _NO_CERTIFICATE:
        return "the client showed no certificate"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate of the client is not accepted: {error.verify_message}"
    return f"the handshake failed: {error.reason or error}"


def forwarded(request: Message) -> bytes:
    """The request for the key server: as it came, but for credentials, which only this client has."""
    header = find(request.item, Tag.REQUEST_HEADER)
    if request.item is None or find(header, Tag.AUTHENTICATION) is None:
        return request.data
    assert header is not None
    kept = tuple(child for child in parts(header) if child.tag != Tag.AUTHENTICATION)
    bare = Item(header.tag, header.type, kept)
    inner = tuple(bare if part is header else part for part in parts(request.item))
    return binary.encode(Item(request.item.tag, request.item.type, inner))


def listed_versions(exchange: Exchange) -> Iterable[Version]:
    """The versions that a Discover Versions of the client names."""
    with suppress(ProtocolError):
        request, _ = decode_request(exchange.request.data)
        payload = request.batch_items[0].request_payload
        if isinstance(payload, DiscoverVersionsRequest):
            return [entry.version for entry in payload.protocol_versions]
    return []


def _limited(answer: bytes, limit: Version) -> bytes:
    """The answer to Discover Versions without the versions that are newer."""
    message, version = decode_response(answer)
    [item] = message.batch_items
    payload = item.response_payload
    if not isinstance(payload, DiscoverVersionsResponse):
        return answer
    kept = tuple(each for each in payload.protocol_versions if each.version <= limit)
    item = replace(item, response_payload=DiscoverVersionsResponse(protocol_versions=kept))
    return encode(replace(message, batch_items=(item,)), version, strict=False)


def _refusal(limit: Version, version: Version) -> bytes:
    """KMIP 1.4 §11.1: an item without operation, in a version that the server has."""
    failure = ResponseBatchItem(
        result_status=ResultStatus.OPERATION_FAILED,
        result_reason=reason_for(ResultReason.UNSUPPORTED_PROTOCOL_VERSION, limit),
        result_message=f"this server supports versions up to KMIP {limit}, not {version}",
    )
    return response(limit, [failure])
