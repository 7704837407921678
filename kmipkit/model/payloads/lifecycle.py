"""The life cycle of an object: Activate, Revoke, Destroy, Archive, Recover, leases, usage, Check."""

from datetime import datetime
from typing import Annotated

from kmipkit.model.attributes import RevocationReason
from kmipkit.model.payloads.common import ObjectRequest, ObjectResponse
from kmipkit.model.structure import Structure, Wire, structure
from kmipkit.model.types import Identifier, Interval, LongInteger
from kmipkit.spec.enums import DeactivationReasonCode
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag


@structure()
class ActivateRequest(ObjectRequest):
    """Activate an object (1.4 §4.19, 2.1 §6.1.1)."""


@structure()
class ActivateResponse(ObjectResponse):
    """The activated object (1.4 §4.19, 2.1 §6.1.1)."""


@structure()
class RevokeRequest(Structure):
    """Revoke an object: deactivate it, or report it compromised (1.4 §4.20, 2.1 §6.1.44)."""

    unique_identifier: Annotated[Identifier | None, Wire(Tag.UNIQUE_IDENTIFIER)] = None
    revocation_reason: Annotated[RevocationReason, Wire(Tag.REVOCATION_REASON)]
    compromise_occurrence_date: Annotated[datetime | None, Wire(Tag.COMPROMISE_OCCURRENCE_DATE)] = (
        None
    )


@structure()
class RevokeResponse(ObjectResponse):
    """The revoked object (1.4 §4.20, 2.1 §6.1.44)."""


@structure()
class DestroyRequest(ObjectRequest):
    """Destroy key material (1.4 §4.21, 2.1 §6.1.15)."""


@structure()
class DestroyResponse(ObjectResponse):
    """The destroyed object (1.4 §4.21, 2.1 §6.1.15)."""


@structure(Tag.DEACTIVATION_REASON)
class DeactivationReason(Structure):
    """The reason for a deactivation (3.0)."""

    deactivation_reason_code: Annotated[DeactivationReasonCode, Wire(Tag.DEACTIVATION_REASON_CODE)]
    deactivation_message: Annotated[str | None, Wire(Tag.DEACTIVATION_MESSAGE)] = None


@structure()
class DeactivateRequest(Structure):
    """Deactivate an object (3.0, from its tables of tags)."""

    unique_identifier: Annotated[Identifier | None, Wire(Tag.UNIQUE_IDENTIFIER)] = None
    deactivation_reason: Annotated[DeactivationReason | None, Wire(Tag.DEACTIVATION_REASON)] = None


@structure()
class DeactivateResponse(ObjectResponse):
    """The deactivated object."""


@structure()
class ObliterateRequest(ObjectRequest):
    """Destroy an object with all its attributes (3.0)."""


@structure()
class ObliterateResponse(Structure):
    """No fields (3.0): the object no longer exists, not even by its identifier."""


@structure()
class ArchiveRequest(ObjectRequest):
    """Archive an object (1.4 §4.22, 2.1 §6.1.4)."""


@structure()
class ArchiveResponse(ObjectResponse):
    """The archived object (1.4 §4.22, 2.1 §6.1.4)."""


@structure()
class RecoverRequest(ObjectRequest):
    """Recover an object from the archive (1.4 §4.23, 2.1 §6.1.42)."""


@structure()
class RecoverResponse(ObjectResponse):
    """The recovered object (1.4 §4.23, 2.1 §6.1.42)."""


@structure()
class ObtainLeaseRequest(ObjectRequest):
    """Obtain a lease, the time for which the client may use the object (1.4 §4.17, 2.1 §6.1.35)."""


@structure()
class ObtainLeaseResponse(Structure):
    """The lease in seconds, and when attributes last changed (1.4 §4.17, 2.1 §6.1.35)."""

    unique_identifier: Annotated[Identifier, Wire(Tag.UNIQUE_IDENTIFIER)]
    lease_time: Annotated[Interval, Wire(Tag.LEASE_TIME)]
    last_change_date: Annotated[datetime, Wire(Tag.LAST_CHANGE_DATE)]


@structure()
class GetUsageAllocationRequest(Structure):
    """Request an allocation of the usage limits (1.4 §4.18, 2.1 §6.1.23)."""

    unique_identifier: Annotated[Identifier | None, Wire(Tag.UNIQUE_IDENTIFIER)] = None
    usage_limits_count: Annotated[LongInteger, Wire(Tag.USAGE_LIMITS_COUNT)]


@structure()
class GetUsageAllocationResponse(ObjectResponse):
    """The object whose usage was allocated (1.4 §4.18, 2.1 §6.1.23)."""


@structure()
class CheckRequest(Structure):
    """Check whether a use of the object is permitted (1.4 §4.10, 2.1 §6.1.7)."""

    unique_identifier: Annotated[Identifier | None, Wire(Tag.UNIQUE_IDENTIFIER)] = None
    usage_limits_count: Annotated[LongInteger | None, Wire(Tag.USAGE_LIMITS_COUNT)] = None
    cryptographic_usage_mask: Annotated[
        CryptographicUsageMask | None, Wire(Tag.CRYPTOGRAPHIC_USAGE_MASK)
    ] = None
    lease_time: Annotated[Interval | None, Wire(Tag.LEASE_TIME)] = None


@structure()
class CheckResponse(Structure):
    """The object; on failure the denied values (1.4 §4.10, 2.1 §6.1.7)."""

    unique_identifier: Annotated[Identifier | None, Wire(Tag.UNIQUE_IDENTIFIER)] = None
    usage_limits_count: Annotated[LongInteger | None, Wire(Tag.USAGE_LIMITS_COUNT)] = None
    cryptographic_usage_mask: Annotated[
        CryptographicUsageMask | None, Wire(Tag.CRYPTOGRAPHIC_USAGE_MASK)
    ] = None
    lease_time: Annotated[Interval | None, Wire(Tag.LEASE_TIME)] = None
