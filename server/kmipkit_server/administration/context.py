"""What a handler gets beside its request: who asks, for which accounts, and the parts of the server."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeVar

from kmipkit_server.administration.problems import unavailable
from kmipkit_server.audit.administration import AdminRequest, AuditedChange
from kmipkit_server.backup.schedule import Backups
from kmipkit_server.config import Config
from kmipkit_server.engine.dispatcher import Dispatcher
from kmipkit_server.engine.settings import Clock
from kmipkit_server.engine.sightings import AllSightings
from kmipkit_server.identity.identity import Identity
from kmipkit_server.net.sessions import Sessions
from kmipkit_server.net.validity import Validity
from kmipkit_server.store.base import Usage
from kmipkit_server.store.concealed_numbers import POSITION_HALF, Concealment
from kmipkit_server.store.inventory import Inventory, InventoryTransaction
from kmipkit_server.store.key_rotator import KeyRotator
from kmipkit_server.store.owners import account_in_tenant, owner_name, system_owner, tenant_of
from kmipkit_server.store.parts import identifier_in_part, stored_identifier
from kmipkit_server.store.slices import Steps

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Scope:
    """What an administrator administers: the server with all accounts, or those of one tenant; for
    anybody else, what concerns the own account.

    Administrators of a tenant name accounts and objects as its clients do. Administrators of the server
    use the whole names, which have the tenant in them (:mod:`kmipkit_server.store.owners`).
    """

    tenant: str | None = None
    """None for the whole server."""
    own: str | None = None
    """The account of somebody who is no administrator, and sees only what concerns it."""

    @property
    def is_server(self) -> bool:
        """Whether it is the whole server."""
        return self.tenant is None

    @property
    def system(self) -> str:
        """The owner of the users, groups and credentials."""
        return system_owner(self.tenant or "")

    def has(self, owner: str) -> bool:
        """Whether an owner belongs to it."""
        return self.tenant is None or tenant_of(owner) == self.tenant

    def owner(self, account: str) -> str:
        """The whole name of an account."""
        return owner_name(self.tenant or "", account)

    def account(self, owner: str) -> str:
        """The name of an account, from its whole name."""
        return owner if self.tenant is None else account_in_tenant(owner)

    def stored(self, identifier: str) -> str:
        """The Unique Identifier of an object, as it is in the store."""
        return stored_identifier(self.tenant or "", identifier)

    def identifier(self, stored: str) -> str:
        """The Unique Identifier of an object, from that in the store."""
        return identifier_in_part(self.tenant or "", stored)


SERVER = Scope()
"""The scope of an administrator of the server."""


def scope_of(identity: Identity) -> Scope | None:
    """What an account administers; None for nothing."""
    if not identity.is_administrator or identity.rights is not None:
        return None
    return Scope(identity.tenant) if identity.tenant else SERVER


@dataclass(frozen=True, slots=True)
class Live:
    """The parts of a server that runs."""

    dispatcher: Dispatcher
    sessions: Sessions
    sightings: AllSightings
    validities: Callable[[], Iterable[Validity]]
    """The ends of the server's certificates, of the authorities and of the revocation lists."""
    backups: Backups


class Storage(Protocol):
    """What handlers need of a store; that of a server which does not run can only be read."""

    async def run(
        self,
        work: Callable[[Any], Any],
        *,
        writes: bool = False,
        slow: bool = False,
        account: str = "",
        on_commit: Callable[[Any], None] | None = None,
    ) -> Any:
        """Run a piece of work; see :meth:`kmipkit_server.store.base.Store.run`."""

    async def usages(self) -> dict[str, Usage]:
        """How much each owner has that has anything."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of the server that handlers use."""

    store: Storage
    clock: Clock
    config: Callable[[], Config]
    """The configuration now: a reload replaces it."""
    live: Live | None
    """None for the data directory of a server that does not run."""
    rotator: KeyRotator | None = None
    """None if the store can only be read."""
    progress: Callable[[Any], None] = lambda _: None
    """Called after each part of what takes long."""


@dataclass(frozen=True, slots=True)
class Context:
    """One request."""

    scope: Scope
    parts: Parts
    request: AdminRequest
    """The request as the audit sees it: a handler notes in it what it is about."""

    @property
    def identity(self) -> Identity:
        """Who asks."""
        return self.request.identity

    @property
    def now(self) -> datetime:
        """The time of the request, in whole seconds as in KMIP."""
        return self.request.moment.replace(microsecond=0)

    @property
    def live(self) -> Live:
        """The running server. Refused if it does not run."""
        if self.parts.live is None:
            raise unavailable("this needs the server to run")
        return self.parts.live

    @property
    def rotator(self) -> KeyRotator:
        """What rotates keys. Refused if the store can only be read."""
        if self.parts.rotator is None:
            raise unavailable("the store can only be read")
        return self.parts.rotator

    # --- numbers ---------------------------------------------------------------------------------

    def shown(self, number: int | None, kind: str, half: int = POSITION_HALF) -> int | None:
        """A number that counts for the whole server, as it is shown in the scope; None is none."""
        hidden = self._concealment(kind, half)
        return number if hidden is None or number is None else hidden.conceal(number)

    def meant(self, shown: int | None, kind: str, half: int = POSITION_HALF) -> int | None:
        """The number that was shown as this one."""
        hidden = self._concealment(kind, half)
        return shown if hidden is None or shown is None else hidden.reveal(shown)

    def _concealment(self, kind: str, half: int) -> Concealment | None:
        tenant = self.scope.tenant
        if tenant is None:
            return None
        return Concealment(self.live.dispatcher.server.settings.request_key, tenant, kind, half)

    # --- the store -------------------------------------------------------------------------------

    async def read(self, work: Callable[[Inventory], Steps[_Result]]) -> _Result:
        """Read from the store in a thread; the account has a share of these."""
        result: _Result = await self.parts.store.run(work, slow=True, account=self.identity.name)
        return result

    async def change_state(
        self, work: Callable[[InventoryTransaction], _Result], gone: str | None = None
    ) -> _Result:
        """Change something that processes keep in memory; all of them know it afterwards.

        ``gone`` is an owner that is not there any longer, as in :meth:`.ServerState.forget`.
        """
        result = await self.change(work)
        await self.live.dispatcher.following.announce(gone)
        return result

    async def change(
        self,
        work: Callable[[InventoryTransaction], _Result],
        on_commit: Callable[[_Result], None] = lambda _: None,
    ) -> _Result:
        """Change the store in a transaction, with the record of the request in it.

        ``on_commit`` gets the result right after the commit.
        """

        def run(transaction: InventoryTransaction) -> AuditedChange:
            return AuditedChange(self.request, work(transaction))

        changed = await self.parts.store.run(
            run, writes=True, on_commit=lambda changed: on_commit(changed.result)
        )
        result: _Result = changed.result
        return result
