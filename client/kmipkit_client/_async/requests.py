"""Requests of one operation, of a batch, and of page after page; without any connection."""

from abc import abstractmethod
from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import Any, TypeVar, overload

from kmipkit.spec.enums import BatchErrorContinuationOption, ObjectType
from kmipkit.spec.masks import StorageStatusMask
from kmipkit.spec.versions import V1_3, Version
from kmipkit_client._async.batch import AsyncBatch
from kmipkit_client._async.operations import AsyncOperations
from kmipkit_client.calls import Call
from kmipkit_client.errors import OperationFailed
from kmipkit_client.values import AttributesLike

T = TypeVar("T")


class AsyncRequests(AsyncOperations):
    """All that a client offers, on top of one way to send messages."""

    @abstractmethod
    async def version(self) -> Version:
        """The protocol version in use; negotiates it with the server if necessary."""

    @abstractmethod
    async def _results(
        self, calls: Sequence[Call[Any]], on_error: BatchErrorContinuationOption | None
    ) -> list[Any]:
        """The result of each call of a message, or its OperationFailed."""

    @overload
    def batch(
        self,
        call: Call[Any],
        /,
        *calls: Call[Any],
        on_error: BatchErrorContinuationOption | None = None,
    ) -> Awaitable[list[Any]]: ...

    @overload
    def batch(self, *, on_error: BatchErrorContinuationOption | None = None) -> AsyncBatch: ...

    def batch(
        self, *calls: Call[Any], on_error: BatchErrorContinuationOption | None = None
    ) -> Awaitable[list[Any]] | AsyncBatch:
        """Send several operations in one message.

        Without calls, the result is a context manager with the methods of the client. They return
        results that are known when its block has ended, and that later items can refer to::

            async with kms.batch() as batch:
                key = batch.create(name="disk 1")
                batch.activate(key)
            print(key.value)

        With calls of :mod:`kmipkit_client.calls`, it returns their results in order. The result of an
        operation that failed is an :class:`OperationFailed`, which is not raised.
        """
        if not calls:
            return AsyncBatch(self._results, on_error)
        return self._results(calls, on_error)

    async def locate_all(
        self,
        *,
        name: str | None = None,
        object_type: ObjectType | None = None,
        attributes: AttributesLike | None = None,
        storage_status: StorageStatusMask | None = None,
        page: int = 1000,
    ) -> AsyncIterator[str]:
        """Iterate over all objects that have all these attributes, ``page`` of them per request.

        Each object comes once. Those that are made or destroyed meanwhile may be missing. Before KMIP
        1.3, which has no Offset Items, there is one request for all (KMIP 1.3 §4.9).
        """
        has_pages = await self.version() >= V1_3
        seen: dict[str, None] = {}
        offset = 0
        while True:
            located = await self.locate(
                name=name,
                object_type=object_type,
                attributes=attributes,
                storage_status=storage_status,
                maximum=page if has_pages else None,
                offset=offset or None,
            )
            # Objects move to later pages when others are made.
            new = [identifier for identifier in located.ids if identifier not in seen]
            for identifier in new:
                seen[identifier] = None
                yield identifier
            offset += len(located.ids)
            is_complete = located.total is not None and offset >= located.total
            if not has_pages or not new or is_complete:
                return

    async def perform(self, call: Call[T]) -> T:
        """The result of a call from :mod:`kmipkit_client.calls`; raises OperationFailed if it failed."""
        return await self._call(call)

    async def _call(self, call: Call[T]) -> T:
        [result] = await self._results([call], None)
        if isinstance(result, OperationFailed):
            raise result
        value: T = result
        return value
