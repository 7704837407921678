"""The metrics of all workers, of the supervisor, and of workers that have ended."""

from dataclasses import dataclass, field
from itertools import count

from prometheus_client import ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import CollectorRegistry

from kmipkit_server.metrics import collector, merging
from kmipkit_server.metrics.whole import FIGURES
from kmipkit_server.net.counters import ConnectionCounters
from kmipkit_server.process.crew import Crew
from kmipkit_server.process.member import Member


@dataclass(slots=True)
class Figures:
    """Adds them up."""

    crew: Crew
    counters: ConnectionCounters
    """Of the connections that the supervisor accepts."""
    _ended: bytes = merging.pack(())
    """What workers have counted that have ended, as far as it was known."""
    _scrapes: "count[int]" = field(default_factory=count)

    def keep(self, member: Member) -> None:
        """Add what a worker has counted that has ended: no counter may go back."""
        if member.figures:
            self._ended = merging.merge((self._ended, merging.counted(member.figures)))

    async def of_all(self, _: bytes) -> bytes:
        """The metrics of the server; of a worker that does not answer, those of the last time."""
        scrape = next(self._scrapes)
        answers = await self.crew.ask_all(FIGURES)
        for member, figures in answers.items():
            member.note_figures(figures, scrape)
        silent = sum(each not in answers for each in self.crew.serving())
        # Also those that have ended a moment ago, and of which nobody has been told yet.
        known = [_known(each) for each in self.crew.members.values() if each.figures]
        return merging.merge((*known, self._own(silent), self._ended))

    def _own(self, silent: int) -> bytes:
        process = ProcessCollector(registry=CollectorRegistry())
        metrics: list[Metric] = [*collector.accepted(self.counters), *process.collect()]
        metrics.append(
            GaugeMetricFamily(
                "kmipkit_workers", "Worker processes that serve.", len(self.crew.serving())
            )
        )
        metrics.append(
            GaugeMetricFamily(
                "kmipkit_workers_silent",
                "Worker processes that did not answer; their metrics are those of the last time.",
                silent,
            )
        )
        metrics.append(
            CounterMetricFamily(
                "kmipkit_worker_restarts",
                "How often a worker process was started again.",
                self.crew.restarts,
            )
        )
        return merging.pack(metrics)


def _known(member: Member) -> bytes:
    return member.figures if member.is_ready else merging.counted(member.figures)
