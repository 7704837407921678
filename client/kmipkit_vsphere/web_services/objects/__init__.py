"""The managed objects of the endpoint; importing this package declares all of them."""

from kmipkit_vsphere.web_services.objects import (
    authorization,
    custom_fields,
    find_entity,
    property_collector,
    search_index,
    service_instance,
    session_manager,
    tasks,
    views,
)

__all__ = [
    "authorization",
    "custom_fields",
    "find_entity",
    "property_collector",
    "search_index",
    "service_instance",
    "session_manager",
    "tasks",
    "views",
]
