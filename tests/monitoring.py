"""Requests to the port for monitoring, and what its metrics say."""

import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError

from prometheus_client.core import Metric
from prometheus_client.openmetrics import parser as open_metrics
from prometheus_client.parser import text_string_to_metric_families

OPEN_METRICS = "application/openmetrics-text; version=1.0.0"


@dataclass(frozen=True)
class Reply:
    status: int
    media_type: str
    body: str


def fetch(url: str, accept: str = "", method: str = "GET", context: Any = None) -> Reply:
    """A page, whatever its status."""
    request = urllib.request.Request(url, headers={"Accept": accept}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=300, context=context) as response:
            return Reply(
                response.status, response.headers["Content-Type"], response.read().decode()
            )
    except HTTPError as error:
        with error:
            return Reply(error.code, error.headers["Content-Type"], error.read().decode())


def families(reply: Reply) -> dict[str, Metric]:
    """The metrics of a scrape, by their name without suffixes."""
    is_open = reply.media_type.startswith("application/openmetrics-text")
    parse = open_metrics.text_string_to_metric_families if is_open else None
    metrics: Iterable[Metric] = (parse or text_string_to_metric_families)(reply.body)
    return {metric.name: metric for metric in metrics}


def value(metrics: dict[str, Metric], name: str, **labels: str) -> float:
    """The sum of the samples of this name that have these labels."""
    return sum(
        sample.value
        for metric in metrics.values()
        for sample in metric.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )
