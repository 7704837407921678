"""A client for each rule that breaks it: the rules of the tester are no better than what they notice."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from kmipkit_conformance.clients.provocations import PROVOCATIONS
from kmipkit_conformance.clients.table import PENDING
from kmipkit_conformance.clients.transport_rules import IMPOSTOR, OLDER
from watched_clients import Ask, Behaviour, RawClient, find, item, message

from kmipkit.spec.enums import (
    BatchErrorContinuationOption,
    BlockCipherMode,
    CredentialType,
    CryptographicAlgorithm,
    DerivationMethod,
    KeyFormatType,
    NameType,
    ObjectType,
    PaddingMethod,
    QueryFunction,
    RevocationReasonCode,
    SecretDataType,
    State,
)
from kmipkit.spec.enums import Operation as Op
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_1, V1_2, V1_4, V2_1
from kmipkit.ttlv import binary
from kmipkit.ttlv.tree import Item

RSA = CryptographicAlgorithm.RSA
AES256 = ("Cryptographic Algorithm", CryptographicAlgorithm.AES), ("Cryptographic Length", 256)
MASK = ("Cryptographic Usage Mask", 0x20C)  # Encrypt, Decrypt, Derive Key


@dataclass(frozen=True)
class Broken:
    """What a client does, and what the tester must do for it."""

    behave: Behaviour
    provocations: tuple[str, ...] = ()


def attribute(name: str, value: Any) -> Item:
    inner = item(Tag.ATTRIBUTE_NAME, name), item(Tag.ATTRIBUTE_VALUE, value)
    return item(Tag.ATTRIBUTE, inner)


def template(*attributes: tuple[str, Any], tag: Tag = Tag.TEMPLATE_ATTRIBUTE) -> Item:
    return item(tag, tuple(attribute(*each) for each in attributes))


def create(*attributes: tuple[str, Any], item_id: bytes | None = None) -> Ask:
    kind = item(Tag.OBJECT_TYPE, ObjectType.SYMMETRIC_KEY)
    return Ask(Op.CREATE, (kind, template(*attributes)), item_id)


CREATE = create(*AES256, MASK)


def created(client: RawClient) -> str:
    return str(find(client.ask(CREATE), Tag.UNIQUE_IDENTIFIER))


def about(operation: Op, identifier: str, *more: Item) -> Ask:
    return Ask(operation, (item(Tag.UNIQUE_IDENTIFIER, identifier), *more))


def encrypt(identifier: str, *more: Item) -> Ask:
    parameters = (
        item(Tag.BLOCK_CIPHER_MODE, BlockCipherMode.ECB),
        item(Tag.PADDING_METHOD, PaddingMethod.PKCS5),
    )
    how = item(Tag.CRYPTOGRAPHIC_PARAMETERS, parameters)
    return about(Op.ENCRYPT, identifier, how, item(Tag.DATA, b"data"), *more)


def revoke(identifier: str, reason: RevocationReasonCode, *more: Item) -> Ask:
    code = (item(Tag.REVOCATION_REASON_CODE, reason),)
    return about(Op.REVOKE, identifier, item(Tag.REVOCATION_REASON, code), *more)


CEASED = RevocationReasonCode.CESSATION_OF_OPERATION
COMPROMISED = RevocationReasonCode.KEY_COMPROMISE
OCCURRED = item(Tag.COMPROMISE_OCCURRENCE_DATE, 1_000_000_000, ItemType.DATE_TIME)
QUERY = Ask(Op.QUERY, (item(Tag.QUERY_FUNCTION, QueryFunction.QUERY_OPERATIONS),))


def register(*attributes: tuple[str, Any]) -> Ask:
    material = item(Tag.KEY_VALUE, (item(Tag.KEY_MATERIAL, bytes(32)),))
    block = (
        item(Tag.KEY_FORMAT_TYPE, KeyFormatType.RAW),
        material,
        item(Tag.CRYPTOGRAPHIC_ALGORITHM, CryptographicAlgorithm.AES),
        item(Tag.CRYPTOGRAPHIC_LENGTH, 256),
    )
    key = item(Tag.SYMMETRIC_KEY, (item(Tag.KEY_BLOCK, block),))
    kind = item(Tag.OBJECT_TYPE, ObjectType.SYMMETRIC_KEY)
    return Ask(Op.REGISTER, (kind, template(*attributes), key))


def register_secret() -> Ask:
    material = item(Tag.KEY_VALUE, (item(Tag.KEY_MATERIAL, b"secret"),))
    block = item(Tag.KEY_BLOCK, (item(Tag.KEY_FORMAT_TYPE, KeyFormatType.OPAQUE), material))
    kind = item(Tag.SECRET_DATA_TYPE, SecretDataType.PASSWORD)
    secret = item(Tag.SECRET_DATA, (kind, block))
    return Ask(Op.REGISTER, (item(Tag.OBJECT_TYPE, ObjectType.SECRET_DATA), template(), secret))


def create_pair() -> Ask:
    common = template(("Cryptographic Algorithm", RSA), tag=Tag.COMMON_TEMPLATE_ATTRIBUTE)
    private = template(("Cryptographic Usage Mask", 1), tag=Tag.PRIVATE_KEY_TEMPLATE_ATTRIBUTE)
    return Ask(Op.CREATE_KEY_PAIR, (common, private))


def derive(identifier: str) -> Ask:
    data = item(Tag.DERIVATION_PARAMETERS, (item(Tag.DERIVATION_DATA, b"data"),))
    return Ask(
        Op.DERIVE_KEY,
        (
            item(Tag.OBJECT_TYPE, ObjectType.SYMMETRIC_KEY),
            item(Tag.UNIQUE_IDENTIFIER, identifier),
            item(Tag.DERIVATION_METHOD, DerivationMethod.HMAC),
            data,
            template(MASK),
        ),
    )


def ask(*asks: Ask, **parts: Any) -> Behaviour:
    return lambda client: client.ask(*asks, **parts)


def with_key(*asks: Any) -> Behaviour:
    """Create a key, and send requests about it."""

    def behave(client: RawClient) -> None:
        identifier = created(client)
        for each in asks:
            client.ask(each(identifier))

    return behave


def activate(identifier: str) -> Ask:
    return about(Op.ACTIVATE, identifier)


def without_certificate(client: RawClient) -> None:
    client.open(client.context(certificate=False))
    client.ask(QUERY)


def trusting(client: RawClient) -> None:
    client.open(client.context(verify=False))
    client.ask(QUERY)


def other_version_than_negotiated(client: RawClient) -> None:
    numbers = item(Tag.PROTOCOL_VERSION_MAJOR, 1), item(Tag.PROTOCOL_VERSION_MINOR, 2)
    client.ask(Ask(Op.DISCOVER_VERSIONS, (item(Tag.PROTOCOL_VERSION, numbers),)))
    client.ask(QUERY)


def malformed(client: RawClient) -> None:
    data = bytearray(binary.encode(message(QUERY)))
    data[-13] = 0x0F  # the type of Query Function, which no version has
    client.send(bytes(data))


def without_version(client: RawClient) -> None:
    header = item(Tag.REQUEST_HEADER, (item(Tag.BATCH_COUNT, 1),))
    client.send(binary.encode(item(Tag.REQUEST_MESSAGE, (header, QUERY.item()))))


def used_after_lease(client: RawClient) -> None:
    identifier = created(client)
    client.ask(activate(identifier))
    client.ask(about(Op.OBTAIN_LEASE, identifier))
    client.watching.offset[0] += 10_000_000
    client.ask(encrypt(identifier))


def re_keyed_twice(client: RawClient) -> None:
    identifier = created(client)
    client.ask(activate(identifier))
    client.ask(about(Op.RE_KEY, identifier))
    client.ask(about(Op.RE_KEY, identifier))


def took_bait(client: RawClient) -> None:
    """Use whatever identifier an answer has, whatever else it says; none if it has none."""
    answer = client.ask(create(*AES256, MASK, item_id=b"1"))
    client.ask(about(Op.GET, str(find(answer, Tag.UNIQUE_IDENTIFIER) or "")))


def sent_again(client: RawClient) -> None:
    client.ask(CREATE)
    client.ask(CREATE)


def not_polled(client: RawClient) -> None:
    client.ask(CREATE, header=(item(Tag.ASYNCHRONOUS_INDICATOR, True),))
    client.ask(QUERY)


_DEVICE = (
    item(Tag.CREDENTIAL_TYPE, CredentialType.DEVICE),
    item(Tag.CREDENTIAL_VALUE, ()),
)
_EMPTY_DEVICE = item(Tag.AUTHENTICATION, (item(Tag.CREDENTIAL, _DEVICE),))
_OPTION = item(Tag.BATCH_ERROR_CONTINUATION_OPTION, BatchErrorContinuationOption.STOP)
_TIME = item(Tag.TIME_STAMP, 1_000_000_000, ItemType.DATE_TIME)
_NAME = (item(Tag.NAME_VALUE, "t"), item(Tag.NAME_TYPE, NameType.UNINTERPRETED_TEXT_STRING))
_TEMPLATE_NAME = item(Tag.NAME, _NAME)
_REACTIONS = {f"after-{each.key}": Broken(took_bait, (each.key,)) for each in PROVOCATIONS}

BROKEN: Mapping[str, Broken] = MappingProxyType(
    {
        "tls-no-old-versions": Broken(lambda c: c.hello((0x0304, 0x0302), (0x1302,))),
        "tls-1.3": Broken(lambda c: c.hello((0x0303,), (0xC030,))),
        "tls-1.3-suites": Broken(lambda c: c.hello((0x0304,), (0x1301,))),
        "tls-no-weak-suites": Broken(lambda c: c.hello((0x0304,), (0x1302, 0x0005))),
        "client-certificate": Broken(without_certificate),
        "server-certificate-verified": Broken(trusting, (IMPOSTOR,)),
        "negotiated-version": Broken(other_version_than_negotiated),
        "backward-compatible": Broken(ask(QUERY, version=V2_1), (OLDER,)),
        "well-formed": Broken(malformed),
        "protocol-version": Broken(without_version),
        "header-fields": Broken(ask(QUERY, after=(_TIME,))),
        "payload-fields": Broken(ask(about(Op.REVOKE, "a"))),
        "operation-of-version": Broken(ask(encrypt("a"), version=V1_1)),
        "batch-count": Broken(ask(QUERY, count=2)),
        "batch-item-ids": Broken(ask(QUERY, QUERY)),
        "error-continuation": Broken(ask(QUERY, header=(_OPTION,))),
        "batch-with-check": Broken(
            ask(Ask(Op.CHECK, (), b"1"), Ask(Op.QUERY, QUERY.payload, b"2"))
        ),
        "credential-fields": Broken(ask(QUERY, header=(_EMPTY_DEVICE,))),
        "create-attributes": Broken(ask(create(*AES256))),
        "create-pair-attributes": Broken(ask(create_pair())),
        "register-usage-mask": Broken(ask(register(*AES256))),
        "register-usage-mask-of-others": Broken(ask(register_secret())),
        "register-algorithm-and-length": Broken(ask(register(AES256[0], MASK))),
        "key-value-present": Broken(ask(register(MASK, ("Key Value Present", True)))),
        "derived-length": Broken(with_key(derive)),
        "custom-attributes": Broken(ask(create(*AES256, MASK, ("Purpose", "backup")))),
        "read-only-attributes": Broken(
            with_key(lambda key: about(Op.ADD_ATTRIBUTE, key, attribute("State", State.ACTIVE)))
        ),
        "standard-attributes-once": Broken(
            ask(create(*AES256, MASK, ("x-Cryptographic-Length", "256")))
        ),
        "no-templates": Broken(
            ask(
                Ask(
                    Op.CREATE,
                    (
                        item(Tag.OBJECT_TYPE, ObjectType.SYMMETRIC_KEY),
                        item(Tag.TEMPLATE_ATTRIBUTE, (_TEMPLATE_NAME,)),
                    ),
                )
            )
        ),
        "occurrence-date-of-compromise-only": Broken(
            with_key(activate, lambda key: revoke(key, CEASED, OCCURRED))
        ),
        "occurrence-date": Broken(ask(revoke("a", COMPROMISED), version=V1_2)),
        "occurrence-date-later": Broken(ask(revoke("a", COMPROMISED), version=V1_4)),
        "pre-active-unused": Broken(with_key(encrypt)),
        "ended-not-protecting": Broken(
            with_key(activate, lambda key: revoke(key, CEASED), encrypt)
        ),
        "destroyed-unused": Broken(with_key(lambda key: about(Op.DESTROY, key), encrypt)),
        "active-not-destroyed": Broken(with_key(activate, lambda key: about(Op.DESTROY, key))),
        "archived-recovered-first": Broken(
            with_key(lambda key: about(Op.ARCHIVE, key), lambda key: about(Op.GET, key))
        ),
        "lease-renewed": Broken(used_after_lease),
        "re-key-once": Broken(re_keyed_twice),
        "id-placeholder": Broken(ask(Ask(Op.GET))),
        "poll-value": Broken(
            ask(Ask(Op.POLL, (item(Tag.ASYNCHRONOUS_CORRELATION_VALUE, b"mine"),)))
        ),
        "pending-polled": Broken(not_polled, (PENDING,)),
        "parts-correlated": Broken(
            with_key(activate, lambda key: encrypt(key, item(Tag.CORRELATION_VALUE, b"mine")))
        ),
        **_REACTIONS,
        "after-lost-answer": Broken(sent_again, ("lost-answer",)),
    }
)
