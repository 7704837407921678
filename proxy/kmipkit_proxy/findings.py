"""What differs between two captures, or between a capture and a replay; and how it is told."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any

from kmipkit_proxy.comparison import Comparison, Difference
from kmipkit_proxy.exchanges import Capture, Exchange
from kmipkit_proxy.items import summaries


@dataclass(frozen=True, slots=True)
class Finding:
    """A difference, and where it was found."""

    exchange: Exchange
    side: str
    """``request`` or ``response``."""
    difference: Difference

    def line(self) -> str:
        """The finding for people."""
        return f"{self.exchange.name}: {self.side} {self.difference}"

    def data(self) -> dict[str, Any]:
        """The finding for programs."""
        return {
            "connection": self.exchange.connection,
            "request": self.exchange.number,
            "operations": list(self.exchange.operations),
            "side": self.side,
            "place": self.difference.place,
            "before": self.difference.before,
            "after": self.difference.after,
        }


@dataclass(slots=True)
class Findings:
    """All that was compared."""

    compared: int = 0
    """Exchanges."""
    found: list[Finding] = field(default_factory=list)
    comparison: Comparison = field(default_factory=Comparison)

    def compare(self, first: Exchange, second: Exchange) -> list[Finding]:
        """Compare two exchanges; what differs in them."""
        self.compared += 1
        found = [
            Finding(first, "request", difference)
            for difference in self.comparison.differences(first.request, second.request)
        ]
        found += [
            Finding(first, "response", difference) for difference in self._responses(first, second)
        ]
        self.found += found
        return found

    def _responses(self, first: Exchange, second: Exchange) -> list[Difference]:
        if first.response is None or second.response is None:
            outcomes = [_outcome(exchange) for exchange in (first, second)]
            return [] if outcomes[0] == outcomes[1] else [Difference("message", *outcomes)]
        return self.comparison.differences(first.response, second.response)

    def only(self, exchange: Exchange, *, is_first: bool) -> None:
        """Note an exchange that one side has alone."""
        sides = ("this request", "no such request")
        before, after = sides if is_first else reversed(sides)
        self.found.append(Finding(exchange, "request", Difference("message", before, after)))


def _outcome(exchange: Exchange) -> str:
    if exchange.response is None:
        return "no answer"
    return ", ".join(summaries(exchange.response)) or "an answer"


def compare(first: Capture, second: Capture) -> Findings:
    """Compare two captures: their connections in the order in which they were opened."""
    findings = Findings()
    partners: dict[int, Exchange] = {}
    lists = list(first.connections().values()), list(second.connections().values())
    for at in range(max(map(len, lists))):
        ours, theirs = (side[at] if at < len(side) else [] for side in lists)
        for pair in _pairs(ours, theirs):
            if pair[0] is None:
                assert pair[1] is not None
                findings.only(pair[1], is_first=False)
            elif pair[1] is not None:
                partners[id(pair[0])] = pair[1]
    # In the order of the first capture: an identifier is created before another connection uses it.
    for exchange in first.exchanges:
        partner = partners.get(id(exchange))
        if partner is None:
            findings.only(exchange, is_first=True)
        else:
            findings.compare(exchange, partner)
    return findings


def _pairs(
    ours: Sequence[Exchange], theirs: Sequence[Exchange]
) -> Iterator[tuple[Exchange | None, Exchange | None]]:
    """The exchanges of two connections side by side: those for the same operations."""
    operations, others = ([exchange.operations for exchange in side] for side in (ours, theirs))
    matcher = SequenceMatcher(None, operations, others, autojunk=False)
    for _, start, stop, other_start, other_stop in matcher.get_opcodes():
        left, right = ours[start:stop], theirs[other_start:other_stop]
        for at in range(max(len(left), len(right))):
            yield (
                left[at] if at < len(left) else None,
                right[at] if at < len(right) else None,
            )
