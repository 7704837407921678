"""Objects of the same template are as the ordinary way makes them: the same answers, the same rows.

A loss otherwise: a Name that another object has, or that a policy or a constraint forbids, is accepted;
an object is not found by one of its attributes, or has those of another one.
"""

import re
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import trio
from hypothesis import given, settings, target
from hypothesis import strategies as st
from kmipkit_client import calls
from kmipkit_client import messages as client_messages
from kmipkit_client.calls import Call
from kmipkit_server.engine.alike import AlikeRequests
from kmipkit_server.engine.request import Request
from laboratory import Laboratory
from lengths import examples
from policies import apply_policy
from stored_objects import sorted_attributes
from stores import is_postgresql

from kmipkit.model.attribute import Attribute, Attributes
from kmipkit.model.attributes import Name
from kmipkit.model.codec import encode
from kmipkit.model.envelope import decode_response
from kmipkit.model.payloads.create import CreateRequest
from kmipkit.model.payloads.limits import (
    Constraint,
    Constraints,
    DefaultsInformation,
    ObjectDefaults,
    ObjectTypes,
    SetConstraintsRequest,
    SetDefaultsRequest,
)
from kmipkit.spec.enums import CryptographicAlgorithm as Algorithm
from kmipkit.spec.enums import KeyFormatType, NameType, ObjectType, Operation
from kmipkit.spec.masks import CryptographicUsageMask as Mask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_0, V1_2, V1_4, V2_1, V3_0

NUMBERS: tuple[tuple[tuple[Tag, Any], ...], ...] = (
    ((Tag.CRYPTOGRAPHIC_ALGORITHM, Algorithm.AES), (Tag.CRYPTOGRAPHIC_LENGTH, 128)),
    ((Tag.CRYPTOGRAPHIC_ALGORITHM, Algorithm.AES), (Tag.CRYPTOGRAPHIC_LENGTH, 256)),
    ((Tag.CRYPTOGRAPHIC_LENGTH, 168), (Tag.CRYPTOGRAPHIC_ALGORITHM, Algorithm.DES3)),
    ((Tag.CRYPTOGRAPHIC_ALGORITHM, Algorithm.AES), (Tag.CRYPTOGRAPHIC_LENGTH, 17)),
    ((Tag.CRYPTOGRAPHIC_LENGTH, 256),),
)
"""What a key is; the last ones are refused."""
FURTHER: tuple[tuple[Tag, Any], ...] = (
    (Tag.CRYPTOGRAPHIC_USAGE_MASK, Mask.ENCRYPT),
    (Tag.CRYPTOGRAPHIC_USAGE_MASK, Mask.SIGN | Mask.VERIFY),
    (Tag.SENSITIVE, True),
    (Tag.EXTRACTABLE, False),
    (Tag.FRESH, True),
    (Tag.KEY_FORMAT_TYPE, KeyFormatType.TRANSPARENT_SYMMETRIC_KEY),
    (Tag.ROTATE_AUTOMATIC, True),
    (Tag.ROTATE_INTERVAL, 60),
    (Tag.QUANTUM_SAFE, True),
    (Tag.OBJECT_GROUP, "group"),
    (Tag.LEASE_TIME, 5),
)
NAMES = (
    "a",
    "b",
    "c",
    "é",
    "鍵",
    "xx",
    "xxxx",
    "n" * 300,
    "n" * 299 + "m",
    "zero\0",
    "RAW",
    "default",
)
TYPES = (NameType.UNINTERPRETED_TEXT_STRING, NameType.URI, NameType(0x7FFFFFFF))
VERSIONS = (V1_0, V1_2, V1_4, V2_1, V3_0)
POLICY = """
[rules.names]
deny = "Create"
objects = { names = ["b", "n*"] }
"""


class Template(NamedTuple):
    """Requests that differ in the Name."""

    attributes: tuple[tuple[Tag, Any], ...]
    place: int
    version: Any

    def request(self, *names: Name) -> Call[Any]:
        at = self.place % (len(self.attributes) + 1)
        pairs = [
            *self.attributes[:at],
            *[(Tag.NAME, each) for each in names],
            *self.attributes[at:],
        ]
        attributes = Attributes(tuple([Attribute(*pair) for pair in pairs]))
        payload = CreateRequest(object_type=ObjectType.SYMMETRIC_KEY, attributes=attributes)
        return calls.raw(Operation.CREATE, payload)


class Nothing(dict[Any, Any]):
    """Keeps nothing."""

    def __setitem__(self, *_: Any) -> None:
        pass


class Ordinary(AlikeRequests):
    """Decodes each request."""

    def read(self, data: bytes) -> Request | None:
        return None


class Counting(AlikeRequests):
    """Counts those that need not be decoded."""

    found = 0

    def read(self, data: bytes) -> Request | None:
        request = super().read(data)
        self.found += request is not None
        return request


class Pair:
    """A server with patterns, and one without, which draw the same keys and identifiers."""

    def __init__(self, folder: Path) -> None:
        self.servers = [Laboratory(folder / name, random=_drawing()) for name in ("fast", "plain")]
        fast, plain = self.servers
        self.alike = fast.dispatcher._alike = Counting()
        plain.dispatcher._alike = Ordinary()
        plain.state.patterns = Nothing()

    def close(self) -> None:
        for server in self.servers:
            server.close()

    def ask(self, call: Call[Any], version: Any, account: str = "me") -> str | None:
        """The same request to both; the identifier of the new object, if there is one."""
        data = encode(client_messages.request(version, [call]), version, strict=False)
        answers = [_plain(server.exchange(data, account)) for server in self.servers]
        assert answers[0] == answers[1]
        response, _ = decode_response(answers[0])
        return getattr(response.batch_items[0].response_payload, "unique_identifier", None)

    def compare(self) -> None:
        """What both have stored."""
        rows = [list(_objects(server)) for server in self.servers]
        assert rows[0] == rows[1]
        if not is_postgresql():
            assert _index(self.servers[0]) == _index(self.servers[1])


def _plain(data: bytes) -> bytes:
    """A response without the number of its Server Correlation Value."""
    return re.sub(rb"[0-9a-f]{32}-[0-9a-f]{12}", bytes(45), data)


def _drawing() -> Any:
    numbers = count()

    def draw(size: int) -> bytes:
        return b"".join(
            sha256(b"%d %d" % (next(numbers), part)).digest() for part in range(size // 32 + 1)
        )[:size]

    return draw


def _objects(server: Laboratory) -> Iterator[Any]:
    identifiers = trio.run(server.store.run, lambda reader: reader.objects_of("me"))
    for identifier in identifiers:
        record = server.record(identifier)
        assert record is not None
        yield (
            record.id, record.owner, record.object_type, record.stored_state, record.material,
            sorted_attributes(record.attributes),
        )  # fmt: skip


def _index(server: Laboratory) -> list[Any]:
    tables = [
        "SELECT o.owner, attribute, field, value, o.id, instance FROM attribute_index i"
        " LEFT JOIN objects o ON o.seq = i.object ORDER BY 2, 3, 4, 5, 6",
        "SELECT o.id, r.due FROM rotations r JOIN objects o ON o.seq = r.object ORDER BY 1",
        "SELECT id, archived, activation, deactivation, length(attributes) FROM objects ORDER BY 1",
        "SELECT attributes FROM kinds ORDER BY 1",
        "SELECT objects, size FROM totals ORDER BY owner",
    ]
    return [server.database.reader.sql.all(sql) for sql in tables]


@contextmanager
def pair() -> Iterator[Pair]:
    with tempfile.TemporaryDirectory() as folder, closing(Pair(Path(folder))) as opened:
        yield opened


def templates() -> st.SearchStrategy[Template]:
    further = st.lists(st.sampled_from(FURTHER), max_size=3, unique_by=lambda each: each[0])
    return st.builds(
        lambda number, more, place, version: Template((*number, *more), place, version),
        st.sampled_from(NUMBERS), further, st.integers(0, 5), st.sampled_from(VERSIONS),
    )  # fmt: skip


def steps() -> st.SearchStrategy[Any]:
    names = st.builds(
        lambda text, kind: Name(name_value=text, name_type=kind),
        st.sampled_from(NAMES),
        st.sampled_from((TYPES[0], TYPES[0], *TYPES)),
    )
    return st.one_of(
        st.tuples(st.just("create"), st.integers(0, 2), st.lists(names, max_size=2)),
        st.tuples(st.just("create"), st.integers(0, 2), names.map(lambda name: [name])),
        st.tuples(st.just("create"), st.integers(0, 2), names.map(lambda name: [name])),
        st.tuples(st.sampled_from(("destroy", "constrain", "default", "free", "policy", "later"))),
    )


KEYS = ObjectTypes(object_types=(ObjectType.SYMMETRIC_KEY,))
RULES: dict[str, Call[Any]] = {
    "constrain": calls.raw(
        Operation.SET_CONSTRAINTS,
        SetConstraintsRequest(
            constraints=Constraints(
                constraints=(
                    Constraint(
                        object_types=KEYS,
                        attributes=Attributes.of((Tag.CRYPTOGRAPHIC_LENGTH, 128)),
                    ),
                )
            )
        ),
    ),
    "free": calls.raw(
        Operation.SET_CONSTRAINTS, SetConstraintsRequest(constraints=Constraints(constraints=()))
    ),
    "default": calls.raw(
        Operation.SET_DEFAULTS,
        SetDefaultsRequest(
            defaults_information=DefaultsInformation(
                object_defaults=(
                    ObjectDefaults(
                        object_types=KEYS,
                        attributes=Attributes.of((Tag.CONTACT_INFORMATION, "them")),
                    ),
                )
            )
        ),
    ),
}


@given(st.lists(templates(), min_size=3, max_size=3), st.lists(steps(), min_size=4, max_size=24))
@settings(max_examples=examples(60))
def test_objects_of_a_template_are_those_of_the_ordinary_way(
    kinds: list[Template], history: list[Any]
) -> None:
    with pair() as both:
        made: list[str] = []
        for step, *rest in history:
            match step:
                case "create":
                    template = kinds[rest[0]]
                    identifier = both.ask(template.request(*rest[1]), template.version)
                    made += [identifier] if identifier else []
                case "destroy" if made:
                    both.ask(calls.destroy(made.pop()), V2_1)
                case "policy":
                    for server in both.servers:
                        apply_policy(server, POLICY)
                case "later":
                    for server in both.servers:
                        server.now += timedelta(seconds=1)
                case "constrain" | "free" | "default":
                    both.ask(RULES[step], V2_1, "administrator")
        both.compare()
        target(float(both.alike.found))


def test_a_template_is_worked_out_once(tmp_path: Path) -> None:
    """Otherwise the property above compares the ordinary way with itself."""
    with closing(Pair(tmp_path)) as both:
        for version in VERSIONS:
            template = Template((*NUMBERS[0], FURTHER[0]), 1, version)
            for text in "abcdefgh":
                name = Name(name_value=f"{text} {version}", name_type=TYPES[0])
                assert both.ask(template.request(name), version)
        both.compare()
        assert len(both.servers[0].state.patterns) == len(VERSIONS)
        # 3.0 has no type of a Name, and another encoding.
        assert both.alike.found == 6 * (len(VERSIONS) - 1)
