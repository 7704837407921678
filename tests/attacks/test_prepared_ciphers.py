"""A prepared answer of Encrypt or Decrypt gives nothing away, and does not outlive what permits it.

A loss: a key that was revoked, that has reached its Protect Stop Date, or whose algorithm a policy no
longer permits, goes on encrypting; another account decrypts with it; a memory dump has keys or data.
"""

import gc
import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest
from kmipkit_client import GCM, Encrypted, calls, messages, symmetric_key
from kmipkit_client.calls import Call
from kmipkit_server.store.sqlite import database
from laboratory import START, Laboratory
from policies import apply_policy

from kmipkit.model.codec import encode
from kmipkit.model.envelope import decode_response
from kmipkit.model.payloads.lifecycle import ArchiveRequest
from kmipkit.spec.enums import Operation, RevocationReasonCode
from kmipkit.spec.enums import ResultReason as R
from kmipkit.spec.masks import CryptographicUsageMask as Mask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V2_1

KEY = bytes.fromhex("d00dfeedcafebabe8badf00dfee1deadd15ea5edba5eba11c0ffee00facade99")
ENDED = RevocationReasonCode.CESSATION_OF_OPERATION
COMPROMISED = RevocationReasonCode.KEY_COMPROMISE
PLAIN = "Nobody reads this but who has the key: {:04}"


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


def encrypt(key: str, number: int) -> Call[Encrypted]:
    return calls.encrypt(key, PLAIN.format(number).encode(), GCM)


def register(laboratory: Laboratory, **more: Any) -> str:
    attributes = {Tag[name]: value for name, value in more.items()}
    attributes[Tag.ACTIVATION_DATE] = START - timedelta(days=1)
    call = calls.register(symmetric_key(KEY), Mask.ENCRYPT | Mask.DECRYPT, None, attributes)
    return str(laboratory.ask(call))


def repeat(laboratory: Laboratory, key: str) -> list[Encrypted]:
    """Encrypt other data again and again, until the answers are prepared."""
    results = [laboratory.ask(encrypt(key, number)) for number in range(6)]
    assert _is_prepared(laboratory, encrypt(key, 7))
    return results


def _bytes(call: Call[Any]) -> bytes:
    return encode(messages.request(V2_1, [call]), V2_1)


def _is_prepared(laboratory: Laboratory, call: Call[Any]) -> bool:
    return laboratory.dispatcher.prepared.find(_bytes(call), "me") is not None


def reason(laboratory: Laboratory, call: Call[Any], identity: str = "me") -> R | None:
    """The Result Reason of the answer; None for a success."""
    response, _ = decode_response(laboratory.exchange(_bytes(call), identity))
    return response.batch_items[0].result_reason


def archive(key: str) -> Call[Any]:
    return calls.raw(Operation.ARCHIVE, ArchiveRequest(unique_identifier=key))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda key: calls.revoke(key, ENDED, None, None), R.WRONG_KEY_LIFECYCLE_STATE),
        (lambda key: calls.revoke(key, COMPROMISED, None, START), R.WRONG_KEY_LIFECYCLE_STATE),
        (archive, R.OBJECT_ARCHIVED),
    ],
    ids=["deactivated", "compromised", "archived"],
)
def test_a_change_of_another_server_is_seen_by_the_next_request(
    laboratory: Laboratory,
    second: Laboratory,
    change: Callable[[str], Call[Any]],
    expected: R,
) -> None:
    key = register(laboratory)
    repeat(laboratory, key)
    second.ask(change(key))
    assert reason(laboratory, encrypt(key, 8)) == expected


@pytest.mark.parametrize("date", ["PROTECT_STOP_DATE", "DEACTIVATION_DATE"])
def test_a_date_ends_the_use(laboratory: Laboratory, date: str) -> None:
    key = register(laboratory, **{date: START + timedelta(seconds=10)})
    repeat(laboratory, key)
    laboratory.pass_time(seconds=9)
    assert reason(laboratory, encrypt(key, 8)) is None
    laboratory.pass_time(seconds=2)
    assert reason(laboratory, encrypt(key, 9)) == R.WRONG_KEY_LIFECYCLE_STATE


def test_a_use_in_the_last_second_ends_with_it(laboratory: Laboratory) -> None:
    key = register(laboratory, PROTECT_STOP_DATE=START)
    repeat(laboratory, key)
    laboratory.pass_time(seconds=1)
    assert reason(laboratory, encrypt(key, 8)) == R.WRONG_KEY_LIFECYCLE_STATE


def test_a_policy_on_algorithms_holds_for_the_next_request(laboratory: Laboratory) -> None:
    key = register(laboratory)
    repeat(laboratory, key)
    apply_policy(laboratory, "[algorithms.nothing]\nalgorithms = { allowed = [] }\n")
    assert reason(laboratory, encrypt(key, 8)) == R.PERMISSION_DENIED
    apply_policy(laboratory, '[rules.keep]\ndeny = "Encrypt"\n')
    assert reason(laboratory, encrypt(key, 9)) == R.PERMISSION_DENIED


def test_nobody_else_uses_the_key(laboratory: Laboratory) -> None:
    key = register(laboratory)
    [result, *_] = repeat(laboratory, key)
    decrypt = calls.decrypt(key, result, GCM)
    for _ in range(4):
        assert laboratory.ask(decrypt) == PLAIN.format(0).encode()
    assert reason(laboratory, encrypt(key, 8), "other") == R.PERMISSION_DENIED
    assert reason(laboratory, decrypt, "other") == R.PERMISSION_DENIED


def test_each_message_has_an_iv_and_a_ciphertext_of_its_own(laboratory: Laboratory) -> None:
    key = register(laboratory)
    results = repeat(laboratory, key)
    same = [laboratory.ask(encrypt(key, 0)) for _ in range(4)]
    assert len({each.iv for each in [*results, *same]}) == 10
    assert len({each.data for each in [*results, *same]}) == 10
    for number, result in [*enumerate(results), *((0, each) for each in same)]:
        plain = laboratory.ask(calls.decrypt(key, result, GCM))
        assert plain == PLAIN.format(number).encode()


def test_what_was_altered_is_not_decrypted(laboratory: Laboratory) -> None:
    key = register(laboratory)
    results = repeat(laboratory, key)
    for result in results:
        laboratory.ask(calls.decrypt(key, result, GCM))
    altered = bytes([results[0].data[0] ^ 1]) + results[0].data[1:]
    call = calls.decrypt(key, altered, GCM, results[0].iv, None, results[0].tag)
    assert _is_prepared(laboratory, call)
    assert reason(laboratory, call) == R.CRYPTOGRAPHIC_FAILURE


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


def test_neither_keys_nor_data_are_among_the_prepared_answers(laboratory: Laboratory) -> None:
    key = register(laboratory)
    results = repeat(laboratory, key)
    for result in results:
        laboratory.ask(calls.decrypt(key, result, GCM))
    assert _is_prepared(laboratory, calls.decrypt(key, results[0], GCM))
    table = laboratory.dispatcher.prepared
    parts = [each for each in _reachable(table) if isinstance(each, bytes | bytearray)]
    assert len(parts) >= 10
    secrets = [KEY, PLAIN.encode()[:24], *(each.iv for each in results)]
    secrets += [part for each in results for part in (each.data, each.tag)]
    assert not [each for each in parts for secret in secrets if secret and secret[:8] in each]
