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
from kmipkit.spec.enums import EndpointRole, Operation, ResultReason
from kmipkit_server.engine.call import Call
from kmipkit_server.engine.registry import operation

log = logging.getLogger("kmipkit.server")

LONGEST = 1000
"""Characters of a client's text that the log takes."""


def _quoted(text: str) -> str:
    """A client's text on one line, so that it cannot pass for lines of ours."""
    return repr(text if len(text) <= LONGEST else f"{text[:LONGEST]}…")


@operation(Operation.PING, writes=False)
def ping(call: Call, request: PingRequest) -> PingResponse:  # noqa: ARG001
    """Answer."""
    return PingResponse()


@operation(Operation.SET_ENDPOINT_ROLE, writes=False)
def set_endpoint_role(call: Call, request: SetEndpointRoleRequest) -> SetEndpointRoleResponse:  # noqa: ARG001
    """Take a role for what follows on this connection (2.1 §6.1.54); the listener then acts it."""
    if request.endpoint_role not in (EndpointRole.CLIENT, EndpointRole.SERVER):
        raise OperationError(ResultReason.INVALID_FIELD, "the role is Client or Server")
    return SetEndpointRoleResponse(endpoint_role=request.endpoint_role)


@operation(Operation.LOG, writes=False)
def log_message(call: Call, request: LogRequest) -> LogResponse:
    """Write a client's message to the server's log."""
    log.info("%s says: %s", call.identity.name, _quoted(request.log_message))
    return LogResponse()


@operation(Operation.INTEROP, writes=False)
def interop(call: Call, request: InteropRequest) -> InteropResponse:
    """Note in the log where a test case begins and ends; for test environments only."""
    what = request.interop_function.name.lower()
    log.info("%s: interop %s: %s", call.identity.name, what, _quoted(request.interop_identifier))
    return InteropResponse()
