"""The settings of a client."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Self

from kmipkit.model.credentials import Credential
from kmipkit.spec.versions import Version
from kmipkit.ttlv.limits import Limits
from kmipkit_client.cluster import Order
from kmipkit_client.deadline import SYSTEM_CLOCK, Clock
from kmipkit_client.endpoints import Endpoint
from kmipkit_client.errors import ClientError
from kmipkit_client.hooks import Hook
from kmipkit_client.tls import TLS

LIMITS = Limits(max_message=64 << 20, max_items=1 << 20)
"""Limits for an authenticated server: room for the identifiers of a million objects."""

DEADLINE = 60.0
"""Seconds for a whole call, unless the user chooses others."""

ENCODINGS = ("ttlv", "xml", "json")
"""The encodings of messages over HTTPS."""


def checked_encoding(encoding: str) -> str:
    """An encoding over HTTPS. ClientError if there is no such encoding."""
    if encoding not in ENCODINGS:
        raise ClientError(f"encoding {encoding!r} is not one of {', '.join(ENCODINGS)}")
    return encoding


def checked_order(order: Order | str) -> Order:
    """An order of servers. ValueError if there is no such order."""
    if order not in list(Order):
        raise ValueError(f"order {order!r} is not one of {', '.join(Order)}")
    return Order(order)


_LOWEST: Mapping[str, tuple[float, str]] = MappingProxyType(
    {
        "connect_timeout": (0.001, "seconds"),
        "timeout": (0.001, "seconds"),
        "deadline": (0, "seconds"),
        "retries": (0, "attempts"),
        "connections": (1, "connection"),
        "max_idle": (0, "seconds"),
    }
)
"""Settings that are numbers, with the lowest values that make sense."""


def _checked(name: str, value: float) -> float:
    """A number. ClientError if it is too low, or none."""
    lowest, unit = _LOWEST[name]
    # Not a number (NaN) is never at least anything.
    if not isinstance(value, int | float) or not value >= lowest:
        raise ClientError(f"{name} must be at least {lowest} {unit}, not {value!r}")
    return value


def whole_deadline(deadline: float | None, connect_timeout: float, timeout: float) -> float:
    """The deadline of a call: the chosen one, or at least the time that one attempt may take.

    ClientError if one of the others is not a number.
    """
    _checked("connect_timeout", connect_timeout)
    _checked("timeout", timeout)
    return max(DEADLINE, connect_timeout + timeout) if deadline is None else deadline


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of a client; times in seconds."""

    endpoints: tuple[Endpoint, ...]
    tls: TLS
    order: Order = Order.ORDERED
    encoding: str = "ttlv"
    """The encoding of messages over HTTPS: ``ttlv``, ``xml`` or ``json``."""
    server_name: str | None = None
    """The name that the server's certificate must have; by default the host of the address."""
    version: Version | None = None
    """The protocol version; None to negotiate the newest that both sides support."""
    credential: Credential | None = None
    connect_timeout: float = 10.0
    """For connection and handshake."""
    timeout: float = 30.0
    """For one response."""
    deadline: float = DEADLINE
    """For a whole call, with all its attempts."""
    retries: int = 2
    """How many times a call tries all servers again."""
    connections: int = 8
    """Connections to one server, at most; further calls wait."""
    max_idle: float = 60.0
    """Idle connections are not used again after this time."""
    hooks: tuple[Hook, ...] = ()
    """See each request and its answer."""
    limits: Limits = LIMITS
    clock: Clock = SYSTEM_CLOCK
    random: Callable[[], float] = random.random
    """Numbers from 0 to 1, for the time between attempts."""

    def __post_init__(self) -> None:
        """Check them together. ClientError if a number is too low, or none, or one has no effect."""
        for name in _LOWEST:
            _checked(name, getattr(self, name))
        if self.encoding != "ttlv" and all(each.path is None for each in self.endpoints):
            raise ClientError(
                f"the encoding {self.encoding} is for HTTPS: write the server as https://HOST:PORT/PATH"
            )

    def expected_name(self, endpoint: Endpoint) -> str:
        """The name that the certificate of a server must have."""
        return (self.server_name or endpoint.host).rstrip(".")  # RFC 6066 §3: TLS has it without

    def within(self, deadline: float) -> Self:
        """These settings with another deadline for each call."""
        return replace(self, deadline=deadline)
