"""What is asked: may this identity do this, to this object, now?"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from kmipkit.spec.enums import Operation
from kmipkit_server.identity.identity import Identity
from kmipkit_server.policy.actions import Action
from kmipkit_server.store.base import Record
from kmipkit_server.store.owners import account_in_tenant, tenant_of
from kmipkit_server.store.parts import stored_identifier


def _no_groups() -> frozenset[str]:
    return frozenset()


@dataclass(frozen=True, slots=True)
class Question:
    """A question about one operation, and one object if there is one."""

    identity: Identity
    action: Action
    now: datetime
    """The time of the request."""
    record: Record | None = None
    """The object as the transaction of the operation sees it, or as it would be made; None for an
    operation on no object, or before the object is known."""
    is_new: bool = False
    """Whether the operation makes the object."""
    operation: Operation | None = None
    """The operation of the request, if the action is another one: tickets have rights to it."""
    groups: Callable[[], frozenset[str]] = _no_groups
    """Identifiers and names of the Groups (KMIP 3.0) to which the user of the account is linked."""

    def account(self, tenant: str) -> str:
        """The account as a document of this tenant names it; whole names in that of the server."""
        return self.identity.account if tenant else self.identity.name

    def owner(self, tenant: str) -> str:
        """The owner of the object in the same form."""
        assert self.record is not None
        return account_in_tenant(self.record.owner) if tenant else self.record.owner

    def identifier(self, tenant: str) -> str:
        """The Unique Identifier of the object in the same form: two tenants may have the same one."""
        record = self.record
        assert record is not None
        return record.id if tenant else stored_identifier(tenant_of(record.owner), record.id)

    @property
    def is_own(self) -> bool:
        """Whether the object belongs to the account."""
        return self.record is not None and self.record.owner == self.identity.name
