"""Warnings in the log of certificates of clients that end soon."""

import logging
from itertools import islice

import trio

from kmipkit_server.engine.settings import Clock
from kmipkit_server.identity.sightings import Sightings
from kmipkit_server.net.tls import WARNING_SECONDS

log = logging.getLogger("kmipkit.server")

MAX_WARNINGS = 20
"""Lines at a time, at most: there may be thousands of clients."""


async def watch_clients(sightings: Sightings, clock: Clock) -> None:
    """Warn once a day."""
    while True:
        await trio.sleep(WARNING_SECONDS)
        warn(sightings, clock)


def warn(sightings: Sightings, clock: Clock) -> None:
    """Log which clients need a new certificate soon."""
    ending = sightings.ending(clock())
    for account, certificate, _ in islice(ending, MAX_WARNINGS):
        log.warning(
            "the client certificate %s of the account %s ends on %s UTC; no client of the account"
            " has come with a newer one yet",
            certificate.serial,
            account,
            f"{certificate.expires:%Y-%m-%d %H:%M}",
        )
    others = sum(1 for _ in ending)
    if others:
        log.warning(
            "%d more certificates of clients end soon: kmipkit admin certificates --days 30", others
        )
