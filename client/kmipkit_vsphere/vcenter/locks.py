"""One lock for each entity whose state is looked at and then changed.

Calls of users and the background tasks run at the same time, and each look at a host is a point at
which the other may act. Whoever holds a machine's lock may take a host's; never the reverse, and
never two of one kind.
"""

from collections import defaultdict

import trio


class Locks:
    """The locks of one vCenter, by what they protect."""

    def __init__(self) -> None:
        self._hosts: dict[str, trio.Lock] = defaultdict(trio.Lock)
        self._machines: dict[str, trio.Lock] = defaultdict(trio.Lock)
        self._providers: dict[str, trio.Lock] = defaultdict(trio.Lock)

    def host(self, name: str) -> trio.Lock:
        """For encryption mode and keys of a host."""
        return self._hosts[name]

    def machine(self, name: str) -> trio.Lock:
        """For what is recorded of a machine: host and key."""
        return self._machines[name]

    def provider(self, provider_id: str) -> trio.Lock:
        """For the wrapping key of a provider, or the hosts that have its primary key."""
        return self._providers[provider_id]
