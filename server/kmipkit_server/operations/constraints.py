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
from kmipkit_server.engine.call import Call
from kmipkit_server.objects import attribute_rules, constraints
from kmipkit_server.objects.foreign_values import require_storable
from kmipkit_server.policy import rules


def set_constraints(call: Call, request: SetConstraintsRequest) -> SetConstraintsResponse:
    """Replace the constraints on new objects; a request without constraints removes them."""
    rules.require_administrator(call.identity)
    require_storable(request.constraints, call.version)
    current = constraints.rules_in_force(call)
    constraints.replace_rules(call, current.replace(constraints=request.constraints))
    return SetConstraintsResponse()


def get_constraints(call: Call, request: GetConstraintsRequest) -> GetConstraintsResponse:  # noqa: ARG001
    """Return the constraints on new objects."""
    current = constraints.rules_in_force(call)
    return GetConstraintsResponse(constraints=current.constraints or Constraints())


def set_defaults(call: Call, request: SetDefaultsRequest) -> SetDefaultsResponse:
    """Replace the defaults of new objects; a request without defaults removes them."""
    rules.require_administrator(call.identity)
    information = request.defaults_information
    for rule in information.object_defaults if information is not None else ():
        for attribute in rule.attributes:
            attribute_rules.check_default(attribute, call.version)
    require_storable(information, call.version)
    current = constraints.rules_in_force(call)
    constraints.replace_rules(call, current.replace(defaults=request.defaults_information))
    return SetDefaultsResponse()
