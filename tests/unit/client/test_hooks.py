"""Hooks see each request and each answer, and no key byte."""

import logging
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from fake_network import FakeNetwork, Mode
from kmipkit_client import (
    AsyncClient,
    Client,
    ConnectionFailed,
    OperationFailed,
    calls,
    secret_data,
)
from kmipkit_client.hooks import Answer, Request
from kmipkit_client.tracing import tracing
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from servers import RunningServer

from kmipkit.spec.enums import Operation, ResultReason, ResultStatus
from kmipkit.spec.versions import V1_4

SECRET = b"correct horse battery"


class Seen:
    """A hook that keeps what it sees."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.answers: list[Answer] = []

    def __call__(self, request: Request) -> Callable[[Answer], None]:
        self.requests.append(request)
        return self.answers.append


def use(kms: Any) -> None:
    key = kms.register(secret_data(SECRET), name="visible")
    kms.get(key)
    with pytest.raises(OperationFailed):
        kms.get("missing")


def test_hooks_see_requests_and_answers_without_secrets(server: RunningServer) -> None:
    """A log of all messages must not become a list of keys."""
    seen = Seen()
    with server.client("hooks", version=V1_4, hooks=[seen]) as kms:
        use(kms)
    assert [each.operations for each in seen.requests] == [
        (Operation.REGISTER,),
        (Operation.GET,),
        (Operation.GET,),
    ]
    assert [each.failure for each in seen.answers] == ["", "", "ITEM_NOT_FOUND"]
    assert seen.answers[2].results == (
        (ResultStatus.OPERATION_FAILED, ResultReason.ITEM_NOT_FOUND),
    )
    texts = [f"{each} {each!r}" for each in (*seen.requests, *seen.answers)]
    assert "visible" in texts[0]
    assert "KeyMaterial (ByteString, 21 bytes): <redacted>" in texts[0]
    for text in texts:
        assert SECRET.decode() not in text
        assert SECRET.hex() not in text
    assert all(each.seconds > 0 for each in seen.answers)


def test_hooks_see_each_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    network = FakeNetwork(["kms1", "kms2"])
    network.install(monkeypatch)
    network.servers["kms1"].mode = Mode.BREAKS
    seen = Seen()
    kms = Client(["kms1", "kms2"], version=V1_4, hooks=[seen])
    kms.query()
    assert [(each.server, each.attempt) for each in seen.requests] == [
        ("kms1:5696", 1),
        ("kms2:5696", 2),
    ]
    assert isinstance(seen.answers[0].error, ConnectionFailed)
    assert seen.answers[1].failure == ""


def test_a_hook_that_fails_does_not_fail_the_call(
    server: RunningServer, caplog: pytest.LogCaptureFixture
) -> None:
    """What an audit tool does wrong must not cost a key."""

    def broken(request: Request) -> None:
        raise KeyError(request.server)

    with (
        caplog.at_level(logging.ERROR, "kmipkit.client"),
        server.client("hooks", hooks=[broken]) as kms,
    ):
        assert kms.query().vendor_identification
    assert "a hook of the client failed" in caplog.text


def test_spans_have_the_names_of_the_conventions(server: RunningServer) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    exporter = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    files = server.credentials("hooks")

    async def work() -> None:
        async with AsyncClient(
            port=server.port, version=V1_4, hooks=[tracing(provider)], **files
        ) as kms:
            with provider.get_tracer("test").start_as_current_span("backup"):
                await kms.query()
            await kms.batch(calls.query(()), calls.destroy("missing"))

    anyio.run(work, backend="trio")
    query, backup, batch = exporter.get_finished_spans()
    assert (query.name, query.kind) == ("KMIP Query", SpanKind.CLIENT)
    assert query.parent is not None
    assert query.parent.span_id == backup.context.span_id
    assert query.attributes is not None
    assert query.attributes["server.port"] == server.port
    assert query.attributes["network.protocol.version"] == "1.4"
    assert batch.name == "KMIP Batch"
    assert batch.attributes is not None
    assert batch.attributes["error.type"] == "ITEM_NOT_FOUND"
    provider.shutdown()
