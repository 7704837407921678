"""A batch that is filled by calls of methods, and sent at the end of its block."""

from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

from kmipkit.model.structure import Structure
from kmipkit.spec.enums import BatchErrorContinuationOption
from kmipkit.spec.versions import Version
from kmipkit_client._batch.operations import BatchOperations
from kmipkit_client._batch.results import Result, resolved
from kmipkit_client.calls import Call

T = TypeVar("T")

Send = Callable[[Sequence[Call[Any]], BatchErrorContinuationOption | None], Awaitable[list[Any]]]


class AsyncBatch(BatchOperations):
    """Several operations in one message. The methods only note them, and return their later results.

    The block ends with the first OperationFailed of an item, unless the option is Continue. If the
    block itself fails, nothing is sent.
    """

    def __init__(self, send: Send, on_error: BatchErrorContinuationOption | None) -> None:
        self._send = send
        self._on_error = on_error
        self._calls: list[Call[Any]] = []
        self._results: list[Result[Any]] = []

    def _call(self, call: Call[T]) -> Result[T]:
        before = tuple(self._calls)

        def build(version: Version) -> Structure:
            return resolved(call.build(version), version, before, self)

        result: Result[T] = Result(self, call.operation, len(before))
        self._calls.append(Call(call.operation, build, call.read))
        self._results.append(result)
        return result

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None or not self._calls:
            return
        outcomes = await self._send(self._calls, self._on_error)
        for result, outcome in zip(self._results, outcomes, strict=True):
            result.set(outcome)
        if self._on_error is BatchErrorContinuationOption.CONTINUE:
            return
        failed = next((each.error for each in self._results if each.error is not None), None)
        if failed is not None:
            raise failed
