"""Check: whether an object permits a use (KMIP 1.4 §4.10, KMIP 2.1 §6.1.7)."""

from kmipkit.errors import OperationError
from kmipkit.model.payloads.lifecycle import CheckRequest, CheckResponse
from kmipkit.spec.enums import ResultReason
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag
from kmipkit_server.engine.call import Call
from kmipkit_server.objects.access import load
from kmipkit_server.objects.managed import Managed


class UseDenied(OperationError):
    """The object does not permit the use; ``payload`` has the requested values that it denies."""

    def __init__(self, reason: ResultReason, message: str, payload: CheckResponse) -> None:
        super().__init__(reason, message)
        self.payload = payload


def _denies_usage(managed: Managed, requested: CryptographicUsageMask | None) -> bool:
    mask = managed.get(Tag.CRYPTOGRAPHIC_USAGE_MASK) or CryptographicUsageMask(0)
    return requested is not None and requested not in mask


def _denies_count(managed: Managed, requested: int | None) -> bool:
    limits = managed.get(Tag.USAGE_LIMITS)
    remaining = getattr(limits, "usage_limits_count", None)
    return requested is not None and remaining is not None and requested > remaining


def _denies_lease(managed: Managed, requested: int | None) -> bool:
    lease = managed.get(Tag.LEASE_TIME)
    return requested is not None and lease is not None and requested > lease


def check(call: Call, request: CheckRequest) -> CheckResponse:
    """Return the identifier, or fail with the values that the object denies."""
    managed = load(call, request.unique_identifier)
    managed.require_alive()
    if request.usage_limits_count is not None and request.usage_limits_count < 0:
        raise OperationError(ResultReason.INVALID_FIELD, "Usage Limits Count cannot be negative")
    denied = CheckResponse(
        usage_limits_count=(
            request.usage_limits_count
            if _denies_count(managed, request.usage_limits_count)
            else None
        ),
        cryptographic_usage_mask=(
            request.cryptographic_usage_mask
            if _denies_usage(managed, request.cryptographic_usage_mask)
            else None
        ),
        lease_time=request.lease_time if _denies_lease(managed, request.lease_time) else None,
    )
    if denied == CheckResponse():
        return CheckResponse(unique_identifier=call.returns(managed.id))
    # "the server empties the ID Placeholder" (KMIP 1.4 §4.10), although the operation fails.
    call.batch.placeholder = None
    if denied.cryptographic_usage_mask is not None:
        reason = ResultReason.INCOMPATIBLE_CRYPTOGRAPHIC_USAGE_MASK
    elif denied.usage_limits_count is not None:
        reason = ResultReason.USAGE_LIMIT_EXCEEDED
    else:
        reason = ResultReason.PERMISSION_DENIED
    raise UseDenied(reason, "the object does not permit the requested use", denied)
