"""What the proxy shows while it runs: a line for each message, or its tree."""

from contextlib import suppress
from dataclasses import dataclass

from kmipkit.captures import CLIENT, Entry
from kmipkit.terminal import echo, echo_lines
from kmipkit.ttlv.printer import format_item
from kmipkit.ttlv.tree import Item
from kmipkit_proxy.items import summaries

_SHOWN = 5
"""Batch items that a line names."""


@dataclass(frozen=True, slots=True)
class Live:
    """Prints entries."""

    verbose: bool = False
    show_secrets: bool = False

    def show(self, entry: Entry, message: Item | None) -> None:
        """One line, and the tree if that is asked for."""
        with suppress(OSError):  # nobody reads it any more; clients are served all the same
            echo(line(entry, message))
            if message is not None and self.verbose:
                echo_lines(format_item(message, show_secrets=self.show_secrets).rstrip("\n"))


def line(entry: Entry, message: Item | None) -> str:
    """An entry on one line."""
    start = f"{entry.time[11:19]} #{entry.connection}"
    if message is None:
        return f"{start} - {entry.note or f'{len(entry.message)} bytes'}"
    items = list(summaries(message))
    more = [f"and {len(items) - _SHOWN} more"] if len(items) > _SHOWN else []
    arrow = ">" if entry.sender == CLIENT else "<"
    return f"{start} {arrow} {entry.version} {', '.join(items[:_SHOWN] + more)}"
