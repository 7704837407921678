"""Generates the cases of the built-in suite that differ between versions in their form only.

    python tools/gen_suite.py [--check]

Each case is a list of steps, written once with the message classes; the files in
``conformance/kmipkit_conformance/suite`` are its encodings. ``--check`` writes nothing and fails if
a file would change.
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kmipkit.model.attribute import Attributes
from kmipkit.model.attributes import CryptographicParameters, Link, Name, RevocationReason
from kmipkit.model.codec import to_tree
from kmipkit.model.headers import ProtocolVersion, RequestHeader, ResponseHeader
from kmipkit.model.keyblock import KeyBlock, KeyValue
from kmipkit.model.messages import (
    RequestBatchItem,
    RequestMessage,
    ResponseBatchItem,
    ResponseMessage,
)
from kmipkit.model.objects import SecretData, SymmetricKey
from kmipkit.model.payloads import create, crypto, get, lifecycle, rekey
from kmipkit.model.payloads.asynchronous import CancelRequest, CancelResponse, PollRequest
from kmipkit.model.payloads.attributes import (
    GetAttributeListRequest,
    GetAttributesRequest,
    GetAttributesResponse,
)
from kmipkit.model.payloads.certify import (
    CertifyRequest,
    CertifyResponse,
    ValidateRequest,
    ValidateResponse,
)
from kmipkit.model.payloads.register import ExportRequest, RegisterRequest, RegisterResponse
from kmipkit.model.structure import Structure
from kmipkit.spec.enums import (
    AsynchronousIndicator,
    CancellationResult,
    CertificateType,
    CryptographicAlgorithm,
    DerivationMethod,
    HashingAlgorithm,
    KeyFormatType,
    LinkType,
    NameType,
    ObjectType,
    Operation,
    PaddingMethod,
    ResultReason,
    ResultStatus,
    RevocationReasonCode,
    SecretDataType,
    SplitKeyMethod,
    State,
    ValidityIndicator,
)
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.operations import BY_OPERATION
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_0, V1_1, V1_2, V1_3, V2_0, V3_0, VERSIONS, Version
from kmipkit.ttlv import xml

SUITE = Path(__file__).resolve().parent.parent / "conformance" / "kmipkit_conformance" / "suite"
NOW = datetime(1999, 12, 31, 23, 59, 59, tzinfo=UTC)
"""The value of ``$NOW``."""

A, M = CryptographicAlgorithm, CryptographicUsageMask


def symbol(name: str) -> bytes:
    """The bytes for a placeholder."""
    return f"${name}".encode()


SYMBOLS = (
    "ASYNCHRONOUS_CORRELATION_VALUE",
    "CORRELATION_VALUE",
    "SIGNATURE_DATA",
    "TICKET_VALUE",
)
LATER = symbol(SYMBOLS[0])


def uid(number: int) -> str:
    """The placeholder for an identifier."""
    return f"$UNIQUE_IDENTIFIER_{number}"


@dataclass(frozen=True)
class Step:
    """One operation and its response: a payload, or the reason for a failure."""

    operation: Operation
    request: Structure
    response: Structure | ResultReason | ResultStatus
    response_operation: Operation | None = None
    """The operation in the response, if it differs (Poll)."""
    asynchronous: bool = False
    """Whether the request is asynchronous, and its response Operation Pending."""


Steps = Callable[[Version], Iterator[Step]]


@dataclass(frozen=True)
class Case:
    """A case, its subject with the clause, and the first version that has it."""

    name: str
    about: str
    steps: Steps
    since: Version = V1_0


# --- steps that many cases have -------------------------------------------------------------------


def register_key(
    number: int,
    data: bytes,
    mask: M,
    algorithm: A = A.AES,
) -> Step:
    """Register a symmetric key."""
    block = KeyBlock(
        key_format_type=KeyFormatType.RAW,
        key_value=KeyValue(key_material=data),
        cryptographic_algorithm=algorithm,
        cryptographic_length=8 * len(data),
    )
    return Step(
        Operation.REGISTER,
        RegisterRequest(
            object_type=ObjectType.SYMMETRIC_KEY,
            attributes=Attributes.of((Tag.CRYPTOGRAPHIC_USAGE_MASK, mask)),
            object=SymmetricKey(key_block=block),
        ),
        RegisterResponse(unique_identifier=uid(number)),
    )


def activate_object(number: int) -> Step:
    """Activate an object."""
    return Step(
        Operation.ACTIVATE,
        lifecycle.ActivateRequest(unique_identifier=uid(number)),
        lifecycle.ActivateResponse(unique_identifier=uid(number)),
    )


def revoke_and_destroy(*numbers: int) -> Iterator[Step]:
    """Revoke and destroy active objects."""
    reason = RevocationReason(revocation_reason_code=RevocationReasonCode.CESSATION_OF_OPERATION)
    for number in numbers:
        yield Step(
            Operation.REVOKE,
            lifecycle.RevokeRequest(unique_identifier=uid(number), revocation_reason=reason),
            lifecycle.RevokeResponse(unique_identifier=uid(number)),
        )
        yield destroy_object(number)


def destroy_object(number: int) -> Step:
    """Destroy an object that was never active."""
    return Step(
        Operation.DESTROY,
        lifecycle.DestroyRequest(unique_identifier=uid(number)),
        lifecycle.DestroyResponse(unique_identifier=uid(number)),
    )


def check_attributes(number: int, *pairs: tuple[Tag, Any]) -> Step:
    """Check that the object has these attributes."""
    keys = tuple(dict.fromkeys(key for key, _ in pairs))
    return Step(
        Operation.GET_ATTRIBUTES,
        GetAttributesRequest(unique_identifier=uid(number), attribute_references=keys),
        GetAttributesResponse(unique_identifier=uid(number), attributes=Attributes.of(*pairs)),
    )


def check_key(number: int, data: bytes, bits: int) -> Step:
    """Check that the object is an AES key with these bytes."""
    block = KeyBlock(
        key_format_type=KeyFormatType.RAW,
        key_value=KeyValue(key_material=data),
        cryptographic_algorithm=A.AES,
        cryptographic_length=bits,
    )
    return Step(
        Operation.GET,
        get.GetRequest(unique_identifier=uid(number)),
        get.GetResponse(
            object_type=ObjectType.SYMMETRIC_KEY,
            unique_identifier=uid(number),
            object=SymmetricKey(key_block=block),
        ),
    )


# --- the cases ------------------------------------------------------------------------------------

HI = b"Hi There"
HI_CODE = bytes.fromhex("b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7")
ABC = bytes.fromhex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
KEY = bytes(range(16))
SHA_256 = CryptographicParameters(hashing_algorithm=HashingAlgorithm.SHA_256)
PKCS1 = SHA_256.replace(padding_method=PaddingMethod.PKCS1_V1_5)


def macs(version: Version) -> Iterator[Step]:
    """A code of RFC 4231, and one with a wrong first bit."""
    del version
    yield register_key(0, b"\x0b" * 20, M.MAC_GENERATE | M.MAC_VERIFY, A.HMAC_SHA256)
    yield activate_object(0)
    yield Step(
        Operation.MAC,
        crypto.MACRequest(unique_identifier=uid(0), data=HI),
        crypto.MACResponse(unique_identifier=uid(0), mac_data=HI_CODE),
    )
    wrong = bytes([HI_CODE[0] ^ 0x80]) + HI_CODE[1:]
    for code, verdict in (
        (HI_CODE, ValidityIndicator.VALID),
        (wrong, ValidityIndicator.INVALID),
    ):
        yield Step(
            Operation.MAC_VERIFY,
            crypto.MACVerifyRequest(unique_identifier=uid(0), data=HI, mac_data=code),
            crypto.MACVerifyResponse(unique_identifier=uid(0), validity_indicator=verdict),
        )
    yield from revoke_and_destroy(0)


def digests(version: Version) -> Iterator[Step]:
    """The example of FIPS 180-4 in one part, and from 1.3 on in three."""
    yield Step(
        Operation.HASH,
        crypto.HashRequest(cryptographic_parameters=SHA_256, data=b"abc"),
        crypto.HashResponse(data=ABC),
    )
    if version < V1_3:
        return
    value = symbol("CORRELATION_VALUE")
    going_on = crypto.HashResponse(correlation_value=value)
    parts = (
        ({"data": b"a", "init_indicator": True}, going_on),
        ({"data": b"b", "correlation_value": value}, going_on),
        (
            {"data": b"c", "correlation_value": value, "final_indicator": True},
            crypto.HashResponse(data=ABC),
        ),
    )
    for fields, response in parts:
        request = crypto.HashRequest(cryptographic_parameters=SHA_256, **fields)
        yield Step(Operation.HASH, request, response)


def random_bytes(version: Version) -> Iterator[Step]:
    """The requested number of random bytes."""
    del version
    yield Step(
        Operation.RNG_RETRIEVE,
        crypto.RNGRetrieveRequest(data_length=32),
        crypto.RNGRetrieveResponse(data=bytes(32)),
    )


def create_pair(private: M, public: M) -> Step:
    """Create an RSA pair as objects 0 and 1."""
    return Step(
        Operation.CREATE_KEY_PAIR,
        create.CreateKeyPairRequest(
            common_attributes=Attributes.of(
                (Tag.CRYPTOGRAPHIC_ALGORITHM, A.RSA), (Tag.CRYPTOGRAPHIC_LENGTH, 2048)
            ),
            private_key_attributes=Attributes.of((Tag.CRYPTOGRAPHIC_USAGE_MASK, private)),
            public_key_attributes=Attributes.of((Tag.CRYPTOGRAPHIC_USAGE_MASK, public)),
        ),
        create.CreateKeyPairResponse(
            private_key_unique_identifier=uid(0), public_key_unique_identifier=uid(1)
        ),
    )


def key_pair(version: Version) -> Iterator[Step]:
    """Both keys have the common and their own attributes, and links to each other."""
    del version
    yield create_pair(M.SIGN, M.VERIFY)
    halves = (
        (0, ObjectType.PRIVATE_KEY, M.SIGN, LinkType.PUBLIC_KEY_LINK),
        (1, ObjectType.PUBLIC_KEY, M.VERIFY, LinkType.PRIVATE_KEY_LINK),
    )
    for number, object_type, mask, link_type in halves:
        link = Link(link_type=link_type, linked_object_identifier=uid(1 - number))
        yield check_attributes(
            number,
            (Tag.OBJECT_TYPE, object_type),
            (Tag.CRYPTOGRAPHIC_ALGORITHM, A.RSA),
            (Tag.CRYPTOGRAPHIC_LENGTH, 2048),
            (Tag.CRYPTOGRAPHIC_USAGE_MASK, mask),
            (Tag.STATE, State.PRE_ACTIVE),
            (Tag.LINK, link),
        )
    yield destroy_object(0)
    yield destroy_object(1)


def signatures(version: Version) -> Iterator[Step]:
    """The public key verifies a signature of the private key, but not over other data."""
    del version
    yield create_pair(M.SIGN, M.VERIFY)
    yield activate_object(0)
    yield activate_object(1)
    signature = symbol("SIGNATURE_DATA")
    yield Step(
        Operation.SIGN,
        crypto.SignRequest(unique_identifier=uid(0), cryptographic_parameters=PKCS1, data=HI),
        crypto.SignResponse(unique_identifier=uid(0), signature_data=signature),
    )
    for data, verdict in ((HI, ValidityIndicator.VALID), (HI + b"!", ValidityIndicator.INVALID)):
        yield Step(
            Operation.SIGNATURE_VERIFY,
            crypto.SignatureVerifyRequest(
                unique_identifier=uid(1),
                cryptographic_parameters=PKCS1,
                data=data,
                signature_data=signature,
            ),
            crypto.SignatureVerifyResponse(unique_identifier=uid(1), validity_indicator=verdict),
        )
    yield from revoke_and_destroy(0, 1)


def derive_key(version: Version) -> Iterator[Step]:
    """PBKDF2 as in RFC 6070, and links in both directions."""
    del version
    secret = SecretData(
        secret_data_type=SecretDataType.PASSWORD,
        key_block=KeyBlock(
            key_format_type=KeyFormatType.OPAQUE, key_value=KeyValue(key_material=b"password")
        ),
    )
    yield Step(
        Operation.REGISTER,
        RegisterRequest(
            object_type=ObjectType.SECRET_DATA,
            attributes=Attributes.of((Tag.CRYPTOGRAPHIC_USAGE_MASK, M.DERIVE_KEY)),
            object=secret,
        ),
        RegisterResponse(unique_identifier=uid(0)),
    )
    yield activate_object(0)
    yield Step(
        Operation.DERIVE_KEY,
        rekey.DeriveKeyRequest(
            object_type=ObjectType.SYMMETRIC_KEY,
            unique_identifiers=(uid(0),),
            derivation_method=DerivationMethod.PBKDF2,
            derivation_parameters=rekey.DerivationParameters(salt=b"salt", iteration_count=4096),
            attributes=Attributes.of(
                (Tag.CRYPTOGRAPHIC_ALGORITHM, A.AES),
                (Tag.CRYPTOGRAPHIC_LENGTH, 128),
                (Tag.CRYPTOGRAPHIC_USAGE_MASK, M.ENCRYPT | M.DECRYPT),
            ),
        ),
        rekey.DeriveKeyResponse(unique_identifier=uid(1)),
    )
    yield check_key(1, bytes.fromhex("4b007901b765489abead49d926f721d0"), 128)
    for number, link_type in (
        (0, LinkType.DERIVED_KEY_LINK),
        (1, LinkType.DERIVATION_BASE_OBJECT_LINK),
    ):
        link = Link(link_type=link_type, linked_object_identifier=uid(1 - number))
        yield check_attributes(number, (Tag.LINK, link))
    yield destroy_object(1)
    yield from revoke_and_destroy(0)


def re_key(version: Version) -> Iterator[Step]:
    """The replacement has name, state and link; the old key has the opposite link."""
    major, minor = version
    name = Name(
        name_value=f"KIT-REKEY-{major}{minor}", name_type=NameType.UNINTERPRETED_TEXT_STRING
    )
    yield Step(
        Operation.CREATE,
        create.CreateRequest(
            object_type=ObjectType.SYMMETRIC_KEY,
            attributes=Attributes.of(
                (Tag.CRYPTOGRAPHIC_ALGORITHM, A.AES),
                (Tag.CRYPTOGRAPHIC_LENGTH, 256),
                (Tag.CRYPTOGRAPHIC_USAGE_MASK, M.ENCRYPT | M.DECRYPT),
                (Tag.NAME, name),
            ),
        ),
        create.CreateResponse(object_type=ObjectType.SYMMETRIC_KEY, unique_identifier=uid(0)),
    )
    yield activate_object(0)
    yield Step(
        Operation.RE_KEY,
        rekey.ReKeyRequest(unique_identifier=uid(0)),
        rekey.ReKeyResponse(unique_identifier=uid(1)),
    )
    back = Link(link_type=LinkType.REPLACED_OBJECT_LINK, linked_object_identifier=uid(0))
    forth = Link(link_type=LinkType.REPLACEMENT_OBJECT_LINK, linked_object_identifier=uid(1))
    yield check_attributes(1, (Tag.NAME, name), (Tag.STATE, State.ACTIVE), (Tag.LINK, back))
    yield check_attributes(0, (Tag.STATE, State.ACTIVE), (Tag.LINK, forth))
    yield from revoke_and_destroy(0, 1)


def split_key(version: Version) -> Iterator[Step]:
    """Two of three parts yield the key, one does not."""
    del version
    yield register_key(0, KEY, M.ENCRYPT | M.DECRYPT)
    yield Step(
        Operation.CREATE_SPLIT_KEY,
        create.CreateSplitKeyRequest(
            object_type=ObjectType.SPLIT_KEY,
            unique_identifier=uid(0),
            split_key_parts=3,
            split_key_threshold=2,
            split_key_method=SplitKeyMethod.POLYNOMIAL_SHARING_GF_2_16,
            attributes=Attributes(),
        ),
        create.CreateSplitKeyResponse(unique_identifiers=(uid(1), uid(2), uid(3))),
    )

    def join(*parts: int) -> create.JoinSplitKeyRequest:
        return create.JoinSplitKeyRequest(
            object_type=ObjectType.SYMMETRIC_KEY,
            unique_identifiers=tuple(uid(part) for part in parts),
            attributes=Attributes.of((Tag.CRYPTOGRAPHIC_USAGE_MASK, M.ENCRYPT)),
        )

    yield Step(
        Operation.JOIN_SPLIT_KEY, join(3, 1), create.JoinSplitKeyResponse(unique_identifier=uid(4))
    )
    yield check_key(4, KEY, 128)
    yield Step(Operation.JOIN_SPLIT_KEY, join(2), ResultReason.CRYPTOGRAPHIC_FAILURE)
    for number in range(5):
        yield destroy_object(number)


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
    yield register_key(0, KEY, M.ENCRYPT)
    yield Step(
        Operation.CHECK,
        lifecycle.CheckRequest(unique_identifier=uid(0), cryptographic_usage_mask=M.DECRYPT),
        reason(ResultReason.PERMISSION_DENIED, ResultReason.INCOMPATIBLE_CRYPTOGRAPHIC_USAGE_MASK),
    )
    yield activate_object(0)
    not_now = reason(ResultReason.PERMISSION_DENIED, ResultReason.WRONG_KEY_LIFECYCLE_STATE)
    yield Step(Operation.ACTIVATE, lifecycle.ActivateRequest(unique_identifier=uid(0)), not_now)
    yield Step(Operation.DESTROY, lifecycle.DestroyRequest(unique_identifier=uid(0)), not_now)
    yield from revoke_and_destroy(0)


def leases(version: Version) -> Iterator[Step]:
    """A lease is granted; an archived object must be recovered first."""
    archived = ResultReason.OBJECT_ARCHIVED
    yield register_key(0, KEY, M.ENCRYPT)
    yield activate_object(0)
    yield Step(
        Operation.ARCHIVE,
        lifecycle.ArchiveRequest(unique_identifier=uid(0)),
        lifecycle.ArchiveResponse(unique_identifier=uid(0)),
    )
    yield Step(Operation.GET, get.GetRequest(unique_identifier=uid(0)), archived)
    yield Step(Operation.DESTROY, lifecycle.DestroyRequest(unique_identifier=uid(0)), archived)
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
    )
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
            yield Step(operation, request, reason)


def asynchronous(version: Version) -> Iterator[Step]:
    """Poll returns the result of an asynchronous request once; it can be cancelled before it starts."""
    pending = ResultStatus.OPERATION_PENDING
    yield register_key(0, KEY, M.ENCRYPT)
    request = GetAttributesRequest(
        unique_identifier=uid(0), attribute_references=(Tag.CRYPTOGRAPHIC_LENGTH,)
    )
    yield Step(Operation.GET_ATTRIBUTES, request, pending, asynchronous=True)
    poll = PollRequest(asynchronous_correlation_value=LATER)
    seen = GetAttributesResponse(
        unique_identifier=uid(0),
        attributes=Attributes.of((Tag.CRYPTOGRAPHIC_LENGTH, 8 * len(KEY))),
    )
    yield Step(Operation.POLL, poll, seen, response_operation=Operation.GET_ATTRIBUTES)
    not_found = ResultReason.ITEM_NOT_FOUND
    if version >= V2_0:
        not_found = ResultReason.INVALID_ASYNCHRONOUS_CORRELATION_VALUE
    yield Step(Operation.POLL, poll, not_found)
    destroy = lifecycle.DestroyRequest(unique_identifier=uid(0))
    yield Step(Operation.DESTROY, destroy, pending, asynchronous=True)
    yield Step(
        Operation.CANCEL,
        CancelRequest(asynchronous_correlation_value=LATER),
        CancelResponse(
            asynchronous_correlation_value=LATER, cancellation_result=CancellationResult.CANCELED
        ),
    )
    yield check_key(0, KEY, 8 * len(KEY))
    yield destroy_object(0)


def certify(version: Version) -> Iterator[Step]:
    """A certificate for a key in the server; both have links."""
    attributes = Attributes.of(
        (Tag.CRYPTOGRAPHIC_ALGORITHM, A.ECDSA), (Tag.CRYPTOGRAPHIC_LENGTH, 256)
    )
    yield Step(
        Operation.CREATE_KEY_PAIR,
        create.CreateKeyPairRequest(
            common_attributes=attributes,
            private_key_attributes=Attributes.of((Tag.CRYPTOGRAPHIC_USAGE_MASK, M.SIGN)),
            public_key_attributes=Attributes.of((Tag.CRYPTOGRAPHIC_USAGE_MASK, M.VERIFY)),
        ),
        create.CreateKeyPairResponse(
            private_key_unique_identifier=uid(0), public_key_unique_identifier=uid(1)
        ),
    )
    yield Step(
        Operation.CERTIFY,
        CertifyRequest(
            unique_identifier=uid(1),
            attributes=Attributes.of((Tag.CERTIFICATE_TYPE, CertificateType.X_509)),
        ),
        CertifyResponse(unique_identifier=uid(2)),
    )
    to_key = Link(link_type=LinkType.PUBLIC_KEY_LINK, linked_object_identifier=uid(1))
    to_certificate = Link(link_type=LinkType.CERTIFICATE_LINK, linked_object_identifier=uid(2))
    yield check_attributes(2, (Tag.OBJECT_TYPE, ObjectType.CERTIFICATE), (Tag.LINK, to_key))
    yield check_attributes(1, (Tag.LINK, to_certificate))
    yield Step(
        Operation.VALIDATE,
        ValidateRequest(unique_identifiers=(uid(2),)),
        ValidateResponse(validity_indicator=ValidityIndicator.VALID),
    )
    for number in (2, 1, 0):
        yield destroy_object(number)
    assert version


CASES = (
    Case("LEASE", "Leases, Archive and Recover (KMIP 1.4 §4.17, §4.22, §4.23).", leases),
    Case("MISSING", "Objects that do not exist (KMIP 1.4 §11, KMIP 2.1 §6.1).", missing_objects),
    Case("ASYNC", "Asynchronous requests: Poll and Cancel (KMIP 1.4 §4.27, §4.28).", asynchronous),
    Case("CERTIFY", "A certificate and its links (KMIP 1.4 §4.7, §4.24).", certify, V1_1),
    Case("MAC", "Codes of RFC 4231 §4.2 (KMIP 1.4 §4.33, §4.34).", macs, V1_2),
    Case("HASH", "SHA-256 of FIPS 180-4 (KMIP 1.4 §4.37).", digests, V1_2),
    Case("RNG", "Random bytes (KMIP 1.4 §4.35).", random_bytes, V1_2),
    Case("PAIR", "A key pair, its attributes and links (KMIP 1.4 §4.2).", key_pair),
    Case("SIGN", "Signatures by a new RSA pair (KMIP 1.4 §4.31, §4.32).", signatures, V1_2),
    Case("DERIVE", "PBKDF2 of RFC 6070, and links (KMIP 1.4 §4.6).", derive_key),
    Case("REKEY", "A replacement key has name and state of the old one (KMIP 1.4 §4.4).", re_key),
    Case("REASONS", "Result Reasons of failures (KMIP 1.4 §11, KMIP 2.1 §6.1).", reasons),
    Case(
        "SPLIT",
        "A key in three parts with a threshold of two (KMIP 1.4 §4.38, §4.39).",
        split_key,
        V1_2,
    ),
)


# --- files ----------------------------------------------------------------------------------------


def messages(step: Step, version: Version) -> tuple[RequestMessage, ResponseMessage]:
    """The request and response of a step."""
    protocol_version = ProtocolVersion.of(version)
    count = 1 if version < V3_0 else None
    indicator = (
        (True if version < V2_0 else AsynchronousIndicator.MANDATORY) if step.asynchronous else None
    )
    request = RequestMessage(
        request_header=RequestHeader(
            protocol_version=protocol_version, batch_count=count, asynchronous_indicator=indicator
        ),
        batch_items=(RequestBatchItem(operation=step.operation, request_payload=step.request),),
    )
    operation = step.response_operation or step.operation
    if isinstance(step.response, ResultStatus):
        item = ResponseBatchItem(
            operation=operation,
            result_status=step.response,
            asynchronous_correlation_value=LATER,
        )
    elif isinstance(step.response, ResultReason):
        item = ResponseBatchItem(
            operation=operation,
            result_status=ResultStatus.OPERATION_FAILED,
            result_reason=step.response,
        )
    else:
        item = ResponseBatchItem(
            operation=operation,
            result_status=ResultStatus.SUCCESS,
            response_payload=step.response,
        )
    header = ResponseHeader(protocol_version=protocol_version, time_stamp=NOW, batch_count=count)
    return request, ResponseMessage(response_header=header, batch_items=(item,))


def case_text(case: Case, version: Version) -> str:
    """The file of a case in a version."""
    parts = [
        xml.dump(to_tree(message, version))
        for step in case.steps(version)
        for message in messages(step, version)
    ]
    text = (
        f"<!-- {case.about} Generated by tools/gen_suite.py. -->\n<KMIP>\n{''.join(parts)}</KMIP>\n"
    )
    text = text.replace(f'"{NOW.isoformat()}"', '"$NOW"')
    for name in SYMBOLS:
        text = text.replace(f'"{symbol(name).hex()}"', f'"${name}"')
    return text


def files() -> Iterator[tuple[Path, str]]:
    """Every file and its content."""
    for case in CASES:
        for version in VERSIONS:
            if version >= case.since:
                major, minor = version
                path = SUITE / str(version) / f"KIT-{case.name}-{major}{minor}.xml"
                yield path, case_text(case, version)


def main() -> int:
    """Write the files; with --check, report files that differ."""
    check = "--check" in sys.argv[1:]
    stale = []
    for path, text in files():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(path)
            if not check:
                path.write_text(text, encoding="utf-8")
    if check and stale:
        print(f"{len(stale)} cases are out of date, such as {stale[0]}; run tools/gen_suite.py")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
