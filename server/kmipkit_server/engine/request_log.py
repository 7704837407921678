"""The log of requests, for debugging: one line for each item, also for those that succeed.

The audit is the place to look up who has done what; this log shows what a client sends just now.
Failures are in the log at a higher level, too.
"""

import logging
from itertools import zip_longest
from time import perf_counter

from kmipkit.spec.enums import ResultStatus
from kmipkit.spec.titles import title
from kmipkit_server.engine.exchange import Exchange
from kmipkit_server.engine.response import operation_title
from kmipkit_server.engine.seam import Hook

log = logging.getLogger("kmipkit.server")


class RequestLog(Hook):
    """Logs each item of a message with its objects, its result and the time of the message."""

    def answered(self, exchange: Exchange) -> None:
        """Log a message that could be read."""
        if exchange.request is None or not log.isEnabledFor(logging.DEBUG):
            return
        milliseconds = (perf_counter() - exchange.started) * 1000
        for result, objects in zip_longest(exchange.results, exchange.objects, fillvalue=()):
            if not result:
                break
            names = ", ".join(dict.fromkeys(objects))
            status = title(result.result_status)
            if result.result_status is ResultStatus.OPERATION_FAILED and result.result_reason:
                status = f"{status}: {title(result.result_reason)}"
            log.debug(
                "%s: %s%s in KMIP %s: %s, %.2f ms",
                exchange.identity.name,
                operation_title(result.operation),
                f" of {names}" if names else "",
                exchange.request.version,
                status,
                milliseconds,
            )
