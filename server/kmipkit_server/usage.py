"""Usage Limits: what applying protection takes from them (KMIP 1.4 §3.21)."""

from kmipkit.errors import OperationError
from kmipkit.model.attributes import UsageLimits
from kmipkit.spec.enums import ResultReason, UsageLimitsUnit
from kmipkit.spec.tags import Tag
from kmipkit_server.call import Call
from kmipkit_server.managed import Managed


def allocate(call: Call, managed: Managed, size: int) -> None:
    """Take ``size`` bytes or one object from the limits of a key that has some.

    Raises OperationError: Permission Denied where less is left (KMIP 1.4 §4.29). The key is written
    only if it has limits, so that other keys encrypt without a write.
    """
    limits = managed.get(Tag.USAGE_LIMITS)
    if not isinstance(limits, UsageLimits) or limits.usage_limits_count is None:
        return
    amount = size if limits.usage_limits_unit == UsageLimitsUnit.BYTE else 1
    left = limits.usage_limits_count - amount
    if left < 0:
        raise OperationError(
            ResultReason.PERMISSION_DENIED,
            f"the usage limits of the key have {limits.usage_limits_count} left, not {amount}",
        )
    changed = managed.with_attribute(Tag.USAGE_LIMITS, limits.replace(usage_limits_count=left))
    call.save(managed, changed)
