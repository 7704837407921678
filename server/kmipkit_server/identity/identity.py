"""The account for which a request is carried out."""

from dataclasses import dataclass, field

from kmipkit.model.payloads.limits import Right


@dataclass(frozen=True, slots=True)
class Identity:
    """A client account: the owner of objects."""

    name: str
    """Empty for the server itself; no client can have this name."""
    is_administrator: bool = False
    """Whether it may manage users, groups, credentials, constraints and defaults."""
    certificate: bytes | None = field(default=None, repr=False)
    """SHA-256 of the client certificate of the connection."""
    rights: tuple[Right, ...] | None = None
    """The rights of a ticket of Delegated Login; None for all rights of the account."""
    address: str = ""
    """The network address from which the client is connected; empty if there is none."""
    proof: bytes | None = field(default=None, repr=False)
    """The Server Hashed Password of the response (KMIP 2.1 §8.5)."""


SYSTEM = Identity("")
"""The owner of users, groups and credentials."""
