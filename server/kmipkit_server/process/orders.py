"""What a worker is told at its start, over a private pair of sockets: it may have a password."""

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kmipkit_certs.passwords import KeyPassword

from kmipkit_server.config import Config


@dataclass(frozen=True, slots=True, repr=False)
class Orders:
    """How to serve."""

    number: int
    """That of the worker."""
    count: int
    """How many workers there are."""
    is_first: bool
    """Whether it does what a start has to do once."""
    config: Config
    file: Path | None
    """The configuration file, which is a part of backups."""
    password: KeyPassword
    secrets: Mapping[str, bytes]
    """Those of the root key that can be read only once, and were read by the supervisor."""

    def packed(self) -> bytes:
        """For a process with the same code."""
        return pickle.dumps(self)


def unpacked(data: bytes) -> Orders:
    """From the supervisor, and from nobody else."""
    orders: Orders = pickle.loads(data)  # noqa: S301 - our own parent process has sent it
    return orders
