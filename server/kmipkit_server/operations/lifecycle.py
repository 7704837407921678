"""Activate, Revoke, Destroy, Archive, Recover: the operations that move an object through its life."""

from kmipkit.errors import OperationError
from kmipkit.lifecycle import COMPROMISES, DESTROYED_STATES, Event, revocation_event
from kmipkit.model.payloads.lifecycle import (
    ActivateRequest,
    ActivateResponse,
    ArchiveRequest,
    ArchiveResponse,
    DeactivateRequest,
    DeactivateResponse,
    DestroyRequest,
    DestroyResponse,
    ObliterateRequest,
    ObliterateResponse,
    RecoverRequest,
    RecoverResponse,
    RevokeRequest,
    RevokeResponse,
)
from kmipkit.spec.enums import ObjectType, ResultReason, State
from kmipkit.spec.tags import Tag
from kmipkit_server.engine.call import Call
from kmipkit_server.objects.access import load_for_change, save
from kmipkit_server.objects.managed import Managed

_WITHOUT_LIFE = frozenset({ObjectType.TEMPLATE})
"""Objects that have no State (KMIP 1.4 §3.22, Errata 01)."""


def _living(managed: Managed) -> Managed:
    if managed.object_type in _WITHOUT_LIFE:
        raise OperationError(
            ResultReason.ILLEGAL_OPERATION, "a Template is neither activated nor revoked"
        )
    return managed


def activate(call: Call, request: ActivateRequest) -> ActivateResponse:
    """Make an object active now (KMIP 1.4 §4.19)."""
    managed = _living(load_for_change(call, request.unique_identifier))
    changed = managed.after(Event.ACTIVATE).with_attribute(Tag.ACTIVATION_DATE, call.now)
    save(call, managed, changed)
    return ActivateResponse(unique_identifier=call.returns(managed.id))


def revoke(call: Call, request: RevokeRequest) -> RevokeResponse:
    """Deactivate an object, or mark it compromised (KMIP 1.4 §4.20)."""
    managed = _living(load_for_change(call, request.unique_identifier))
    reason = request.revocation_reason
    occurrence = request.compromise_occurrence_date
    compromised = reason.revocation_reason_code in COMPROMISES
    if occurrence is not None and not compromised:
        raise OperationError(
            ResultReason.INVALID_FIELD,
            "Compromise Occurrence Date goes with a compromise as Revocation Reason",
        )
    changed = managed.after(revocation_event(reason.revocation_reason_code))
    changed = changed.with_attribute(Tag.REVOCATION_REASON, reason)
    if compromised:
        # Without a date of occurrence the object counts as compromised from the start.
        since = occurrence or managed.get(Tag.INITIAL_DATE)
        changed = changed.with_attribute(Tag.COMPROMISE_DATE, call.now)
        changed = changed.with_attribute(Tag.COMPROMISE_OCCURRENCE_DATE, since)
    else:
        changed = changed.with_attribute(Tag.DEACTIVATION_DATE, call.now)
    save(call, managed, changed)
    return RevokeResponse(unique_identifier=call.returns(managed.id))


def destroy(call: Call, request: DestroyRequest) -> DestroyResponse:
    """Destroy the key material; the attributes stay (KMIP 1.4 §4.21, 2.1 §6.1.15)."""
    managed = load_for_change(call, request.unique_identifier)
    if managed.object_type in _WITHOUT_LIFE and managed.state is State.PRE_ACTIVE:
        changed = managed.with_state(State.DESTROYED)
    else:
        changed = managed.after(Event.DESTROY)
    changed = changed.with_attribute(Tag.DESTROY_DATE, call.now).without_material()
    save(call, managed, changed)
    return DestroyResponse(unique_identifier=call.returns(managed.id))


def deactivate(call: Call, request: DeactivateRequest) -> DeactivateResponse:
    """Deactivate an object now (3.0), as Revoke does for a reason that is no compromise."""
    managed = _living(load_for_change(call, request.unique_identifier))
    changed = managed.after(Event.REVOKE).with_attribute(Tag.DEACTIVATION_DATE, call.now)
    save(call, managed, changed)
    return DeactivateResponse(unique_identifier=call.returns(managed.id))


def obliterate(call: Call, request: ObliterateRequest) -> ObliterateResponse:
    """Destroy an object so that not even its attributes stay (3.0); where Destroy could."""
    managed = load_for_change(call, request.unique_identifier)
    if managed.state not in DESTROYED_STATES and managed.object_type not in _WITHOUT_LIFE:
        managed.after(Event.DESTROY)
    call.transaction.remove(managed.record)
    return ObliterateResponse(unique_identifier=managed.id)


def archive(call: Call, request: ArchiveRequest) -> ArchiveResponse:
    """Put an object away until it is recovered (KMIP 1.4 §4.22); here that is done at once."""
    managed = load_for_change(call, request.unique_identifier)
    managed.require_alive()
    save(call, managed, managed.with_attribute(Tag.ARCHIVE_DATE, call.now))
    return ArchiveResponse(unique_identifier=call.returns(managed.id))


def recover(call: Call, request: RecoverRequest) -> RecoverResponse:
    """Bring an object back; one that was never away is there already (KMIP 1.4 §4.23)."""
    managed = load_for_change(call, request.unique_identifier)
    if managed.record.is_archived:
        save(call, managed, managed.with_attribute(Tag.ARCHIVE_DATE, None))
    return RecoverResponse(unique_identifier=call.returns(managed.id))
