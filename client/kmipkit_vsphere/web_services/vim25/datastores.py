"""What is known of datastores."""

from typing import Annotated

from kmipkit_vsphere.web_services.vim25.declaration import DataObject, Long, Name


class DatastoreInfo(DataObject):
    """What is known of a datastore."""

    name: str
    url: str
    free_space: Long
    max_file_size: Long
    max_memory_file_size: Long


class DatastoreCapability(DataObject):
    """What a datastore can do."""

    directory_hierarchy_supported: bool
    raw_disk_mappings_supported: bool
    per_file_thin_provisioning_supported: bool
    storage_iorm_supported: Annotated[bool, Name("storageIORMSupported")]
    native_snapshot_supported: bool
