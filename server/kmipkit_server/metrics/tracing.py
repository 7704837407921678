"""Traces in the form of OpenTelemetry: a span for each message, and below it one for each item.

The spans are made when the response of a message is certain, with the times that were noted before. So
a run that is repeated leaves no span, and nothing of OpenTelemetry is in the path of a request but at
its end. The names of attributes are those of the semantic conventions, as far as these have any. Nobody
pays for traces that are not configured: this module, and the libraries, are then not even imported.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter, time_ns

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, set_span_in_context

from kmipkit import __version__
from kmipkit.model.messages import RequestBatchItem, ResponseBatchItem
from kmipkit.spec.enums import ResultStatus
from kmipkit_server.config.sections import TracingConfig
from kmipkit_server.engine.call import Call
from kmipkit_server.engine.exchange import Exchange
from kmipkit_server.engine.registry import ServedOperation
from kmipkit_server.engine.response import operation_title
from kmipkit_server.engine.seam import Hook

log = logging.getLogger("kmipkit.server")

BATCH = "Batch"
SECONDS = 5.0
"""For the last spans to reach the collector when the server stops."""
MAX_NOTED = 10_000
"""Items whose times are noted. Those of messages that are never answered would stay."""

_Value = str | int


class Tracing(Hook):
    """Makes the spans of each message."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._times: dict[int, tuple[float, float | None]] = {}
        """Begin and end of each item in progress, by its identity in memory."""

    def before(self, call: Call, row: ServedOperation, item: RequestBatchItem) -> None:  # noqa: ARG002
        """Note when an operation begins; of several runs, the last one counts."""
        if len(self._times) >= MAX_NOTED:
            self._times.clear()
        self._times[id(item)] = perf_counter(), None

    def after(self, call: Call, row: ServedOperation, item: RequestBatchItem) -> None:  # noqa: ARG002
        """Note when an operation that succeeded ends."""
        times = self._times.get(id(item))
        if times is not None:
            self._times[id(item)] = times[0], perf_counter()

    def answered(self, exchange: Exchange) -> None:
        """Make the spans of a message."""
        clock = _Clock()
        request = exchange.request
        if request is None:
            span = self._start(BATCH, clock.at(exchange.started), exchange)
            if exchange.error is not None:
                _fail(span, exchange.error.reason.name)
            span.end(clock.now)
            return
        items, results = request.items, exchange.results
        is_single = len(items) == 1
        name = operation_title(items[0].operation) if is_single else BATCH
        message = self._start(name, clock.at(exchange.started), exchange)
        message.set_attribute("rpc.method", name)
        message.set_attribute("network.protocol.version", str(request.version))
        message.set_attribute("kmip.batch.count", len(items))
        context = set_span_in_context(message)
        for number, (item, result) in enumerate(zip(items, results, strict=False)):
            begin, end = self._times.pop(id(item), (exchange.started, None))
            span = self._tracer.start_span(
                operation_title(result.operation),
                context,
                SpanKind.INTERNAL,
                _attributes(result, exchange, number),
                start_time=clock.at(begin),
            )
            _note_result(span, result)
            span.end(clock.now if end is None else clock.at(end))
        for item in items:  # those without a result have not been carried out
            self._times.pop(id(item), None)
        failures = [each for each in results if each.result_status is ResultStatus.OPERATION_FAILED]
        if failures:
            _note_result(message, failures[0])
        message.end(clock.now)

    def _start(self, name: str, begin: int, exchange: Exchange) -> Span:
        identity = exchange.identity
        attributes: dict[str, _Value] = {
            "rpc.system": "kmip",
            "network.protocol.name": "kmip",
            "enduser.id": identity.name,
        }
        if identity.address:
            attributes["client.address"] = identity.address
        return self._tracer.start_span(
            f"KMIP {name}", None, SpanKind.SERVER, attributes, start_time=begin
        )


class _Clock:
    """Converts times of ``perf_counter`` to nanoseconds since 1970."""

    def __init__(self) -> None:
        self.now = time_ns()
        self._counter = perf_counter()

    def at(self, counter: float) -> int:
        return self.now - round((self._counter - counter) * 1e9)


def _attributes(result: ResponseBatchItem, exchange: Exchange, number: int) -> dict[str, _Value]:
    attributes: dict[str, _Value] = {
        "rpc.system": "kmip",
        "rpc.method": operation_title(result.operation),
    }
    objects = exchange.objects[number] if number < len(exchange.objects) else ()
    if objects:
        attributes["kmip.object.ids"] = ", ".join(dict.fromkeys(objects))
    return attributes


def _note_result(span: Span, result: ResponseBatchItem) -> None:
    if result.result_status is ResultStatus.OPERATION_FAILED:
        _fail(span, result.result_reason.name if result.result_reason else "")
    else:
        span.set_attribute("kmip.result.status", result.result_status.name)


def _fail(span: Span, reason: str) -> None:
    span.set_attribute("error.type", reason)
    span.set_status(Status(StatusCode.ERROR, reason))


@contextmanager
def open_tracing(config: TracingConfig) -> Iterator[Tracing]:
    """Traces that a thread sends to the collector of the configuration."""
    # What the library complains of, such as a collector that is away, belongs into the same log.
    library = logging.getLogger("opentelemetry")
    library.handlers, library.propagate = logging.getLogger("kmipkit").handlers[:], False
    provider = new_provider(config)
    headers: Mapping[str, str] = config.headers
    exporter = OTLPSpanExporter(config.endpoint, headers=dict(headers), timeout=SECONDS)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    try:
        yield Tracing(provider.get_tracer("kmipkit", __version__))
    finally:
        provider.shutdown()


def new_provider(config: TracingConfig) -> TracerProvider:
    """A source of traces without an exporter."""
    resource = Resource.create(
        {"service.name": config.service_name, "service.version": __version__}
    )
    sampler = ParentBased(TraceIdRatioBased(config.sample_ratio))
    return TracerProvider(sampler, resource, shutdown_on_exit=False)
