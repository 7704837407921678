"""The property collector."""

from kmipkit_vsphere.web_services.managed import ManagedObject


class PropertyCollector(ManagedObject, moid="propertyCollector", content="property_collector"):
    """Reads properties of many objects in one call."""
