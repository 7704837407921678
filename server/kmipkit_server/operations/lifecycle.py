"""Activate, Revoke, Destroy, Archive, Recover and their like: operations on an object's state."""

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
from kmipkit_server.objects.access import forget_results, load_for_change, save
from kmipkit_server.objects.foreign_values import require_storable
from kmipkit_server.objects.managed import Managed

_STATELESS = frozenset({ObjectType.TEMPLATE})
"""Objects that have no State (KMIP 1.4 §3.22, Errata 01)."""


def _load_stateful(call: Call, identifier: object) -> Managed:
    managed = load_for_change(call, identifier)
    if managed.object_type in _STATELESS:
        raise OperationError(
            ResultReason.ILLEGAL_OPERATION,
            "a Template has no State, so it cannot be activated, deactivated or revoked",
        )
    return managed


def activate(call: Call, request: ActivateRequest) -> ActivateResponse:
    """Activate an object now (KMIP 1.4 §4.19)."""
    managed = _load_stateful(call, request.unique_identifier)
    changed = managed.after(Event.ACTIVATE).with_attribute(Tag.ACTIVATION_DATE, call.now)
    save(call, managed, changed)
    return ActivateResponse(unique_identifier=call.returns(managed.id))


def revoke(call: Call, request: RevokeRequest) -> RevokeResponse:
    """Deactivate an object, or mark it compromised (KMIP 1.4 §4.20)."""
    managed = _load_stateful(call, request.unique_identifier)
    reason = request.revocation_reason
    require_storable(reason, call.version)
    occurrence = request.compromise_occurrence_date
    is_compromised = reason.revocation_reason_code in COMPROMISES
    if occurrence is not None and not is_compromised:
        raise OperationError(
            ResultReason.INVALID_FIELD,
            "Compromise Occurrence Date is allowed only with the Revocation Reason Key Compromise"
            " or CA Compromise",
        )
    changed = managed.after(revocation_event(reason.revocation_reason_code))
    changed = changed.with_attribute(Tag.REVOCATION_REASON, reason)
    if is_compromised:
        # Without a date, the object may have been compromised from the start (KMIP 1.4 §3.29).
        occurrence = occurrence or managed.get(Tag.INITIAL_DATE)
        changed = changed.with_attribute(Tag.COMPROMISE_DATE, call.now)
        changed = changed.with_attribute(Tag.COMPROMISE_OCCURRENCE_DATE, occurrence)
    else:
        changed = changed.with_attribute(Tag.DEACTIVATION_DATE, call.now)
    save(call, managed, changed)
    return RevokeResponse(unique_identifier=call.returns(managed.id))


def destroy(call: Call, request: DestroyRequest) -> DestroyResponse:
    """Destroy the key material and keep the attributes (KMIP 1.4 §4.21, KMIP 2.1 §6.1.15)."""
    managed = load_for_change(call, request.unique_identifier)
    if managed.object_type in _STATELESS and managed.state is State.PRE_ACTIVE:
        changed = managed.with_state(State.DESTROYED)
    else:
        changed = managed.after(Event.DESTROY)
    changed = changed.with_attribute(Tag.DESTROY_DATE, call.now).without_material()
    save(call, managed, changed)
    forget_results(call, managed.id)
    return DestroyResponse(unique_identifier=call.returns(managed.id))


def deactivate(call: Call, request: DeactivateRequest) -> DeactivateResponse:
    """Deactivate an object now (3.0), as Revoke does for a reason other than a compromise."""
    managed = _load_stateful(call, request.unique_identifier)
    changed = managed.after(Event.REVOKE).with_attribute(Tag.DEACTIVATION_DATE, call.now)
    save(call, managed, changed)
    return DeactivateResponse(unique_identifier=call.returns(managed.id))


def obliterate(call: Call, request: ObliterateRequest) -> ObliterateResponse:
    """Delete an object with its attributes (3.0), if it is destroyed or may be destroyed."""
    managed = load_for_change(call, request.unique_identifier)
    if managed.state not in DESTROYED_STATES and managed.object_type not in _STATELESS:
        managed.after(Event.DESTROY)  # refuses what Destroy would refuse, such as an Active key
    call.transaction.remove(managed.record)
    forget_results(call, managed.id)
    return ObliterateResponse()


def archive(call: Call, request: ArchiveRequest) -> ArchiveResponse:
    """Archive an object until it is recovered (KMIP 1.4 §4.22); this takes effect at once."""
    managed = load_for_change(call, request.unique_identifier)
    managed.require_alive()
    save(call, managed, managed.with_attribute(Tag.ARCHIVE_DATE, call.now))
    return ArchiveResponse(unique_identifier=call.returns(managed.id))


def recover(call: Call, request: RecoverRequest) -> RecoverResponse:
    """Recover an archived object; for any other this does nothing (KMIP 1.4 §4.23)."""
    managed = load_for_change(call, request.unique_identifier)
    if managed.record.is_archived:
        save(call, managed, managed.with_attribute(Tag.ARCHIVE_DATE, None))
    return RecoverResponse(unique_identifier=call.returns(managed.id))
