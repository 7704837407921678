"""How faults get into the parts of a server: a hook, a responder, streams and TLS settings."""

import logging
import socket
import ssl
from collections.abc import Callable, Collection
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from kmipkit_certs import contexts
from kmipkit_certs.authority import Authority, IssuedCertificate
from kmipkit_certs.credentials import parse_credentials
from kmipkit_certs.directory import CA, Directory

from kmipkit.errors import OperationError, ProtocolError, RemoteProtocolError
from kmipkit.model.messages import RequestBatchItem
from kmipkit.spec.enums import Operation
from kmipkit.ttlv.limits import DEFAULT_LIMITS
from kmipkit_server.config import ConfigError
from kmipkit_server.engine.call import Call
from kmipkit_server.engine.exchange import Exchange
from kmipkit_server.engine.registry import ServedOperation
from kmipkit_server.engine.request import read_request
from kmipkit_server.engine.response import Response
from kmipkit_server.engine.seam import Hook
from kmipkit_server.identity.identity import Identity
from kmipkit_server.net.responder import Responder
from kmipkit_server.net.tls import TLSSettings
from kmipkit_server.tenants.tenant import TenantLimits
from kmipkit_server.test_mode.faults.connections import BreakableStream
from kmipkit_server.test_mode.faults.fault import Fault, Faults
from kmipkit_server.test_mode.faults.kinds import Place

log = logging.getLogger("kmipkit.server")

_sending: ContextVar[Fault | None] = ContextVar("_sending", default=None)
"""The fault with which the task of a connection sends its next response."""


MAX_DECIDED = 10_000
"""Items whose faults are kept: requests of the server itself are not answered."""


def _count(fault: Fault, client: str) -> None:
    fault.applied += 1
    log.info("%s: fault %s", client or "a new connection", fault.name)


class FaultHook(Hook):
    """Lets operations fail. A message may be carried out twice; it has the same faults both times."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._decided: dict[int, tuple[RequestBatchItem, list[Fault], set[Fault]]] = {}
        """The faults of an item, and those that have taken place, by the identity of the item, which is
        kept, so that no other item gets the same one."""

    def before(self, call: Call, row: ServedOperation, item: RequestBatchItem) -> None:
        """Let the operation fail, if a fault says so."""
        client = call.identity.name
        if id(item) not in self._decided:
            if len(self._decided) >= MAX_DECIDED:
                self._decided.clear()
            due = self._faults.due(Place.OPERATION, {row.operation}, client)
            self._decided[id(item)] = item, due, set()
        _, due, counted = self._decided[id(item)]
        for fault in due:
            try:
                fault.apply(item)
            except OperationError:
                if fault not in counted:
                    counted.add(fault)
                    _count(fault, client)
                raise

    def answered(self, exchange: Exchange) -> None:
        """Forget what was decided for a message."""
        for item in exchange.request.items if exchange.request else ():
            self._decided.pop(id(item), None)


@dataclass(frozen=True, slots=True)
class FaultyResponder:
    """A responder whose responses come late, or have faults."""

    responder: Responder
    faults: Faults

    async def admit(self, identity: Identity) -> Identity:
        """As without faults."""
        return await self.responder.admit(identity)

    @property
    def epoch(self) -> int:
        """As without faults."""
        return self.responder.epoch

    def limits_of(self, identity: Identity) -> TenantLimits:
        """As without faults."""
        return self.responder.limits_of(identity)

    def on_response(self, identity: Identity, data: bytes) -> None:
        """As without faults."""
        self.responder.on_response(identity, data)

    def refuse(self, error: ProtocolError | OperationError, data: bytes) -> bytes:
        """As without faults."""
        return self.responder.refuse(error, data)

    async def respond(self, data: bytes, identity: Identity) -> Response:
        """The response to a whole message, with its faults."""
        client, operations = identity.name, _operations(data)
        waiting, changing, sending = (
            self.faults.due(place, operations, client)
            for place in (Place.WAITING, Place.ANSWER, Place.SENDING)
        )
        response = self._refusal(data, operations, client)
        if response is None:
            response = await self.responder.respond(data, identity)
        answer = response.data
        for fault in changing:
            changed = fault.changed(answer, data)
            if changed is not None:
                answer = changed
                _count(fault, client)
        for fault in waiting:
            _count(fault, client)
            await fault.apply()
        for fault in sending[:1]:
            _count(fault, client)
            _sending.set(fault)
        return response._replace(data=answer)

    def _refusal(
        self, data: bytes, operations: Collection[Operation], client: str
    ) -> Response | None:
        """The response to a request that a fault refuses."""
        for fault in self.faults.due(Place.REQUEST, operations, client):
            error: RemoteProtocolError | None = fault.apply(data)
            if error is not None:
                _count(fault, client)
                return Response(self.responder.refuse(error, b""))  # in 1.0, which all have
        return None


def _operations(data: bytes) -> Collection[Operation]:
    """The operations of a request, as far as they can be read."""
    try:
        items = read_request(data, DEFAULT_LIMITS).items
    except (RemoteProtocolError, OperationError):
        return ()
    return {item.operation for item in items if item.operation is not None}


class FaultyStream(BreakableStream):
    """A stream that is slow in its handshake, or breaks off."""

    def __init__(self, raw: socket.socket, context: ssl.SSLContext, faults: Faults) -> None:
        super().__init__(raw, context)
        self._faults = faults

    async def do_handshake(self) -> None:
        """Complete the handshake, unless a fault prevents it."""
        for fault in self._faults.due(Place.HANDSHAKE):
            _count(fault, "")
            await fault.apply()
        await super().do_handshake()

    def send_now(self, data: bytes) -> bytes:
        """Send what needs no waiting, and return the rest: all of a response that has a fault."""
        return super().send_now(data) if _sending.get() is None else data

    async def send_all(self, data: bytes, account: str = "") -> None:
        """Send all data, with the fault of this response."""
        fault = _sending.get()
        _sending.set(None)
        if fault is None:
            await super().send_all(data, account)
        else:
            await fault.apply(self, data)


@dataclass(slots=True)
class FaultyContexts:
    """The TLS settings for the next connection, with a wrong certificate if a fault says so."""

    faults: Faults
    tls: TLSSettings
    right: Callable[[], ssl.SSLContext]
    _wrong: dict[Fault, ssl.SSLContext] = field(default_factory=dict)

    def __call__(self) -> ssl.SSLContext:
        """The settings."""
        for fault in self.faults.due(Place.CERTIFICATE):
            _count(fault, "")
            if fault not in self._wrong:
                self._wrong[fault] = self._context(fault.apply(self._authority()))
            return self._wrong[fault]
        return self.right()

    def _authority(self) -> Authority:
        """The authority of the server's certificate; another one if its key is not here."""
        ca: Path = self.tls.files.ca
        directory = Directory(ca.parent)
        if directory.ca == ca and directory.files(CA).key.exists():
            return directory.authority()
        raise ConfigError(
            f"the fault certificate needs the key of the authority, which is not beside {ca}"
        )

    def _context(self, issued: IssuedCertificate) -> ssl.SSLContext:
        key = issued.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        pem = issued.certificate.public_bytes(serialization.Encoding.PEM) + key
        own = parse_credentials(pem, "certificate of a fault")
        return contexts.server_context((own,), self.tls.material.trusted)
