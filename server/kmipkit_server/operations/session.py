"""Ping, Log, Interop and Set Endpoint Role: operations without objects.

KMIP 2.1 §6.1.36, §6.1.29, §6.1.26 and §6.1.54.
"""

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

MAX_TEXT_LENGTH = 1000
"""Characters of a client's text that are logged; the rest is cut off."""


def _quote(text: str) -> str:
    """A client's text on one line, so that it cannot forge lines of the log."""
    return repr(text if len(text) <= MAX_TEXT_LENGTH else f"{text[:MAX_TEXT_LENGTH]}…")


def _log(call: Call, text: str) -> None:
    """Log a line after the commit: until then, the batch may be run a second time."""
    call.batch.after_commit(lambda: log.info("%s %s", call.identity.name, text))


def ping(call: Call, request: PingRequest) -> PingResponse:  # noqa: ARG001
    """Respond without doing anything else."""
    return PingResponse()


def set_endpoint_role(call: Call, request: SetEndpointRoleRequest) -> SetEndpointRoleResponse:
    """Set the role of the server's end of this connection (KMIP 2.1 §6.1.54).

    If it becomes the client, both ends exchange their roles after the response.
    """
    if request.endpoint_role not in (EndpointRole.CLIENT, EndpointRole.SERVER):
        raise OperationError(ResultReason.INVALID_FIELD, "Endpoint Role must be Client or Server")
    call.batch.exchanges_roles = request.endpoint_role == EndpointRole.CLIENT
    return SetEndpointRoleResponse(endpoint_role=request.endpoint_role)


def log_message(call: Call, request: LogRequest) -> LogResponse:
    """Write a client's message to the server's log."""
    _log(call, f"says: {_quote(request.log_message)}")
    return LogResponse()


def interop(call: Call, request: InteropRequest) -> InteropResponse:
    """Log where a test case begins and ends; for test environments only."""
    if not request.interop_function.is_named:
        number = request.interop_function.value
        raise OperationError(
            ResultReason.INVALID_FIELD, f"there is no Interop Function 0x{number:08X}"
        )
    function = request.interop_function.name.lower()
    _log(call, f"interop {function}: {_quote(request.interop_identifier)}")
    return InteropResponse()
