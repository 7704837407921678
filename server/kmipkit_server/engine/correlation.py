"""Server Correlation Values: a text for each message of the server, for its log and the client's.

It "SHOULD be globally unique" (KMIP 2.1 §9.10): a part of the process, and a number. All have the same
length, so that a response keeps its size if it is encoded again. The field exists since 1.4; the profile
that lists it is of 2.1 (Baseline Server), and widespread clients of 1.4 and 2.0 cannot read a response
that has it. So it is sent since 2.1.
"""

import itertools
import uuid
from collections import defaultdict
from collections.abc import Iterator

from kmipkit.spec.versions import V2_1, Version

_series: defaultdict[str, tuple[str, Iterator[int]]] = defaultdict(
    lambda: (uuid.uuid4().hex, itertools.count(1))
)
"""One for each tenant, which would otherwise see in the numbers how much others send."""


def server_correlation_value(version: Version, tenant: str = "") -> str | None:
    """A new value; ``None`` in versions in which the server sends none."""
    if version < V2_1:
        return None
    process, numbers = _series[tenant]
    return f"{process}-{next(numbers):012x}"
