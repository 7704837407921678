"""Whether a key may be used now, with which parameters, and what that takes from its limits.

A use is a row: the bit of the usage mask, and whether it applies protection or processes what is
protected, which decides by states and dates (KMIP 1.4 §3.19, §3.22, §3.25, §3.26).
"""

from dataclasses import dataclass

from kmipkit.errors import OperationError
from kmipkit.keys.parameters import Parameters
from kmipkit.lifecycle import describe_state, may_process, may_protect
from kmipkit.model.attribute import Attribute, AttributeKey
from kmipkit.model.attributes import CryptographicParameters, UsageLimits
from kmipkit.spec.enums import ResultReason, UsageLimitsUnit
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag
from kmipkit_server.engine.call import Call
from kmipkit_server.objects.access import save
from kmipkit_server.objects.managed import Managed


@dataclass(frozen=True, slots=True)
class Use:
    """Something that a key can be used for."""

    mask: CryptographicUsageMask
    word: str
    protects: bool


ENCRYPT = Use(CryptographicUsageMask.ENCRYPT, "encrypt", protects=True)
DECRYPT = Use(CryptographicUsageMask.DECRYPT, "decrypt", protects=False)
SIGN = Use(CryptographicUsageMask.SIGN, "sign", protects=True)
VERIFY = Use(CryptographicUsageMask.VERIFY, "verify signatures", protects=False)
MAC_GENERATE = Use(CryptographicUsageMask.MAC_GENERATE, "make MACs", protects=True)
MAC_VERIFY = Use(CryptographicUsageMask.MAC_VERIFY, "verify MACs", protects=False)
DERIVE_KEY = Use(CryptographicUsageMask.DERIVE_KEY, "derive keys", protects=True)


def require_use(call: Call, managed: Managed, use: Use) -> None:
    """Refuse a use for which the key is not meant, or not now.

    Raises OperationError: Incompatible Cryptographic Usage Mask, or Wrong Key Lifecycle State.
    """
    mask = managed.get(Tag.CRYPTOGRAPHIC_USAGE_MASK) or CryptographicUsageMask(0)
    if use.mask not in mask:
        raise OperationError(
            ResultReason.INCOMPATIBLE_CRYPTOGRAPHIC_USAGE_MASK,
            f"the key is not meant to {use.word}",
        )
    if use.protects:
        stop = managed.get(Tag.PROTECT_STOP_DATE)
        allowed = may_protect(managed.state, call.now, protect_stop_date=stop)
    else:
        start = managed.get(Tag.PROCESS_START_DATE)
        allowed = may_process(managed.state, call.now, process_start_date=start)
    if not allowed:
        raise OperationError(
            ResultReason.WRONG_KEY_LIFECYCLE_STATE,
            f"the key is {describe_state(managed.state)} and may not be used to {use.word} now",
        )


def parameters_of(managed: Managed, asked: CryptographicParameters | None) -> Parameters:
    """Omitted parameters are those of the key, the first instance of them (KMIP 1.4 §4.29)."""
    given = asked or managed.get(Tag.CRYPTOGRAPHIC_PARAMETERS)
    return Parameters.of(given) if given is not None else Parameters()


def with_count(attribute: Attribute) -> Attribute:
    """Usage Limits with all that may be used still left: a client's count is ignored (1.4 §3.21)."""
    limits = attribute.value
    if attribute.key != Tag.USAGE_LIMITS or not isinstance(limits, UsageLimits):
        return attribute
    complete = limits.replace(usage_limits_count=limits.usage_limits_total)
    return Attribute(attribute.key, complete, attribute.index)


def require_unused(managed: Managed, key: AttributeKey) -> None:
    """Refuse to touch Usage Limits of which something is used (KMIP 1.4 §3.21)."""
    limits = managed.get(Tag.USAGE_LIMITS) if key == Tag.USAGE_LIMITS else None
    if limits is not None and limits.usage_limits_count != limits.usage_limits_total:
        raise OperationError(
            ResultReason.ATTRIBUTE_READ_ONLY, "the Usage Limits have been used already"
        )


def allocate(call: Call, managed: Managed, size: int, *, objects: int = 1) -> None:
    """Take ``size`` bytes or so many objects from the limits of a key that has some.

    Raises OperationError: Permission Denied where less is left (KMIP 1.4 §4.29). The key is written
    only if it has limits, so that other keys encrypt without a write.
    """
    limits = managed.get(Tag.USAGE_LIMITS)
    if not isinstance(limits, UsageLimits) or limits.usage_limits_count is None:
        return
    amount = size if limits.usage_limits_unit == UsageLimitsUnit.BYTE else objects
    left = limits.usage_limits_count - amount
    if left < 0:
        raise OperationError(
            ResultReason.PERMISSION_DENIED,
            f"the usage limits of the key have {limits.usage_limits_count} left, not {amount}",
        )
    changed = managed.with_attribute(Tag.USAGE_LIMITS, limits.replace(usage_limits_count=left))
    save(call, managed, changed)
