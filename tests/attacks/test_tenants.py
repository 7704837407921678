"""What belongs to another tenant does not exist: not by any operation, and not by any field of one.

The requests follow from the table of operations and the declarations of their payloads: every field that
is or has a Unique Identifier, in every version. The answer to one that names an object of another tenant
must be, byte for byte, that to one that names no object at all.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
import trio
from kmipkit_client import calls, crypto_calls, opaque_object
from kmipkit_server.identity.identity import Identity
from kmipkit_server.operations.table import STANDARD
from kmipkit_server.store.base import Reader
from laboratory import Laboratory
from sample_items import structure_of
from tenancy import ADMINISTRATOR, laboratory_of, member

from kmipkit.model import operations
from kmipkit.model.envelope import decode_response
from kmipkit.model.plan import plan
from kmipkit.model.reference import StructureType
from kmipkit.model.structure import Structure
from kmipkit.spec.enums import (
    CryptographicAlgorithm,
    LinkType,
    Operation,
    RecommendedCurve,
    ResultReason,
    ResultStatus,
)
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.masks import CryptographicUsageMask as Mask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_4, V2_1, V3_0, Version
from kmipkit.ttlv import binary
from kmipkit.ttlv.tree import Item

AES = CryptographicAlgorithm.AES
EVERYTHING = Mask(0xFFFFF)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Scene"]:
    folder = tmp_path_factory.mktemp("tenants")
    with closing(laboratory_of(folder / "data", "acme", "globex")) as laboratory:
        yield Scene.of(laboratory)


@dataclass(frozen=True)
class Scene:
    """A server, and objects of a tenant of it, some of them with an account of the same name."""

    laboratory: Laboratory
    objects: dict[str, str]
    """Unique Identifiers."""

    @classmethod
    def of(cls, laboratory: Laboratory) -> "Scene":
        def ask(call: Any, account: str = "db01") -> Any:
            return laboratory.ask(call, identity=member("acme", account))

        active = {"Activation Date": laboratory.now - timedelta(days=1)}
        pair = crypto_calls.create_key_pair(
            CryptographicAlgorithm.ECDSA, None, RecommendedCurve.P_256, (Mask.SIGN, Mask.VERIFY),
            ("private", "public"), None,
        )  # fmt: skip
        private, public = ask(pair)
        return cls(
            laboratory,
            {
                "key": ask(calls.create(AES, 256, EVERYTHING, "disk", active)),
                "private": private,
                "public": public,
                "opaque": ask(calls.register(opaque_object(b"x"), None, "blob", None)),
                "other": ask(calls.create(AES, 128, EVERYTHING, "disk", active), "db02"),
            },
        )

    def names(self, version: Version, prefix: str) -> Iterator[tuple[str, str, ItemType | None]]:
        """What exists in the tenant, each with something like it that exists nowhere, and its type.

        ``prefix`` is for identifiers as the store has them.
        """
        for number, identifier in enumerate(self.objects.values()):
            yield identifier, f"{number:08}-0000-4000-8000-000000000000", None
        if prefix:
            yield (
                prefix + self.objects["key"],
                f"{prefix}99999999-0000-4000-8000-000000000000",
                None,
            )
        if version >= V3_0:
            yield "disk", "dusk", ItemType.NAME_REFERENCE

    def snapshot(self) -> dict[str, Any]:
        """The objects as they are stored."""

        def read(reader: Reader) -> dict[str, Any]:
            found = {}
            for identifier in self.objects.values():
                record = reader.get(f"tenant:acme:{identifier}")
                assert record is not None
                found[identifier] = (record.stored_state, record.attributes, record.material)
            return found

        return trio.run(self.laboratory.store.run, read)


IDENTIFIERS = frozenset(
    tag
    for tag in Tag
    if tag.name.endswith(("UNIQUE_IDENTIFIER", "_LINK", "LINKED_OBJECT_IDENTIFIER"))
)
_TEXTS = frozenset({ItemType.TEXT_STRING, ItemType.IDENTIFIER, ItemType.REFERENCE})
DEPTH = 4
"""How deep fields are looked for."""


def naming(item: Item, identifier: str, item_type: ItemType | None = None) -> Item:
    """The item with all of its identifiers replaced."""
    if isinstance(item.value, tuple):
        parts = tuple(naming(each, identifier, item_type) for each in item.value)
        return Item(item.tag, item.type, parts)
    if item.tag in IDENTIFIERS and item.type in _TEXTS:
        return Item(item.tag, item_type or item.type, identifier)
    return item


def linked(item: Item, version: Version) -> Item:
    """The item with a Link for each attribute of the samples."""
    if item.tag == Tag.CONTACT_INFORMATION:
        return _link(Tag.LINK) if version < V3_0 else Item(Tag.PARENT_LINK, ItemType.REFERENCE, "")
    if not isinstance(item.value, tuple):
        return item
    children = item.value
    if any(each.tag == Tag.ATTRIBUTE_NAME for each in children):
        name = Item(Tag.ATTRIBUTE_NAME, ItemType.TEXT_STRING, "Link")
        return Item(item.tag, item.type, (name, _link(Tag.ATTRIBUTE_VALUE)))
    return Item(item.tag, item.type, tuple(linked(each, version) for each in children))


def _link(tag: int) -> Item:
    link_type = Item(Tag.LINK_TYPE, ItemType.ENUMERATION, int(LinkType.PARENT_LINK))
    identifier = Item(Tag.LINKED_OBJECT_IDENTIFIER, ItemType.TEXT_STRING, "")
    return Item(tag, ItemType.STRUCTURE, (link_type, identifier))


def payloads(
    tag: int, cls: type[Structure], version: Version, depth: int = DEPTH
) -> Iterator[Item]:
    """A structure with its required fields, and then with each optional one, also those inside."""
    base = structure_of(tag, cls, version)
    yield base
    for field in plan(cls, version):
        if not field.forms:
            continue
        whole = base if field.required else structure_of(tag, cls, version, replaced=field)
        if not field.required:
            yield whole
        form = field.forms[0]
        if depth and isinstance(form.field_type, StructureType):
            inner = form.field_type
            for item in payloads(form.tag, inner.cls, inner.version, depth - 1):
                assert isinstance(whole.value, tuple)
                yield Item(
                    tag, whole.type,
                    tuple(item if each.tag == form.tag else each for each in whole.value),
                )  # fmt: skip


def message(operation: Operation, version: Version, payload: Item) -> bytes:
    """A request message."""
    major, minor = version
    numbers = (
        Item(Tag.PROTOCOL_VERSION_MAJOR, ItemType.INTEGER, major),
        Item(Tag.PROTOCOL_VERSION_MINOR, ItemType.INTEGER, minor),
    )
    count = (Item(Tag.BATCH_COUNT, ItemType.INTEGER, 1),) if version < V3_0 else ()
    header = (Item(Tag.PROTOCOL_VERSION, ItemType.STRUCTURE, numbers), *count)
    code = Item(Tag.OPERATION, ItemType.ENUMERATION, int(operation))
    items = (
        Item(Tag.REQUEST_HEADER, ItemType.STRUCTURE, header),
        Item(Tag.BATCH_ITEM, ItemType.STRUCTURE, (code, payload)),
    )
    return binary.encode(Item(Tag.REQUEST_MESSAGE, ItemType.STRUCTURE, items))


def requests(operation: Operation) -> Iterator[tuple[Version, Item]]:
    """The payloads of an operation that name something, from the declarations."""
    described = operations.row(operation)
    assert described is not None
    for version in (V1_4, V2_1, V3_0):
        cls = described.request(version)
        seen = set()
        for plain in () if cls is None else payloads(Tag.REQUEST_PAYLOAD, cls, version):
            for payload in (plain, linked(plain, version)):
                if naming(payload, "x") != naming(payload, "y") and payload not in seen:
                    seen.add(payload)
                    yield version, payload


REQUESTS = {row.operation: tuple(requests(row.operation)) for row in STANDARD}

CANNOT_NAME = frozenset(
    {
        Operation.CANCEL, Operation.DISCOVER_VERSIONS, Operation.GET_CONSTRAINTS, Operation.HASH,
        Operation.INTEROP, Operation.LOG, Operation.LOGIN, Operation.LOGOUT, Operation.PING,
        Operation.PKCS_11, Operation.POLL, Operation.PROCESS, Operation.QUERY,
        Operation.QUERY_ASYNCHRONOUS_REQUESTS, Operation.RNG_RETRIEVE, Operation.RNG_SEED,
        Operation.RE_PROVISION, Operation.SET_ENDPOINT_ROLE,
    }
)  # fmt: skip
"""The operations whose requests have no identifier of an object."""


def test_the_requests_are_those_of_all_operations_that_can_name_an_object() -> None:
    assert {each for each, found in REQUESTS.items() if not found} == CANNOT_NAME
    assert sum(map(len, REQUESTS.values())) > 500


_UNIQUE = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


_CHANGING = (Tag.SERVER_CORRELATION_VALUE, Tag.TICKET_VALUE)


def comparable(data: bytes, *names: str) -> Item:
    """A response without what differs from one request to the next."""

    def without(item: Item) -> Item:
        if isinstance(item.value, tuple):
            kept = [each for each in item.value if each.tag not in _CHANGING]
            return Item(item.tag, item.type, tuple(without(each) for each in kept))
        if isinstance(item.value, str):
            text = item.value
            for name in names:
                text = text.replace(name, "NAME")
            return Item(item.tag, item.type, _UNIQUE.sub("IDENTIFIER", text))
        return item

    return without(binary.decode(data))


def answers(laboratory: Laboratory, client: Identity, messages: Sequence[bytes]) -> list[bytes]:
    """The responses to messages on one connection."""

    async def work() -> list[bytes]:
        async with laboratory.serving():
            account = await laboratory.dispatcher.admit(client)
            return [(await laboratory.dispatcher.respond(each, account)).data for each in messages]

    return trio.run(work)


@pytest.mark.parametrize("operation", [each for each, found in REQUESTS.items() if found])
@pytest.mark.parametrize("thief", ["globex", ""], ids=["tenant", "no tenant"])
def test_an_object_of_another_tenant_does_not_exist(
    scene: Scene, operation: Operation, thief: str
) -> None:
    before = scene.snapshot()
    prefix = "" if thief else "tenant:acme:"
    pairs = [
        (operation, version, payload, names)
        for version, payload in REQUESTS[operation]
        for names in scene.names(version, prefix)
    ]
    sent = [
        message(operation, version, naming(payload, name, item_type))
        for operation, version, payload, (*both, item_type) in pairs
        for name in both
    ]
    received = answers(scene.laboratory, member(thief, ADMINISTRATOR), sent)
    for number, (_, _, payload, (existing, absent, _)) in enumerate(pairs):
        found, expected = received[2 * number : 2 * number + 2]
        assert comparable(found, existing) == comparable(expected, absent), payload
    assert scene.snapshot() == before


def test_the_same_requests_find_what_exists(scene: Scene) -> None:
    """Otherwise all of the above would hold for a server that answers nothing."""
    request = message(
        Operation.GET, V2_1, naming(REQUESTS[Operation.GET][0][1], scene.objects["key"])
    )
    [own] = answers(scene.laboratory, member("acme"), [request])
    [colleague] = answers(scene.laboratory, member("acme", "db03"), [request])
    assert decode_response(own)[0].batch_items[0].result_status is ResultStatus.SUCCESS
    refused = decode_response(colleague)[0].batch_items[0]
    assert refused.result_reason is ResultReason.PERMISSION_DENIED
