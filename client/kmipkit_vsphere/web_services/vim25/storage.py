"""Datastores and networks."""

from collections.abc import Sequence

from kmipkit_vsphere.web_services.vim25.declaration import DataObject, Long, Ref


class DatastoreSummary(DataObject):
    datastore: Ref | None = None
    name: str
    url: str
    capacity: Long
    free_space: Long
    uncommitted: Long | None = None
    accessible: bool
    multiple_host_access: bool | None = None
    type: str
    maintenance_mode: str | None = None


class NetworkSummary(DataObject):
    network: Ref | None = None
    name: str
    accessible: bool
    ip_pool_name: str


class HostMountInfo(DataObject):
    path: str | None = None
    access_mode: str
    mounted: bool | None = None
    accessible: bool | None = None


class DatastoreHostMount(DataObject):
    """How a host has mounted a datastore."""

    key: Ref
    mount_info: HostMountInfo


class FileInfo(DataObject):
    """A file; the path is relative to the folder that was searched."""

    path: str
    file_size: Long | None = None


class FolderFileInfo(FileInfo):
    """A folder."""


class HostDatastoreBrowserSearchSpec(DataObject):
    """Which files are searched for, by patterns such as ``*.vmx``."""

    search_case_insensitive: bool | None = None
    match_pattern: Sequence[str] = ()


class HostDatastoreBrowserSearchResults(DataObject):
    """The files of a folder."""

    datastore: Ref | None = None
    folder_path: str | None = None
    file: Sequence[FileInfo] = ()
