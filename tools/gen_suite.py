"""Makes the cases of the tester's own suite that are alike in all versions but for their form.

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
"""Stands for ``$NOW``."""

A, M = CryptographicAlgorithm, CryptographicUsageMask


def symbol(name: str) -> bytes:
    """Stands for a placeholder in place of bytes."""
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
    """One operation, and its answer: a payload or why it fails."""

    operation: Operation
    request: Structure
    answer: Structure | ResultReason | ResultStatus
    answered_as: Operation | None = None
    """The operation that the answer names, where it is another one (Poll)."""
    put_off: bool = False
    """Whether the client can wait; the answer is then Operation Pending."""


Steps = Callable[[Version], Iterator[Step]]


@dataclass(frozen=True)
class Case:
    """A case, what it is about with the clause, and the first version that has it."""

    name: str
    about: str
    steps: Steps
    since: Version = V1_0


# --- steps that many cases have -------------------------------------------------------------------


def registered(
    number: int,
    data: bytes,
    mask: M,
    algorithm: A = A.AES,
) -> Step:
    """A symmetric key of the client's."""
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


def activated(number: int) -> Step:
    """From now on it may be used."""
    return Step(
        Operation.ACTIVATE,
        lifecycle.ActivateRequest(unique_identifier=uid(number)),
        lifecycle.ActivateResponse(unique_identifier=uid(number)),
    )


def ended(*numbers: int) -> Iterator[Step]:
    """Active objects revoked and destroyed."""
    reason = RevocationReason(revocation_reason_code=RevocationReasonCode.CESSATION_OF_OPERATION)
    for number in numbers:
        yield Step(
            Operation.REVOKE,
            lifecycle.RevokeRequest(unique_identifier=uid(number), revocation_reason=reason),
            lifecycle.RevokeResponse(unique_identifier=uid(number)),
        )
        yield destroyed(number)


def destroyed(number: int) -> Step:
    """An object that was never active goes at once."""
    return Step(
        Operation.DESTROY,
        lifecycle.DestroyRequest(unique_identifier=uid(number)),
        lifecycle.DestroyResponse(unique_identifier=uid(number)),
    )


def has(number: int, *pairs: tuple[Tag, Any]) -> Step:
    """The object has these attributes."""
    keys = tuple(dict.fromkeys(key for key, _ in pairs))
    return Step(
        Operation.GET_ATTRIBUTES,
        GetAttributesRequest(unique_identifier=uid(number), attribute_references=keys),
        GetAttributesResponse(unique_identifier=uid(number), attributes=Attributes.of(*pairs)),
    )


def got(number: int, data: bytes, bits: int) -> Step:
    """The object is an AES key of these bytes."""
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


def codes(version: Version) -> Iterator[Step]:
    """A code of RFC 4231, and one that differs in its first bit."""
    del version
    yield registered(0, b"\x0b" * 20, M.MAC_GENERATE | M.MAC_VERIFY, A.HMAC_SHA256)
    yield activated(0)
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
    yield from ended(0)


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
    for fields, answer in parts:
        request = crypto.HashRequest(cryptographic_parameters=SHA_256, **fields)
        yield Step(Operation.HASH, request, answer)


def random_bytes(version: Version) -> Iterator[Step]:
    """As many as are asked for."""
    del version
    yield Step(
        Operation.RNG_RETRIEVE,
        crypto.RNGRetrieveRequest(data_length=32),
        crypto.RNGRetrieveResponse(data=bytes(32)),
    )


def new_pair(private: M, public: M) -> Step:
    """An RSA pair as objects 0 and 1."""
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


def pair(version: Version) -> Iterator[Step]:
    """Both halves have what was asked of both and of each, and are linked to each other."""
    del version
    yield new_pair(M.SIGN, M.VERIFY)
    halves = (
        (0, ObjectType.PRIVATE_KEY, M.SIGN, LinkType.PUBLIC_KEY_LINK),
        (1, ObjectType.PUBLIC_KEY, M.VERIFY, LinkType.PRIVATE_KEY_LINK),
    )
    for number, object_type, mask, link_type in halves:
        link = Link(link_type=link_type, linked_object_identifier=uid(1 - number))
        yield has(
            number,
            (Tag.OBJECT_TYPE, object_type),
            (Tag.CRYPTOGRAPHIC_ALGORITHM, A.RSA),
            (Tag.CRYPTOGRAPHIC_LENGTH, 2048),
            (Tag.CRYPTOGRAPHIC_USAGE_MASK, mask),
            (Tag.STATE, State.PRE_ACTIVE),
            (Tag.LINK, link),
        )
    yield destroyed(0)
    yield destroyed(1)


def signatures(version: Version) -> Iterator[Step]:
    """What one half signs, the other verifies; other data it does not."""
    del version
    yield new_pair(M.SIGN, M.VERIFY)
    yield activated(0)
    yield activated(1)
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
    yield from ended(0, 1)


def derived(version: Version) -> Iterator[Step]:
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
    yield activated(0)
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
    yield got(1, bytes.fromhex("4b007901b765489abead49d926f721d0"), 128)
    for number, link_type in (
        (0, LinkType.DERIVED_KEY_LINK),
        (1, LinkType.DERIVATION_BASE_OBJECT_LINK),
    ):
        link = Link(link_type=link_type, linked_object_identifier=uid(1 - number))
        yield has(number, (Tag.LINK, link))
    yield destroyed(1)
    yield from ended(0)


def replaced(version: Version) -> Iterator[Step]:
    """The replacement has the name, the state and the link; the old key has the other link."""
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
    yield activated(0)
    yield Step(
        Operation.RE_KEY,
        rekey.ReKeyRequest(unique_identifier=uid(0)),
        rekey.ReKeyResponse(unique_identifier=uid(1)),
    )
    back = Link(link_type=LinkType.REPLACED_OBJECT_LINK, linked_object_identifier=uid(0))
    forth = Link(link_type=LinkType.REPLACEMENT_OBJECT_LINK, linked_object_identifier=uid(1))
    yield has(1, (Tag.NAME, name), (Tag.STATE, State.ACTIVE), (Tag.LINK, back))
    yield has(0, (Tag.STATE, State.ACTIVE), (Tag.LINK, forth))
    yield from ended(0, 1)


def split(version: Version) -> Iterator[Step]:
    """Two of three parts give the key again, one does not."""
    del version
    yield registered(0, KEY, M.ENCRYPT | M.DECRYPT)
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
    yield got(4, KEY, 128)
    yield Step(Operation.JOIN_SPLIT_KEY, join(2), ResultReason.CRYPTOGRAPHIC_FAILURE)
    for number in range(5):
        yield destroyed(number)


def reasons(version: Version) -> Iterator[Step]:
    """What fails says why: by the tables of 1.4 §11, and by the finer reasons of 2.x."""

    def why(old: ResultReason, new: ResultReason) -> ResultReason:
        return new if version >= V2_0 else old

    missing = why(ResultReason.ITEM_NOT_FOUND, ResultReason.OBJECT_NOT_FOUND)
    nobody = "KIT-no-such-object"
    yield Step(Operation.GET, get.GetRequest(unique_identifier=nobody), missing)
    yield Step(Operation.ACTIVATE, lifecycle.ActivateRequest(unique_identifier=nobody), missing)
    yield Step(Operation.DESTROY, lifecycle.DestroyRequest(unique_identifier=nobody), missing)
    yield registered(0, KEY, M.ENCRYPT)
    yield Step(
        Operation.CHECK,
        lifecycle.CheckRequest(unique_identifier=uid(0), cryptographic_usage_mask=M.DECRYPT),
        why(ResultReason.PERMISSION_DENIED, ResultReason.INCOMPATIBLE_CRYPTOGRAPHIC_USAGE_MASK),
    )
    yield activated(0)
    not_now = why(ResultReason.PERMISSION_DENIED, ResultReason.WRONG_KEY_LIFECYCLE_STATE)
    yield Step(Operation.ACTIVATE, lifecycle.ActivateRequest(unique_identifier=uid(0)), not_now)
    yield Step(Operation.DESTROY, lifecycle.DestroyRequest(unique_identifier=uid(0)), not_now)
    yield from ended(0)


def leases(version: Version) -> Iterator[Step]:
    """A lease is given, and an object that is put away must be brought back first."""
    archived = ResultReason.OBJECT_ARCHIVED
    yield registered(0, KEY, M.ENCRYPT)
    yield activated(0)
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
    yield from ended(0)
    assert version


def missing(version: Version) -> Iterator[Step]:
    """Every operation about an object refuses one that there is not."""
    reason = ResultReason.OBJECT_NOT_FOUND if version >= V2_0 else ResultReason.ITEM_NOT_FOUND
    nobody = "KIT-no-such-object"
    for operation, request in (
        (Operation.GET_ATTRIBUTES, GetAttributesRequest(unique_identifier=nobody)),
        (Operation.GET_ATTRIBUTE_LIST, GetAttributeListRequest(unique_identifier=nobody)),
        (Operation.CHECK, lifecycle.CheckRequest(unique_identifier=nobody)),
        (Operation.OBTAIN_LEASE, lifecycle.ObtainLeaseRequest(unique_identifier=nobody)),
        (Operation.ARCHIVE, lifecycle.ArchiveRequest(unique_identifier=nobody)),
        (Operation.RECOVER, lifecycle.RecoverRequest(unique_identifier=nobody)),
        (Operation.RE_KEY, rekey.ReKeyRequest(unique_identifier=nobody)),
        (
            Operation.GET_USAGE_ALLOCATION,
            lifecycle.GetUsageAllocationRequest(unique_identifier=nobody, usage_limits_count=1),
        ),
        (Operation.ENCRYPT, crypto.EncryptRequest(unique_identifier=nobody, data=b"x")),
        (Operation.DECRYPT, crypto.DecryptRequest(unique_identifier=nobody, data=b"x")),
        (Operation.SIGN, crypto.SignRequest(unique_identifier=nobody, data=b"x")),
        (Operation.MAC, crypto.MACRequest(unique_identifier=nobody, data=b"x")),
        (Operation.EXPORT, ExportRequest(unique_identifier=nobody)),
        (Operation.DEACTIVATE, lifecycle.DeactivateRequest(unique_identifier=nobody)),
        (Operation.OBLITERATE, lifecycle.ObliterateRequest(unique_identifier=nobody)),
    ):
        if BY_OPERATION[operation].known_in(version):
            yield Step(operation, request, reason)


def put_off(version: Version) -> Iterator[Step]:
    """What was put off is answered by a Poll, once, and can be given up before it is begun."""
    pending = ResultStatus.OPERATION_PENDING
    yield registered(0, KEY, M.ENCRYPT)
    look = GetAttributesRequest(
        unique_identifier=uid(0), attribute_references=(Tag.CRYPTOGRAPHIC_LENGTH,)
    )
    yield Step(Operation.GET_ATTRIBUTES, look, pending, put_off=True)
    poll = PollRequest(asynchronous_correlation_value=LATER)
    seen = GetAttributesResponse(
        unique_identifier=uid(0),
        attributes=Attributes.of((Tag.CRYPTOGRAPHIC_LENGTH, 8 * len(KEY))),
    )
    yield Step(Operation.POLL, poll, seen, answered_as=Operation.GET_ATTRIBUTES)
    gone = ResultReason.ITEM_NOT_FOUND
    if version >= V2_0:
        gone = ResultReason.INVALID_ASYNCHRONOUS_CORRELATION_VALUE
    yield Step(Operation.POLL, poll, gone)
    destroy = lifecycle.DestroyRequest(unique_identifier=uid(0))
    yield Step(Operation.DESTROY, destroy, pending, put_off=True)
    yield Step(
        Operation.CANCEL,
        CancelRequest(asynchronous_correlation_value=LATER),
        CancelResponse(
            asynchronous_correlation_value=LATER, cancellation_result=CancellationResult.CANCELED
        ),
    )
    yield got(0, KEY, 8 * len(KEY))
    yield destroyed(0)


def certified(version: Version) -> Iterator[Step]:
    """A certificate for a key of the server's; both are linked."""
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
    yield has(2, (Tag.OBJECT_TYPE, ObjectType.CERTIFICATE), (Tag.LINK, to_key))
    yield has(1, (Tag.LINK, to_certificate))
    yield Step(
        Operation.VALIDATE,
        ValidateRequest(unique_identifiers=(uid(2),)),
        ValidateResponse(validity_indicator=ValidityIndicator.VALID),
    )
    for number in (2, 1, 0):
        yield destroyed(number)
    assert version


CASES = (
    Case("LEASE", "Leases, Archive and Recover (KMIP 1.4 §4.17, §4.22, §4.23).", leases),
    Case("MISSING", "Objects that there are not (KMIP 1.4 §11, KMIP 2.1 §6.1).", missing),
    Case("ASYNC", "What is put off, polled, cancelled (KMIP 1.4 §4.27, §4.28).", put_off),
    Case("CERTIFY", "A certificate and its links (KMIP 1.4 §4.7, §4.24).", certified, V1_1),
    Case("MAC", "Codes of RFC 4231 §4.2 (KMIP 1.4 §4.33, §4.34).", codes, V1_2),
    Case("HASH", "SHA-256 of FIPS 180-4 (KMIP 1.4 §4.37).", digests, V1_2),
    Case("RNG", "Random bytes (KMIP 1.4 §4.35).", random_bytes, V1_2),
    Case("PAIR", "A key pair, its attributes and links (KMIP 1.4 §4.2).", pair),
    Case("SIGN", "Signatures by a new RSA pair (KMIP 1.4 §4.31, §4.32).", signatures, V1_2),
    Case("DERIVE", "PBKDF2 of RFC 6070, and links (KMIP 1.4 §4.6).", derived),
    Case("REKEY", "A replacement takes over name and state (KMIP 1.4 §4.4).", replaced),
    Case("REASONS", "Result Reasons of what is refused (KMIP 1.4 §11, KMIP 2.1 §6.1).", reasons),
    Case(
        "SPLIT",
        "A key in three parts of which two are enough (KMIP 1.4 §4.38, §4.39).",
        split,
        V1_2,
    ),
)


# --- files ----------------------------------------------------------------------------------------


def messages(step: Step, version: Version) -> tuple[RequestMessage, ResponseMessage]:
    """Request and response of a step."""
    spoken = ProtocolVersion.of(version)
    count = 1 if version < V3_0 else None
    indicator = (
        (True if version < V2_0 else AsynchronousIndicator.MANDATORY) if step.put_off else None
    )
    request = RequestMessage(
        request_header=RequestHeader(
            protocol_version=spoken, batch_count=count, asynchronous_indicator=indicator
        ),
        batch_items=(RequestBatchItem(operation=step.operation, request_payload=step.request),),
    )
    operation = step.answered_as or step.operation
    if isinstance(step.answer, ResultStatus):
        item = ResponseBatchItem(
            operation=operation,
            result_status=step.answer,
            asynchronous_correlation_value=LATER,
        )
    elif isinstance(step.answer, ResultReason):
        item = ResponseBatchItem(
            operation=operation,
            result_status=ResultStatus.OPERATION_FAILED,
            result_reason=step.answer,
        )
    else:
        item = ResponseBatchItem(
            operation=operation,
            result_status=ResultStatus.SUCCESS,
            response_payload=step.answer,
        )
    header = ResponseHeader(protocol_version=spoken, time_stamp=NOW, batch_count=count)
    return request, ResponseMessage(response_header=header, batch_items=(item,))


def encoded(case: Case, version: Version) -> str:
    """The file of a case in a version."""
    parts = [
        xml.dump(to_tree(message, version))
        for step in case.steps(version)
        for message in messages(step, version)
    ]
    text = f"<!-- {case.about} Made by tools/gen_suite.py. -->\n<KMIP>\n{''.join(parts)}</KMIP>\n"
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
                yield path, encoded(case, version)


def main() -> int:
    """Write the files, or say which differ."""
    check = "--check" in sys.argv[1:]
    stale = []
    for path, text in files():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(path)
            if not check:
                path.write_text(text, encoding="utf-8")
    if check and stale:
        print(f"{len(stale)} cases are stale, such as {stale[0]}; run tools/gen_suite.py")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
