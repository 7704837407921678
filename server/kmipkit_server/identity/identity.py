"""The account on whose behalf a request is carried out."""

from dataclasses import dataclass, field

from kmipkit.model.payloads.limits import Right


@dataclass(frozen=True, slots=True)
class Identity:
    """A client account: the owner of objects."""

    name: str
    """Empty for the server itself, which no peer can be."""
    is_administrator: bool = False
    """Whether it may manage users, groups, credentials, constraints and defaults."""
    certificate: bytes | None = field(default=None, repr=False)
    """SHA-256 of the certificate that the connection was opened with."""
    rights: tuple[Right, ...] | None = None
    """What a ticket of Delegated Login allows; None for all that the account may do."""
    proof: bytes | None = field(default=None, repr=False)
    """What the answer says for the server's part (Server Hashed Password, KMIP 2.1 §8.5)."""


SYSTEM = Identity("")
"""The owner of users, groups and credentials."""
