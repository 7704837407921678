"""What fails during the drill: a table. Each row says how it begins, how long it lasts, and its end."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random

from drill.database import Database
from drill.network import Side
from drill.node import Node
from drill.sites import Site

NODE_GOAL = 5.0
DATABASE_GOAL = 15.0
"""Seconds without service, at most."""
_LAG = 2.0
"""Seconds of changes that a careless promotion loses."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A way to fail."""

    what: str
    """For people: what happens."""
    goal: float
    cause: Callable[[Site, Random], str]
    """Makes it happen; the name of the victim. It returns when the site has done what it does by
    itself, or after some time."""
    mend: Callable[[Site], None] = lambda site: None
    """What an administrator does afterwards, besides what :meth:`.Site.settle` does."""


def _node(act: Callable[[Site, Node], None], seconds: float) -> Callable[[Site, Random], str]:
    """A fault of any node, which lasts some seconds."""

    def cause(site: Site, random: Random) -> str:
        node = random.choice(site.nodes)
        act(site, node)
        time.sleep(seconds)
        return node.name

    return cause


def _primary(act: Callable[[Site, Database], None]) -> Callable[[Site, Random], str]:
    """A fault of the primary, until the manager has promoted the replica and nodes use it."""

    def cause(site: Site, _random: Random) -> str:
        site.manager.rebuild()  # a busy machine may have looked like one that is gone
        victim = site.manager.primary
        act(site, victim)
        site.manager.wait_for_decision(victim)
        return victim.name

    return cause


def _lose_replica(site: Site, _random: Random) -> str:
    victim = site.manager.replica
    victim.kill()
    site.manager.wait_until_alone()
    return victim.name


def _promote_carelessly(site: Site, _random: Random) -> str:
    """Promote a replica that lacks the last changes: whoever does that must be found out."""
    manager = site.manager
    with manager.busy():
        old, replica = manager.primary, manager.replica
        old.require_replica(False)
        site.network.cut(replica.host)
        time.sleep(_LAG)
        old.kill()
        site.network.mend(replica.host)
        manager.fail_over()
    return old.name


def _cut(*sides: Side) -> Callable[[Site, Node], None]:
    return lambda site, node: site.network.cut(node.host, sides)


def _start_killed(site: Site) -> None:
    for node in site.nodes:
        if not node.is_running:
            node.start()


FAULTS: Mapping[str, Fault] = {
    "node-kill": Fault(
        "a node is killed, and started again after 3 s",
        NODE_GOAL,
        _node(lambda site, node: node.kill(), 3),
        _start_killed,
    ),
    "node-front": Fault(
        "a node is cut off from its clients for 8 s", NODE_GOAL, _node(_cut(Side.FRONT), 8)
    ),
    "node-back": Fault(
        "a node is cut off from the databases for 8 s", NODE_GOAL, _node(_cut(Side.BACK), 8)
    ),
    "node-cut": Fault(
        "a node is cut off from everything for 8 s", NODE_GOAL, _node(_cut(*Side), 8)
    ),
    "node-disk": Fault(
        "the disk of a node is full for 6 s",
        NODE_GOAL,
        _node(lambda site, node: node.fill_disk(), 6),
    ),
    "database-kill": Fault(
        "the primary is killed, the replica promoted",
        DATABASE_GOAL,
        _primary(lambda site, database: database.kill()),
    ),
    "database-cut": Fault(
        "the primary is cut off, ended, the replica promoted",
        DATABASE_GOAL,
        _primary(lambda site, database: site.network.cut(database.host)),
    ),
    "database-disk": Fault(
        "the disk of the primary is full: it is ended, the replica promoted",
        DATABASE_GOAL,
        _primary(lambda site, database: database.disk.fill()),
    ),
    "replica-kill": Fault(
        "the replica is killed, the primary goes on alone", DATABASE_GOAL, _lose_replica
    ),
}
CARELESS = "careless"
ALL_FAULTS: Mapping[str, Fault] = {
    **FAULTS,
    CARELESS: Fault(
        "a replica that lacks the last changes is promoted: a mistake, which the drill must find",
        DATABASE_GOAL,
        _promote_carelessly,
    ),
}
SHORT = ("node-kill", "node-back", "node-disk", "database-kill")
"""What a short drill has: one of each kind."""
