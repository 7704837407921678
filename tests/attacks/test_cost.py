"""Requests that cost the server much: the others are served meanwhile, and nothing is held for them."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from kmipkit_client import ConnectionFailed, OperationFailed, calls, messages
from kmipkit_client.calls import Call
from kmipkit_server.engine import computing
from kmipkit_server.engine.computing import Computer, Outcome, Task, execute
from kmipkit_server.engine.workers import open_workers
from kmipkit_server.identity.identity import Identity
from kmipkit_server.store import packing, slices
from kmipkit_server.store.sqlite import event_loop
from laboratory import Laboratory
from servers import RunningServer

from bench import costly
from kmipkit.keys import pairs
from kmipkit.keys.streaming import MAX_REPLAYED
from kmipkit.model.attribute import VendorName
from kmipkit.model.attributes import CryptographicParameters
from kmipkit.model.codec import encode
from kmipkit.model.envelope import decode_response
from kmipkit.model.keyblock import KeyBlock, KeyValue
from kmipkit.model.messages import ResponseBatchItem
from kmipkit.model.objects import SecretData
from kmipkit.model.payloads.crypto import EncryptRequest, HashRequest
from kmipkit.spec.enums import (
    BlockCipherMode,
    HashingAlgorithm,
    KeyFormatType,
    Operation,
    ResultReason,
    ResultStatus,
    SecretDataType,
)
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.versions import V2_1

ME, OTHER = Identity("me"), Identity("other")
EVERYTHING = calls.locate(None, None, None, None, None, None)
TIMEOUT = 60
"""Seconds that end a hang, and measure nothing."""


@dataclass
class Workers:
    """An executor that computes a task when the test permits it."""

    begun: list[Task] = field(default_factory=list)
    ended: int = 0
    cancelled: int = 0
    may_end: trio.Event = field(default_factory=trio.Event)
    has_begun: trio.Event = field(default_factory=trio.Event)

    async def run(self, task: Task) -> Outcome:
        self.begun.append(task)
        self.has_begun.set()
        try:
            await self.may_end.wait()
        except trio.Cancelled:
            self.cancelled += 1
            raise
        self.ended += 1
        return execute(task)


@pytest.fixture
def laboratory(tmp_path: Path) -> Iterator[Laboratory]:
    laboratory = Laboratory(tmp_path)
    yield laboratory
    laboratory.close()


async def respond(
    laboratory: Laboratory, *requests: Call[Any], identity: Identity = ME
) -> tuple[ResponseBatchItem, ...]:
    data = encode(messages.request(V2_1, requests), V2_1)
    response = await laboratory.dispatcher.respond(data, identity)
    return decode_response(response.data)[0].batch_items


def reason(item: ResponseBatchItem) -> str:
    return item.result_reason.name if item.result_reason else ""


def run(laboratory: Laboratory, work: Callable[[], Any]) -> None:
    """Run asynchronous work while the laboratory serves."""

    async def serve() -> None:
        with trio.fail_after(TIMEOUT):
            async with laboratory.serving():
                await work()

    trio.run(serve)


# --- what computes for long leaves the event loop and the writer ---------------------------------


@pytest.mark.parametrize("name", costly.ATTACKS)
def test_others_read_and_write_while_a_computation_runs(laboratory: Laboratory, name: str) -> None:
    """One request would otherwise stop service for all clients, or at least for all that write."""
    attack = costly.ATTACKS[name](laboratory.ask)
    identifier = laboratory.ask(costly.create, identity="other")
    workers = Workers()
    laboratory.dispatcher.computer = Computer(workers)

    async def work() -> None:
        results: list[ResponseBatchItem] = []

        async def compute() -> None:
            results.extend(await respond(laboratory, attack))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(compute)
            await workers.has_begun.wait()
            for request in (calls.get(identifier, None, None, None), costly.create):
                [item] = await respond(laboratory, request, identity=OTHER)
                assert item.result_status is ResultStatus.SUCCESS
            assert results == []
            workers.may_end.set()
        [item] = results
        assert item.result_status is ResultStatus.SUCCESS, item.result_message

    run(laboratory, work)


def test_an_account_has_half_of_the_places(laboratory: Laboratory) -> None:
    """One account could otherwise take all workers, and nobody else could create a key pair."""
    workers = Workers()
    laboratory.dispatcher.computer = Computer(workers, places=4)

    async def work() -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(respond, laboratory, costly.create_pair())
            await trio.testing.wait_all_tasks_blocked()
            assert len(workers.begun) == 2
            nursery.start_soon(_as_other)
            await trio.testing.wait_all_tasks_blocked()
            assert len(workers.begun) == 3
            workers.may_end.set()
        assert workers.ended == 6

    async def _as_other() -> None:
        await respond(laboratory, costly.create_pair(), identity=OTHER)

    run(laboratory, work)


def test_a_computation_ends_when_nobody_waits_for_it(laboratory: Laboratory) -> None:
    """Clients that hang up would otherwise leave computations that take the places of others."""
    workers = Workers()
    laboratory.dispatcher.computer = Computer(workers, places=1)

    async def work() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(respond, laboratory, costly.create_pair())
            await workers.has_begun.wait()
            nursery.cancel_scope.cancel()
        assert workers.cancelled == 1
        workers.may_end.set()
        [item] = await respond(laboratory, costly.create_pair())
        assert item.result_status is ResultStatus.SUCCESS

    run(laboratory, work)


def test_a_worker_process_is_killed_with_its_computation() -> None:
    """A thread could not be ended: the server would not stop before the computation does."""

    async def work() -> None:
        async with open_workers() as workers:
            assert (await workers.run(Task(len, ("four",)))).result == 4
            with trio.move_on_after(0.01) as scope:
                await workers.run(Task(time.sleep, (3600,)))
            assert scope.cancelled_caught
            assert (await workers.run(Task(len, ("three",)))).result == 5

    trio.run(work)


def test_a_server_stops_whatever_it_computes(tmp_path: Path) -> None:
    """An operator could otherwise not restart a server while a client has a key pair computed."""
    settings = tmp_path / "kmipkit.toml"
    settings.write_text("[listen]\ndrain_seconds = 0.1\n")
    server = RunningServer(tmp_path / "data", ("--config", str(settings))).start()
    failures: list[Exception] = []

    def compute() -> None:
        try:
            with server.client() as client:
                client.create_key_pair(length=1024)  # the worker has started
                ready.set()
                for _ in range(1000):
                    client.create_key_pair(length=8192)
        except ConnectionFailed as failure:
            failures.append(failure)

    ready = threading.Event()
    client = threading.Thread(target=compute)
    try:
        server.credentials()
        client.start()
        assert ready.wait(TIMEOUT)
        assert server.stop() == 0
        client.join(TIMEOUT)
        assert len(failures) == 1
    finally:
        server.end()


def test_the_computations_of_a_message_have_a_time_limit(laboratory: Laboratory) -> None:
    """A computation without an end would keep its worker for ever."""
    laboratory.dispatcher.computer = Computer(Workers(), seconds=0)

    async def work() -> None:
        [item] = await respond(laboratory, costly.create_pair())
        assert reason(item) == "SERVER_LIMIT_EXCEEDED"

    run(laboratory, work)


def _fail(secret: bytes) -> None:
    raise ValueError(f"cannot use {secret!r}")


def test_a_defect_in_a_worker_tells_nothing_about_keys(
    laboratory: Laboratory,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The text of an exception may contain a key, which would then be in the log."""

    def generate(*_: object) -> None:
        _fail(b"the secret")

    monkeypatch.setattr(pairs, "generate", generate)
    with caplog.at_level(logging.DEBUG), pytest.raises(OperationFailed) as caught:
        laboratory.ask(costly.create_pair())
    assert caught.value.reason is ResultReason.INTERNAL_SERVER_ERROR
    assert "ValueError at " in caplog.text
    assert "the secret" not in caplog.text


def test_each_result_is_used_once(laboratory: Laboratory) -> None:
    """Two new key pairs of one message must not have the same key."""
    results = laboratory.batch(costly.create_pair(), costly.create_pair())
    materials = {
        laboratory.ask(
            calls.get(each.private_key_unique_identifier, None, None, None)
        ).key_block.key_value.key_material
        for each in results
    }
    assert len(materials) == 2


def test_iterations_count_for_each_block_of_the_output(laboratory: Laboratory) -> None:
    """A limit on the iterations alone could be exceeded 32 times by a long output."""
    base = costly.base_key(laboratory.ask)
    for bits, iterations in ((512, 5_000_001), (8192, 312_501)):
        with pytest.raises(OperationFailed) as caught:
            laboratory.ask(costly.derive(base, iterations, bits))
        assert caught.value.reason is ResultReason.INVALID_FIELD


def test_a_split_key_has_parts_of_limited_size(laboratory: Laboratory) -> None:
    """A request of some bytes would otherwise store hundreds of times the largest object."""
    value = SecretData(
        secret_data_type=SecretDataType.SEED,
        key_block=KeyBlock(
            key_format_type=KeyFormatType.RAW, key_value=KeyValue(key_material=bytes(100_000))
        ),
    )
    identifier = laboratory.ask(calls.register(value, costly.SIGN, None, None))
    payload = costly.split_request.replace(unique_identifier=identifier)
    with pytest.raises(OperationFailed) as caught:
        laboratory.ask(calls.raw(Operation.CREATE_SPLIT_KEY, payload))
    assert caught.value.reason is ResultReason.SERVER_LIMIT_EXCEEDED


# --- keys are validated once ---------------------------------------------------------------------


def test_a_key_is_validated_once(laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each signature would otherwise take a hundred times as long as the signing."""
    tasks: list[Task] = []

    def compute(task: Task) -> Outcome:
        tasks.append(task)
        return execute(task)

    monkeypatch.setattr(computing, "execute", compute)
    identifier = costly.register_private_key(laboratory.ask, costly.rsa_bytes(2048), 2048)
    for _ in range(3):
        assert laboratory.ask(costly.sign(identifier)).signature_data
    assert [task.function.__name__ for task in tasks] == ["_validate"]


def test_a_key_that_is_not_valid_is_not_used(laboratory: Laboratory) -> None:
    """The library must not compute with a key that nobody has validated: a signature could reveal it."""
    data = costly.invalid_rsa_bytes()
    identifier = costly.register_private_key(laboratory.ask, data, 1024)
    for _ in range(2):
        with pytest.raises(OperationFailed) as caught:
            laboratory.ask(costly.sign(identifier))
        assert caught.value.reason is ResultReason.INVALID_FIELD


def test_a_signature_in_parts_can_be_computed_elsewhere(laboratory: Laboratory) -> None:
    """The batch of the last part runs twice, and must find the first part both times."""
    identifier = costly.register_private_key(laboratory.ask, costly.rsa_bytes(1024), 1024)
    whole = laboratory.ask(costly.sign(identifier, b"data")).signature_data
    begun = laboratory.ask(costly.sign(identifier, b"da", init_indicator=True))
    laboratory.state.validated_keys.clear()  # so that the last part needs a computation
    last = costly.sign(
        identifier, b"ta", correlation_value=begun.correlation_value, final_indicator=True
    )
    assert laboratory.ask(last).signature_data == whole


def test_a_part_of_a_cipher_does_not_run_twice(laboratory: Laboratory) -> None:
    """A cipher that has processed much cannot undo a part: what follows must not need a computation."""
    mask = CryptographicUsageMask.ENCRYPT
    identifier = laboratory.ask(calls.create(costly.AES, 256, mask, None, None))
    laboratory.ask(calls.activate(identifier))
    parameters = CryptographicParameters(block_cipher_mode=BlockCipherMode.CTR)
    begun = laboratory.ask(
        calls.raw(
            Operation.ENCRYPT,
            EncryptRequest(
                unique_identifier=identifier,
                cryptographic_parameters=parameters,
                data=bytes(MAX_REPLAYED + 1),
                iv_counter_nonce=bytes(16),
                init_indicator=True,
            ),
        )
    )
    last = EncryptRequest(
        data=b"two", correlation_value=begun.correlation_value, final_indicator=True
    )
    encrypted, pair = laboratory.batch(calls.raw(Operation.ENCRYPT, last), costly.create_pair())
    assert encrypted.data
    assert isinstance(pair, OperationFailed)
    assert pair.reason is ResultReason.FEATURE_NOT_SUPPORTED


# --- messages with many items --------------------------------------------------------------------


def _hash(size: int) -> Call[Any]:
    parameters = CryptographicParameters(hashing_algorithm=HashingAlgorithm.SHA_256)
    payload = HashRequest(cryptographic_parameters=parameters, data=bytes(size))
    return calls.raw(Operation.HASH, payload)


@pytest.mark.parametrize("request_", [_hash(1), costly.create], ids=["reading", "writing"])
def test_others_read_between_the_items_of_a_message(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch, request_: Call[Any]
) -> None:
    """A message with many items would otherwise stop service for as long as all of them take."""
    monkeypatch.setattr(slices, "SLICE", 0.0)
    identifier = laboratory.ask(costly.create, identity="other")
    order: list[str] = []

    async def many() -> None:
        await respond(laboratory, *[request_] * 50)
        order.append("many")

    async def one() -> None:
        await respond(laboratory, calls.get_attribute_list(identifier), identity=OTHER)
        order.append("one")

    async def work() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(many)
            await trio.lowlevel.checkpoint()
            nursery.start_soon(one)
        assert order == ["one", "many"]

    run(laboratory, work)


def test_work_that_nobody_waits_for_ends_between_two_items(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that hangs up would otherwise keep the writer for all the items of its message."""
    monkeypatch.setattr(slices, "SLICE", 0.0)

    async def work() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(respond, laboratory, *[costly.create] * 500)
            for _ in range(10):
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
        [item] = await respond(laboratory, costly.create)
        assert item.result_status is ResultStatus.SUCCESS

    run(laboratory, work)
    assert len(laboratory.ask(EVERYTHING).ids) == 1


def test_a_look_up_of_many_objects_leaves_the_event_loop(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """500 Locates of everything in one message would otherwise stop service for seconds."""
    threads: set[int] = set()
    original = event_loop.SQLiteReader.search

    def search(self: Any, query: Any, **options: Any) -> Any:
        threads.add(threading.get_ident())
        return original(self, query, **options)

    monkeypatch.setattr(event_loop.SQLiteReader, "search", search)
    laboratory.batch(*[costly.create] * 20)
    assert len(laboratory.ask(EVERYTHING).ids) == 20
    assert threads == {threading.get_ident()}, "few objects stay on the event loop"
    for _ in range(3):
        laboratory.batch(*[costly.create] * 500)
    assert len(laboratory.ask(EVERYTHING).ids) == 1520
    assert len(threads) == 2


# --- attributes ----------------------------------------------------------------------------------


def test_each_attribute_is_encoded_once(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """N attributes would otherwise cost N times N encodings: half a minute for a small message."""
    encoded: list[int] = []
    encode_list = packing._encode

    def count(attributes: Any, version: Any) -> bytes:
        encoded.append(len(attributes))
        return encode_list(attributes, version)

    identifier = laboratory.ask(costly.create)
    monkeypatch.setattr(packing, "_encode", count)
    many = 300
    key = VendorName("x", "note")
    laboratory.batch(
        *(calls.add_attribute(identifier, key, f"value {number}") for number in range(many))
    )
    attributes = laboratory.ask(calls.get_attributes(identifier, (key,)))
    assert attributes.all(key) == [f"value {number}" for number in range(many)]
    # Up to a number, all attributes of the object are encoded together.
    together = sum(count for count in encoded if count > 1)
    assert together < packing.MANY**2
    assert len(encoded) < 2 * many + 2 * packing.MANY + many
