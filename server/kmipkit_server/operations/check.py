"""Check: may the object be used so? (KMIP 1.4 §4.10, KMIP 2.1 §6.1.7)"""

from kmipkit.errors import OperationError
from kmipkit.model.payloads.lifecycle import CheckRequest, CheckResponse
from kmipkit.spec.enums import ResultReason
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag
from kmipkit_server.engine.call import Call
from kmipkit_server.objects.access import load
from kmipkit_server.objects.managed import Managed


class Denied(OperationError):
    """The use is denied; ``payload`` tells which of the asked values are the reason."""

    def __init__(self, reason: ResultReason, message: str, payload: CheckResponse) -> None:
        super().__init__(reason, message)
        self.payload = payload


def _usage_denied(managed: Managed, asked: CryptographicUsageMask | None) -> bool:
    mask = managed.get(Tag.CRYPTOGRAPHIC_USAGE_MASK) or CryptographicUsageMask(0)
    return asked is not None and asked not in mask


def _count_denied(managed: Managed, asked: int | None) -> bool:
    limits = managed.get(Tag.USAGE_LIMITS)
    left = getattr(limits, "usage_limits_count", None)
    return asked is not None and left is not None and asked > left


def _lease_denied(managed: Managed, asked: int | None) -> bool:
    lease = managed.get(Tag.LEASE_TIME)
    return asked is not None and lease is not None and asked > lease


def check(call: Call, request: CheckRequest) -> CheckResponse:
    """Return the identifier, or fail with those values that the object does not allow."""
    managed = load(call, request.unique_identifier)
    denied = CheckResponse(
        usage_limits_count=(
            request.usage_limits_count
            if _count_denied(managed, request.usage_limits_count)
            else None
        ),
        cryptographic_usage_mask=(
            request.cryptographic_usage_mask
            if _usage_denied(managed, request.cryptographic_usage_mask)
            else None
        ),
        lease_time=request.lease_time if _lease_denied(managed, request.lease_time) else None,
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
    raise Denied(reason, "the object may not be used so", denied)
