"""Fields that users add to objects: there are none, but clients ask which there are."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kmipkit_vsphere.web_services.managed import ManagedObject, prop
from kmipkit_vsphere.web_services.vim25.authorization import CustomFieldDef

if TYPE_CHECKING:
    from kmipkit_vsphere.web_services.call import Call


class CustomFieldsManager(
    ManagedObject, moid="CustomFieldsManager", content="custom_fields_manager"
):
    """Fields of users."""

    @prop()
    def field(self, _call: "Call") -> Sequence[CustomFieldDef]:
        """None."""
        return []
