"""Guests."""

from kmipkit_vsphere.web_services.vim25.declaration import DataObject


class GuestInfo(DataObject):
    """What is known of a guest: there are no tools in the laboratory."""

    tools_version_status2: str | None = None
    tools_running_status: str | None = None
    guest_id: str | None = None
    guest_full_name: str | None = None
    guest_state: str
