"""The metrics count what happens, and no client can add a name to them."""

import struct
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from kmipkit_client import OperationFailed, calls, messages
from kmipkit_server.counters.histogram import Histogram
from kmipkit_server.engine.budget import MessageLimits
from kmipkit_server.engine.notifications import Notifications
from kmipkit_server.metrics import collector
from kmipkit_server.metrics.operations import OperationCounters
from kmipkit_server.metrics.pages import MetricsPage, encode, readiness_content
from kmipkit_server.metrics.readiness import PROBE_SECONDS, Readiness, StoreProbe, immediate
from laboratory import Laboratory
from monitoring import OPEN_METRICS, Reply, families, value
from prometheus_client.core import Metric

from kmipkit.model.codec import encode as encode_message
from kmipkit.spec.enums import CryptographicAlgorithm, Operation
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.versions import V1_2, V2_1, Version

CREATE = calls.create(CryptographicAlgorithm.AES, 256, CryptographicUsageMask.ENCRYPT, None, None)
GET_NOTHING = calls.get("söme key", None, None, None)


class Watched(Laboratory):
    """A laboratory whose requests are counted."""

    def __init__(self, folder: Path, **options: object) -> None:
        self.operations = OperationCounters()
        super().__init__(folder, hooks=(self.operations,), **options)  # type: ignore[arg-type]  # those of the laboratory

    def metrics(self, accept: str = OPEN_METRICS) -> dict[str, Metric]:
        content = encode(self.collect(), accept)
        return families(Reply(content.status, content.media_type, content.body.decode()))

    def collect(self) -> Iterator[Metric]:
        yield from collector.operations(self.operations)
        yield from collector.store(self.store)
        computer = self.dispatcher.computer
        yield from collector.queues(self.store, computer, self.state, Notifications())

    def count(self, name: str, **labels: str) -> float:
        return value(self.metrics(), name, **labels)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Watched]:
    laboratory = Watched(tmp_path / "lab")
    yield laboratory
    laboratory.close()


def operations(lab: Watched, **labels: str) -> float:
    return lab.count("kmipkit_operations_total", **labels)


@pytest.mark.parametrize(
    ("version", "reason"), [(V1_2, "ITEM_NOT_FOUND"), (V2_1, "OBJECT_NOT_FOUND")]
)
def test_operations_are_counted_by_version_outcome_and_reason(
    lab: Watched, version: Version, reason: str
) -> None:
    lab.ask(CREATE, version)
    lab.ask(CREATE, version)
    with pytest.raises(OperationFailed):
        lab.ask(GET_NOTHING, version)
    of = {"version": str(version), "tenant": ""}
    assert operations(lab, operation="Create", outcome="success", reason="", **of) == 2
    assert operations(lab, operation="Get", outcome="failure", reason=reason, **of) == 1
    assert operations(lab) == 3
    count = "kmipkit_request_duration_seconds_count"
    assert lab.count(count, operation="Create") == 2
    assert lab.count(count, operation="Get") == 1
    assert lab.count("kmipkit_request_duration_seconds_sum") > 0


def test_the_items_of_a_batch_are_counted_and_its_time_is_that_of_a_batch(lab: Watched) -> None:
    lab.batch(CREATE, GET_NOTHING)
    assert operations(lab, operation="Create", outcome="success") == 1
    assert operations(lab, operation="Get", outcome="failure") == 1
    assert lab.count("kmipkit_request_duration_seconds_count", operation="Batch") == 1
    assert lab.count("kmipkit_request_duration_seconds_count") == 1


def test_codes_that_clients_make_up_share_one_series(lab: Watched) -> None:
    """Otherwise a client could fill the memory of the server, and of those who collect."""
    request = encode_message(messages.request(V2_1, [GET_NOTHING]), V2_1)
    get = struct.pack(">I", Operation.GET)
    at = request.index(bytes.fromhex("42005c0500000004") + get) + 8
    for code in range(0x80000000, 0x80000040):
        lab.exchange(request[:at] + struct.pack(">I", code) + request[at + 4 :])
    metrics = lab.metrics()
    assert value(metrics, "kmipkit_operations_total", operation="Unknown") == 64
    assert len(metrics["kmipkit_operations"].samples) == 1


def test_messages_that_cannot_be_read_are_counted(lab: Watched) -> None:
    lab.exchange(bytes.fromhex("4200780100000000"))
    assert lab.count("kmipkit_messages_refused_total") == 1
    assert operations(lab) == 0


def test_limits_are_counted_by_their_name(tmp_path: Path) -> None:
    lab = Watched(tmp_path / "lab", message_limits=MessageLimits(items=2, response=1000))
    lab.exchange(encode_message(messages.request(V2_1, [CREATE] * 3), V2_1))
    limits = {"batch_items": 1.0}
    lab.close()
    assert {
        sample.labels["limit"]: sample.value
        for sample in lab.metrics()["kmipkit_limits_reached"].samples
        if sample.name.endswith("_total")
    } == limits


def test_the_store_counts_what_it_writes(lab: Watched) -> None:
    for _ in range(3):
        lab.ask(CREATE)
    metrics = lab.metrics()
    assert value(metrics, "kmipkit_store_objects") == 3
    assert value(metrics, "kmipkit_store_commits_total") == 3
    assert value(metrics, "kmipkit_store_group_size_sum") == 3
    assert value(metrics, "kmipkit_store_write_wait_seconds_count") == 3
    assert value(metrics, "kmipkit_store_file_bytes", file="database") > 0
    assert value(metrics, "kmipkit_store_writable") == 1
    assert value(metrics, "kmipkit_queue_length") == 0
    assert value(metrics, "kmipkit_places", pool="reading_threads") == 4


def test_both_formats_have_the_same_metrics(lab: Watched) -> None:
    lab.ask(CREATE)
    text, open_format = lab.metrics(""), lab.metrics(OPEN_METRICS)
    assert {metric.name for metric in text.values()} == set(open_format)
    for name, metric in open_format.items():
        of_text = [s for s in text[name].samples if not s.name.endswith("_created")]
        assert [(s.name, s.labels, s.value) for s in metric.samples] == [
            (s.name, s.labels, s.value) for s in of_text
        ]


@given(st.lists(st.floats(0, 100)))
def test_each_value_is_in_the_bucket_of_its_size(values: list[float]) -> None:
    histogram = Histogram()
    for number in values:
        histogram.observe(number)
    for bound, count in histogram.buckets():
        assert count == sum(number <= bound for number in values)
    assert histogram.total == len(values)


def test_scrapes_take_a_small_share_of_the_processor(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Whoever reaches the port must not be able to keep the server busy."""

    async def nothing() -> tuple[Metric, ...]:
        return ()

    page = MetricsPage(nothing)
    times = []

    async def scrape() -> None:
        await page("")
        times.append(trio.current_time())

    async def test() -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(scrape)

    trio.run(test, clock=autojump_clock)
    assert times == sorted(set(times)), "one after the other, with pauses"


@pytest.fixture
def autojump_clock() -> trio.testing.MockClock:
    return trio.testing.MockClock(autojump_threshold=0)


def test_one_failed_check_is_enough_and_all_are_shown() -> None:
    readiness = Readiness(
        {"serving": immediate(lambda: None), "store": immediate(lambda: "the disk\x1b is full")}
    )
    content = readiness_content(trio.run(readiness.reasons))
    assert content.status == 503
    assert b"\x1b" not in content.body
    assert b'"serving"' in content.body
    assert b'"status": "not ready"' in content.body
    assert readiness_content({"serving": None}).status == 200


def test_readiness_tries_to_write_but_not_more_often_than_needed(
    lab: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    probe = StoreProbe(lab.store, lambda: lab.now)
    seconds = [0.0]
    monkeypatch.setattr("kmipkit_server.metrics.readiness.trio.current_time", lambda: seconds[0])

    async def ask(times: int) -> set[str | None]:
        async with lab.serving():
            return {await probe() for _ in range(times)}

    seconds[0] = 100.0
    assert trio.run(ask, 5) == {None}
    assert lab.store.figures.writer.commits == 1
    lab.now += timedelta(seconds=1)
    seconds[0] += PROBE_SECONDS
    database = lab.store._database
    monkeypatch.setattr(database, "commit", _full_disk)
    assert trio.run(ask, 2) == {"the store cannot write: the disk is full"}
    assert lab.count("kmipkit_store_writable") == 0
    assert lab.count("kmipkit_store_commit_failures_total") == 1


def _full_disk() -> None:
    from kmipkit_server.store.errors import StoreError

    raise StoreError("the disk is full")
