"""Asynchronous requests: Poll, Cancel, Process, Query Asynchronous Requests.

The response to Poll is that of the polled operation, so Poll has no response payload of its own.
"""

from typing import Annotated

from kmipkit.model.payloads.limits import Operations
from kmipkit.model.structure import Structure, Wire, structure
from kmipkit.model.types import DateTimeExtended
from kmipkit.spec.enums import CancellationResult, Operation, ProcessingStage
from kmipkit.spec.tags import Tag


@structure()
class PollRequest(Structure):
    """Request the response to an earlier request (1.4 §4.28, 2.1 §6.1.38)."""

    asynchronous_correlation_value: Annotated[bytes, Wire(Tag.ASYNCHRONOUS_CORRELATION_VALUE)]


@structure()
class CancelRequest(Structure):
    """Cancel an earlier request (1.4 §4.27, 2.1 §6.1.5)."""

    asynchronous_correlation_value: Annotated[bytes, Wire(Tag.ASYNCHRONOUS_CORRELATION_VALUE)]


@structure()
class CancelResponse(Structure):
    """The result of the cancellation (1.4 §4.27, 2.1 §6.1.5)."""

    asynchronous_correlation_value: Annotated[bytes, Wire(Tag.ASYNCHRONOUS_CORRELATION_VALUE)]
    cancellation_result: Annotated[CancellationResult, Wire(Tag.CANCELLATION_RESULT)]


@structure()
class ProcessRequest(Structure):
    """Process an asynchronous request at once (2.1 §6.1.39)."""

    asynchronous_correlation_value: Annotated[bytes, Wire(Tag.ASYNCHRONOUS_CORRELATION_VALUE)]


@structure()
class ProcessResponse(Structure):
    """No fields (2.1 §6.1.39)."""


@structure(Tag.ASYNCHRONOUS_CORRELATION_VALUES)
class AsynchronousCorrelationValues(Structure):
    """A list of asynchronous requests (2.1 §7.1)."""

    values: Annotated[tuple[bytes, ...], Wire(Tag.ASYNCHRONOUS_CORRELATION_VALUE)] = ()


@structure(Tag.ASYNCHRONOUS_REQUEST)
class AsynchronousRequest(Structure):
    """A request whose response has not been fetched (2.1 §7.2)."""

    asynchronous_correlation_value: Annotated[bytes, Wire(Tag.ASYNCHRONOUS_CORRELATION_VALUE)]
    operation: Annotated[Operation, Wire(Tag.OPERATION)]
    submission_date: Annotated[DateTimeExtended, Wire(Tag.SUBMISSION_DATE)]
    processing_stage: Annotated[ProcessingStage, Wire(Tag.PROCESSING_STAGE)]


@structure()
class QueryAsynchronousRequestsRequest(Structure):
    """List the outstanding requests (2.1 §6.1.41)."""

    asynchronous_correlation_values: Annotated[
        AsynchronousCorrelationValues | None, Wire(Tag.ASYNCHRONOUS_CORRELATION_VALUES)
    ] = None
    operations: Annotated[Operations | None, Wire(Tag.OPERATIONS)] = None


@structure()
class QueryAsynchronousRequestsResponse(Structure):
    """The outstanding requests (2.1 §6.1.41)."""

    asynchronous_requests: Annotated[
        tuple[AsynchronousRequest, ...], Wire(Tag.ASYNCHRONOUS_REQUEST)
    ] = ()
