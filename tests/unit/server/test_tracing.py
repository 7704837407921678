"""Traces: a span for each message and each item, with the names of the semantic conventions."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from kmipkit_client import OperationFailed, calls
from kmipkit_server.config.sections import TracingConfig
from kmipkit_server.engine.hooks import Permissions
from kmipkit_server.metrics.tracing import Tracing, new_provider, open_tracing
from laboratory import Laboratory
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from kmipkit.spec.enums import BatchErrorContinuationOption, CryptographicAlgorithm
from kmipkit.spec.masks import CryptographicUsageMask

CREATE = calls.create(CryptographicAlgorithm.AES, 256, CryptographicUsageMask.ENCRYPT, None, None)
GET_NOTHING = calls.get("nichts", None, None, None)


@dataclass
class Traced:
    laboratory: Laboratory
    exporter: InMemorySpanExporter

    def spans(self) -> tuple[ReadableSpan, ...]:
        spans: tuple[ReadableSpan, ...] = self.exporter.get_finished_spans()
        self.exporter.clear()
        return spans


def traced(folder: Path, ratio: float = 1.0) -> Iterator[Traced]:
    provider = new_provider(TracingConfig(sample_ratio=ratio, service_name="schlüssel"))
    exporter = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    hooks = (Permissions(), Tracing(provider.get_tracer("kmipkit")))
    laboratory = Laboratory(folder / "lab", hooks=hooks)
    yield Traced(laboratory, exporter)
    laboratory.close()
    provider.shutdown()


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Traced]:
    yield from traced(tmp_path)


def test_a_message_of_one_item_has_a_span_with_the_item_below_it(lab: Traced) -> None:
    key = lab.laboratory.ask(CREATE)
    item, message = lab.spans()
    assert message.name == "KMIP Create"
    assert message.kind is SpanKind.SERVER
    assert message.attributes == {
        "rpc.system": "kmip",
        "rpc.method": "Create",
        "network.protocol.name": "kmip",
        "network.protocol.version": "2.1",
        "enduser.id": "me",
        "kmip.batch.count": 1,
    }
    assert message.resource.attributes["service.name"] == "schlüssel"
    assert item.name == "Create"
    assert item.parent == message.context
    assert item.attributes["kmip.object.ids"] == key  # type: ignore[index]  # it has attributes
    assert message.start_time <= item.start_time <= item.end_time <= message.end_time  # type: ignore[operator]  # all are set


def test_a_failure_is_an_error_with_its_reason(lab: Traced) -> None:
    with pytest.raises(OperationFailed):
        lab.laboratory.ask(GET_NOTHING)
    for span in lab.spans():
        assert span.status.status_code is StatusCode.ERROR
        assert span.attributes["error.type"] == "OBJECT_NOT_FOUND"  # type: ignore[index]  # it has attributes


def test_each_item_of_a_batch_has_a_span(lab: Traced) -> None:
    continues = BatchErrorContinuationOption.CONTINUE
    lab.laboratory.batch(CREATE, GET_NOTHING, CREATE, on_error=continues)
    *items, message = lab.spans()
    assert message.name == "KMIP Batch"
    assert [item.name for item in items] == ["Create", "Get", "Create"]
    assert all(item.parent == message.context for item in items)


def test_a_run_that_is_repeated_leaves_one_span(lab: Traced) -> None:
    """The first Get clears Fresh, so that it runs a second time, in a transaction."""
    key = lab.laboratory.ask(CREATE)
    lab.spans()
    lab.laboratory.ask(calls.get(key, None, None, None))
    assert [span.name for span in lab.spans()] == ["Get", "KMIP Get"]


def test_a_message_that_cannot_be_read_has_a_span(lab: Traced) -> None:
    lab.laboratory.exchange(bytes.fromhex("4200780100000000"))
    [span] = lab.spans()
    assert span.status.status_code is StatusCode.ERROR


def test_no_material_is_in_a_span(lab: Traced) -> None:
    key = lab.laboratory.ask(CREATE)
    got = lab.laboratory.ask(calls.get(key, None, None, None))
    secret = bytes(got.key_block.key_value.key_material)
    text = "".join(span.to_json() for span in lab.spans())
    assert secret.hex() not in text


def test_no_times_of_items_are_kept(lab: Traced) -> None:
    lab.laboratory.batch(GET_NOTHING, CREATE)
    [tracing] = [hook.__self__ for hook in lab.laboratory.dispatcher.seam.after
                 if isinstance(hook.__self__, Tracing)]  # type: ignore[attr-defined]  # bound methods  # fmt: skip
    assert not tracing._times


def test_a_sample_of_nothing_has_no_spans(tmp_path: Path) -> None:
    for lab in traced(tmp_path, ratio=0):
        lab.laboratory.ask(CREATE)
        assert lab.spans() == ()


def test_spans_reach_the_collector_at_the_end_at_the_latest(tmp_path: Path) -> None:
    received: list[tuple[str, bytes]] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append((self.headers["Authorization"], body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Collector) as collector:
        thread = Thread(target=collector.handle_request)
        thread.start()
        config = TracingConfig(
            f"http://127.0.0.1:{collector.server_port}/v1/traces", {"authorization": "Bearer 0123"}
        )
        with open_tracing(config) as tracing:
            laboratory = Laboratory(tmp_path / "lab", hooks=(tracing,))
            laboratory.ask(CREATE)
            laboratory.close()
        thread.join()
    [(authorization, body)] = received
    assert authorization == "Bearer 0123"
    assert b"KMIP Create" in body


def test_traces_that_are_not_configured_import_nothing() -> None:
    script = (
        "import sys, kmipkit_server.app\n"
        "sys.exit(any(name.partition('.')[0] == 'opentelemetry' for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0
