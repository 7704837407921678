"""The clean-up: what a run has created is destroyed, or named with the reason."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from kmipkit_load import cleanup, mixes
from kmipkit_load.encoding import Encoding
from kmipkit_load.interrupts import Interrupts
from kmipkit_load.settings import Settings
from kmipkit_load.source import Objects
from kmipkit_load.target import Target
from virtual_network import MILLISECOND, VirtualLink, VirtualNetwork

from kmipkit.model.attribute import Attributes
from kmipkit.model.codec import encode
from kmipkit.model.headers import ProtocolVersion, ResponseHeader
from kmipkit.model.messages import ResponseBatchItem, ResponseMessage
from kmipkit.model.payloads.attributes import GetAttributesResponse
from kmipkit.spec.enums import Operation, ResultReason, ResultStatus, State
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_4, V2_1, Version

SETTINGS = Settings("0123abcd", Target("kms", 5696), mixes.find("create"), V1_4, Encoding())


def response(
    reason: ResultReason | None = None,
    message: str | None = None,
    payload: Any = None,
    version: Version = V1_4,
) -> bytes:
    failed = reason is not None
    item = ResponseBatchItem(
        operation=Operation.DESTROY if payload is None else Operation.GET_ATTRIBUTES,
        result_status=ResultStatus.OPERATION_FAILED if failed else ResultStatus.SUCCESS,
        result_reason=reason,
        result_message=message,
        response_payload=payload,
    )
    header = ResponseHeader(
        protocol_version=ProtocolVersion.of(version),
        time_stamp=datetime(2026, 11, 29, tzinfo=UTC),
        batch_count=1,
    )
    return encode(ResponseMessage(response_header=header, batch_items=(item,)), version)


def in_state(state: State) -> bytes:
    payload = GetAttributesResponse(
        unique_identifier="key-0", attributes=Attributes.of((Tag.STATE, state))
    )
    return response(payload=payload)


def objects(active: int = 0, fresh: int = 0, uncertain: int = 0) -> Objects:
    every = Objects()
    every.made = {f"key-{number}": number < active for number in range(active + fresh)}
    every.uncertain = [f"name-{number}" for number in range(uncertain)]
    return every


def clean(network: VirtualNetwork, every: Objects) -> cleanup.Removal:
    return cleanup.clean(network, SETTINGS, every, lambda removed, total: None, Interrupts())


def answering(body: bytes) -> VirtualNetwork:
    network = VirtualNetwork(lambda now: MILLISECOND)
    network.response = body
    return network


def test_active_objects_are_revoked_first() -> None:
    network = answering(response())
    assert clean(network, objects(active=20, fresh=30)) == cleanup.Removal(50, {})
    assert len(network.arrivals) == 2 * 20 + 30


@pytest.mark.parametrize(
    ("reason", "version"),
    [
        (ResultReason.ITEM_NOT_FOUND, V1_4),
        (ResultReason.OBJECT_NOT_FOUND, V2_1),
        (ResultReason.OBJECT_DESTROYED, V2_1),
    ],
)
def test_what_is_gone_already_counts_as_removed(reason: ResultReason, version: Version) -> None:
    network = answering(response(reason, version=version))
    assert clean(network, objects(fresh=5)) == cleanup.Removal(5, {})


LOST = ""
"""No response comes."""


class _Scripted(VirtualNetwork):
    """Gives one answer after the other to the requests of a single connection."""

    def __init__(self, *answers: bytes | str) -> None:
        super().__init__(lambda now: MILLISECOND)
        self.answers = list(answers)

    def arrive(self, link: VirtualLink, turn: int) -> None:
        super().arrive(link, turn)
        answer = self.answers.pop(0)
        if isinstance(answer, bytes):
            self.response = answer
        else:
            link.failure = "the server closed the connection"


DENIED = response(ResultReason.PERMISSION_DENIED, "no")


@pytest.mark.parametrize(
    ("answers", "left"),
    [
        ([LOST, response()], None),
        ([response()[:8] + bytes(len(response()) - 8), response()], None),
        ([LOST, DENIED, in_state(State.DESTROYED)], None),
        ([LOST, DENIED, response(ResultReason.ITEM_NOT_FOUND)], None),
        ([LOST, DENIED, in_state(State.ACTIVE)], "Permission Denied: no"),
        ([LOST, DENIED, DENIED], "Permission Denied: no"),
        ([DENIED], "Permission Denied: no"),
        ([LOST] * 5, "no response"),
    ],
    ids=[
        "lost", "malformed", "lost and done", "lost and gone", "lost and refused",
        "lost and nobody knows", "refused", "always lost",
    ],
)  # fmt: skip
def test_a_destroy_whose_response_is_lost_may_have_taken_effect(
    answers: list[bytes | str], left: str | None
) -> None:
    network = _Scripted(*answers)
    removal = clean(network, objects(fresh=1))
    expected = cleanup.Removal(1, {}) if left is None else cleanup.Removal(0, {"key-0": left})
    assert removal == expected
    assert network.answers == []


class _Limited(VirtualNetwork):
    """Serves two connections, and breaks all others off."""

    def __init__(self) -> None:
        super().__init__(lambda now: 100 * MILLISECOND)
        self.served: list[VirtualLink] = []

    def arrive(self, link: VirtualLink, turn: int) -> None:
        super().arrive(link, turn)
        if len(self.served) < 2 and link not in self.served:
            self.served.append(link)
        if link not in self.served:
            link.failure = "the server closed the connection"


def test_a_server_with_few_connections_is_cleaned_up() -> None:
    network = _Limited()
    network.response = response()
    assert clean(network, objects(fresh=60)) == cleanup.Removal(60, {})


def test_a_run_with_one_connection_is_cleaned_up_over_one() -> None:
    network = answering(response())
    settings = replace(SETTINGS, connections=1)
    cleanup.clean(network, settings, objects(fresh=20), lambda removed, total: None, Interrupts())
    assert network.opened == 1


def test_what_the_server_keeps_is_named_with_its_reason() -> None:
    network = answering(response(ResultReason.PERMISSION_DENIED, "archived"))
    removal = clean(network, objects(active=1, fresh=1))
    assert removal == cleanup.Removal(
        0, dict.fromkeys(["key-0", "key-1"], "Permission Denied: archived")
    )


def test_a_server_that_is_gone_is_given_up_soon() -> None:
    """Else the clean-up of 10,000 objects would try for hours."""
    network = answering(response())
    network.refuses = True
    removal = clean(network, objects(fresh=10_000))
    assert removal.removed == 0
    assert len(removal.left) == 10_000
    assert set(removal.left.values()) == {"no response", "not attempted"}
    assert network.now() < 60_000 * MILLISECOND


def test_objects_whose_creation_was_not_answered_are_named() -> None:
    network = answering(response())  # a Locate without payload: the names stay uncertain
    removal = clean(network, objects(fresh=1, uncertain=2))
    assert removal.removed == 1
    assert set(removal.left) == {"name-0", "name-1"}


def test_names_are_not_looked_for_on_a_server_that_is_gone() -> None:
    """Thousands of them, each with its time-out, would take hours."""
    network = answering(response())
    network.refuses = True
    removal = clean(network, objects(uncertain=10_000))
    assert len(removal.left) == 10_000
    assert "not located" in removal.left.values()
    assert len(network.arrivals) == 0
    assert network.now() < 60_000 * MILLISECOND


class _Interrupted(VirtualNetwork):
    """Ctrl-C comes with the tenth wait."""

    def wait(self, nanoseconds: int) -> list[VirtualLink]:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt
        return super().wait(nanoseconds)

    left = 10


def test_ctrl_c_in_the_clean_up_says_what_is_left() -> None:
    network = _Interrupted(lambda now: MILLISECOND)
    network.response = response()
    removal = clean(network, objects(fresh=100))
    assert removal.removed + len(removal.left) == 100
    assert 0 < removal.removed < 20
    assert "not attempted" in removal.left.values()


@pytest.mark.parametrize("encoding", ["text/xml", "application/json"])
def test_responses_are_judged_in_each_encoding(encoding: str) -> None:
    text = Encoding(encoding)
    assert text.failure(text.body(response())) is None
    failure = text.failure(text.body(response(ResultReason.ITEM_NOT_FOUND, "no key 7")))
    assert failure == ("Item Not Found", "no key 7")
    broken = text.failure(b"{}")
    assert broken is not None
    assert broken.reason == "malformed response"
