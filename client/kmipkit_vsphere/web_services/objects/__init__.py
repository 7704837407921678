"""The managed objects of the endpoint; importing this package declares all of them."""

from kmipkit_vsphere.web_services.objects import (
    alarms,
    authorization,
    crypto_manager_host,
    crypto_manager_kmip,
    custom_fields,
    datastore_browser,
    event_manager,
    find_entity,
    property_collector,
    search_index,
    service_instance,
    session_manager,
    snapshots,
    storage_policies,
    tasks,
    views,
)

__all__ = [
    "alarms",
    "authorization",
    "crypto_manager_host",
    "crypto_manager_kmip",
    "custom_fields",
    "datastore_browser",
    "event_manager",
    "find_entity",
    "property_collector",
    "search_index",
    "service_instance",
    "session_manager",
    "snapshots",
    "storage_policies",
    "tasks",
    "views",
]
