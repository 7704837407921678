"""Roles and permissions."""

from collections.abc import Sequence

from kmipkit_vsphere.web_services.vim25.basics import Description
from kmipkit_vsphere.web_services.vim25.declaration import DataObject, Ref


class AuthorizationRole(DataObject):
    role_id: int
    system: bool
    name: str
    info: Description
    privilege: Sequence[str] = ()


class AuthorizationPrivilege(DataObject):
    priv_id: str
    on_parent: bool
    name: str
    priv_group_name: str


class Permission(DataObject):
    entity: Ref | None = None
    principal: str
    group: bool
    role_id: int
    propagate: bool


class PrivilegeAvailability(DataObject):
    priv_id: str
    is_granted: bool


class EntityPrivilege(DataObject):
    entity: Ref
    priv_availability: Sequence[PrivilegeAvailability] = ()


class UserPrivilegeResult(DataObject):
    entity: Ref
    privileges: Sequence[str] = ()


class CustomFieldDef(DataObject):
    key: int
    name: str
    type: str
