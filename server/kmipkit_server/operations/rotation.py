"""Automatic rotation: keys and certificates that the server replaces when their interval has passed.

Rotation is "the equivalent of the ReKey, ReKeyKeyPair or ReCertify operation performed by the server"
(KMIP 2.1 §4.48): a request of the server's own for the account of the object, one at a time. So quotas,
notifications and everything else hold for it as for a client's. What is due is in the store, and found
again after a restart; an object that has missed several intervals is rotated once.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

import trio

from kmipkit.model.headers import ProtocolVersion, RequestHeader
from kmipkit.model.messages import RequestBatchItem
from kmipkit.model.payloads.certify import ReCertifyRequest
from kmipkit.model.payloads.rekey import ReKeyKeyPairRequest, ReKeyRequest
from kmipkit.spec.enums import ObjectType, Operation, ResultStatus
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V2_1
from kmipkit_server.engine.dispatcher import Dispatcher
from kmipkit_server.engine.request import Request
from kmipkit_server.identity.identity import Identity
from kmipkit_server.store.base import DueRotation, Reader, Record
from kmipkit_server.store.errors import Damaged, StoreError
from kmipkit_server.store.owners import is_system, tenant_of
from kmipkit_server.store.parts import identifier_in_part
from kmipkit_server.store.rotation import rotation_time

log = logging.getLogger("kmipkit.server")

SECONDS = 60.0
"""Between two checks which objects are due; so no object is rotated more often."""

MAX_REMEMBERED = 10_000
"""Objects whose failure is not logged again."""


class _Replacement(NamedTuple):
    """The operation that replaces an object, and its payload from the identifier and the offset."""

    operation: Operation
    payload: Callable[[str, int | None], Any]


_REPLACEMENTS: Mapping[ObjectType, _Replacement] = MappingProxyType(
    {
        ObjectType.SYMMETRIC_KEY: _Replacement(
            Operation.RE_KEY,
            lambda key, offset: ReKeyRequest(unique_identifier=key, offset=offset),
        ),
        ObjectType.PRIVATE_KEY: _Replacement(
            Operation.RE_KEY_KEY_PAIR,
            lambda key, offset: ReKeyKeyPairRequest(
                private_key_unique_identifier=key, offset=offset
            ),
        ),
        ObjectType.CERTIFICATE: _Replacement(
            Operation.RE_CERTIFY,
            lambda key, offset: ReCertifyRequest(unique_identifier=key, offset=offset),
        ),
    }
)


@dataclass(slots=True)
class Rotation:
    """Rotates objects; :meth:`run` must be running."""

    dispatcher: Dispatcher
    _failed: set[str] = field(default_factory=set)

    async def run(self) -> None:
        """Rotate what is due, again and again until cancelled."""
        while True:
            try:
                await self.rotate()
            except StoreError as error:
                log.error("automatic rotation: %s", error)
            await trio.sleep(SECONDS)

    async def rotate(self) -> None:
        """Rotate what is due now, one object after the other. StoreError if the store fails."""
        now = int(self.dispatcher.clock().timestamp())
        position = (0, 0)
        while True:
            due = await self._next(now, position)
            if due is None:
                return
            position = due.position
            record = await self._record(due)
            if record is not None and self._is_due(record, now):
                await self._replace(due, record)

    async def _next(self, now: int, position: tuple[int, int]) -> DueRotation | None:
        def find(reader: Reader) -> DueRotation | None:
            return reader.due_rotation(now, position)

        return await self.dispatcher.store.run(find)

    async def _record(self, due: DueRotation) -> Record | None:
        def read(reader: Reader) -> Record | None:
            try:
                return reader.get(due.identifier)
            except Damaged as error:
                log.error("automatic rotation: %s", error)
                return None

        return await self.dispatcher.store.run(read)

    @staticmethod
    def _is_due(record: Record, now: int) -> bool:
        """Whether the object itself says so; the index could have been changed by another program."""
        time = rotation_time(record)
        return time is not None and time <= now and not is_system(record.owner)

    async def _replace(self, due: DueRotation, record: Record) -> None:
        operation, payload = _REPLACEMENTS[record.object_type]
        offset = record.attributes.get(Tag.ROTATE_OFFSET)
        # A request has the identifier that the account knows.
        identifier = identifier_in_part(tenant_of(record.owner), record.id)
        item = RequestBatchItem(operation=operation, request_payload=payload(identifier, offset))
        version = ProtocolVersion(
            protocol_version_major=V2_1.major, protocol_version_minor=V2_1.minor
        )
        header = RequestHeader(protocol_version=version, batch_count=1)
        request = Request(V2_1, header, (item,))
        batch = await self.dispatcher.run_for(request, Identity(record.owner, is_internal=True))
        [result] = batch.results
        if result.result_status is ResultStatus.SUCCESS:
            self._failed.discard(record.id)
            log.info("%s: rotated %s", due.owner, identifier)
        elif record.id not in self._failed:
            # It is tried again at each check, but one line is enough.
            if len(self._failed) >= MAX_REMEMBERED:
                self._failed.clear()
            self._failed.add(record.id)
            log.warning(
                "%s: %s is due for rotation, but cannot be rotated: %s",
                due.owner,
                identifier,
                result.result_message,
            )
