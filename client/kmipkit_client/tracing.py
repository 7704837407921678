"""A hook that makes spans of OpenTelemetry, with the names of its semantic conventions.

    from kmipkit_client.tracing import tracing

    Client("kms1", hooks=[tracing()])

It needs the extra ``otel``. Each request is a span of kind CLIENT below the current one; a call that
fails over has one span for each attempt.
"""

from opentelemetry.trace import (
    Span,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    TracerProvider,
    get_tracer,
)

from kmipkit import __version__
from kmipkit_client.hooks import Answer, Answered, Hook, Request

BATCH = "Batch"


def tracing(provider: TracerProvider | None = None) -> Hook:
    """The hook; ``provider`` is by default the one of the program."""
    tracer = get_tracer("kmipkit.client", __version__, provider)

    def hook(request: Request) -> Answered:
        span = _start(tracer, request)

        def answered(answer: Answer) -> None:
            if answer.failure:
                span.set_attribute("error.type", answer.failure)
                span.set_status(Status(StatusCode.ERROR, answer.failure))
            span.end()

        return answered

    return hook


def _start(tracer: Tracer, request: Request) -> Span:
    is_single = len(request.operations) == 1
    name = request.operations[0].name.replace("_", " ").title() if is_single else BATCH
    return tracer.start_span(
        f"KMIP {name}",
        kind=SpanKind.CLIENT,
        attributes={
            "rpc.system": "kmip",
            "rpc.method": name,
            "network.protocol.name": "kmip",
            "network.protocol.version": str(request.version),
            "server.address": request.endpoint.host,
            "server.port": request.endpoint.port,
            "kmip.batch.count": len(request.operations),
            "kmip.attempt": request.attempt,
        },
    )
