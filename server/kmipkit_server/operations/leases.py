"""Obtain Lease and Get Usage Allocation (KMIP 1.4 §4.17, §4.18; KMIP 2.1 §6.1.35, §6.1.23)."""

from kmipkit.errors import OperationError
from kmipkit.lifecycle import describe_state, may_protect
from kmipkit.model.attributes import UsageLimits
from kmipkit.model.payloads.lifecycle import (
    GetUsageAllocationRequest,
    GetUsageAllocationResponse,
    ObtainLeaseRequest,
    ObtainLeaseResponse,
)
from kmipkit.spec.enums import ResultReason, State
from kmipkit.spec.tags import Tag
from kmipkit_server.engine.call import Call
from kmipkit_server.objects import algorithms
from kmipkit_server.objects.access import load, load_for_change
from kmipkit_server.objects.usage import allocate


def obtain_lease(call: Call, request: ObtainLeaseRequest) -> ObtainLeaseResponse:
    """Return how long the client may use the object, and when it last changed.

    There is no new lease for a compromised object: "if the server determines that a new lease SHALL
    NOT be issued", the request fails with Permission Denied (KMIP 1.4 §4.17, §11.18).
    """
    managed = load(call, request.unique_identifier)
    managed.require_alive()
    if managed.state is State.COMPROMISED:
        raise OperationError(
            ResultReason.PERMISSION_DENIED, "the object is compromised: there is no lease for it"
        )
    return ObtainLeaseResponse(
        unique_identifier=call.returns(managed.id),
        lease_time=managed.get(Tag.LEASE_TIME) or 0,
        last_change_date=managed.get(Tag.LAST_CHANGE_DATE),
    )


def get_usage_allocation(
    call: Call, request: GetUsageAllocationRequest
) -> GetUsageAllocationResponse:
    """Take an amount from the usage limits, for a client that applies protection itself."""
    managed = load_for_change(call, request.unique_identifier)
    if not isinstance(managed.get(Tag.USAGE_LIMITS), UsageLimits):
        raise OperationError(ResultReason.ATTRIBUTE_NOT_FOUND, "the object has no Usage Limits")
    if request.usage_limits_count < 0:
        raise OperationError(ResultReason.INVALID_FIELD, "Usage Limits Count cannot be negative")
    protect_stop_date = managed.get(Tag.PROTECT_STOP_DATE)
    if not may_protect(managed.state, call.now, protect_stop_date=protect_stop_date):
        raise OperationError(
            ResultReason.WRONG_KEY_LIFECYCLE_STATE,
            f"the key is {describe_state(managed.state)} and may not be used for protection now",
        )
    algorithms.require_usable(call, managed, protects=True)
    count = request.usage_limits_count
    allocate(call, managed, count, objects=count)
    return GetUsageAllocationResponse(unique_identifier=call.returns(managed.id))
