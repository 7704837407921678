"""Answers of the REST API: JSON, with error types and statuses as in vAPI."""

from typing import Any, Final

from kmipkit_vsphere.model import errors
from kmipkit_vsphere.model.encoding import encode
from kmipkit_vsphere.web_services.application import HTTPResponse

JSON: Final = "application/json"


class NoSession(Exception):
    """The request needs a session."""


_ERRORS: Final[dict[type[errors.VSphereError], tuple[int, str]]] = {
    errors.InvalidArgument: (400, "INVALID_ARGUMENT"),
    errors.DamagedData: (400, "INVALID_ARGUMENT"),
    errors.AlreadyExists: (400, "ALREADY_EXISTS"),
    errors.InvalidState: (400, "NOT_ALLOWED_IN_CURRENT_STATE"),
    errors.ResourceInUse: (400, "RESOURCE_IN_USE"),
    errors.NoPermission: (403, "UNAUTHORIZED"),
    errors.NotFound: (404, "NOT_FOUND"),
    errors.HostUnreachable: (503, "SERVICE_UNAVAILABLE"),
    errors.KeyServerUnreachable: (503, "SERVICE_UNAVAILABLE"),
    errors.VSphereError: (500, "ERROR"),
}
"""vCenter's own failures to status and error type; the nearest base class decides."""


def answer(value: Any, status: int = 200, *, wrapped: bool = False) -> HTTPResponse:
    """A value as JSON; ``wrapped`` as below ``/rest``."""
    return HTTPResponse(status, encode({"value": value} if wrapped else value), JSON)


def failure(error: errors.VSphereError, *, wrapped: bool = False) -> HTTPResponse:
    """The answer for a failure of vCenter."""
    status, kind = next(_ERRORS[base] for base in type(error).__mro__ if base in _ERRORS)
    return described(status, kind, error.message, wrapped=wrapped)


def described(status: int, kind: str, message: str, *, wrapped: bool = False) -> HTTPResponse:
    """An error with its text."""
    messages = [message_of(f"kmipkit.vcenter.{kind.lower()}", message)]
    if wrapped:
        name = f"com.vmware.vapi.std.errors.{kind.lower()}"
        return HTTPResponse(status, encode({"type": name, "value": {"messages": messages}}), JSON)
    return HTTPResponse(status, encode({"error_type": kind, "messages": messages}), JSON)


def message_of(identifier: str, text: str) -> dict[str, Any]:
    """A ``LocalizableMessage``."""
    return {"id": identifier, "default_message": text, "args": []}
