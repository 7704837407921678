"""Faults as HTTP has them: a status for each, and a body that says what is wrong (RFC 9457).

The body is ``{title, status, fault, message, arguments}``. ``title`` and ``status`` are those of the
RFC; ``fault`` is the name of the fault (:data:`kmipkit_vsphere.model.errors.FAULTS`).
"""

from collections.abc import Mapping
from functools import cache
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final

from kmipkit_vsphere.model.errors import (
    FAULTS,
    AlreadyExists,
    AttestationFailed,
    DamagedData,
    EncryptionKeyRequired,
    HostUnreachable,
    InternalFault,
    InvalidArgument,
    InvalidState,
    KeyNotUsable,
    KeyProviderError,
    KeyServerUnreachable,
    MigrationBroken,
    NoPermission,
    NoSpace,
    NotAttested,
    NotFound,
    ResourceInUse,
    RPCError,
    VSphereError,
    fault_from,
)
from kmipkit_vsphere.model.message import Message, field

STATUSES: Final[Mapping[type[VSphereError], HTTPStatus]] = MappingProxyType(
    {
        InvalidArgument: HTTPStatus.BAD_REQUEST,
        NoPermission: HTTPStatus.FORBIDDEN,
        AttestationFailed: HTTPStatus.FORBIDDEN,
        NotAttested: HTTPStatus.FORBIDDEN,
        NotFound: HTTPStatus.NOT_FOUND,
        AlreadyExists: HTTPStatus.CONFLICT,
        InvalidState: HTTPStatus.CONFLICT,
        ResourceInUse: HTTPStatus.CONFLICT,
        EncryptionKeyRequired: HTTPStatus.CONFLICT,
        KeyNotUsable: HTTPStatus.CONFLICT,
        DamagedData: HTTPStatus.CONFLICT,
        InternalFault: HTTPStatus.INTERNAL_SERVER_ERROR,
        VSphereError: HTTPStatus.INTERNAL_SERVER_ERROR,
        KeyProviderError: HTTPStatus.BAD_GATEWAY,
        MigrationBroken: HTTPStatus.BAD_GATEWAY,
        RPCError: HTTPStatus.BAD_GATEWAY,
        KeyServerUnreachable: HTTPStatus.SERVICE_UNAVAILABLE,
        HostUnreachable: HTTPStatus.SERVICE_UNAVAILABLE,
        NoSpace: HTTPStatus.INSUFFICIENT_STORAGE,
    }
)
"""Fault to status; a fault that is not here has the status of the nearest class above it."""

PROBLEM: Final = "application/problem+json"


class Problem(Message):
    """Why a call failed: the fault, what happened, and what more there is to know of it."""

    title: str
    status: int
    fault: str
    message: str
    arguments: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, fault: VSphereError, status: HTTPStatus | None = None) -> "Problem":
        """The problem of a fault; its status is that of the table, unless HTTP has a better one."""
        status = status or status_of(type(fault))
        return cls(
            status.phrase, status.value, type(fault).__name__, fault.message, fault.arguments
        )

    def exception(self) -> VSphereError:
        """The exception to raise where the call was made."""
        return fault_from(self.fault, self.message, self.arguments)


def status_of(fault: type[VSphereError]) -> HTTPStatus:
    """The status of a fault."""
    return next(STATUSES[kind] for kind in fault.__mro__ if kind in STATUSES)


@cache
def faults_by_status() -> Mapping[HTTPStatus, tuple[str, ...]]:
    """Status to the names of its faults, in order."""
    result: dict[HTTPStatus, tuple[str, ...]] = {}
    for name in sorted(FAULTS, key=lambda name: (status_of(FAULTS[name]), name)):
        status = status_of(FAULTS[name])
        result[status] = (*result.get(status, ()), name)
    return MappingProxyType(result)
