"""The clean-up: what a run has created is destroyed, or named with the reason."""

from datetime import UTC, datetime

import pytest
from kmipkit_load import cleanup, mixes
from kmipkit_load.encoding import Encoding
from kmipkit_load.settings import Settings
from kmipkit_load.source import Objects
from kmipkit_load.target import Target
from virtual_network import MILLISECOND, VirtualLink, VirtualNetwork

from kmipkit.model.codec import encode
from kmipkit.model.headers import ProtocolVersion, ResponseHeader
from kmipkit.model.messages import ResponseBatchItem, ResponseMessage
from kmipkit.spec.enums import Operation, ResultReason, ResultStatus
from kmipkit.spec.versions import V1_4

SETTINGS = Settings("0123abcd", Target("kms", 5696), mixes.find("create"), V1_4, Encoding())


def response(reason: ResultReason | None = None, message: str | None = None) -> bytes:
    failed = reason is not None
    item = ResponseBatchItem(
        operation=Operation.DESTROY,
        result_status=ResultStatus.OPERATION_FAILED if failed else ResultStatus.SUCCESS,
        result_reason=reason,
        result_message=message,
    )
    header = ResponseHeader(
        protocol_version=ProtocolVersion.of(V1_4),
        time_stamp=datetime(2026, 11, 29, tzinfo=UTC),
        batch_count=1,
    )
    return encode(ResponseMessage(response_header=header, batch_items=(item,)), V1_4)


def objects(active: int = 0, fresh: int = 0, uncertain: int = 0) -> Objects:
    every = Objects()
    every.made = {f"key-{number}": number < active for number in range(active + fresh)}
    every.uncertain = [f"name-{number}" for number in range(uncertain)]
    return every


def clean(network: VirtualNetwork, every: Objects) -> cleanup.Removal:
    return cleanup.clean(network, SETTINGS, every, lambda removed, total: None)


def answering(body: bytes) -> VirtualNetwork:
    network = VirtualNetwork(lambda now: MILLISECOND)
    network.response = body
    return network


def test_active_objects_are_revoked_first() -> None:
    network = answering(response())
    assert clean(network, objects(active=20, fresh=30)) == cleanup.Removal(50, {})
    assert len(network.arrivals) == 2 * 20 + 30


def test_what_is_gone_already_counts_as_removed() -> None:
    network = answering(response(ResultReason.ITEM_NOT_FOUND))
    assert clean(network, objects(fresh=5)) == cleanup.Removal(5, {})


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
