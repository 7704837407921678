"""Prepared answers give nothing away: no key is in memory, and none outlives a change of its object.

A loss: a second server on the same database, or whoever writes into it, revokes or destroys a key, and
this one goes on giving it out; or a memory dump has the keys that were read last.
"""

import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest
import trio
from kmipkit_client import calls, messages, symmetric_key
from kmipkit_client.calls import Call
from kmipkit_server.engine.prepared import PreparedAnswers
from kmipkit_server.identity.identity import Identity
from kmipkit_server.store.sqlite import database
from laboratory import Laboratory

from kmipkit.model.attribute import Attributes, VendorName
from kmipkit.model.codec import encode
from kmipkit.model.envelope import decode_response
from kmipkit.model.keyblock import KeyBlock, KeyValue
from kmipkit.model.objects import SecretData
from kmipkit.model.payloads.lifecycle import ArchiveRequest
from kmipkit.model.payloads.register import ImportRequest
from kmipkit.spec.enums import (
    KeyFormatType,
    ObjectType,
    Operation,
    ResultReason,
    RevocationReasonCode,
    SecretDataType,
    State,
)
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V2_1

KEY = bytes.fromhex("d00dfeedcafebabe8badf00dfee1deadd15ea5edba5eba11c0ffee00facade99")
REGISTER = calls.register(symmetric_key(KEY), CryptographicUsageMask.ENCRYPT, None, None)


@pytest.fixture
def laboratory(tmp_path: Path) -> Iterator[Laboratory]:
    laboratory = Laboratory(tmp_path)
    yield laboratory
    laboratory.close()


@pytest.fixture
def second(
    laboratory: Laboratory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Laboratory]:
    """Another server on the same database, which the lock would prevent."""
    monkeypatch.setattr(database, "take_lock", lambda _: os.open("/dev/null", os.O_RDONLY))
    second = Laboratory(tmp_path)
    yield second
    second.close()


def get(identifier: str) -> Call[Any]:
    return calls.get(identifier, None, None, None)


def get_state(identifier: str) -> Call[Any]:
    return calls.get_attributes(identifier, (Tag.STATE,))


def repeat(laboratory: Laboratory, call: Call[Any]) -> None:
    """Ask until the answer is prepared."""
    for _ in range(4):
        laboratory.ask(call)
    assert _is_prepared(laboratory, call)


def _bytes(call: Call[Any]) -> bytes:
    return encode(messages.request(V2_1, [call]), V2_1)


def _is_prepared(laboratory: Laboratory, call: Call[Any], account: str = "me") -> bool:
    return laboratory.dispatcher.prepared.find(_bytes(call), account) is not None


def reason(laboratory: Laboratory, call: Call[Any], identity: str = "me") -> ResultReason | None:
    """The Result Reason of the answer; None for a success."""
    response, _ = decode_response(laboratory.exchange(_bytes(call), identity))
    return response.batch_items[0].result_reason


def archive(identifier: str) -> Call[Any]:
    return calls.raw(Operation.ARCHIVE, ArchiveRequest(unique_identifier=identifier))


def make_sensitive(identifier: str) -> Call[Any]:
    return calls.set_attribute(identifier, Tag.SENSITIVE, True)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (calls.destroy, ResultReason.OBJECT_DESTROYED),
        (archive, ResultReason.OBJECT_ARCHIVED),
        (make_sensitive, ResultReason.SENSITIVE),
    ],
    ids=["destroyed", "archived", "sensitive"],
)
def test_a_change_of_another_server_is_seen_by_the_next_get(
    laboratory: Laboratory,
    second: Laboratory,
    change: Callable[[str], Call[Any]],
    expected: ResultReason,
) -> None:
    key = laboratory.ask(REGISTER)
    repeat(laboratory, get(key))
    second.ask(change(key))
    assert reason(laboratory, get(key)) == expected


def test_the_answer_of_a_destroyed_key_is_removed(laboratory: Laboratory) -> None:
    key = laboratory.ask(REGISTER)
    repeat(laboratory, get(key))
    laboratory.ask(calls.destroy(key))
    assert reason(laboratory, get(key)) == ResultReason.OBJECT_DESTROYED
    assert not _is_prepared(laboratory, get(key))


def test_a_revocation_by_another_server_is_seen_by_the_next_request(
    laboratory: Laboratory, second: Laboratory
) -> None:
    key = laboratory.ask(REGISTER)
    repeat(laboratory, get_state(key))
    second.ask(calls.revoke(key, RevocationReasonCode.KEY_COMPROMISE, None, second.now))
    assert laboratory.ask(get_state(key)).get(Tag.STATE) == State.COMPROMISED


def test_a_row_that_was_changed_is_seen_by_the_next_get(
    laboratory: Laboratory, second: Laboratory
) -> None:
    key = laboratory.ask(REGISTER)
    repeat(laboratory, get(key))
    with second.store._database._writing as connection:
        connection.execute("UPDATE objects SET state = ? WHERE id = ?", (int(State.ACTIVE), key))
    assert reason(laboratory, get(key)) == ResultReason.GENERAL_FAILURE


def test_nobody_else_gets_a_prepared_answer(laboratory: Laboratory) -> None:
    key = laboratory.ask(REGISTER)
    repeat(laboratory, get(key))
    assert reason(laboratory, get(key), "other") == ResultReason.PERMISSION_DENIED
    assert _is_prepared(laboratory, get(key)), "another client removes no answer of the owner"


def test_two_tenants_may_have_keys_of_the_same_name(laboratory: Laboratory) -> None:
    """The bytes of their requests are the same, too."""
    owners = {"tenant:acme:db": bytes(range(16)), "tenant:bolt:db": bytes(range(16, 32))}

    async def work() -> None:
        async with laboratory.serving():
            for owner, key in owners.items():
                request = ImportRequest(
                    unique_identifier="the key",
                    object_type=ObjectType.SYMMETRIC_KEY,
                    attributes=Attributes(),
                    object=symmetric_key(key),
                )
                await respond(owner, calls.raw(Operation.IMPORT, request))
            for owner, key in 6 * [*owners.items(), *owners.items()]:
                assert key in await respond(owner, get("the key"))
            for owner, key in 6 * list(owners.items())[:1]:
                assert key in await respond(owner, get("the key"))

    async def respond(owner: str, call: Call[Any]) -> bytes:
        return (await laboratory.dispatcher.respond(_bytes(call), Identity(owner))).data

    trio.run(work)
    for owner in owners:
        assert _is_prepared(laboratory, get("the key"), owner)


def test_a_date_that_passes_changes_the_answer(laboratory: Laboratory) -> None:
    key = laboratory.ask(REGISTER)
    laboratory.ask(calls.activate(key))
    end = {Tag.DEACTIVATION_DATE: laboratory.now.replace(microsecond=0, second=10)}
    [(tag, date)] = end.items()
    laboratory.ask(calls.add_attribute(key, tag, date))
    repeat(laboratory, get_state(key))
    laboratory.pass_time(seconds=10)
    assert laboratory.ask(get_state(key)).get(Tag.STATE) == State.DEACTIVATED


def _reachable(start: object) -> Iterator[object]:
    """What an object refers to, without code: that refers to everything."""
    seen, queue = set(), [start]
    while queue:
        each = queue.pop()
        if id(each) in seen or isinstance(each, type | FunctionType | ModuleType):
            continue
        seen.add(id(each))
        yield each
        queue += gc.get_referents(each)


def test_no_key_is_among_the_prepared_answers(laboratory: Laboratory) -> None:
    key = laboratory.ask(REGISTER)
    repeat(laboratory, get(key))
    table = laboratory.dispatcher.prepared._shares
    parts = [each for each in _reachable(table) if isinstance(each, bytes | bytearray)]
    assert len(parts) >= 6
    assert not [each for each in parts if KEY[:8] in each or KEY[-8:] in each]


def test_the_prepared_answers_have_a_limit(laboratory: Laboratory) -> None:
    laboratory.dispatcher.prepared = PreparedAnswers(maximum=3)
    keys = [laboratory.ask(REGISTER) for _ in range(6)]
    for key in keys:
        repeat(laboratory, get(key))
    assert len(laboratory.dispatcher.prepared) == 3
    assert trio.run(laboratory.dispatcher.admit, Identity("me"))


def test_nobody_learns_from_the_time_what_others_have_asked_for(laboratory: Laboratory) -> None:
    """An answer that is prepared comes in half the time, also a refusal after it."""
    key = laboratory.ask(REGISTER)
    repeat(laboratory, get(key))
    assert not _is_prepared(laboratory, get(key), "other")
    for _ in range(4):
        reason(laboratory, get(key), "other")
    assert not _is_prepared(laboratory, get(key), "other")
    assert _is_prepared(laboratory, get(key))


def test_who_asks_for_much_takes_no_answers_from_others(laboratory: Laboratory) -> None:
    """Else one client could make the server twice as slow for all others."""
    laboratory.dispatcher.prepared = PreparedAnswers(maximum=6)
    mine = [laboratory.ask(REGISTER) for _ in range(2)]
    for key in mine:
        repeat(laboratory, get(key))
    for _ in range(20):
        key = laboratory.ask(REGISTER, identity="greedy")
        for _ in range(4):
            laboratory.ask(get(key), identity="greedy")
        assert _is_prepared(laboratory, get(key), "greedy")
    assert all(_is_prepared(laboratory, get(key)) for key in mine)
    assert len(laboratory.dispatcher.prepared) == 6
    for key in (laboratory.ask(REGISTER) for _ in range(4)):  # what is free to take is taken
        repeat(laboratory, get(key))
    shares = laboratory.dispatcher.prepared._shares
    assert [len(share.answers) for share in shares.values()] == [3, 3]


def test_requests_that_come_once_make_nobody_forget_those_of_others(
    laboratory: Laboratory,
) -> None:
    laboratory.dispatcher.prepared = PreparedAnswers(maximum=4)
    mine = laboratory.ask(REGISTER)
    laboratory.ask(get(mine))  # it writes, to clear Fresh
    laboratory.ask(get(mine))
    key = laboratory.ask(REGISTER, identity="greedy")
    for number in range(40):
        laboratory.ask(
            calls.get_attributes(key, (Tag.STATE, VendorName("x", str(number)))), identity="greedy"
        )
    laboratory.ask(get(mine))
    assert _is_prepared(laboratory, get(mine))


def test_the_number_of_accounts_has_a_limit(laboratory: Laboratory) -> None:
    laboratory.dispatcher.prepared = prepared = PreparedAnswers(maximum=3)
    for account in ("a", "b", "c", "d", "e"):
        key = laboratory.ask(REGISTER, identity=account)
        for _ in range(4):
            laboratory.ask(get(key), identity=account)
    assert list(prepared._shares) == ["c", "d", "e"]
    assert len(prepared) == sum(len(share.answers) for share in prepared._shares.values()) == 3


def test_large_objects_are_not_prepared(laboratory: Laboratory) -> None:
    """To find a megabyte in its material takes milliseconds, in which the server does nothing else."""
    secret = SecretData(
        secret_data_type=SecretDataType.SEED,
        key_block=KeyBlock(
            key_format_type=KeyFormatType.OPAQUE,
            key_value=KeyValue(key_material=os.urandom(4097)),
        ),
    )
    large = laboratory.ask(calls.register(secret, CryptographicUsageMask(0), None, None))
    for _ in range(4):
        laboratory.ask(get(large))
    assert not _is_prepared(laboratory, get(large))
