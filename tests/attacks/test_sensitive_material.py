"""Material that must not leave the server: no operation makes an unprotected copy of it.

A user who marks a key as sensitive or not extractable relies on it, and so does whoever reads Always
Sensitive or Never Extractable (KMIP 1.4 §3.48 to §3.51; KMIP 2.1 §4.3, §4.33). If a key could be had in
pieces, or under another identifier, the user would lose the key without any sign of it.
"""

from collections.abc import Callable
from typing import Any

import pytest
import trio
from kmipkit_client import OperationFailed, calls, messages, symmetric_key
from kmipkit_server.identity.identity import Identity
from laboratory import Laboratory

from kmipkit.model.attribute import Attributes
from kmipkit.model.attributes import CryptographicParameters, Name
from kmipkit.model.codec import encode
from kmipkit.model.envelope import decode_response
from kmipkit.model.keyblock import EncryptionKeyInformation, KeyWrappingSpecification
from kmipkit.model.objects import Template
from kmipkit.model.payloads.certify import CertifyRequest, ReCertifyRequest
from kmipkit.model.payloads.create import (
    CreateKeyPairRequest,
    CreateRequest,
    CreateSplitKeyRequest,
    JoinSplitKeyRequest,
)
from kmipkit.model.payloads.get import GetRequest
from kmipkit.model.payloads.register import ImportRequest, RegisterRequest
from kmipkit.model.payloads.rekey import (
    DerivationParameters,
    DeriveKeyRequest,
    ReKeyKeyPairRequest,
    ReKeyRequest,
)
from kmipkit.spec.enums import (
    BlockCipherMode,
    CryptographicAlgorithm,
    DerivationMethod,
    EncodingOption,
    HashingAlgorithm,
    KeyWrapType,
    LinkType,
    NameType,
    ObjectType,
    Operation,
    ResultReason,
    RevocationReasonCode,
    SplitKeyMethod,
    WrappingMethod,
)
from kmipkit.spec.masks import CryptographicUsageMask as Mask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_4, V2_1

NARROW = Mask.ENCRYPT | Mask.DERIVE_KEY
WIDE = NARROW | Mask.DECRYPT | Mask.WRAP_KEY | Mask.SIGN

UNPROTECTED = Attributes.of(
    (Tag.SENSITIVE, False), (Tag.EXTRACTABLE, True), (Tag.CRYPTOGRAPHIC_USAGE_MASK, WIDE)
)
"""What the attacker requests for the object that is made."""

AES_128 = Attributes.of(
    (Tag.CRYPTOGRAPHIC_ALGORITHM, CryptographicAlgorithm.AES), (Tag.CRYPTOGRAPHIC_LENGTH, 128)
)


def raw(laboratory: Laboratory, operation: Operation, payload: Any) -> Any:
    return laboratory.ask(calls.raw(operation, payload))


def protected(**protection: Any) -> Attributes:
    """The attributes of an object that has some protection."""
    tags = {Tag[name.upper()]: value for name, value in protection.items()}
    return Attributes.of((Tag.CRYPTOGRAPHIC_USAGE_MASK, NARROW), *tags.items())


def attribute(laboratory: Laboratory, identifier: str, tag: Tag) -> Any:
    record = laboratory.record(identifier)
    assert record is not None
    return record.attributes.get(tag)


# --- the source of each operation, and the operation ---------------------------------------------


def a_key(laboratory: Laboratory, attributes: Attributes) -> str:
    request = CreateRequest(
        object_type=ObjectType.SYMMETRIC_KEY, attributes=Attributes((*AES_128, *attributes))
    )
    key = str(raw(laboratory, Operation.CREATE, request).unique_identifier)
    laboratory.ask(calls.activate(key))
    return key


def some_parts(laboratory: Laboratory, attributes: Attributes) -> tuple[str, ...]:
    request = CreateSplitKeyRequest(
        object_type=ObjectType.SPLIT_KEY,
        split_key_parts=2,
        split_key_threshold=2,
        split_key_method=SplitKeyMethod.XOR,
        attributes=Attributes((*AES_128, *attributes)),
    )
    made = raw(laboratory, Operation.CREATE_SPLIT_KEY, request)
    return tuple(map(str, made.unique_identifiers))


def a_pair(laboratory: Laboratory, attributes: Attributes) -> tuple[str, str]:
    request = CreateKeyPairRequest(
        common_attributes=Attributes.of(
            (Tag.CRYPTOGRAPHIC_ALGORITHM, CryptographicAlgorithm.EC),
            (Tag.CRYPTOGRAPHIC_LENGTH, 256),
        ),
        private_key_attributes=attributes,
        public_key_attributes=attributes,
    )
    made = raw(laboratory, Operation.CREATE_KEY_PAIR, request)
    return made.private_key_unique_identifier, made.public_key_unique_identifier


def split(laboratory: Laboratory, attributes: Attributes) -> str:
    request = CreateSplitKeyRequest(
        object_type=ObjectType.SPLIT_KEY,
        unique_identifier=a_key(laboratory, attributes),
        split_key_parts=2,
        split_key_threshold=2,
        split_key_method=SplitKeyMethod.XOR,
        attributes=UNPROTECTED,
    )
    return str(raw(laboratory, Operation.CREATE_SPLIT_KEY, request).unique_identifiers[1])


def join(laboratory: Laboratory, attributes: Attributes) -> str:
    request = JoinSplitKeyRequest(
        object_type=ObjectType.SYMMETRIC_KEY,
        unique_identifiers=some_parts(laboratory, attributes),
        attributes=UNPROTECTED,
    )
    return str(raw(laboratory, Operation.JOIN_SPLIT_KEY, request).unique_identifier)


def derive(laboratory: Laboratory, attributes: Attributes) -> str:
    request = DeriveKeyRequest(
        object_type=ObjectType.SYMMETRIC_KEY,
        unique_identifiers=(a_key(laboratory, attributes),),
        derivation_method=DerivationMethod.HMAC,
        derivation_parameters=DerivationParameters(
            cryptographic_parameters=CryptographicParameters(
                hashing_algorithm=HashingAlgorithm.SHA_256
            ),
            derivation_data=(b"data",),
        ),
        attributes=Attributes((*AES_128, *UNPROTECTED)),
    )
    return str(raw(laboratory, Operation.DERIVE_KEY, request).unique_identifier)


def re_key(laboratory: Laboratory, attributes: Attributes) -> str:
    request = ReKeyRequest(unique_identifier=a_key(laboratory, attributes), attributes=UNPROTECTED)
    return str(raw(laboratory, Operation.RE_KEY, request).unique_identifier)


def re_key_private(laboratory: Laboratory, attributes: Attributes) -> str:
    private, _ = a_pair(laboratory, attributes)
    request = ReKeyKeyPairRequest(
        private_key_unique_identifier=private, common_attributes=UNPROTECTED
    )
    made = raw(laboratory, Operation.RE_KEY_KEY_PAIR, request)
    return str(made.private_key_unique_identifier)


def certify(laboratory: Laboratory, attributes: Attributes) -> str:
    _, public = a_pair(laboratory, attributes)
    request = CertifyRequest(unique_identifier=public, attributes=UNPROTECTED)
    return str(raw(laboratory, Operation.CERTIFY, request).unique_identifier)


def re_certify(laboratory: Laboratory, attributes: Attributes) -> str:
    _, public = a_pair(laboratory, protected())
    first = CertifyRequest(unique_identifier=public, attributes=attributes)
    old = raw(laboratory, Operation.CERTIFY, first).unique_identifier
    request = ReCertifyRequest(unique_identifier=old, attributes=UNPROTECTED)
    return str(raw(laboratory, Operation.RE_CERTIFY, request).unique_identifier)


Make = Callable[[Laboratory, Attributes], str]
MAKERS: dict[str, Make] = {
    "Create Split Key": split,
    "Join Split Key": join,
    "Derive Key": derive,
    "Re-key": re_key,
    "Re-key Key Pair": re_key_private,
    "Certify": certify,
    "Re-certify": re_certify,
}
"""The operations that make an object from another one, which has the given attributes."""

NOT_APPLICABLE = {
    ("Create Split Key", "not extractable"): "the operation is refused",
    ("Derive Key", "narrow mask"): "a base that is readable does not limit the derived key",
}

PROTECTION: dict[str, tuple[Attributes, Tag, Any]] = {
    "sensitive": (protected(sensitive=True), Tag.SENSITIVE, True),
    "not extractable": (protected(extractable=False), Tag.EXTRACTABLE, False),
    "narrow mask": (protected(), Tag.CRYPTOGRAPHIC_USAGE_MASK, NARROW),
    "once not sensitive": (protected(), Tag.ALWAYS_SENSITIVE, False),
    "once extractable": (protected(), Tag.NEVER_EXTRACTABLE, False),
}
"""The attributes of the source, and what the object that is made from it must have."""

CASES = [
    pytest.param(operation, protection, id=f"{operation}-{protection}")
    for operation in MAKERS
    for protection in PROTECTION
    if (operation, protection) not in NOT_APPLICABLE
]


@pytest.mark.parametrize(("operation", "protection"), CASES)
def test_what_is_made_of_an_object_is_as_protected(
    laboratory: Laboratory, operation: str, protection: str
) -> None:
    """The user's key leaves the server in another object, which is not protected."""
    attributes, tag, expected = PROTECTION[protection]
    made = MAKERS[operation](laboratory, attributes)
    assert attribute(laboratory, made, tag) == expected


@pytest.mark.parametrize(
    ("base", "limited"),
    [
        ({"sensitive": True}, True),
        ({"extractable": False}, True),
        ({"sensitive": True, "extractable": False}, True),
        ({}, False),
    ],
)
@pytest.mark.parametrize("mask", [NARROW, Mask.DERIVE_KEY])
def test_a_protected_base_limits_the_use_of_what_is_derived(
    laboratory: Laboratory, base: dict[str, bool], limited: bool, mask: Mask
) -> None:
    """A key that may only encrypt would also decrypt, sign and wrap, by way of a derived one."""
    others = [each for each in protected(**base) if each.key != Tag.CRYPTOGRAPHIC_USAGE_MASK]
    attributes = Attributes((*others, *Attributes.of((Tag.CRYPTOGRAPHIC_USAGE_MASK, mask))))
    derived = derive(laboratory, attributes)
    is_limited = limited and mask == NARROW  # Derive Key alone says nothing about the derived key
    expected = NARROW if is_limited else WIDE
    assert attribute(laboratory, derived, Tag.CRYPTOGRAPHIC_USAGE_MASK) == expected


@pytest.mark.parametrize("operation", ["Create Split Key", "Join Split Key", "Derive Key"])
def test_a_copy_of_what_was_visible_was_not_always_sensitive(
    laboratory: Laboratory, operation: str
) -> None:
    """The copy claims Always Sensitive, although its material was once readable."""
    attributes = protected(sensitive=True)
    made = MAKERS[operation](laboratory, attributes)
    assert attribute(laboratory, made, Tag.ALWAYS_SENSITIVE) is True
    key = a_key(laboratory, protected())
    laboratory.ask(calls.set_attribute(key, "Sensitive", True))
    request = CreateSplitKeyRequest(
        object_type=ObjectType.SPLIT_KEY,
        unique_identifier=key,
        split_key_parts=2,
        split_key_threshold=2,
        split_key_method=SplitKeyMethod.XOR,
        attributes=Attributes.of((Tag.SENSITIVE, True)),
    )
    [part, _] = raw(laboratory, Operation.CREATE_SPLIT_KEY, request).unique_identifiers
    assert attribute(laboratory, part, Tag.SENSITIVE) is True
    assert attribute(laboratory, part, Tag.ALWAYS_SENSITIVE) is False


# --- the history of the attributes ---------------------------------------------------------------


@pytest.mark.parametrize("version", [V1_4, V2_1], ids=str)
@pytest.mark.parametrize(
    ("name", "claim", "value"),
    [
        ("Sensitive", Tag.ALWAYS_SENSITIVE, True),
        ("Extractable", Tag.NEVER_EXTRACTABLE, False),
    ],
)
def test_a_claim_ends_with_the_first_change(
    laboratory: Laboratory, version: Any, name: str, claim: Tag, value: bool
) -> None:
    """A key was readable for a moment, and then claims that it never was."""
    key = a_key(laboratory, protected(**{name.lower(): value}))
    assert attribute(laboratory, key, claim) is True
    current = value if version is V2_1 else None
    laboratory.ask(calls.modify_attribute(key, name, not value, None, current), version=version)
    assert attribute(laboratory, key, claim) is False
    current = not value if version is V2_1 else None
    laboratory.ask(calls.modify_attribute(key, name, value, None, current), version=version)
    assert attribute(laboratory, key, claim) is False


def test_import_cannot_claim_a_history(laboratory: Laboratory) -> None:
    """A key that everybody knows is imported as one that was never readable."""
    claimed = Attributes.of(
        (Tag.SENSITIVE, True),
        (Tag.EXTRACTABLE, False),
        (Tag.ALWAYS_SENSITIVE, True),
        (Tag.NEVER_EXTRACTABLE, True),
    )
    request = ImportRequest(
        unique_identifier="imported",
        object_type=ObjectType.SYMMETRIC_KEY,
        attributes=claimed,
        object=symmetric_key(bytes(16)),
    )
    raw(laboratory, Operation.IMPORT, request)
    assert attribute(laboratory, "imported", Tag.SENSITIVE) is True
    assert attribute(laboratory, "imported", Tag.EXTRACTABLE) is False
    assert attribute(laboratory, "imported", Tag.ALWAYS_SENSITIVE) is False
    assert attribute(laboratory, "imported", Tag.NEVER_EXTRACTABLE) is False


def test_a_template_cannot_claim_a_history(laboratory: Laboratory) -> None:
    """The same by way of a template, whose attributes nobody checked."""
    name = Name(name_value="claims", name_type=NameType.UNINTERPRETED_TEXT_STRING)
    claims = ((Tag.NAME, name), (Tag.ALWAYS_SENSITIVE, True))
    template = Template(attributes=Attributes((*AES_128, *Attributes.of(*claims))))
    register = RegisterRequest(
        object_type=ObjectType.TEMPLATE, attributes=Attributes(), object=template
    )
    laboratory.ask(calls.raw(Operation.REGISTER, register), version=V1_4)
    create = CreateRequest(object_type=ObjectType.SYMMETRIC_KEY, attributes=Attributes((), (name,)))
    with pytest.raises(OperationFailed) as error:
        laboratory.ask(calls.raw(Operation.CREATE, create), version=V1_4)
    assert error.value.reason is ResultReason.PERMISSION_DENIED


# --- keys that have left the server wrapped -------------------------------------------------------


def wrapped(laboratory: Laboratory, key: str, by: str) -> Any:
    """The key as Get returns it, wrapped by another one."""
    specification = KeyWrappingSpecification(
        wrapping_method=WrappingMethod.ENCRYPT,
        encryption_key_information=EncryptionKeyInformation(
            unique_identifier=by,
            cryptographic_parameters=CryptographicParameters(
                block_cipher_mode=BlockCipherMode.NISTKEYWRAP
            ),
        ),
        encoding_option=EncodingOption.NO_ENCODING,
    )
    request = GetRequest(unique_identifier=key, key_wrapping_specification=specification)
    return raw(laboratory, Operation.GET, request).object


@pytest.fixture
def wrapping_key(laboratory: Laboratory) -> str:
    mask = Mask.WRAP_KEY | Mask.UNWRAP_KEY
    key = laboratory.ask(calls.create(CryptographicAlgorithm.AES, 128, mask, None, None))
    laboratory.ask(calls.activate(key))
    return str(key)


@pytest.mark.parametrize("is_sensitive", [False, True])
def test_the_server_does_not_unwrap_a_sensitive_key(
    laboratory: Laboratory, wrapping_key: str, is_sensitive: bool
) -> None:
    """The key leaves wrapped, is registered as a new object, and comes back in clear."""
    key = a_key(laboratory, protected(sensitive=is_sensitive))
    register = calls.register(wrapped(laboratory, key, wrapping_key), NARROW, None, None)
    again = laboratory.ask(register)
    request = GetRequest(unique_identifier=again, key_wrap_type=KeyWrapType.NOT_WRAPPED)
    [result] = laboratory.batch(calls.raw(Operation.GET, request))
    assert isinstance(result, OperationFailed) is is_sensitive


@pytest.mark.parametrize("is_sensitive", [False, True])
def test_an_import_that_unwraps_a_sensitive_key(
    laboratory: Laboratory, wrapping_key: str, is_sensitive: bool
) -> None:
    """The same with Import, which stores the key unwrapped."""
    key = a_key(laboratory, protected(sensitive=is_sensitive))
    request = ImportRequest(
        unique_identifier="imported",
        object_type=ObjectType.SYMMETRIC_KEY,
        key_wrap_type=KeyWrapType.NOT_WRAPPED,
        attributes=Attributes.of((Tag.SENSITIVE, False)),
        object=wrapped(laboratory, key, wrapping_key),
    )
    raw(laboratory, Operation.IMPORT, request)
    assert attribute(laboratory, "imported", Tag.SENSITIVE) is is_sensitive


# --- keys that are not split, and keys that are replaced once ------------------------------------


def test_a_compromised_key_is_not_split(laboratory: Laboratory) -> None:
    """The parts, and the key that they join to, do not show that the key is compromised."""
    key = a_key(laboratory, protected())
    laboratory.ask(calls.revoke(key, RevocationReasonCode.KEY_COMPROMISE, None, None))
    request = CreateSplitKeyRequest(
        object_type=ObjectType.SPLIT_KEY,
        unique_identifier=key,
        split_key_parts=2,
        split_key_threshold=2,
        split_key_method=SplitKeyMethod.XOR,
        attributes=Attributes(),
    )
    with pytest.raises(OperationFailed) as error:
        raw(laboratory, Operation.CREATE_SPLIT_KEY, request)
    assert error.value.reason is ResultReason.WRONG_KEY_LIFECYCLE_STATE


RACERS = 32


def test_racing_clients_get_one_replacement(laboratory: Laboratory) -> None:
    """Each client encrypts with a key of its own, and nobody finds the others (KMIP 1.4 §3.35)."""
    key = a_key(laboratory, protected())
    call = calls.raw(Operation.RE_KEY, ReKeyRequest(unique_identifier=key))
    message = encode(messages.request(V2_1, [call]), V2_1)
    results: list[Any] = []

    async def race() -> None:
        async with laboratory.serving():
            account = await laboratory.dispatcher.admit(Identity("me"))

            async def one() -> None:
                response = await laboratory.dispatcher.respond(message, account)
                [result] = messages.results([call], decode_response(response.data)[0])
                results.append(result)

            async with trio.open_nursery() as nursery:
                for _ in range(RACERS):
                    nursery.start_soon(one)

    trio.run(race)
    replacements = [each for each in results if not isinstance(each, OperationFailed)]
    assert len(replacements) == 1
    refusals = {each.reason for each in results if isinstance(each, OperationFailed)}
    assert refusals == {ResultReason.PERMISSION_DENIED}
    record = laboratory.record(key)
    assert record is not None
    links = [
        link
        for link in record.attributes.all(Tag.LINK)
        if link.link_type is LinkType.REPLACEMENT_OBJECT_LINK
    ]
    assert len(links) == 1


@pytest.mark.parametrize("operation", ["Re-key Key Pair", "Re-certify"])
def test_pairs_and_certificates_are_replaced_once(laboratory: Laboratory, operation: str) -> None:
    """The same for the other operations that replace an object."""
    private, public = a_pair(laboratory, protected())
    if operation == "Re-key Key Pair":
        payload: Any = ReKeyKeyPairRequest(private_key_unique_identifier=private)
        call = calls.raw(Operation.RE_KEY_KEY_PAIR, payload)
    else:
        certificate = raw(
            laboratory, Operation.CERTIFY, CertifyRequest(unique_identifier=public)
        ).unique_identifier
        call = calls.raw(Operation.RE_CERTIFY, ReCertifyRequest(unique_identifier=certificate))
    assert laboratory.ask(call)
    with pytest.raises(OperationFailed) as error:
        laboratory.ask(call)
    assert error.value.reason is ResultReason.PERMISSION_DENIED
