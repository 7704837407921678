"""Warnings about operations that will be refused later: in the log once a day, and counted."""

import logging
from collections import Counter
from datetime import date

from kmipkit_server.engine.exchange import Exchange
from kmipkit_server.engine.seam import Hook

log = logging.getLogger("kmipkit.server")

MAX_REMEMBERED = 10_000
"""Pairs of an account and a topic that the log has had today; beyond, some may be logged again."""


class Warnings(Hook):
    """Logs each warning once a day for each account; the audit log has it with each request."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        """How often the server has warned, by topic."""
        self._logged: set[tuple[str, str]] = set()
        self._day: date | None = None

    def answered(self, exchange: Exchange) -> None:
        """Count and log the warnings of a message."""
        warnings = [notice for _, notice in exchange.notes if notice.is_warning]
        if not warnings:
            return
        day = exchange.now.date()
        if day != self._day or len(self._logged) >= MAX_REMEMBERED:
            self._day = day
            self._logged.clear()
        account = exchange.identity.name
        for notice in warnings:
            self.counts[notice.topic] += 1
            if (account, notice.topic) not in self._logged:
                self._logged.add((account, notice.topic))
                log.warning("%s: %s", account, notice.text)
