"""The faults that the endpoint raises, by the names of the API."""

from collections.abc import Sequence
from typing import Annotated

from kmipkit_vsphere.web_services.vim25.basics import MethodFault
from kmipkit_vsphere.web_services.vim25.declaration import DataObject, Ref, Since
from kmipkit_vsphere.web_services.vim25.keys import CryptoKeyId
from kmipkit_vsphere.web_services.vim25.states import VirtualMachinePowerState


class RuntimeFault(MethodFault):
    """A fault that any method may raise, and the kind of all that have no type of their own."""


class VimFault(MethodFault):
    """A fault that methods declare."""


class InvalidRequest(RuntimeFault):
    """The request cannot be read."""


class MethodNotFound(InvalidRequest):
    receiver: Ref
    method: str


class ManagedObjectNotFound(RuntimeFault):
    obj: Ref


class NotSupported(RuntimeFault):
    """The laboratory, or this object, has no such operation."""


class RequestCanceled(RuntimeFault):
    """The call was cancelled by another one."""


class SystemError(RuntimeFault):  # noqa: A001 -- its name in the API
    reason: str


class SecurityError(RuntimeFault):
    """The caller may not do this."""


class InvalidArgument(RuntimeFault):
    invalid_property: str | None = None


class InvalidName(VimFault):
    name: str
    entity: Ref | None = None


class NoPermissionEntityPrivileges(DataObject, since="7.0.3.2"):
    entity: Ref
    privilege_ids: Sequence[str] = ()


class NoPermission(SecurityError):
    object: Ref | None = None
    privilege_id: str | None = None
    missing_privileges: Annotated[Sequence[NoPermissionEntityPrivileges], Since("7.0.3.2")] = ()


class NotAuthenticated(NoPermission):
    """The call needs a session."""


class InvalidProperty(MethodFault):
    name: str


class InvalidState(VimFault):
    """The object is not in a state that allows the call."""


class EncryptionKeyRequired(InvalidState, since="6.7"):
    required_key: Sequence[CryptoKeyId] = ()


class InvalidPowerState(InvalidState):
    requested_state: VirtualMachinePowerState | None = None
    existing_state: VirtualMachinePowerState


class AlreadyExists(VimFault):
    name: str | None = None


class DuplicateName(VimFault):
    name: str
    object: Ref


class NotFound(VimFault):
    """There is no such object."""


class InvalidLogin(VimFault):
    """The user name or the password is wrong."""


class ResourceInUse(VimFault):
    type: str | None = None
    name: str | None = None


class InvalidCollectorVersion(MethodFault):
    """The version is not one that this collector gave."""


class TaskInProgress(VimFault):
    task: Ref


class FileFault(VimFault):
    """A file cannot be used."""

    file: str


class FileNotFound(FileFault):
    """There is no such file."""


class InvalidDatastore(VimFault):
    datastore: Ref | None = None
    name: str | None = None


class InvalidDatastorePath(InvalidDatastore):
    datastore_path: str


class NoDiskSpace(FileFault):
    datastore: str


class HostCommunication(RuntimeFault):
    """A host does not answer."""


class HostNotConnected(HostCommunication):
    """A host is not connected."""
