"""Loading and saving objects for one operation: identifiers, permissions and storage status.

Loading resolves the identifier (or the ID Placeholder), asks the policy and refuses objects that do
not exist, in one place for all operations.
"""

from types import MappingProxyType
from typing import Any

from kmipkit.errors import OperationError
from kmipkit.spec.enums import ObjectType, Operation, ResultReason
from kmipkit.spec.tags import Tag
from kmipkit_server.engine import permission
from kmipkit_server.engine.asynchronous import AsynchronousRequests
from kmipkit_server.engine.call import Call
from kmipkit_server.engine.multipart import KeyedPart
from kmipkit_server.identity.directory import account_name
from kmipkit_server.objects.managed import Managed
from kmipkit_server.objects.protection import with_history
from kmipkit_server.policy.actions import Action, KeyUse


def load(call: Call, identifier: object, action: Action | None = None) -> Managed:
    """The object that a request names.

    ``action`` is what the operation does with it, if it is not the object of the operation.

    Raises OperationError: Object Not Found, Permission Denied by the policy, or Object Archived:
    "any archived object SHALL first be made available by a Recover operation" (KMIP 1.4 §4).
    """
    unique_identifier = call.resolve(identifier)
    record = call.store.get(unique_identifier)
    if record is None:
        # Without an object, the revision did not come with it; see engine/permission.
        permission.documents_in_force(call)
        call.not_found(unique_identifier)
    permission.require(call, record, action)
    call.has_loaded = True
    if record.is_archived and call.operation is not Operation.RECOVER:
        raise OperationError(
            ResultReason.OBJECT_ARCHIVED, "the object is archived; recover it first"
        )
    return Managed(record, call.now)


_OF_WRAPPING = MappingProxyType(
    {
        ResultReason.OBJECT_NOT_FOUND: ResultReason.WRAPPING_OBJECT_NOT_FOUND,
        ResultReason.OBJECT_ARCHIVED: ResultReason.WRAPPING_OBJECT_ARCHIVED,
        ResultReason.OBJECT_DESTROYED: ResultReason.WRAPPING_OBJECT_DESTROYED,
    }
)
"""The reasons for a key that wraps another object, or authenticates it (KMIP 2.1 §11.46)."""


def load_wrapping_key(call: Call, identifier: object, name: str, use: KeyUse) -> Managed:
    """Like :func:`load`, for a key that wraps or unwraps; it must not be destroyed."""
    try:
        managed = load(call, identifier, use)
        managed.require_alive()
    except OperationError as error:
        reason = _OF_WRAPPING.get(error.reason)
        if reason is None:
            raise
        raise OperationError(reason, f"the {name} cannot be used: {error.message}") from None
    return managed


def load_for_change(call: Call, identifier: object) -> Managed:
    """Like :func:`load`, inside the transaction that will change the object."""
    assert call.transaction
    return load(call, identifier)


def load_for_use(call: Call, request: KeyedPart) -> tuple[Managed, Any]:
    """The key of a cryptographic operation, and the computation that the request continues.

    The computation is None for the first part of several and for a single part. A later part need
    not name the key again, and may not name another one.
    """
    if request.correlation_value is None:
        return load(call, request.unique_identifier), None
    # What has changed meanwhile must show before the computation goes on, which cannot be undone.
    permission.documents_in_force(call)
    computation = call.resume(request)
    managed = load(call, request.unique_identifier or computation.identifier)
    if managed.id != computation.identifier:
        raise OperationError(
            ResultReason.INVALID_CORRELATION_VALUE,
            "the Correlation Value belongs to an operation with another key",
        )
    return managed, computation.context


def save(call: Call, old: Managed, new: Managed) -> None:
    """Write a changed object, with the Last Change Date of now (KMIP 1.4 §3.38)."""
    changed = with_history(new).with_attribute(Tag.LAST_CHANGE_DATE, call.now)
    record = changed.record
    if record.object_type is ObjectType.USER:
        _require_name(changed)
        if record.material == b"":
            # A user of an earlier server, whose account must not follow from the Name any longer.
            record = record.replace(material=account_name(old.record).encode())
    permission.require_change(call, old.record, record)
    call.transaction.update(old.record, record)


def forget_results(call: Call, identifier: str) -> None:
    """Remove an object that is destroyed from the results of asynchronous requests, too."""
    AsynchronousRequests(call.transaction, call.now).forget_object(identifier)


def _require_name(user: Managed) -> None:
    """Refuse a user without a name, with which nobody could log in; no change makes one."""
    names = user.attributes.all(Tag.NAME)
    if not names or not all(name.name_value for name in names):
        raise OperationError(
            ResultReason.INVALID_FIELD, "a user needs a Name, which cannot be empty"
        )
