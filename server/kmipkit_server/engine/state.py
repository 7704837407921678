"""What the server keeps in memory only, for a while: it ends with the process."""

import os
from dataclasses import dataclass, field

from kmipkit_server.engine.asynchronous import Pending
from kmipkit_server.engine.multipart import Streams
from kmipkit_server.engine.notifications import Notices
from kmipkit_server.identity.tickets import Tickets
from kmipkit_server.objects.constraints import Remembered


@dataclass(slots=True)
class Memory:
    """Shared by all connections."""

    streams: Streams = field(default_factory=Streams)
    """Cryptographic operations in several parts."""
    tickets: Tickets = field(default_factory=Tickets)
    """Logins."""
    turns: dict[object, str] = field(default_factory=dict)
    """The default member of an object group that was given last."""
    house_rules: Remembered = field(default_factory=Remembered)
    """Constraints and defaults."""
    notices: Notices = field(default_factory=Notices)
    """What accounts are to be told."""
    pending: Pending = field(default_factory=lambda: Pending(os.urandom))
    """Asynchronous requests."""
