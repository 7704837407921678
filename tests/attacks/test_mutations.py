"""Requests with mutations: the server answers each of them, and none shows a defect.

A user whose request hits a defect loses the connection, with all its other requests, or reads only
"internal error". An attacker finds by mutation what the authors did not think of; so does this test.
Each find is kept as a regression test, with the message that showed it.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from kmipkit_client import calls, messages, symmetric_key
from kmipkit_server.store.base import Transaction
from laboratory import Laboratory
from mutations import Mutations, problems, suite_requests

from kmipkit.model.attribute import Attribute, Attributes
from kmipkit.model.attributes import Link
from kmipkit.model.codec import encode
from kmipkit.model.envelope import decode_response
from kmipkit.model.keyblock import KeyBlock, KeyValue, TransparentECPublicKey
from kmipkit.model.messages import ResponseBatchItem
from kmipkit.model.objects import PublicKey
from kmipkit.model.payloads.asynchronous import QueryAsynchronousRequestsRequest
from kmipkit.model.payloads.get import GetRequest
from kmipkit.model.payloads.lifecycle import ObliterateRequest
from kmipkit.model.payloads.register import ExportRequest, ImportRequest
from kmipkit.spec.enums import (
    AsynchronousIndicator,
    CryptographicAlgorithm,
    KeyFormatType,
    LinkType,
    ObjectType,
    Operation,
    RecommendedCurve,
    ResultReason,
    ResultStatus,
)
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_1, V1_2, V2_0, V2_1, V3_0, VERSIONS, Version
from kmipkit.ttlv import binary
from kmipkit.ttlv.tree import Item

EVERYTHING = CryptographicUsageMask(0xFFFFF)
CREATE = calls.create(CryptographicAlgorithm.AES, 128, EVERYTHING, None, None)
BLOCK = 250
"""Messages for one server, so that the objects of earlier ones are mutated as well."""
BLOCKS = int(os.environ.get("MUTATION_BLOCKS", "240"))
"""Blocks of the long form."""


@pytest.fixture(scope="module")
def mutations(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Laboratory, Mutations]]:
    """A server with a few keys, and mutated requests about them."""
    laboratory = Laboratory(tmp_path_factory.mktemp("mutations") / "data")
    keys = [
        laboratory.ask(calls.create(CryptographicAlgorithm.AES, 128, EVERYTHING, None, None)),
        laboratory.ask(
            calls.register(
                symmetric_key(bytes(32), CryptographicAlgorithm.HMAC_SHA256), EVERYTHING, None, None
            )
        ),
    ]
    laboratory.ask(calls.activate(keys[0]))
    yield laboratory, Mutations(suite_requests(), [*keys, "nothing"])
    laboratory.close()


def check(mutations: tuple[Laboratory, Mutations], seed: str) -> None:
    laboratory, generator = mutations
    messages = [generator.message(f"{seed}:{number}") for number in range(BLOCK)]
    shown = [f"{problem}: {message.hex()}" for message, problem in problems(laboratory, messages)]
    assert not shown, "\n".join(shown)


@pytest.mark.parametrize("seed", range(8))
def test_every_mutation_is_answered(mutations: tuple[Laboratory, Mutations], seed: int) -> None:
    """The server is stopped by a request that nobody has thought of."""
    check(mutations, f"short:{seed}")


@pytest.mark.long
@pytest.mark.parametrize("seed", range(BLOCKS))
def test_more_mutations_are_answered(mutations: tuple[Laboratory, Mutations], seed: int) -> None:
    """The same for minutes, with other mutations."""
    check(mutations, f"long:{seed}")


# --- finds ---------------------------------------------------------------------------------------


def request(version: Version, operation: Item, *payload: Item) -> bytes:
    """A request with one item, whatever its operation is."""
    numbers = (
        (Tag.PROTOCOL_VERSION_MAJOR, version.major),
        (Tag.PROTOCOL_VERSION_MINOR, version.minor),
    )
    header = (
        structure(
            Tag.PROTOCOL_VERSION, *(Item(tag, ItemType.INTEGER, number) for tag, number in numbers)
        ),
        Item(Tag.BATCH_COUNT, ItemType.INTEGER, 1),
    )
    return binary.encode(
        structure(
            Tag.REQUEST_MESSAGE,
            structure(Tag.REQUEST_HEADER, *header),
            structure(Tag.BATCH_ITEM, operation, structure(Tag.REQUEST_PAYLOAD, *payload)),
        )
    )


def structure(tag: Tag, *children: Item) -> Item:
    return Item(tag, ItemType.STRUCTURE, children)


def answer(laboratory: Laboratory, message: bytes) -> ResponseBatchItem:
    """The response to a message, which is no sign of a defect."""
    assert problems(laboratory, [message]) == []
    response, _ = decode_response(laboratory.exchange(message), tolerant=True)
    return response.batch_items[0]


@pytest.mark.parametrize("item_type", [ItemType.LONG_INTEGER, ItemType.BIG_INTEGER])
@pytest.mark.parametrize("number", [-1, 1 << 40, 10])
def test_an_operation_that_is_no_enumeration(
    laboratory: Laboratory, item_type: ItemType, number: int
) -> None:
    """Found as Long Integer -1: a traceback, and the connection was closed."""
    message = request(V2_1, Item(Tag.OPERATION, item_type, number))
    item = answer(laboratory, message)
    assert item.operation is None
    assert item.result_status is ResultStatus.OPERATION_FAILED


def test_a_batch_item_id_that_is_no_byte_string(laboratory: Laboratory) -> None:
    """The identifier of an unreadable item is only repeated if it is one."""
    identifier = Item(Tag.UNIQUE_BATCH_ITEM_ID, ItemType.TEXT_STRING, "x")
    tree = binary.decode(request(V2_1, Item(Tag.OPERATION, ItemType.ENUMERATION, 24)))
    assert isinstance(tree.value, tuple)
    damaged = structure(Tag.BATCH_ITEM, *tree.value[1].value[:1], identifier)  # type: ignore[index, misc]  # the tree of a message that was decoded
    item = answer(laboratory, binary.encode(structure(Tag.REQUEST_MESSAGE, tree.value[0], damaged)))
    assert item.unique_batch_item_id is None


@pytest.mark.parametrize("link_type", [2, 0x102, 0x10F, 0x80000001])
@pytest.mark.parametrize("reader", VERSIONS, ids=str)
def test_a_link_that_another_version_lacks(
    laboratory: Laboratory, reader: Version, link_type: int
) -> None:
    """Found with Link Type 2: the response in 3.0 could not be encoded, and was not sent.

    Earlier releases stored reserved types, too.
    """
    key = laboratory.ask(CREATE)
    link = Link(link_type=LinkType(link_type), linked_object_identifier="another")

    def store_link(transaction: Transaction) -> None:
        record = transaction.get(key)
        assert record is not None
        attributes = record.attributes.plus(Attribute(Tag.LINK, link, 0))
        transaction.update(record, record.replace(attributes=attributes))

    async def work() -> None:
        async with laboratory.serving():
            await laboratory.store.run(store_link, writes=True)

    trio.run(work)
    message = encode(messages.request(reader, [calls.get_attributes(key, ())]), reader)
    assert answer(laboratory, message).result_status is ResultStatus.SUCCESS


@pytest.mark.parametrize("version", [V1_1, V1_2], ids=str)
def test_an_old_client_deletes_a_link_that_it_cannot_see(
    laboratory: Laboratory, version: Version
) -> None:
    """Found in the mutations of a whole session: the response has to repeat the link."""
    key = laboratory.ask(CREATE)
    link = Link(link_type=LinkType.WRAPPING_KEY_LINK, linked_object_identifier="another")
    laboratory.ask(calls.add_attribute(key, "Link", link), version=V2_1)
    message = encode(
        messages.request(version, [calls.delete_attribute(key, "Link", None, None)]), version
    )
    assert answer(laboratory, message).result_reason is ResultReason.INVALID_FIELD


AES = b"\x05\0\0\0\x04\0\0\0\x03"
ML_KEM = b"\x05\0\0\0\x04" + CryptographicAlgorithm.ML_KEM_768.to_bytes(4, "big")
"""The type, length and value of an algorithm."""


@pytest.mark.parametrize("strict", [False, True], ids=["as meant", "strict"])
@pytest.mark.parametrize("version", VERSIONS, ids=str)
@pytest.mark.parametrize("name", ["key block", "attribute"])
def test_a_post_quantum_algorithm(
    tmp_path: Path, version: Version, name: str, strict: bool
) -> None:
    """Found in 1.4: an internal error. Only 3.0 has the algorithm; a strict server refuses it before."""
    algorithm = CryptographicAlgorithm.AES
    key = symmetric_key(bytes(32), algorithm)
    if name == "attribute":
        key = key.replace(key_block=key.key_block.replace(cryptographic_algorithm=None))
    attributes = {"Cryptographic Algorithm": algorithm} if name == "attribute" else None
    call = calls.register(key, EVERYTHING, None, attributes)
    message = encode(messages.request(version, [call]), version)
    for tag in (Tag.CRYPTOGRAPHIC_ALGORITHM, Tag.ATTRIBUTE_VALUE):
        head = tag.to_bytes(3, "big")
        message = message.replace(head + AES, head + ML_KEM)
    assert ML_KEM in message
    laboratory = Laboratory(tmp_path, strict=strict)
    try:
        item = answer(laboratory, message)
    finally:
        laboratory.close()
    if strict and version < V3_0:
        assert item.result_reason is ResultReason.INVALID_FIELD
    else:
        assert item.result_status is ResultStatus.SUCCESS


def replaced(message: bytes, tag: Tag, replacement: Item) -> bytes:
    """The message with another item in place of the one with a tag."""

    def change(item: Item) -> Item:
        if item.tag == tag:
            return replacement
        if isinstance(item.value, tuple):
            return structure(Tag(item.tag), *(change(child) for child in item.value))
        return item

    return binary.encode(change(binary.decode(message)))


WRONG_VALUES = [
    Item(Tag.STATE, ItemType.ENUMERATION, 44),
    Item(Tag.STATE, ItemType.TEXT_STRING, "Active"),
    Item(Tag.SENSITIVE, ItemType.INTEGER, 1),
    Item(Tag.INITIAL_DATE, ItemType.LONG_INTEGER, 1),
    Item(Tag.LINK, ItemType.STRUCTURE, ()),
    Item(Tag.LINK, ItemType.TEXT_STRING, "another"),
    Item(Tag.CUSTOM_ATTRIBUTE, ItemType.TEXT_STRING, "x"),
    Item(Tag.BATCH_ITEM, ItemType.STRUCTURE, ()),
]


@pytest.mark.parametrize("version", [V2_1, V3_0], ids=str)
@pytest.mark.parametrize("value", WRONG_VALUES, ids=lambda item: f"{item.tag!s}-{item.type.name}")
def test_import_with_a_wrong_value(laboratory: Laboratory, version: Version, value: Item) -> None:
    """Found with a State of 44, a Link as text, and tags that are no attributes."""
    payload = ImportRequest(
        unique_identifier="imported",
        object_type=ObjectType.SYMMETRIC_KEY,
        attributes=Attributes.of((Tag.CONTACT_INFORMATION, "here")),
        object=symmetric_key(bytes(16)),
    )
    message = encode(messages.request(version, [calls.raw(Operation.IMPORT, payload)]), version)
    item = answer(laboratory, replaced(message, Tag.CONTACT_INFORMATION, value))
    assert item.result_status is ResultStatus.OPERATION_FAILED
    assert laboratory.record("imported") is None


@pytest.mark.parametrize("version", VERSIONS, ids=str)
@pytest.mark.parametrize("name", ["Custom Attribute", "Link"])
def test_an_attribute_of_another_form(laboratory: Laboratory, version: Version, name: str) -> None:
    """Found in 1.4 by the name "Custom Attribute", which is a row of the table but no attribute."""
    key = laboratory.ask(CREATE)
    call = calls.add_attribute(key, "Contact Information", "here")
    message = encode(messages.request(version, [call]), version)
    tag = Tag.CUSTOM_ATTRIBUTE if name == "Custom Attribute" else Tag.LINK
    if version < V2_0:
        attribute_name = Item(Tag.ATTRIBUTE_NAME, ItemType.TEXT_STRING, name)
        message = replaced(message, Tag.ATTRIBUTE_NAME, attribute_name)
    else:
        message = replaced(
            message, Tag.CONTACT_INFORMATION, Item(tag, ItemType.TEXT_STRING, "here")
        )
    item = answer(laboratory, message)
    assert item.result_status is ResultStatus.OPERATION_FAILED


def test_an_outstanding_operation_of_another_version(laboratory: Laboratory) -> None:
    """Found in a whole session: a 2.1 response cannot list an operation that only 3.0 has."""
    indicator = AsynchronousIndicator.MANDATORY
    made = messages.request(V3_0, [calls.raw(Operation.OBLITERATE, ObliterateRequest())])
    header = made.request_header.replace(asynchronous_indicator=indicator)
    laboratory.send(made.replace(request_header=header), V3_0)
    query = calls.raw(Operation.QUERY_ASYNCHRONOUS_REQUESTS, QueryAsynchronousRequestsRequest())
    item = answer(laboratory, encode(messages.request(V2_1, [query]), V2_1))
    assert item.result_status is ResultStatus.SUCCESS


@pytest.mark.parametrize("operation", [Operation.GET, Operation.EXPORT])
def test_a_key_in_a_format_that_the_version_lacks(
    laboratory: Laboratory, operation: Operation
) -> None:
    """Found with Export in 2.1: 2.0 has dropped the format in which a 1.2 client registered the key."""
    point = ec.derive_private_key(2, ec.SECP256R1()).public_key()
    public = TransparentECPublicKey(
        recommended_curve=RecommendedCurve.P_256,
        q_string=point.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint),
    )
    block = KeyBlock(
        key_format_type=KeyFormatType.TRANSPARENT_ECDSA_PUBLIC_KEY,
        key_value=KeyValue(key_material=public),
        cryptographic_algorithm=CryptographicAlgorithm.ECDSA,
        cryptographic_length=256,
    )
    register = calls.register(PublicKey(key_block=block), EVERYTHING, None, None)
    key = laboratory.ask(register, version=V1_2)
    payload = GetRequest if operation is Operation.GET else ExportRequest
    call = calls.raw(operation, payload(unique_identifier=key))
    item = answer(laboratory, encode(messages.request(V2_1, [call]), V2_1))
    assert item.result_reason is ResultReason.KEY_FORMAT_TYPE_NOT_SUPPORTED
