"""Faults of the vSphere roles, named as the vSphere API names them.

Every fault has a name on the wire (its class name) and plain-text arguments, so that what
the host raises reaches the caller of vCenter as the same class. :data:`FAULTS` is the one table
between both.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from kmipkit.errors import KMIPError
from kmipkit_vsphere.model.keys import CryptoKeyId


class VSphereError(KMIPError):
    """A call to the vCenter or host role failed; ``arguments`` are JSON values, never key bytes."""

    def __init__(self, message: str, **arguments: Any) -> None:
        super().__init__(message)
        self.message = message
        self.arguments = arguments


class InvalidArgument(VSphereError):
    """A parameter is missing, malformed or names something that cannot be used here."""


class InvalidState(VSphereError):
    """The host or machine is not in a state that allows the call (vsphere.md §6)."""


class InvalidPowerState(InvalidState):
    """The machine is powered on or off, and the call needs the other; ``is_on`` says which."""


class AlreadyExists(VSphereError):
    """Another object of this name exists already."""


class NotFound(VSphereError):
    """No host, machine, provider or server of this name."""


class ResourceInUse(VSphereError):
    """The key is used by a machine, and removal was not forced."""


class NoPermission(VSphereError):
    """The caller's certificate does not entitle it to the call."""


class EncryptionKeyRequired(VSphereError):
    """A machine is locked: ``required_key`` lists the keys that the host lacks."""

    def __init__(self, message: str, *, required_key: list[CryptoKeyId]) -> None:
        super().__init__(message, required_key=required_key)
        self.required_key = required_key


class KeyProviderError(VSphereError):
    """The key provider cannot carry out the call; the message names server and reason."""


class KeyServerUnreachable(KeyProviderError):
    """No server of the provider could be reached, or the connection broke."""


class ServerNotTrusted(KeyServerUnreachable):
    """The key server's certificate is not one that vCenter trusts (``clientTrustServer``)."""


class ClientNotTrusted(KeyServerUnreachable):
    """The key server does not accept vCenter's certificate (``serverTrustClient``)."""


class KeyNotUsable(KeyProviderError):
    """The state of the key on the key server forbids its use (vsphere.md §2.4)."""


class HostUnreachable(VSphereError):
    """The host role does not answer."""


class DamagedData(VSphereError):
    """A locked bundle, descriptor or disk is truncated, altered or locked by another key."""


class NoSpace(VSphereError):
    """The datastore is full; the operation was undone or can be continued."""


class MigrationBroken(VSphereError):
    """A migration ended before its time: the connection broke, or its packets were altered."""


class AttestationFailed(VSphereError):
    """A host does not meet the conditions for trust; the message says which."""


class NotAttested(VSphereError):
    """A key was requested without a valid token."""


class RPCError(VSphereError):
    """The channel between two roles broke, or the peer violates the protocol."""


class InternalFault(VSphereError):
    """A defect in the called role; see its log."""


FAULTS: Mapping[str, type[VSphereError]] = MappingProxyType(
    {
        cls.__name__: cls
        for cls in (
            InvalidArgument,
            InvalidState,
            InvalidPowerState,
            AlreadyExists,
            NotFound,
            ResourceInUse,
            NoPermission,
            EncryptionKeyRequired,
            KeyProviderError,
            KeyServerUnreachable,
            ServerNotTrusted,
            ClientNotTrusted,
            KeyNotUsable,
            NoSpace,
            MigrationBroken,
            AttestationFailed,
            NotAttested,
            HostUnreachable,
            DamagedData,
            RPCError,
            InternalFault,
        )
    }
)
"""Name on the wire to class."""


def fault_from(name: str, message: str, arguments: Mapping[str, Any]) -> VSphereError:
    """The exception for a fault received from a peer; unknown names become plain errors."""
    kind = FAULTS.get(name, VSphereError)
    if kind is not EncryptionKeyRequired:
        return kind(message, **arguments)
    try:
        keys = msgspec.convert(arguments.get("required_key"), list[CryptoKeyId])
    except msgspec.ValidationError:  # the peer's arguments are not those of this fault
        return VSphereError(message)
    return EncryptionKeyRequired(message, required_key=keys)
