"""What the key managers of vCenter and of hosts have in common, and the results for keys."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kmipkit_vsphere.calls import host as host_calls
from kmipkit_vsphere.model import errors
from kmipkit_vsphere.web_services.faults import Fault, fault_of, key_id
from kmipkit_vsphere.web_services.managed import ManagedObject, prop
from kmipkit_vsphere.web_services.requests import key_members
from kmipkit_vsphere.web_services.vim25 import faults, keys
from kmipkit_vsphere.web_services.vim25.keys import CryptoKeyPlain, CryptoKeyResult

if TYPE_CHECKING:
    from kmipkit_vsphere.web_services.call import Call


class CryptoManager(ManagedObject, since="6.5"):
    """Manages keys."""

    @prop()
    async def enabled(self, call: "Call") -> bool:
        """Whether it can be used: that of vCenter always."""
        del call
        return True


def plain_members(key: CryptoKeyPlain) -> dict[str, Any]:
    """The members of a key with its bytes."""
    return {
        "keyId": key_members(key.key_id),
        "algorithm": key.algorithm,
        "keyData": key.key_data,
    }


def result_of(
    call: "Call", result: host_calls.CryptoKeyResult, asked: keys.CryptoKeyId | None = None
) -> CryptoKeyResult:
    """The result for one key, in which a failure is a fault with its text."""
    known = key_id(result.key_id) if result.key_id is not None else asked
    fault = None
    if not result.success:
        fault = _fault(call, result.fault or "", result.reason or "").localized()
    return CryptoKeyResult(
        key_id=known or keys.CryptoKeyId(key_id=""),
        success=result.success,
        reason=result.reason,
        fault=fault,
    )


def results_of(
    call: "Call", results: Sequence[host_calls.CryptoKeyResult]
) -> list[CryptoKeyResult]:
    """The results for several keys."""
    return [result_of(call, result) for result in results]


def failure_of(
    call: "Call", result: host_calls.CryptoKeyResult, *declared: type[errors.VSphereError]
) -> Exception:
    """The failure in a result, for a method that raises it."""
    kind = errors.FAULTS.get(result.fault or "", errors.VSphereError)
    reason = result.reason or ""
    if issubclass(kind, errors.NotFound | errors.AlreadyExists | errors.InvalidState) and not (
        issubclass(kind, declared)
    ):
        return Fault(faults.RuntimeFault(), reason)
    return _fault(call, result.fault or "", reason)


def _fault(call: "Call", name: str, reason: str) -> Fault:
    kind = errors.FAULTS.get(name, errors.VSphereError)
    if issubclass(kind, errors.KeyProviderError | errors.EncryptionKeyRequired):
        return Fault(faults.SystemError(reason=reason), reason)
    return fault_of(kind(reason), call.endpoint.ref_of)
