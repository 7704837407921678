"""The headers of requests and responses (KMIP 1.4 §6, §7.2; KMIP 2.1 §8, §9)."""

from datetime import datetime
from typing import Annotated, Self

from kmipkit.model.credentials import Authentication, Nonce
from kmipkit.model.memo import memoized
from kmipkit.model.structure import Structure, Wire, structure
from kmipkit.spec.enums import (
    AsynchronousIndicator,
    AttestationType,
    BatchErrorContinuationOption,
)
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_2, V1_4, V2_0, Version


@structure(Tag.PROTOCOL_VERSION)
class ProtocolVersion(Structure):
    """The version of a message (1.4 §6.1)."""

    protocol_version_major: Annotated[int, Wire(Tag.PROTOCOL_VERSION_MAJOR)]
    protocol_version_minor: Annotated[int, Wire(Tag.PROTOCOL_VERSION_MINOR)]

    @classmethod
    @memoized
    def of(cls, version: Version) -> Self:
        """The structure for a version."""
        return cls(protocol_version_major=version.major, protocol_version_minor=version.minor)

    @property
    def version(self) -> Version:
        """The version as a value."""
        return Version(self.protocol_version_major, self.protocol_version_minor)


def _is_usual(header: "RequestHeader") -> bool:
    """Whether a header may come again, and has no password."""
    return header.authentication is None and header.time_stamp is None and not header.extensions


@structure(Tag.REQUEST_HEADER, repeats=_is_usual)
class RequestHeader(Structure):
    """The header of a request (1.4 §7.2, 2.1 §8.2)."""

    protocol_version: Annotated[ProtocolVersion, Wire(Tag.PROTOCOL_VERSION)]
    maximum_response_size: Annotated[int | None, Wire(Tag.MAXIMUM_RESPONSE_SIZE)] = None
    client_correlation_value: Annotated[
        str | None, Wire(Tag.CLIENT_CORRELATION_VALUE, since=V1_4)
    ] = None
    server_correlation_value: Annotated[
        str | None, Wire(Tag.SERVER_CORRELATION_VALUE, since=V1_4)
    ] = None
    asynchronous_indicator: Annotated[
        bool | AsynchronousIndicator | None,
        Wire(Tag.ASYNCHRONOUS_INDICATOR, until=V1_4, as_=bool),
        Wire(Tag.ASYNCHRONOUS_INDICATOR, since=V2_0, as_=AsynchronousIndicator),
    ] = None
    attestation_capable_indicator: Annotated[
        bool | None, Wire(Tag.ATTESTATION_CAPABLE_INDICATOR, since=V1_2)
    ] = None
    attestation_types: Annotated[
        tuple[AttestationType, ...], Wire(Tag.ATTESTATION_TYPE, since=V1_2)
    ] = ()
    authentication: Annotated[Authentication | None, Wire(Tag.AUTHENTICATION)] = None
    batch_error_continuation_option: Annotated[
        BatchErrorContinuationOption | None, Wire(Tag.BATCH_ERROR_CONTINUATION_OPTION)
    ] = None
    batch_order_option: Annotated[bool | None, Wire(Tag.BATCH_ORDER_OPTION)] = None
    time_stamp: Annotated[datetime | None, Wire(Tag.TIME_STAMP)] = None
    batch_count: Annotated[int | None, Wire(Tag.BATCH_COUNT, required=True)] = None
    """The number of batch items; not in 3.0."""


@structure(Tag.RESPONSE_HEADER)
class ResponseHeader(Structure):
    """The header of a response (1.4 §7.2, 2.1 §8.5)."""

    protocol_version: Annotated[ProtocolVersion, Wire(Tag.PROTOCOL_VERSION)]
    time_stamp: Annotated[datetime, Wire(Tag.TIME_STAMP)]
    nonce: Annotated[Nonce | None, Wire(Tag.NONCE, since=V1_2)] = None
    server_hashed_password: Annotated[
        bytes | None, Wire(Tag.SERVER_HASHED_PASSWORD, since=V2_0)
    ] = None
    attestation_types: Annotated[
        tuple[AttestationType, ...], Wire(Tag.ATTESTATION_TYPE, since=V1_2)
    ] = ()
    client_correlation_value: Annotated[
        str | None, Wire(Tag.CLIENT_CORRELATION_VALUE, since=V1_4)
    ] = None
    server_correlation_value: Annotated[
        str | None, Wire(Tag.SERVER_CORRELATION_VALUE, since=V1_4)
    ] = None
    batch_count: Annotated[int | None, Wire(Tag.BATCH_COUNT, required=True)] = None
    """The number of batch items; not in 3.0."""
