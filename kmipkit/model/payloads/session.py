"""Login, roles, log, ping, interop, PKCS#11."""

from datetime import datetime
from typing import Annotated

from kmipkit.model.attributes import UsageLimits
from kmipkit.model.credentials import Ticket
from kmipkit.model.payloads.limits import Rights
from kmipkit.model.structure import Structure, Wire, structure
from kmipkit.model.types import Interval
from kmipkit.spec.enums import EndpointRole, InteropFunction, PKCS11Function, PKCS11ReturnCode
from kmipkit.spec.tags import Tag


@structure()
class LoginRequest(Structure):
    """Request a ticket; ``lease_time`` in seconds or as a date (2.1 §6.1.30)."""

    lease_time: Annotated[Interval | datetime | None, Wire(Tag.LEASE_TIME)] = None
    request_count: Annotated[int | None, Wire(Tag.REQUEST_COUNT)] = None
    usage_limits: Annotated[UsageLimits | None, Wire(Tag.USAGE_LIMITS)] = None


@structure()
class LoginResponse(Structure):
    """The ticket (2.1 §6.1.30)."""

    ticket: Annotated[Ticket, Wire(Tag.TICKET)]


@structure()
class DelegatedLoginRequest(Structure):
    """Request a ticket with these rights only (2.1 §6.1.12)."""

    lease_time: Annotated[Interval | datetime | None, Wire(Tag.LEASE_TIME)] = None
    request_count: Annotated[int | None, Wire(Tag.REQUEST_COUNT)] = None
    usage_limits: Annotated[UsageLimits | None, Wire(Tag.USAGE_LIMITS)] = None
    rights: Annotated[Rights, Wire(Tag.RIGHTS)]


@structure()
class DelegatedLoginResponse(Structure):
    """The ticket (2.1 §6.1.12)."""

    ticket: Annotated[Ticket, Wire(Tag.TICKET)]


@structure()
class LogoutRequest(Structure):
    """Invalidate a ticket (2.1 §6.1.31)."""

    ticket: Annotated[Ticket, Wire(Tag.TICKET)]


@structure()
class LogoutResponse(Structure):
    """No fields (2.1 §6.1.31)."""


@structure()
class SetEndpointRoleRequest(Structure):
    """Exchange the roles on this connection (2.1 §6.1.54, §6.2.5)."""

    endpoint_role: Annotated[EndpointRole, Wire(Tag.ENDPOINT_ROLE)]


@structure()
class SetEndpointRoleResponse(Structure):
    """The new role (2.1 §6.1.54, §6.2.5)."""

    endpoint_role: Annotated[EndpointRole, Wire(Tag.ENDPOINT_ROLE)]


@structure()
class LogRequest(Structure):
    """A message for the server's log (2.1 §6.1.29)."""

    log_message: Annotated[str, Wire(Tag.LOG_MESSAGE)]


@structure()
class LogResponse(Structure):
    """No fields (2.1 §6.1.29)."""


@structure()
class PingRequest(Structure):
    """No fields (2.1 §6.1.36)."""


@structure()
class PingResponse(Structure):
    """No fields (2.1 §6.1.36)."""


@structure()
class InteropRequest(Structure):
    """Begin or end of a test case (2.1 §6.1.26)."""

    interop_function: Annotated[InteropFunction, Wire(Tag.INTEROP_FUNCTION)]
    interop_identifier: Annotated[str, Wire(Tag.INTEROP_IDENTIFIER)]


@structure()
class InteropResponse(Structure):
    """No fields (2.1 §6.1.26)."""


@structure()
class PKCS11Request(Structure):
    """Call a PKCS#11 function; a vendor's function by its number (2.1 §6.1.37)."""

    pkcs_11_interface: Annotated[str | None, Wire(Tag.PKCS_11_INTERFACE)] = None
    pkcs_11_function: Annotated[PKCS11Function | int, Wire(Tag.PKCS_11_FUNCTION)]
    correlation_value: Annotated[bytes | None, Wire(Tag.CORRELATION_VALUE)] = None
    pkcs_11_input_parameters: Annotated[bytes | None, Wire(Tag.PKCS_11_INPUT_PARAMETERS)] = None


@structure()
class PKCS11Response(Structure):
    """The result of the function (2.1 §6.1.37)."""

    pkcs_11_interface: Annotated[str | None, Wire(Tag.PKCS_11_INTERFACE)] = None
    pkcs_11_function: Annotated[PKCS11Function | int, Wire(Tag.PKCS_11_FUNCTION)]
    correlation_value: Annotated[bytes | None, Wire(Tag.CORRELATION_VALUE)] = None
    pkcs_11_output_parameters: Annotated[bytes | None, Wire(Tag.PKCS_11_OUTPUT_PARAMETERS)] = None
    pkcs_11_return_code: Annotated[PKCS11ReturnCode, Wire(Tag.PKCS_11_RETURN_CODE)]
