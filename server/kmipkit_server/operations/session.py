"""Ping, Log and Interop: operations without objects (KMIP 2.1 §6.1.36, §6.1.29, §6.1.26)."""

import logging

from kmipkit.errors import OperationError
from kmipkit.model.payloads.session import (
    InteropRequest,
    InteropResponse,
    LogRequest,
    LogResponse,
    PingRequest,
    PingResponse,
    SetEndpointRoleRequest,
    SetEndpointRoleResponse,
)
from kmipkit.spec.enums import EndpointRole, ResultReason
from kmipkit_server.engine.call import Call

log = logging.getLogger("kmipkit.server")

LONGEST = 1000
"""Characters of a client's text that the log takes."""


def _quoted(text: str) -> str:
    """A client's text on one line, so that it cannot pass for lines of ours."""
    return repr(text if len(text) <= LONGEST else f"{text[:LONGEST]}…")


def _log(call: Call, text: str) -> None:
    """Write a line once the batch is committed: it may be run twice until then."""
    call.batch.after_commit(lambda: log.info("%s %s", call.identity.name, text))


def ping(call: Call, request: PingRequest) -> PingResponse:  # noqa: ARG001
    """Answer."""
    return PingResponse()


def set_endpoint_role(call: Call, request: SetEndpointRoleRequest) -> SetEndpointRoleResponse:
    """Exchange the roles for what follows on this connection (2.1 §6.1.54)."""
    if request.endpoint_role not in (EndpointRole.CLIENT, EndpointRole.SERVER):
        raise OperationError(ResultReason.INVALID_FIELD, "the role is Client or Server")
    call.batch.exchanges_roles = request.endpoint_role == EndpointRole.CLIENT
    return SetEndpointRoleResponse(endpoint_role=request.endpoint_role)


def log_message(call: Call, request: LogRequest) -> LogResponse:
    """Write a client's message to the server's log."""
    _log(call, f"says: {_quoted(request.log_message)}")
    return LogResponse()


def interop(call: Call, request: InteropRequest) -> InteropResponse:
    """Note in the log where a test case begins and ends; for test environments only."""
    what = request.interop_function.name.lower()
    _log(call, f"interop {what}: {_quoted(request.interop_identifier)}")
    return InteropResponse()
