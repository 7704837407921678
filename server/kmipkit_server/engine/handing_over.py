"""Messages that go on with an operation in several parts, handed over to the process that has the parts.

The whole message goes there, with the identity of its client, and the whole response comes back. Both
are encrypted with a key that only processes of the server have, so that nobody else can make an
identity. The other process makes all checks again, as if the client were connected to it.

No message is carried out twice. If the other process ends before it has begun, this one responds;
otherwise nobody knows what has taken place, and the response says so.
"""

import os
from collections.abc import Awaitable, Callable, Iterable

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from kmipkit.errors import OperationError
from kmipkit.spec.enums import ResultReason
from kmipkit.spec.versions import Version
from kmipkit_server.engine.exchange import AdmitAgain
from kmipkit_server.engine.part_places import PartPlaces
from kmipkit_server.engine.peers import PeerGone, Peers
from kmipkit_server.engine.response import Response
from kmipkit_server.identity.identity import Identity
from kmipkit_server.identity.stored_identity import StoredIdentity

PURPOSE = "handing over"
"""The purpose of the key, see :meth:`kmipkit_server.store.base.Store.derive_key`."""
KIND = "parts"
"""The kind of questions to peers."""
_NONCE_SIZE = 12

Respond = Callable[[bytes, Identity, bytes | None], Awaitable[Response]]
"""From a message, its client and the revision at which that was admitted, to the response."""


class PeerEnded(OperationError):
    """The process that had a message has ended: it was perhaps carried out, in whole or in part."""

    def __init__(self) -> None:
        # No reason of the standard says this: General Failure is "for a reason other than any other
        # reason enumeration value" (KMIP 2.1 §11.46).
        super().__init__(
            ResultReason.GENERAL_FAILURE,
            "the worker process that had the earlier parts of the operation ended while it carried out"
            " the request; whether it took place is unknown, so check before you repeat it",
        )


class _Message(msgspec.Struct, frozen=True):
    """A message on its way."""

    data: bytes
    identity: StoredIdentity
    revision: bytes | None
    """That of the state at which the client was admitted (:mod:`kmipkit_server.store.revision`)."""


class _Answer(msgspec.Struct, frozen=True):
    """Its response on the way back; None if the client must be admitted again."""

    data: bytes | None = None
    role_change: tuple[int, int] | None = None


class HandingOver:
    """Hands messages over to peers, and answers those that they hand over."""

    def __init__(self, key: bytes, places: PartPlaces, peers: Peers, respond: Respond) -> None:
        """``respond`` answers a message that belongs to this process."""
        self._cipher = AESGCM(key)
        self._places = places
        self._peers = peers
        self._respond = respond

    def listen(self) -> None:
        """Answer the messages of peers."""
        self._peers.answer(KIND, self._answer)

    async def respond(
        self, values: Iterable[bytes], data: bytes, identity: Identity, revision: bytes | None
    ) -> Response | None:
        """The response of the process that has the parts of these Correlation Values.

        None if this process is to respond: it has them, or nobody has them any longer. AdmitAgain if
        the client may be another one by now. PeerEnded if the other process has ended after it
        had begun.
        """
        worker = self._worker(values)
        if worker is None:
            return None
        handed = _Message(data, StoredIdentity.of(identity), revision)
        message = msgspec.msgpack.encode(handed)
        try:
            sealed = await self._peers.ask(worker, KIND, self._seal(message, b"question"))
            answer = msgspec.msgpack.decode(self._open(sealed, b"answer"), type=_Answer)
        except PeerGone as gone:
            if gone.may_have_begun:
                raise PeerEnded from None
            return None
        except (InvalidTag, msgspec.MsgspecError):
            return None
        if answer.data is None:
            raise AdmitAgain
        version = None if answer.role_change is None else Version(*answer.role_change)
        return Response(answer.data, version)

    def _worker(self, values: Iterable[bytes]) -> int | None:
        """The other worker of this node that has parts, if there is one."""
        own = self._places.own
        for value in values:
            place = self._places.place(value)
            if place is not None and place.node == own.node and place.worker != own.worker:
                return place.worker
        return None

    async def _answer(self, sealed: bytes) -> bytes:
        """The response to a message that a peer hands over; empty for what no peer has sent."""
        try:
            message = msgspec.msgpack.decode(self._open(sealed, b"question"), type=_Message)
        except (InvalidTag, msgspec.MsgspecError):
            return b""
        try:
            identity = message.identity.restored()
            answer = _Answer(*await self._respond(message.data, identity, message.revision))
        except AdmitAgain:
            answer = _Answer()
        return self._seal(msgspec.msgpack.encode(answer), b"answer")

    def _seal(self, data: bytes, direction: bytes) -> bytes:
        nonce = os.urandom(_NONCE_SIZE)
        return nonce + self._cipher.encrypt(nonce, data, direction)

    def _open(self, sealed: bytes, direction: bytes) -> bytes:
        return self._cipher.decrypt(sealed[:_NONCE_SIZE], sealed[_NONCE_SIZE:], direction)
