"""What has changed since the first object of a template counts for the next one.

The server works out once what requests that differ in the Name have in common
(``objects/patterns``). A loss otherwise: a policy, a constraint or a default of the administrator does
not hold for those who create many objects.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
from kmipkit_client import OperationFailed, calls
from kmipkit_client.values import ENCRYPT_AND_DECRYPT
from kmipkit_server.engine.hooks import Permissions, Quotas
from kmipkit_server.objects import patterns
from kmipkit_server.store.base import Reader
from laboratory import Laboratory
from policies import apply_policy

from kmipkit.model.attribute import Attributes
from kmipkit.model.payloads.limits import (
    Constraint,
    Constraints,
    DefaultsInformation,
    ObjectDefaults,
    ObjectTypes,
    SetConstraintsRequest,
    SetDefaultsRequest,
)
from kmipkit.spec.enums import CryptographicAlgorithm, KeyFormatType, ObjectType, Operation
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_2, V2_1

KEYS = ObjectTypes(object_types=(ObjectType.SYMMETRIC_KEY,))


class Server(Laboratory):
    """A server that has created some keys of a template."""

    def __init__(self, folder: Path, **options: Any) -> None:
        super().__init__(folder, **options)
        for name in ("one", "two", "three"):
            assert self.create(name) == ""
        assert len(self.state.patterns) == 1

    def create(self, name: str, version: Any = V1_2, identity: str = "me", **more: Any) -> str:
        """The message of a refusal; empty for a success."""
        attributes = {Tag[key.upper()]: value for key, value in more.items()}
        call = calls.create(
            CryptographicAlgorithm.AES, 256, ENCRYPT_AND_DECRYPT, name, attributes or None
        )
        try:
            self.created = self.record(self.ask(call, version, identity))
        except OperationFailed as failure:
            return failure.message or failure.reason.name
        return ""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "data")
    yield server
    server.close()


def test_a_name_is_used_once(server: Server) -> None:
    assert "already has the Name 'two'" in server.create("two")
    assert server.create("four") == ""
    assert server.create("two", identity="somebody else") == ""


def test_a_rule_of_the_policy_holds_from_the_next_request_on(server: Server) -> None:
    apply_policy(server, '[rules.reserved]\ndeny = "Create"\nobjects = { names = "prod-*" }\n')
    assert "the rule 'reserved'" in server.create("prod-1")
    # Another one that the rule permits makes a pattern of its own.
    assert server.create("test-1") == server.create("test-2") == ""
    assert "the rule 'reserved'" in server.create("prod-1")


def test_a_rule_about_algorithms_holds_from_the_next_request_on(server: Server) -> None:
    apply_policy(server, "[algorithms.long]\nminimum_strength = 512\n")
    assert server.create("four") != ""


def test_a_rule_about_algorithms_holds_from_its_date_on(server: Server) -> None:
    text = "[algorithms.long]\nminimum_strength = 512\nfrom = 2027-01-01\n"
    apply_policy(server, text)
    assert server.create("four") == server.create("five") == ""
    server.pass_time(days=60)
    assert "long" in server.create("six")


def test_a_constraint_holds_from_the_next_request_on(server: Server) -> None:
    constraint = Constraint(
        object_types=KEYS, attributes=Attributes.of((Tag.CRYPTOGRAPHIC_LENGTH, 128))
    )
    request = SetConstraintsRequest(constraints=Constraints(constraints=(constraint,)))
    server.ask(calls.raw(Operation.SET_CONSTRAINTS, request), identity="administrator")
    assert "Cryptographic Length must be 128" in server.create("four")


def test_a_default_holds_from_the_next_request_on(server: Server) -> None:
    default = ObjectDefaults(
        object_types=KEYS, attributes=Attributes.of((Tag.CONTACT_INFORMATION, "them"))
    )
    request = SetDefaultsRequest(
        defaults_information=DefaultsInformation(object_defaults=(default,))
    )
    server.ask(calls.raw(Operation.SET_DEFAULTS, request), identity="administrator")
    assert server.create("four") == ""
    assert server.created is not None
    assert server.created.attributes.get(Tag.CONTACT_INFORMATION) == "them"


def test_a_quota_holds(tmp_path: Path) -> None:
    server = Server(tmp_path / "data", hooks=(Permissions(), Quotas(objects=4)))
    assert server.create("four") == ""
    assert "4 objects" in server.create("five")
    server.close()


def test_a_key_in_another_format_or_that_is_rotated_is_made_by_itself(server: Server) -> None:
    for number in range(3):
        form = KeyFormatType.TRANSPARENT_SYMMETRIC_KEY
        assert server.create(f"format {number}", V2_1, key_format_type=form) == ""
        rotated: dict[str, Any] = {"rotate_automatic": True, "rotate_interval": 60}
        assert server.create(f"rotated {number}", V2_1, **rotated) == ""
        assert server.created is not None

        def due(reader: Reader) -> Any:
            return reader.due_rotation(1 << 40, (0, 0))

        assert trio.run(server.store.run, due) is not None
    assert len(server.state.patterns) == 1


def test_as_many_templates_are_kept_as_there_is_room_for(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patterns, "MAX_PATTERNS", 3)
    for interval in range(1, 9):
        for number in range(3):
            assert server.create(f"{interval} {number}", V2_1, rotate_interval=interval) == ""
            assert 0 < len(server.state.patterns) <= 3
