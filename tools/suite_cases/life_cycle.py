"""Cases of failures, leases, archived objects and asynchronous requests."""

from collections.abc import Iterator

from kmipkit.model.attribute import Attributes
from kmipkit.model.payloads import crypto, get, lifecycle, rekey
from kmipkit.model.payloads.asynchronous import CancelRequest, CancelResponse, PollRequest
from kmipkit.model.payloads.attributes import (
    GetAttributeListRequest,
    GetAttributesRequest,
    GetAttributesResponse,
)
from kmipkit.model.payloads.register import ExportRequest
from kmipkit.spec.enums import (
    CancellationResult,
    Operation,
    ResultReason,
    ResultStatus,
)
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.operations import BY_OPERATION
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V2_0, V2_1, V3_0, Version
from suite_cases.steps import (
    CORRELATION_VALUE,
    KEY,
    NOW,
    Step,
    activate_object,
    check_key,
    destroy_object,
    register_key,
    revoke_and_destroy,
    uid,
)


def reasons(version: Version) -> Iterator[Step]:
    """Failures have the Result Reasons of the tables of 1.4 §11, or the more specific ones of 2.x."""

    def reason(old: ResultReason, new: ResultReason) -> ResultReason:
        return new if version >= V2_0 else old

    missing_objects = reason(ResultReason.ITEM_NOT_FOUND, ResultReason.OBJECT_NOT_FOUND)
    absent = "KIT-no-such-object"
    yield Step(Operation.GET, get.GetRequest(unique_identifier=absent), missing_objects)
    yield Step(
        Operation.ACTIVATE, lifecycle.ActivateRequest(unique_identifier=absent), missing_objects
    )
    yield Step(
        Operation.DESTROY, lifecycle.DestroyRequest(unique_identifier=absent), missing_objects
    )
    yield register_key(0, KEY, CryptographicUsageMask.ENCRYPT)
    yield Step(
        Operation.CHECK,
        lifecycle.CheckRequest(
            unique_identifier=uid(0), cryptographic_usage_mask=CryptographicUsageMask.DECRYPT
        ),
        reason(ResultReason.PERMISSION_DENIED, ResultReason.INCOMPATIBLE_CRYPTOGRAPHIC_USAGE_MASK),
    ).claiming("Check denies a use that the mask of the key lacks (KMIP 1.4 §4.10)")
    yield activate_object(0)
    not_now = reason(ResultReason.PERMISSION_DENIED, ResultReason.WRONG_KEY_LIFECYCLE_STATE)
    yield Step(
        Operation.ACTIVATE, lifecycle.ActivateRequest(unique_identifier=uid(0)), not_now
    ).claiming("only a Pre-Active object can be activated (KMIP 1.4 §4.19)")
    # The mandatory case AKLC-M-2 of 2.0 still expects the reason of 1.x.
    active = not_now if version >= V2_1 else ResultReason.PERMISSION_DENIED
    yield Step(
        Operation.DESTROY, lifecycle.DestroyRequest(unique_identifier=uid(0)), active
    ).claiming("an active object cannot be destroyed (KMIP 1.4 §4.21)")
    yield from revoke_and_destroy(0)


def leases(version: Version) -> Iterator[Step]:
    """A lease is granted; an archived object must be recovered first."""
    archived = ResultReason.OBJECT_ARCHIVED
    yield register_key(0, KEY, CryptographicUsageMask.ENCRYPT)
    yield activate_object(0)
    yield Step(
        Operation.ARCHIVE,
        lifecycle.ArchiveRequest(unique_identifier=uid(0)),
        lifecycle.ArchiveResponse(unique_identifier=uid(0)),
    )
    yield Step(Operation.GET, get.GetRequest(unique_identifier=uid(0)), archived).claiming(
        "an archived object cannot be read before it is recovered (KMIP 1.4 §4.22)"
    )
    yield Step(
        Operation.DESTROY, lifecycle.DestroyRequest(unique_identifier=uid(0)), archived
    ).claiming("an archived object cannot be destroyed before it is recovered (KMIP 1.4 §4.22)")
    yield Step(
        Operation.RECOVER,
        lifecycle.RecoverRequest(unique_identifier=uid(0)),
        lifecycle.RecoverResponse(unique_identifier=uid(0)),
    )
    yield Step(
        Operation.OBTAIN_LEASE,
        lifecycle.ObtainLeaseRequest(unique_identifier=uid(0)),
        lifecycle.ObtainLeaseResponse(
            unique_identifier=uid(0), lease_time=3600, last_change_date=NOW
        ),
    ).claiming("a lease has a Lease Time and the Last Change Date (KMIP 1.4 §4.17)")
    yield from revoke_and_destroy(0)
    assert version


def missing_objects(version: Version) -> Iterator[Step]:
    """Every operation about an object fails if the object does not exist."""
    reason = ResultReason.OBJECT_NOT_FOUND if version >= V2_0 else ResultReason.ITEM_NOT_FOUND
    absent = "KIT-no-such-object"
    for operation, request in (
        (Operation.GET_ATTRIBUTES, GetAttributesRequest(unique_identifier=absent)),
        (Operation.GET_ATTRIBUTE_LIST, GetAttributeListRequest(unique_identifier=absent)),
        (Operation.CHECK, lifecycle.CheckRequest(unique_identifier=absent)),
        (Operation.OBTAIN_LEASE, lifecycle.ObtainLeaseRequest(unique_identifier=absent)),
        (Operation.ARCHIVE, lifecycle.ArchiveRequest(unique_identifier=absent)),
        (Operation.RECOVER, lifecycle.RecoverRequest(unique_identifier=absent)),
        (Operation.RE_KEY, rekey.ReKeyRequest(unique_identifier=absent)),
        (
            Operation.GET_USAGE_ALLOCATION,
            lifecycle.GetUsageAllocationRequest(unique_identifier=absent, usage_limits_count=1),
        ),
        (Operation.ENCRYPT, crypto.EncryptRequest(unique_identifier=absent, data=b"x")),
        (Operation.DECRYPT, crypto.DecryptRequest(unique_identifier=absent, data=b"x")),
        (Operation.SIGN, crypto.SignRequest(unique_identifier=absent, data=b"x")),
        (Operation.MAC, crypto.MACRequest(unique_identifier=absent, data=b"x")),
        (Operation.EXPORT, ExportRequest(unique_identifier=absent)),
        (Operation.DEACTIVATE, lifecycle.DeactivateRequest(unique_identifier=absent)),
        (Operation.OBLITERATE, lifecycle.ObliterateRequest(unique_identifier=absent)),
    ):
        if BY_OPERATION[operation].known_in(version):
            # As the official case BL-M-20 of 3.0 expects of Get Attributes.
            is_exception = version >= V3_0 and operation is Operation.GET_ATTRIBUTES
            expected = ResultReason.ITEM_NOT_FOUND if is_exception else reason
            yield Step(operation, request, expected).claiming(
                "an operation on an object that does not exist fails with the reason for that"
                " (KMIP 1.4 §11, KMIP 2.1 §6.1)"
            )


def asynchronous(version: Version) -> Iterator[Step]:
    """Poll returns the result of an asynchronous request once; it can be canceled before it starts."""
    pending = ResultStatus.OPERATION_PENDING
    yield register_key(0, KEY, CryptographicUsageMask.ENCRYPT)
    request = GetAttributesRequest(
        unique_identifier=uid(0), attribute_references=(Tag.CRYPTOGRAPHIC_LENGTH,)
    )
    yield Step(Operation.GET_ATTRIBUTES, request, pending, asynchronous=True).claiming(
        "an asynchronous request is answered with Operation Pending (KMIP 1.4 §6.7, KMIP 2.1 §9.1)"
    )
    poll = PollRequest(asynchronous_correlation_value=CORRELATION_VALUE)
    result = GetAttributesResponse(
        unique_identifier=uid(0),
        attributes=Attributes.of((Tag.CRYPTOGRAPHIC_LENGTH, 8 * len(KEY))),
    )
    yield Step(Operation.POLL, poll, result, response_operation=Operation.GET_ATTRIBUTES).claiming(
        "Poll returns the response of the operation, once it is completed (KMIP 1.4 §4.28)"
    )
    not_found = ResultReason.ITEM_NOT_FOUND
    if version >= V2_0:
        not_found = ResultReason.INVALID_ASYNCHRONOUS_CORRELATION_VALUE
    yield Step(Operation.POLL, poll, not_found).claiming(
        "a result that was returned is not there any more (KMIP 1.4 §4.28)"
    )
    destroy = lifecycle.DestroyRequest(unique_identifier=uid(0))
    yield Step(Operation.DESTROY, destroy, pending, asynchronous=True)
    yield Step(
        Operation.CANCEL,
        CancelRequest(asynchronous_correlation_value=CORRELATION_VALUE),
        CancelResponse(
            asynchronous_correlation_value=CORRELATION_VALUE,
            cancellation_result=CancellationResult.CANCELED,
        ),
    ).claiming("an operation that has not begun can be canceled (KMIP 1.4 §4.27)")
    yield check_key(0, KEY, 8 * len(KEY)).claiming(
        "a canceled Destroy destroys nothing (KMIP 1.4 §4.27)"
    )
    yield destroy_object(0)
