"""The account for which a request is carried out."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from kmipkit_certs.revocation_status import PeerCertificate

from kmipkit.model.payloads.limits import Right
from kmipkit_server.store.owners import account_in_tenant, system_owner, tenant_of

Holder = tuple[str, bytes | None]
"""The name of an account, and the delegated ticket if the request has one."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A client account: the owner of objects."""

    name: str
    """The whole name, which owns objects and is unique on the server: that of an account of a tenant
    has the tenant in it (:mod:`kmipkit_server.store.owners`). Empty for the server itself; no client
    can have this name."""
    is_administrator: bool = False
    """Whether it may manage users, groups, credentials, constraints and defaults."""
    user: str | None = None
    """The Unique Identifier of the user whose account it is; None for the account of a certificate."""
    certificate: PeerCertificate | None = field(default=None, repr=False)
    """The client certificate of the connection."""
    certificate_expires: datetime | None = field(default=None, repr=False)
    """When that certificate expires."""
    presented: bytes = field(default=b"", repr=False, compare=False)
    """The same certificate in DER, by which it belongs to a tenant."""
    authorities: tuple[bytes, ...] = field(default=(), repr=False)
    """The keys of the authorities in its chain, as TLS has verified it."""
    rights: tuple[Right, ...] | None = None
    """The rights of a ticket of Delegated Login; None for all rights of the account."""
    address: str = ""
    """The network address from which the client is connected; empty if there is none."""
    port: int = 0
    """The port from which the client is connected; 0 if there is none."""
    ticket: bytes | None = field(default=None, repr=False)
    """The ticket with which the request was authenticated, by the hash of its value."""
    proof: bytes | None = field(default=None, repr=False)
    """The Server Hashed Password of the response (KMIP 2.1 §8.5)."""
    is_internal: bool = False
    """Whether the server acts for the account by itself, as when it rotates a key."""
    tenant: str = field(default="", init=False)
    """The tenant to which the account belongs; empty if it belongs to none. Whatever belongs to another
    tenant, or to none, does not exist for this account. It follows from the name."""

    prepared: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)
    """What follows from this identity and is needed for each of its requests, by its name."""

    def __post_init__(self) -> None:
        # Not a property, since each request needs it several times.
        object.__setattr__(self, "tenant", tenant_of(self.name))

    @property
    def account(self) -> str:
        """The name inside the tenant, as policies, audit records and its administrators have it."""
        return account_in_tenant(self.name)

    @property
    def system(self) -> str:
        """The owner of the users, groups and credentials that this account can see."""
        return system_owner(self.tenant)

    @property
    def certificate_hash(self) -> bytes:
        """What identifies the client certificate: the hash of its signed part; empty without one."""
        return self.certificate.signed_hash if self.certificate is not None else b""

    @property
    def holder(self) -> Holder:
        """To whom unfinished work belongs: the account, or one delegated ticket.

        The holder of a delegated ticket must not reach the results of the account, nor those of
        other tickets: "Requests using the ticket MUST only be permitted to perform the operations
        specified in the Rights section" (KMIP 2.1 §6.1.12).
        """
        return self.name, self.ticket if self.rights is not None else None


SYSTEM = Identity("")
"""The server itself, which owns the users, groups and credentials that belong to no tenant."""
