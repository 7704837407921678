"""vCenter's calls as they are served: the privilege of a row is checked, then its handler runs.

Anyone with a certificate of the roles' authority may call; permissions decide what a caller may do,
before anything else happens and before a key server is asked (requirement R24). No answer holds a
key, except the backup of a native provider.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from kmipkit_vsphere.model.errors import NoPermission
from kmipkit_vsphere.model.keys import CryptoKeyId
from kmipkit_vsphere.rpc import call as rpc
from kmipkit_vsphere.vcenter import handlers
from kmipkit_vsphere.vcenter.caller import Caller
from kmipkit_vsphere.vcenter.calls import ROWS
from kmipkit_vsphere.vcenter.calls.events import Entity
from kmipkit_vsphere.vcenter.command import HANDLERS, AnyHandler, Row, VCenterRequest
from kmipkit_vsphere.vcenter.privileges import TRUSTED_ADMINS, Privilege
from kmipkit_vsphere.vcenter.vcenter import VCenter

A = TypeVar("A")

_BY_REQUEST: Final = {row.request: row for row in ROWS}

USER: Final = "user"
"""The role of everyone with a certificate; permissions decide the rest."""

assert handlers  # imported, so that all handlers are registered


class VCenterService:
    """The calls of a vCenter."""

    def __init__(self, vcenter: VCenter) -> None:
        self._vcenter = vcenter

    def rows(self) -> rpc.Rows:
        """What the channel serves."""
        return rpc.table(*(self._served(row) for row in ROWS))

    def caller(self, user: str) -> Caller:
        """A user whose privileges are checked."""
        return Caller(user, self._check)

    async def call(self, request: VCenterRequest[A], user: str) -> A:
        """Serve one call of a user who is known, wherever the call comes from."""
        row = _BY_REQUEST[type(request)]
        answer: A = await self._checked(row, HANDLERS[row.request.method()], request, user)
        return answer

    def authorize(
        self, request: VCenterRequest[Any], user: str, *more: tuple[Privilege, str]
    ) -> None:
        """NoPermission, with its event, unless a user may make a call; for one that runs later.

        ``more`` are further privileges, with their entities, that the call will need.
        """
        row = _BY_REQUEST[type(request)]
        with self._refusals_recorded(row, request, user):
            caller = self._authorized(row, request, user)
            for privilege, entity in more:
                caller.require(privilege, entity)

    def _served(self, row: Row) -> rpc.Row:
        handler = HANDLERS[row.request.method()]

        async def handle(request: VCenterRequest[Any], user: str) -> Any:
            return await self._checked(row, handler, request, user)

        return rpc.Row(row.request, USER, handle, row.needs, row.entity)

    async def _checked(
        self, row: Row, handler: AnyHandler, request: VCenterRequest[Any], user: str
    ) -> Any:
        with self._refusals_recorded(row, request, user):
            return await self._run(row, handler, request, user)

    @contextmanager
    def _refusals_recorded(
        self, row: Row, request: VCenterRequest[Any], user: str
    ) -> Iterator[None]:
        try:
            yield
        except NoPermission as refusal:
            self._record_refusal(row, request, user, refusal)
            raise

    def _authorized(self, row: Row, request: VCenterRequest[Any], user: str) -> Caller:
        caller = self.caller(user)
        caller.require(row.privilege, row.entity_of(request))
        groups = self._vcenter.store.permissions.groups_of(user)
        if row.trusted_admins_only and TRUSTED_ADMINS not in groups:
            raise NoPermission(
                f"{user} is not a member of the group {TRUSTED_ADMINS}",
                privilege_id="TrustedAdmins",
                object="/",
            )
        return caller

    async def _run(
        self, row: Row, handler: AnyHandler, request: VCenterRequest[Any], user: str
    ) -> Any:
        caller = self._authorized(row, request, user)
        if not row.records:
            return await handler(self._vcenter, caller, request)
        method, entity = row.request.method(), _entity(row, request)
        with self._vcenter.crypto.audited(user, method, None, entity):
            answer = await handler(self._vcenter, caller, request)
        self._vcenter.crypto.note(user, method, None, entity)
        return answer

    def _check(self, user: str, privilege: Privilege, entity: str) -> None:
        place = self._vcenter.store.inventory.place(entity)
        self._vcenter.authorization.require(user, privilege, place)

    def _record_refusal(
        self, row: Row, request: VCenterRequest[Any], user: str, refusal: NoPermission
    ) -> None:
        method = row.request.method()
        self._vcenter.crypto.event_log.add(
            "crypto.Operation",
            f"{method} by {user} was refused: {refusal.message}",
            user=user,
            operation=method,
            key_id=self._key_of(request),
            failed=True,
            fault=type(refusal).__name__,
            **refusal.arguments,
        )

    def _key_of(self, request: VCenterRequest[Any]) -> CryptoKeyId | None:
        """The key that a refused call would have used, if it names a machine that has one."""
        name = getattr(request, "name", None)
        machines = self._vcenter.store.inventory.machines()
        return next((machine.key_id for machine in machines if machine.name == name), None)


def _entity(row: Row, request: VCenterRequest[Any]) -> Entity | None:
    """What a call is about: the key provider that it names, or the object of its privilege."""
    provider = getattr(request, "cluster_id", None) or getattr(request, "provider", None)
    if provider is not None:
        return Entity("provider", str(provider))
    kind, _, name = row.entity_of(request).partition("/")
    return Entity(kind, name) if kind and name else None
