"""The error tables, provoked: a cause, an operation, and the Result Reason by version.

KMIP 1.4 §11.2 to §11.42, and the subsections "Error Handling" of KMIP 2.1 §6.1. Rows that no request
can provoke are not here, such as cryptographic errors of the server itself.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from kmipkit_client import OperationFailed, calls, symmetric_key
from kmipkit_client.calls import Call
from laboratory import Laboratory

from kmipkit.model.attribute import Attributes
from kmipkit.model.attributes import CryptographicParameters, Name
from kmipkit.model.keyblock import EncryptionKeyInformation, KeyWrappingSpecification
from kmipkit.model.objects import OpaqueObject
from kmipkit.model.payloads.asynchronous import PollRequest
from kmipkit.model.payloads.certify import CertifyRequest, ReCertifyRequest, ValidateRequest
from kmipkit.model.payloads.create import JoinSplitKeyRequest
from kmipkit.model.payloads.crypto import (
    DecryptRequest,
    EncryptRequest,
    MACRequest,
    MACVerifyRequest,
    SignatureVerifyRequest,
    SignRequest,
)
from kmipkit.model.payloads.lifecycle import (
    ArchiveRequest,
    GetUsageAllocationRequest,
    ObtainLeaseRequest,
    RecoverRequest,
)
from kmipkit.model.payloads.rekey import (
    DerivationParameters,
    DeriveKeyRequest,
    ReKeyKeyPairRequest,
    ReKeyRequest,
)
from kmipkit.spec.enums import (
    BlockCipherMode,
    CertificateRequestType,
    CryptographicAlgorithm,
    DerivationMethod,
    HashingAlgorithm,
    NameType,
    ObjectType,
    OpaqueDataType,
    Operation,
    RevocationReasonCode,
    WrappingMethod,
)
from kmipkit.spec.masks import CryptographicUsageMask as Mask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_2, V1_3, V1_4, V2_0, V2_1, Version

pytestmark = pytest.mark.standard

A, Op = CryptographicAlgorithm, Operation
CBC = CryptographicParameters(block_cipher_mode=BlockCipherMode.CBC)
HASH = CryptographicParameters(hashing_algorithm=HashingAlgorithm.SHA_256)
NOWHERE = "no such object"
KINDS = ("key", "opaque", "archived", "destroyed", "named", "inactive", "sealed")


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    made = Laboratory(tmp_path_factory.mktemp("laboratory"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def objects(laboratory: Laboratory) -> dict[str, str]:
    """Identifiers of objects in the states that the tables name."""
    everything = Mask(0xFFFFF) & ~Mask.WRAP_KEY
    made = {name: _create(laboratory, everything, name) for name in KINDS if name != "opaque"}
    value = OpaqueObject(opaque_data_type=OpaqueDataType(0x80000000), opaque_data_value=b"data")
    made["opaque"] = laboratory.ask(calls.register(value, None, None, None))
    made["unusable"] = _create(laboratory, Mask(0), "unusable")
    for name in ("key", "named", "unusable", "archived", "sealed"):
        laboratory.ask(calls.activate(made[name]))
    laboratory.ask(calls.raw(Op.ARCHIVE, ArchiveRequest(unique_identifier=made["archived"])))
    laboratory.ask(calls.destroy(made["destroyed"]))
    return made


def _create(laboratory: Laboratory, mask: Mask, name: str) -> str:
    identifier: str = laboratory.ask(calls.create(A.AES, 128, mask, name, None))
    return identifier


def attributes(**values: Any) -> Attributes:
    return Attributes.of(*((Tag[name], value) for name, value in values.items()))


def named(text: str) -> Name:
    return Name(name_value=text, name_type=NameType.UNINTERPRETED_TEXT_STRING)


def on(operation: Operation, payload: Callable[[str], Any]) -> Callable[[str], Call[Any]]:
    return lambda identifier: calls.raw(operation, payload(identifier))


def wrapped_by(identifier: str) -> KeyWrappingSpecification:
    return KeyWrappingSpecification(
        wrapping_method=WrappingMethod.ENCRYPT,
        encryption_key_information=EncryptionKeyInformation(
            unique_identifier=identifier,
            cryptographic_parameters=CryptographicParameters(
                block_cipher_mode=BlockCipherMode.NISTKEYWRAP
            ),
        ),
    )


def _encrypt(identifier: str) -> Any:
    return EncryptRequest(
        unique_identifier=identifier,
        cryptographic_parameters=CBC,
        data=bytes(16),
        iv_counter_nonce=bytes(16),
    )


def _decrypt(identifier: str) -> Any:
    return DecryptRequest(
        unique_identifier=identifier,
        cryptographic_parameters=CBC,
        data=bytes(16),
        iv_counter_nonce=bytes(16),
    )


def _derive(identifier: str) -> Any:
    return DeriveKeyRequest(
        object_type=ObjectType.SYMMETRIC_KEY,
        unique_identifiers=(identifier,),
        derivation_method=DerivationMethod.HMAC,
        derivation_parameters=DerivationParameters(
            cryptographic_parameters=HASH, derivation_data=(b"data",)
        ),
        attributes=attributes(
            CRYPTOGRAPHIC_ALGORITHM=A.AES,
            CRYPTOGRAPHIC_LENGTH=128,
            CRYPTOGRAPHIC_USAGE_MASK=Mask.ENCRYPT,
        ),
    )


USES: dict[Operation, Callable[[str], Any]] = {
    Op.ENCRYPT: _encrypt,
    Op.DECRYPT: _decrypt,
    Op.SIGN: lambda i: SignRequest(unique_identifier=i, cryptographic_parameters=HASH, data=b"d"),
    Op.SIGNATURE_VERIFY: lambda i: SignatureVerifyRequest(
        unique_identifier=i, cryptographic_parameters=HASH, data=b"d", signature_data=b"s"
    ),
    Op.MAC: lambda i: MACRequest(unique_identifier=i, cryptographic_parameters=HASH, data=b"d"),
    Op.MAC_VERIFY: lambda i: MACVerifyRequest(
        unique_identifier=i, cryptographic_parameters=HASH, data=b"d", mac_data=b"m"
    ),
}

OBJECTS: dict[Operation, Callable[[str], Call[Any]]] = {
    **{operation: on(operation, payload) for operation, payload in USES.items()},
    Op.GET: lambda i: calls.get(i, None, None, None),
    Op.GET_ATTRIBUTES: lambda i: calls.get_attributes(i, ()),
    Op.GET_ATTRIBUTE_LIST: calls.get_attribute_list,
    Op.ADD_ATTRIBUTE: lambda i: calls.add_attribute(i, Tag.OBJECT_GROUP, "group"),
    Op.MODIFY_ATTRIBUTE: lambda i: calls.modify_attribute(
        i, Tag.NAME, named("x"), 0, named("archived")
    ),
    Op.DELETE_ATTRIBUTE: lambda i: calls.delete_attribute(i, Tag.NAME, 0, named("archived")),
    Op.ACTIVATE: calls.activate,
    Op.REVOKE: lambda i: calls.revoke(i, RevocationReasonCode.SUPERSEDED, None, None),
    Op.DESTROY: calls.destroy,
    Op.ARCHIVE: on(Op.ARCHIVE, lambda i: ArchiveRequest(unique_identifier=i)),
    Op.RECOVER: on(Op.RECOVER, lambda i: RecoverRequest(unique_identifier=i)),
    Op.OBTAIN_LEASE: on(Op.OBTAIN_LEASE, lambda i: ObtainLeaseRequest(unique_identifier=i)),
    Op.GET_USAGE_ALLOCATION: on(
        Op.GET_USAGE_ALLOCATION,
        lambda i: GetUsageAllocationRequest(unique_identifier=i, usage_limits_count=1),
    ),
    Op.CHECK: lambda i: calls.check(i, Mask.ENCRYPT, None, None),
    Op.RE_KEY: on(Op.RE_KEY, lambda i: ReKeyRequest(unique_identifier=i)),
    Op.RE_KEY_KEY_PAIR: on(
        Op.RE_KEY_KEY_PAIR, lambda i: ReKeyKeyPairRequest(private_key_unique_identifier=i)
    ),
    Op.CERTIFY: on(Op.CERTIFY, lambda i: CertifyRequest(unique_identifier=i)),
    Op.RE_CERTIFY: on(Op.RE_CERTIFY, lambda i: ReCertifyRequest(unique_identifier=i)),
    Op.DERIVE_KEY: on(Op.DERIVE_KEY, _derive),
    Op.VALIDATE: on(Op.VALIDATE, lambda i: ValidateRequest(unique_identifiers=(i,))),
    Op.JOIN_SPLIT_KEY: on(
        Op.JOIN_SPLIT_KEY,
        lambda i: JoinSplitKeyRequest(
            object_type=ObjectType.SYMMETRIC_KEY, unique_identifiers=(i,)
        ),
    ),
}


def reason_of(laboratory: Laboratory, call: Call[Any], version: Version) -> str:
    with pytest.raises(OperationFailed) as caught:
        laboratory.ask(call, version)
    assert caught.value.reason is not None
    return caught.value.reason.name


@pytest.mark.parametrize("operation", OBJECTS)
def test_an_object_that_does_not_exist(laboratory: Laboratory, operation: Operation) -> None:
    call = OBJECTS[operation](NOWHERE)
    for version, expected in ((V1_2, "ITEM_NOT_FOUND"), (V2_1, "OBJECT_NOT_FOUND")):
        assert reason_of(laboratory, call, version) == expected


@pytest.mark.parametrize("operation", [each for each in OBJECTS if each is not Op.RECOVER])
def test_an_archived_object(
    laboratory: Laboratory, objects: dict[str, str], operation: Operation
) -> None:
    """ "The object SHALL be recovered from the archive before performing the operation"."""
    for version in (V1_2, V1_4, V2_1):
        call = OBJECTS[operation](objects["archived"])
        assert reason_of(laboratory, call, version) == "OBJECT_ARCHIVED"


class Row(NamedTuple):
    operation: Operation
    target: str
    old: str
    """The reason in 1.x."""
    new: str
    """The reason in 2.1."""
    call: Callable[[str], Call[Any]] | None = None
    middle: str = ""
    """The reason in 2.0, if it is not that of 2.1."""


DENIED, ILLEGAL, FIELD = "PERMISSION_DENIED", "ILLEGAL_OPERATION", "INVALID_FIELD"
MASK, STATE, TYPE = (
    "INCOMPATIBLE_CRYPTOGRAPHIC_USAGE_MASK",
    "WRONG_KEY_LIFECYCLE_STATE",
    "INVALID_OBJECT_TYPE",
)


def _certificate_request(_identifier: str) -> Call[Any]:
    return calls.raw(
        Op.CERTIFY,
        CertifyRequest(
            certificate_request_type=CertificateRequestType.PKCS_10, certificate_request=b"garbage"
        ),
    )


def _wrong_part(identifier: str) -> Call[Any]:
    request = _encrypt(identifier).replace(correlation_value=b"nothing")
    return calls.raw(Op.ENCRYPT, request)


ROWS = (
    *(Row(each, "unusable", DENIED, MASK) for each in (Op.ENCRYPT, Op.DECRYPT, Op.MAC)),
    Row(Op.ENCRYPT, "inactive", DENIED, STATE, middle=DENIED),
    Row(Op.MAC, "inactive", DENIED, STATE, middle=DENIED),
    *(Row(each, "opaque", DENIED, TYPE) for each in (Op.ENCRYPT, Op.DECRYPT, Op.MAC)),
    *(Row(each, "key", DENIED, TYPE) for each in (Op.SIGN, Op.SIGNATURE_VERIFY)),
    Row(Op.RE_KEY, "opaque", DENIED, TYPE),
    Row(Op.RE_KEY_KEY_PAIR, "key", DENIED, TYPE),
    Row(Op.CERTIFY, "key", DENIED, TYPE),
    Row(Op.RE_CERTIFY, "key", DENIED, TYPE),
    Row(Op.DERIVE_KEY, "opaque", FIELD, TYPE),
    Row(Op.DERIVE_KEY, "unusable", FIELD, MASK),
    Row(Op.JOIN_SPLIT_KEY, "key", FIELD, TYPE),
    Row(Op.VALIDATE, "key", "INVALID_MESSAGE", TYPE),
    Row(Op.GET_USAGE_ALLOCATION, "key", ILLEGAL, "ATTRIBUTE_NOT_FOUND"),
    Row(Op.ACTIVATE, "key", DENIED, STATE),
    Row(Op.DESTROY, "key", DENIED, STATE, middle=DENIED),
    Row(Op.DESTROY, "destroyed", DENIED, "OBJECT_DESTROYED"),
    Row(Op.GET, "destroyed", "ITEM_NOT_FOUND", "OBJECT_DESTROYED"),
    Row(Op.ARCHIVE, "archived", "OBJECT_ARCHIVED", "OBJECT_ARCHIVED"),
    Row(
        Op.ADD_ATTRIBUTE,
        "key",
        ILLEGAL,
        "NON_UNIQUE_NAME_ATTRIBUTE",
        lambda i: calls.add_attribute(i, Tag.NAME, named("named")),
    ),
    Row(
        Op.MODIFY_ATTRIBUTE,
        "key",
        ILLEGAL,
        "NON_UNIQUE_NAME_ATTRIBUTE",
        lambda i: calls.modify_attribute(i, Tag.NAME, named("named"), 0, named("key")),
    ),
    Row(
        Op.ADD_ATTRIBUTE,
        "key",
        ILLEGAL,
        "ATTRIBUTE_SINGLE_VALUED",
        lambda i: calls.add_attribute(i, Tag.CRYPTOGRAPHIC_USAGE_MASK, Mask.SIGN),
    ),
    Row(
        Op.ADD_ATTRIBUTE,
        "key",
        DENIED,
        "READ_ONLY_ATTRIBUTE",
        lambda i: calls.add_attribute(i, Tag.LEASE_TIME, 5),
    ),
    Row(
        Op.MODIFY_ATTRIBUTE,
        "key",
        DENIED,
        "ATTRIBUTE_READ_ONLY",
        lambda i: calls.modify_attribute(i, Tag.CRYPTOGRAPHIC_LENGTH, 256, None, 128),
    ),
    Row(
        Op.DELETE_ATTRIBUTE,
        "key",
        DENIED,
        "ATTRIBUTE_READ_ONLY",
        lambda i: calls.delete_attribute(i, Tag.CRYPTOGRAPHIC_LENGTH, None, None),
    ),
    Row(
        Op.MODIFY_ATTRIBUTE,
        "key",
        FIELD,
        "ATTRIBUTE_NOT_FOUND",
        lambda i: calls.modify_attribute(i, Tag.CONTACT_INFORMATION, "me", None, None),
    ),
    Row(
        Op.DELETE_ATTRIBUTE,
        "key",
        "ITEM_NOT_FOUND",
        "ATTRIBUTE_NOT_FOUND",
        lambda i: calls.delete_attribute(i, Tag.CONTACT_INFORMATION, None, None),
    ),
    Row(
        Op.CREATE,
        "key",
        FIELD,
        "NON_UNIQUE_NAME_ATTRIBUTE",
        lambda _: calls.create(A.AES, 128, Mask.ENCRYPT, "named", None),
    ),
    Row(
        Op.REGISTER,
        "key",
        FIELD,
        "NON_UNIQUE_NAME_ATTRIBUTE",
        lambda _: calls.register(symmetric_key(bytes(16)), Mask.ENCRYPT, "named", None),
    ),
    Row(Op.CERTIFY, "key", FIELD, "INVALID_CSR", _certificate_request),
    Row(Op.ENCRYPT, "key", "ITEM_NOT_FOUND", "INVALID_CORRELATION_VALUE", _wrong_part),
    Row(
        Op.POLL,
        "key",
        "ITEM_NOT_FOUND",
        "INVALID_ASYNCHRONOUS_CORRELATION_VALUE",
        on(Op.POLL, lambda _: PollRequest(asynchronous_correlation_value=b"nothing")),
    ),
    *(
        Row(Op.GET, target, old, new, lambda _, t=target: ("wrapped by", t))  # type: ignore[misc]
        for target, old, new in (
            ("archived", "OBJECT_ARCHIVED", "WRAPPING_OBJECT_ARCHIVED"),
            ("destroyed", DENIED, "WRAPPING_OBJECT_DESTROYED"),
            ("opaque", ILLEGAL, TYPE),
            ("key", DENIED, MASK),
        )
    ),
)


@pytest.mark.parametrize(
    "row", ROWS, ids=lambda row: f"{row.operation.name} {row.target} {row.new}"
)
def test_reason(laboratory: Laboratory, objects: dict[str, str], row: Row) -> None:
    identifier = objects[row.target]
    call: Any = (row.call or OBJECTS[row.operation])(identifier)
    if isinstance(call, tuple):
        call = calls.get(objects["sealed"], None, None, wrapped_by(identifier))
    found = {version: reason_of(laboratory, call, version) for version in (V1_3, V1_4, V2_0, V2_1)}
    middle = row.middle or row.new
    assert found == {V1_3: row.old, V1_4: row.old, V2_0: middle, V2_1: row.new}


def test_a_wrapping_key_that_does_not_exist(
    laboratory: Laboratory, objects: dict[str, str]
) -> None:
    call = calls.get(objects["sealed"], None, None, wrapped_by(NOWHERE))
    assert reason_of(laboratory, call, V1_2) == "ITEM_NOT_FOUND"
    assert reason_of(laboratory, call, V2_1) == "WRAPPING_OBJECT_NOT_FOUND"
