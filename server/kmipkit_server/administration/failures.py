"""From the Result Reason of an operation to the status of HTTP."""

from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType

from kmipkit.errors import OperationError
from kmipkit.spec.enums import ResultReason
from kmipkit.spec.titles import title
from kmipkit_server.administration.problems import Refused

_STATUSES: Mapping[ResultReason, HTTPStatus] = MappingProxyType(
    {
        ResultReason.ITEM_NOT_FOUND: HTTPStatus.NOT_FOUND,
        ResultReason.OBJECT_NOT_FOUND: HTTPStatus.NOT_FOUND,
        ResultReason.ATTRIBUTE_NOT_FOUND: HTTPStatus.NOT_FOUND,
        ResultReason.PERMISSION_DENIED: HTTPStatus.FORBIDDEN,
        ResultReason.AUTHENTICATION_NOT_SUCCESSFUL: HTTPStatus.FORBIDDEN,
        ResultReason.NOT_AUTHORISED: HTTPStatus.FORBIDDEN,
        ResultReason.OBJECT_ALREADY_EXISTS: HTTPStatus.CONFLICT,
        ResultReason.NON_UNIQUE_NAME_ATTRIBUTE: HTTPStatus.CONFLICT,
        ResultReason.WRONG_KEY_LIFECYCLE_STATE: HTTPStatus.CONFLICT,
        ResultReason.OBJECT_DESTROYED: HTTPStatus.CONFLICT,
        ResultReason.CONSTRAINT_VIOLATION: HTTPStatus.CONFLICT,
        ResultReason.SERVER_LIMIT_EXCEEDED: HTTPStatus.TOO_MANY_REQUESTS,
        ResultReason.GENERAL_FAILURE: HTTPStatus.SERVICE_UNAVAILABLE,
    }
)
"""Any other reason means that the request is wrong."""


def of_operation(error: OperationError) -> Refused:
    """The refusal for an operation that has failed."""
    status = _STATUSES.get(error.reason, HTTPStatus.UNPROCESSABLE_ENTITY)
    return Refused(status, error.message, reason=title(error.reason))
