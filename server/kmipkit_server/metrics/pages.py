"""The pages of the port for monitoring: /healthz, /readyz and /metrics."""

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from time import perf_counter
from typing import NamedTuple

import trio
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from kmipkit import __version__
from kmipkit.terminal import printable_json

JSON = "application/json"
OPEN_METRICS = "application/openmetrics-text; version=1.0.0"
SHARE = 0.05
"""The share of the processor that scrapes may take: after each, the next one waits accordingly."""


class Content(NamedTuple):
    """What a page answers."""

    status: int
    media_type: str
    body: bytes


Page = Callable[[str], Awaitable[Content]]
"""From the Accept header of a request to the content."""


Reasons = Callable[[], Awaitable[Mapping[str, str | None]]]
"""Why the server is not ready, by check; None for each that finds no reason."""


def pages(reasons: Reasons, metrics: "MetricsPage") -> Mapping[str, Page]:
    """The pages by their path."""

    async def health(_: str) -> Content:
        return _json(200, {"status": "alive", "version": __version__})

    async def ready(_: str) -> Content:
        return readiness_content(await reasons())

    return {"/healthz": health, "/readyz": ready, "/metrics": metrics}


def readiness_content(reasons: Mapping[str, str | None]) -> Content:
    """200 if no check has found a reason, else 503."""
    is_ready = not any(reasons.values())
    checks = {
        name: {"status": "passed"} if reason is None else {"status": "failed", "reason": reason}
        for name, reason in reasons.items()
    }
    value = {"status": "ready" if is_ready else "not ready", "checks": checks}
    return _json(200 if is_ready else 503, value)


def _json(status: int, value: object) -> Content:
    text = printable_json(json.dumps(value, indent=2, ensure_ascii=False)) + "\n"
    return Content(status, JSON, text.encode())


class _Snapshot(Collector):
    """Metrics that were collected before, for the functions that encode a registry."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = list(metrics)

    def collect(self) -> Iterable[Metric]:
        return self._metrics


Collect = Callable[[], Awaitable[Iterable[Metric]]]
"""The metrics as they are now."""


@dataclass(slots=True)
class MetricsPage:
    """The metrics as text or in the OpenMetrics format, whichever the client prefers."""

    collect: Collect
    _next: float = 0.0
    """When the next scrape may begin."""
    _scraping: trio.Lock = field(default_factory=trio.Lock)

    async def __call__(self, accept: str) -> Content:
        """Collect on the event loop, which owns the counters, and encode in a thread."""
        async with self._scraping:
            await trio.sleep_until(self._next)
            begun = perf_counter()
            collected = await self.collect()
            content = await trio.to_thread.run_sync(encode, collected, accept)
            self._next = trio.current_time() + (perf_counter() - begun) / SHARE
        return content


def prefers_open_metrics(accept: str) -> bool:
    """Whether a client that sends this header wants OpenMetrics rather than text (RFC 9110 §12.5.1)."""
    qualities: dict[str, float] = {}
    for each in accept.split(","):
        media_type, *parameters = (part.strip().lower() for part in each.split(";"))
        texts = [text.removeprefix("q=") for text in parameters if text.startswith("q=")]
        quality = _quality(texts[0]) if texts else 1.0
        qualities[media_type] = max(quality, qualities.get(media_type, 0.0))
    wanted = qualities.get(OPEN_METRICS.partition(";")[0], 0.0)
    return 0 < wanted >= max(qualities.get("text/plain", 0.0), qualities.get("text/*", 0.0))


def _quality(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def encode(collected: Iterable[Metric], accept: str) -> Content:
    """Metrics in the format that an Accept header asks for."""
    # Not the header itself: the library repeats parts of it in its media type, or fails.
    encoder, media_type = choose_encoder(OPEN_METRICS if prefers_open_metrics(accept) else "")
    registry = CollectorRegistry()
    registry.register(_Snapshot(collected))
    return Content(200, media_type, encoder(registry))
