"""The managed objects of the endpoint; importing this package declares all of them."""

from kmipkit_vsphere.web_services.objects import (
    crypto_manager_kmip,
    property_collector,
    service_instance,
    session_manager,
)

__all__ = ["crypto_manager_kmip", "property_collector", "service_instance", "session_manager"]
