"""Hooks: functions that see each request and its answer, without key bytes.

A hook is called with each :class:`Request` before it is sent. It may return a function, which is called
with the :class:`Answer`, or with the error in its place::

    def slow(request: Request) -> Callable[[Answer], None]:
        def answered(answer: Answer) -> None:
            if answer.seconds > 1:
                print(request.server, *request.operations, answer.seconds)

        return answered

    Client("kms1", hooks=[slow])

Hooks of both clients are ordinary functions, which should not take long. One that fails is logged, and
changes nothing for the caller.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from kmipkit.errors import KMIPError
from kmipkit.model.codec import encode
from kmipkit.model.messages import RequestMessage, ResponseMessage
from kmipkit.spec.enums import Operation, ResultReason, ResultStatus
from kmipkit.spec.versions import Version
from kmipkit.ttlv import binary
from kmipkit.ttlv.limits import Limits
from kmipkit.ttlv.printer import format_item
from kmipkit_client.deadline import Clock
from kmipkit_client.endpoints import Endpoint

log = logging.getLogger("kmipkit.client")

Subject = TypeVar("Subject")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Request:
    """A request that is about to be sent; its text has no secrets."""

    endpoint: Endpoint
    attempt: int
    """1 for the first attempt of a call."""
    version: Version
    operations: tuple[Operation, ...]
    _message: RequestMessage = field(repr=False)
    _limits: Limits = field(repr=False)

    @property
    def server(self) -> str:
        """The address of the server."""
        return str(self.endpoint)

    def __str__(self) -> str:
        """The message, one line for each field; made when it is asked for."""
        return _text(self._message, self.version, self._limits)


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a request; its text has no secrets."""

    seconds: float
    """From the request to the answer or error."""
    results: tuple[tuple[ResultStatus, ResultReason | None], ...] = ()
    """Status and reason of each batch item; none if there is no response."""
    error: BaseException | None = None
    """Why there is no response, such as ConnectionFailed or a cancellation."""
    _message: ResponseMessage | None = field(default=None, repr=False)
    _limits: Limits | None = field(default=None, repr=False)

    @property
    def failure(self) -> str:
        """The name of the first Result Reason, or of the error; empty after a success."""
        if self.error is not None:
            return type(self.error).__name__
        failed = [reason for status, reason in self.results if status in _FAILURES]
        return (failed[0].name if failed[0] else "OPERATION_FAILED") if failed else ""

    def __str__(self) -> str:
        """The message, one line for each field, or the error; made when it is asked for."""
        if self._message is None or self._limits is None:
            return f"{type(self.error).__name__}: {self.error}"
        version = self._message.response_header.protocol_version.version
        return _text(self._message, version, self._limits)


_FAILURES = (ResultStatus.OPERATION_FAILED, ResultStatus.OPERATION_UNDONE)

Answered = Callable[[Answer], None]
Hook = Callable[[Request], Answered | None]


def _text(message: RequestMessage | ResponseMessage, version: Version, limits: Limits) -> str:
    try:
        return format_item(binary.decode(encode(message, version), limits))
    except KMIPError as error:  # such as a field that this version does not have
        return f"(cannot be shown: {error})\n"


class Observation:
    """The hooks during one exchange."""

    def __init__(
        self, hooks: Iterable[Hook], request: Request, clock: Clock, limits: Limits
    ) -> None:
        self._clock = clock
        self._limits = limits
        self._start = clock()
        self._answered = [each for each in (_called(hook, request) for hook in hooks) if each]

    def succeed(self, message: ResponseMessage) -> None:
        """Tell the hooks the response."""
        results = tuple((item.result_status, item.result_reason) for item in message.batch_items)
        self._end(Answer(self._clock() - self._start, results, None, message, self._limits))

    def fail(self, error: BaseException) -> None:
        """Tell the hooks why there is no response."""
        self._end(Answer(self._clock() - self._start, error=error))

    def _end(self, answer: Answer) -> None:
        for function in self._answered:
            _called(function, answer)


def observe(
    hooks: Iterable[Hook],
    endpoint: Endpoint,
    message: RequestMessage,
    attempt: int,
    clock: Clock,
    limits: Limits,
) -> Observation:
    """Call the hooks before a request is sent."""
    request = Request(
        endpoint=endpoint,
        attempt=attempt,
        version=message.request_header.protocol_version.version,
        operations=tuple(item.operation for item in message.batch_items),
        _message=message,
        _limits=limits,
    )
    return Observation(hooks, request, clock, limits)


def _called(function: Callable[[Subject], Result], subject: Subject) -> Result | None:
    try:
        return function(subject)
    except Exception:
        log.exception("a hook of the client failed")
        return None
