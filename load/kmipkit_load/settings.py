"""The settings of a run, as its processes pass them on."""

from dataclasses import dataclass

from kmipkit.spec.versions import Version
from kmipkit_load.driver import Reuse
from kmipkit_load.encoding import Encoding
from kmipkit_load.mixes import Mix
from kmipkit_load.target import Target

PREFIX = "kmipkit-load-"
"""The beginning of the name of each object that a run creates."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a run does; times in seconds."""

    run: str
    """A short text that no other run has; it is in the names of all objects."""
    target: Target
    mix: Mix
    version: Version
    encoding: Encoding
    connections: int = 8
    processes: int = 1
    duration: float | None = None
    requests: int | None = None
    """At least one of ``duration`` and ``requests`` bounds the run."""
    warm_up: float = 1.0
    rate: float | None = None
    """Requests in a second (open loop); None for the closed loop."""
    arrivals: str = "even"
    reuse: Reuse = Reuse.KEEP
    timeout: float = 30.0
    seed: int = 0

    @property
    def prefix(self) -> str:
        """The beginning of the names of this run."""
        return f"{PREFIX}{self.run}-"

    def share(self, total: int, index: int) -> int:
        """The part of a total that is one process's."""
        return total // self.processes + (index < total % self.processes)
