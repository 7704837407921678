"""Set and Get Constraints, Set Defaults (KMIP 2.1 §6.1.22, §6.1.52, §6.1.53)."""

from kmipkit.model.payloads.limits import (
    Constraints,
    GetConstraintsRequest,
    GetConstraintsResponse,
    SetConstraintsRequest,
    SetConstraintsResponse,
    SetDefaultsRequest,
    SetDefaultsResponse,
)
from kmipkit.spec.enums import Operation
from kmipkit_server.engine.call import Call
from kmipkit_server.engine.registry import operation
from kmipkit_server.objects import constraints
from kmipkit_server.policy import rules


@operation(Operation.SET_CONSTRAINTS, writes=True)
def set_constraints(call: Call, request: SetConstraintsRequest) -> SetConstraintsResponse:
    """What new objects must have from now on."""
    rules.require_administrator(call.identity)
    constraints.save(call, constraints.load(call).replace(constraints=request.constraints))
    return SetConstraintsResponse()


@operation(Operation.GET_CONSTRAINTS, writes=False)
def get_constraints(call: Call, request: GetConstraintsRequest) -> GetConstraintsResponse:  # noqa: ARG001
    """What new objects must have."""
    return GetConstraintsResponse(constraints=constraints.load(call).constraints or Constraints())


@operation(Operation.SET_DEFAULTS, writes=True)
def set_defaults(call: Call, request: SetDefaultsRequest) -> SetDefaultsResponse:
    """What new objects get that come without; nothing, where the request has none."""
    rules.require_administrator(call.identity)
    constraints.save(call, constraints.load(call).replace(defaults=request.defaults_information))
    return SetDefaultsResponse()
