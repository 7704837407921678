"""Whether a key may be used now, with which parameters, and how a use counts against its limits.

A use is a row: the bit of the usage mask, and whether the use applies protection or processes
protected data. States and dates permit these separately (KMIP 1.4 §3.19, §3.22, §3.25, §3.26).
"""

from collections.abc import Callable
from dataclasses import dataclass

from kmipkit.errors import OperationError
from kmipkit.keys import effective
from kmipkit.keys.parameters import Parameters
from kmipkit.lifecycle import describe_state, may_process, may_protect
from kmipkit.model.attribute import Attribute, AttributeKey
from kmipkit.model.attributes import CryptographicParameters, UsageLimits
from kmipkit.model.structure import field_names
from kmipkit.spec.enums import CryptographicAlgorithm, ObjectType, UsageLimitsUnit
from kmipkit.spec.enums import ResultReason as R
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag
from kmipkit.spec.titles import title_with_article
from kmipkit.spec.versions import V1_4
from kmipkit_server.engine.call import Call
from kmipkit_server.objects import algorithms
from kmipkit_server.objects.access import save
from kmipkit_server.objects.managed import Managed


@dataclass(frozen=True, slots=True)
class Use:
    """Something that a key can be used for."""

    mask: CryptographicUsageMask
    action: str
    protects: bool
    effective: Callable[[CryptographicAlgorithm | None, Parameters], Parameters] = (
        lambda _algorithm, parameters: parameters
    )
    """The parameters with the defaults for those that a request omits."""
    signs: bool = False


_Mask = CryptographicUsageMask
ENCRYPT = Use(_Mask.ENCRYPT, "encrypt", True, effective.encryption)
DECRYPT = Use(_Mask.DECRYPT, "decrypt", False, effective.encryption)
SIGN = Use(_Mask.SIGN, "sign", True, effective.signature, signs=True)
VERIFY = Use(_Mask.VERIFY, "verify signatures", False, effective.signature, signs=True)
MAC_GENERATE = Use(_Mask.MAC_GENERATE, "make MACs", True, effective.mac)
MAC_VERIFY = Use(_Mask.MAC_VERIFY, "verify MACs", False, effective.mac)
WRAP_KEY = Use(_Mask.WRAP_KEY, "wrap keys", True, effective.wrapping)
UNWRAP_KEY = Use(_Mask.UNWRAP_KEY, "unwrap keys", False, effective.wrapping)
DERIVE_KEY = Use(_Mask.DERIVE_KEY, "derive keys", True)


_WITHOUT_USE = frozenset(
    {ObjectType.OPAQUE_OBJECT, ObjectType.TEMPLATE, ObjectType.CERTIFICATE_REQUEST}
)
"""Objects that no operation computes with, whatever their usage mask says."""


def require_use(call: Call, managed: Managed, use: Use) -> None:
    """Refuse a use that the usage mask, the state or a date of the key does not permit.

    Raises OperationError: Invalid Object Type, Incompatible Cryptographic Usage Mask, Wrong Key
    Lifecycle State, or Permission Denied by an algorithm rule.
    """
    if managed.object_type in _WITHOUT_USE:
        raise OperationError(
            R.INVALID_OBJECT_TYPE,
            f"{title_with_article(managed.object_type)} cannot be used to {use.action}",
        )
    mask = managed.get(Tag.CRYPTOGRAPHIC_USAGE_MASK) or CryptographicUsageMask(0)
    if use.mask not in mask:
        raise OperationError(
            R.INCOMPATIBLE_CRYPTOGRAPHIC_USAGE_MASK,
            f"the Cryptographic Usage Mask of the key does not permit it to {use.action}",
        )
    if use.protects:
        protect_stop_date = managed.get(Tag.PROTECT_STOP_DATE)
        is_allowed = may_protect(managed.state, call.now, protect_stop_date=protect_stop_date)
    else:
        process_start_date = managed.get(Tag.PROCESS_START_DATE)
        is_allowed = may_process(managed.state, call.now, process_start_date=process_start_date)
    if not is_allowed:
        raise OperationError(
            R.WRONG_KEY_LIFECYCLE_STATE,
            f"the key is {describe_state(managed.state)} and may not be used to {use.action} now",
        )
    algorithms.require_usable(call, managed, protects=use.protects)


def permitted_parameters(
    call: Call, managed: Managed, requested: CryptographicParameters | None, use: Use
) -> Parameters:
    """The parameters of a use, if the algorithm rules permit them; see :func:`parameters_of`."""
    parameters = parameters_of(managed, requested)
    if algorithms.rules_in_force(call):
        algorithm = managed.get(Tag.CRYPTOGRAPHIC_ALGORITHM)
        used = use.effective(algorithm, oaep_parameters(call, parameters))
        algorithms.require_parameters(call, managed, used, protects=use.protects, signs=use.signs)
    return parameters


def parameters_of(managed: Managed, requested: CryptographicParameters | None) -> Parameters:
    """The requested parameters, or else the first instance of the key's (KMIP 1.4 §4.29)."""
    parameters = requested or managed.get(Tag.CRYPTOGRAPHIC_PARAMETERS)
    return Parameters.of(parameters) if parameters is not None else Parameters()


def oaep_parameters(call: Call, parameters: Parameters) -> Parameters:
    """The parameters of RSA encryption, with the hash of the mask before 1.4."""
    return parameters.before_mask_generators() if call.version < V1_4 else parameters


def require_match(
    managed: Managed,
    requested: CryptographicParameters | None,
    reason: R = R.BAD_CRYPTOGRAPHIC_PARAMETERS,
) -> None:
    """Refuse parameters that contradict every instance of the key's.

    "If Cryptographic Parameters are specified [...], then the server SHALL verify that they match one
    of the instances of the Cryptographic Parameters attribute of the corresponding key" (KMIP 1.4
    §2.1.6, §4.6). Fields that only one side has contradict nothing. A key without the attribute
    permits all parameters, as the official cases of Derive Key need it, and other servers do.
    """
    instances = managed.instances(Tag.CRYPTOGRAPHIC_PARAMETERS)
    if requested is None or not instances:
        return
    if any(_agree(requested, instance.value) for instance in instances):
        return
    raise OperationError(
        reason,
        "the Cryptographic Parameters of the request do not match those of the key",
    )


def _agree(one: CryptographicParameters, other: CryptographicParameters) -> bool:
    """Whether no field has different values in the two."""
    for name in field_names(CryptographicParameters):
        values = {getattr(one, name), getattr(other, name)} - {None}
        if len(values) > 1:
            return False
    return True


def with_count(attribute: Attribute, current: UsageLimits | None = None) -> Attribute:
    """Usage Limits with the whole total left: the client's count is ignored (KMIP 1.4 §3.21).

    The client sets "Total and/or Unit only"; what it omits remains as in the current limits.
    """
    limits = attribute.value
    if attribute.key != Tag.USAGE_LIMITS or not isinstance(limits, UsageLimits):
        return attribute
    total, unit = limits.usage_limits_total, limits.usage_limits_unit
    if current is not None:
        total = current.usage_limits_total if total is None else total
        unit = current.usage_limits_unit if unit is None else unit
    if total is None or unit is None:
        # A limit without a total or a unit would limit nothing.
        raise OperationError(
            R.INVALID_FIELD, "Usage Limits need a Usage Limits Total and a Usage Limits Unit"
        )
    if total < 0:
        raise OperationError(R.INVALID_FIELD, f"Usage Limits Total cannot be negative: {total}")
    complete = UsageLimits(
        usage_limits_total=total, usage_limits_count=total, usage_limits_unit=unit
    )
    return Attribute(attribute.key, complete, attribute.index)


def require_unused(managed: Managed, key: AttributeKey) -> None:
    """Refuse to change Usage Limits after the first use (KMIP 1.4 §3.21)."""
    limits = managed.get(Tag.USAGE_LIMITS) if key == Tag.USAGE_LIMITS else None
    if limits is not None and limits.usage_limits_count != limits.usage_limits_total:
        raise OperationError(
            R.ATTRIBUTE_READ_ONLY,
            "Usage Limits cannot be changed after the first use of the key",
        )


def allocate(call: Call, managed: Managed, size: int, *, objects: int = 1) -> None:
    """Subtract ``size`` bytes, or a number of objects, from the Usage Limits of a key that has some.

    Raises OperationError: Permission Denied if less is left (KMIP 1.4 §4.29). The key is written
    only if it has limits, so that other keys encrypt without a write.
    """
    limits = managed.get(Tag.USAGE_LIMITS)
    if not isinstance(limits, UsageLimits) or limits.usage_limits_count is None:
        return
    amount = size if limits.usage_limits_unit == UsageLimitsUnit.BYTE else objects
    remaining = limits.usage_limits_count - amount
    if remaining < 0:
        raise OperationError(
            R.PERMISSION_DENIED,
            f"the operation needs {amount} of the Usage Limits of the key, which has only"
            f" {limits.usage_limits_count} left",
        )
    changed = managed.with_attribute(Tag.USAGE_LIMITS, limits.replace(usage_limits_count=remaining))
    save(call, managed, changed)
