"""How failures reach clients: faults of the API, and the one table that maps vCenter's own to them.

pyVmomi fails on a fault type that it does not know, so only declared types are sent.
"""

from collections.abc import Callable
from typing import Final

from kmipkit_vsphere.model import errors
from kmipkit_vsphere.model.keys import CryptoKeyId
from kmipkit_vsphere.web_services.vim25 import faults, keys
from kmipkit_vsphere.web_services.vim25.basics import LocalizedMethodFault, MethodFault
from kmipkit_vsphere.web_services.vim25.declaration import Ref
from kmipkit_vsphere.web_services.vim25.states import VirtualMachinePowerState


class Fault(Exception):
    """A fault that is sent as it is; ``message`` is what the user reads."""

    def __init__(self, detail: MethodFault, message: str = "") -> None:
        super().__init__(message)
        self.detail = detail
        self.message = message

    def localized(self) -> LocalizedMethodFault:
        """The fault as a value, as in a task."""
        return LocalizedMethodFault(fault=self.detail, localized_message=self.message)


FindRef = Callable[[str], Ref | None]
"""The managed object of an entity such as ``machine/db1``."""

_Make = Callable[[errors.VSphereError, FindRef], MethodFault]


def _permission(error: errors.VSphereError, find: FindRef) -> MethodFault:
    entity, privilege = error.arguments.get("object"), error.arguments.get("privilege_id")
    ref = find(entity) if isinstance(entity, str) else None
    missing = (
        (faults.NoPermissionEntityPrivileges(entity=ref, privilege_ids=(privilege,)),)
        if ref is not None and privilege
        else ()
    )
    return faults.NoPermission(object=ref, privilege_id=privilege, missing_privileges=missing)


def _keys(error: errors.VSphereError, _find: FindRef) -> MethodFault:
    required = error.required_key if isinstance(error, errors.EncryptionKeyRequired) else []
    return faults.EncryptionKeyRequired(required_key=tuple(map(key_id, required)))


def key_id(key: CryptoKeyId) -> keys.CryptoKeyId:
    """A key id as the API has it."""
    return keys.CryptoKeyId(key_id=key.key_id, provider_id=keys.KeyProviderId(id=key.provider_id))


def power_fault(*, is_on: bool, wants_on: bool | None = None) -> faults.InvalidPowerState:
    """The fault for a machine that is powered on, or off, where it must not be."""
    on, off = VirtualMachinePowerState.POWERED_ON, VirtualMachinePowerState.POWERED_OFF
    requested = not is_on if wants_on is None else wants_on
    return faults.InvalidPowerState(
        requested_state=on if requested else off, existing_state=on if is_on else off
    )


_FAULTS: Final[dict[type[errors.VSphereError], _Make]] = {
    errors.InvalidArgument: lambda error, find: faults.InvalidArgument(
        invalid_property=error.arguments.get("invalid_property")
    ),
    errors.InvalidPowerState: lambda error, find: power_fault(
        is_on=bool(error.arguments.get("is_on"))
    ),
    errors.InvalidState: lambda error, find: faults.InvalidState(),
    errors.AlreadyExists: lambda error, find: faults.AlreadyExists(
        name=error.arguments.get("name")
    ),
    errors.NotFound: lambda error, find: faults.NotFound(),
    errors.ResourceInUse: lambda error, find: faults.ResourceInUse(
        type=error.arguments.get("type"), name=error.arguments.get("name")
    ),
    errors.NoPermission: _permission,
    errors.EncryptionKeyRequired: _keys,
    errors.KeyNotUsable: lambda error, find: faults.InvalidState(),
    errors.HostUnreachable: lambda error, find: faults.HostNotConnected(),
    errors.NoSpace: lambda error, find: faults.NoDiskSpace(file="", datastore=""),
    errors.InternalFault: lambda error, find: faults.SystemError(reason=error.message),
    errors.VSphereError: lambda error, find: faults.RuntimeFault(),
}
"""vCenter's own failures to faults; the nearest base class decides."""


def fault_of(error: errors.VSphereError, find: FindRef) -> Fault:
    """The fault for a failure of vCenter."""
    for kind in type(error).__mro__:
        make = _FAULTS.get(kind)
        if make is not None:
            return Fault(make(error, find), error.message)
    raise AssertionError("VSphereError itself is in the table")
