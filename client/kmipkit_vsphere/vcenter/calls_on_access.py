"""The calls about who may do what, and what was done: permissions and events."""

from typing import Any

from kmipkit_vsphere.model.errors import InvalidArgument, NotFound, ResourceInUse
from kmipkit_vsphere.model.records import ROOT
from kmipkit_vsphere.rpc.params import Params
from kmipkit_vsphere.vcenter.authorization import Authorization, Permission, checked_privileges
from kmipkit_vsphere.vcenter.events import EventFilter, export
from kmipkit_vsphere.vcenter.privileges import PREDEFINED
from kmipkit_vsphere.vcenter.vcenter import VCenter


class AccessCalls:
    """Handlers for roles, groups, permissions and events (vsphere.md §5)."""

    def __init__(self, vcenter: VCenter, authorization: Authorization) -> None:
        self._vcenter = vcenter
        self._store = vcenter.store.permissions
        self._authorization = authorization

    # Events --------------------------------------------------------------------------------------

    async def events(self, params: Params) -> list[dict[str, Any]]:
        limit = params.integer("limit", minimum=1, maximum=1000, default=1000)
        return self._vcenter.crypto.events(_filter(params))[-limit:]

    async def export_events(self, params: Params) -> str:
        """The events as CSV or JSON lines (R34)."""
        found = self._vcenter.crypto.events(_filter(params))
        return export(found, params.text("format", "csv"))

    # Roles ---------------------------------------------------------------------------------------

    async def roles(self, _params: Params) -> dict[str, list[str]]:
        every = {**PREDEFINED, **self._store.roles()}
        return {name: sorted(privileges) for name, privileges in every.items()}

    async def set_role(self, params: Params) -> None:
        """Make or change a role; with ``basedOn`` it begins as a copy of another one (§5.2)."""
        name = params.text("name")
        if name in PREDEFINED:
            raise InvalidArgument(f"the role {name} is predefined; make another one based on it")
        base = (
            self._authorization.privileges(params.text("basedOn"))
            if params.has("basedOn")
            else frozenset[str]()
        )
        added = params.texts("privileges") if params.has("privileges") else []
        self._store.put_role(name, base | checked_privileges(added))

    async def remove_role(self, params: Params) -> None:
        name = params.text("name")
        if self._store.role(name) is None:
            raise NotFound(f"no role {name} was made here")
        users = [one.principal for one in self._store.permissions() if one.role == name]
        if users:
            raise ResourceInUse(f"the role {name} is given to {', '.join(users)}")
        self._store.remove_role(name)

    # Groups --------------------------------------------------------------------------------------

    async def groups(self, _params: Params) -> dict[str, list[str]]:
        return self._store.members()

    async def set_member(self, params: Params) -> None:
        self._store.set_member(
            params.text("group"),
            params.text("member"),
            is_in=not params.flag("remove"),
        )

    # Permissions ---------------------------------------------------------------------------------

    async def permissions(self, _params: Params) -> list[dict[str, Any]]:
        return [
            {
                "entity": one.entity,
                "principal": one.principal,
                "role": one.role,
                "group": one.is_group,
                "propagate": one.propagate,
            }
            for one in self._store.permissions()
        ]

    async def set_permission(self, params: Params) -> None:
        role = params.text("role")
        self._authorization.privileges(role)
        entity = params.text("entity", ROOT)
        self._vcenter.store.inventory.place(entity)
        self._store.set_permission(
            Permission(
                entity,
                params.text("principal"),
                role,
                params.flag("group"),
                params.flag("propagate", default=True),
            )
        )

    async def remove_permission(self, params: Params) -> None:
        entity, principal = params.text("entity", ROOT), params.text("principal")
        if not self._store.remove_permission(entity, principal, is_group=params.flag("group")):
            raise NotFound(f"{principal} has no permission of its own on {entity}")

    async def has_privilege(self, params: Params) -> dict[str, bool]:
        """Which of the privileges a user, or the caller, has on an entity."""
        place = self._vcenter.store.inventory.place(params.text("entity", ROOT))
        allowed = self._authorization.allowed(params.text("user", params.caller), place)
        asked = sorted(checked_privileges(params.texts("privileges")))
        return {name: name in allowed for name in asked}


def _filter(params: Params) -> EventFilter:
    return EventFilter(
        since=params.moment("since"),
        until=params.moment("until"),
        user=params.text("user") if params.has("user") else None,
        key_id=params.text("keyId") if params.has("keyId") else None,
        event_type=params.text("eventTypeId") if params.has("eventTypeId") else None,
    )
