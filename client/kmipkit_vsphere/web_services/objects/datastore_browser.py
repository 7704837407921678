"""Searches the datastores of hosts, which clients do before they create a machine."""

import fnmatch
from collections.abc import Sequence
from functools import partial
from pathlib import PurePath
from typing import TYPE_CHECKING

from kmipkit_vsphere.calls.machines import MachineInfo
from kmipkit_vsphere.vcenter.calls.machines import ListDatastore
from kmipkit_vsphere.web_services.endpoint import finder
from kmipkit_vsphere.web_services.faults import Fault
from kmipkit_vsphere.web_services.inventory import datastore_name
from kmipkit_vsphere.web_services.managed import ManagedObject, method, prop
from kmipkit_vsphere.web_services.objects.storage import Datastore
from kmipkit_vsphere.web_services.vim25.declaration import Ref
from kmipkit_vsphere.web_services.vim25.faults import FileNotFound, InvalidDatastorePath
from kmipkit_vsphere.web_services.vim25.storage import (
    FileInfo,
    FolderFileInfo,
    HostDatastoreBrowserSearchResults,
    HostDatastoreBrowserSearchSpec,
)

if TYPE_CHECKING:
    from kmipkit_vsphere.web_services.call import Call

_PREFIX = "datastoreBrowser-"


class HostDatastoreBrowser(ManagedObject):
    """Searches the datastore of a host."""

    def __init__(self, ref: Ref, datastore: Datastore) -> None:
        super().__init__(ref)
        self._datastore = datastore

    @property
    def entity(self) -> str:
        return self._datastore.entity

    def check_visible(self, call: "Call") -> None:
        self._datastore.check_visible(call)

    @prop()
    def datastore(self, _call: "Call") -> Sequence[Ref]:
        """The datastore."""
        return [self._datastore.ref]

    @method("SearchDatastore_Task")
    async def search_datastore(
        self,
        call: "Call",
        datastore_path: str,
        search_spec: HostDatastoreBrowserSearchSpec | None,
    ) -> Ref:
        """The files of one folder, or the folders of the datastore."""
        listing = ListDatastore(self._datastore.record.name)
        call.endpoint.service.authorize(listing, call.user)
        spec = search_spec or HostDatastoreBrowserSearchSpec()
        work = partial(self._search, call, datastore_path, spec)
        description = "HostDatastoreBrowser.searchDatastore"
        store = self._datastore
        return call.endpoint.tasks.start(call, description, work, store.ref, store.node.name)

    async def _search(
        self, call: "Call", path: str, spec: HostDatastoreBrowserSearchSpec
    ) -> HostDatastoreBrowserSearchResults:
        name, bracket, folder = path.removeprefix("[").partition("]")
        host, folder = self._datastore.record.name, folder.strip().strip("/")
        if not (path.startswith("[") and bracket) or name != datastore_name(host):
            raise Fault(
                InvalidDatastorePath(datastore_path=path), f"{path} is not on this datastore"
            )
        machines = await call.run(ListDatastore(host))
        if not folder:
            found: list[FileInfo] = [FolderFileInfo(path=machine.name) for machine in machines]
        else:
            found = _files(machines, folder, path)
        patterns = spec.match_pattern or ("*",)
        return HostDatastoreBrowserSearchResults(
            datastore=self._datastore.ref,
            folder_path=path,
            file=[
                file
                for file in found
                if any(fnmatch.fnmatchcase(file.path, pattern) for pattern in patterns)
            ],
        )


def _files(machines: Sequence[MachineInfo], folder: str, path: str) -> list[FileInfo]:
    for machine in machines:
        if machine.name == folder:
            return [FileInfo(path=PurePath(file).name) for file in machine.files]
    raise Fault(FileNotFound(file=path), f"{path} is not there")


@finder("HostDatastoreBrowser")
def find_browser(call: "Call", ref: Ref) -> HostDatastoreBrowser | None:
    """The browser of a datastore."""
    if call.session is None or not ref.value.startswith(_PREFIX):
        return None
    node = call.inventory.find(Ref("Datastore", ref.value.removeprefix(_PREFIX)))
    return None if node is None else HostDatastoreBrowser(ref, Datastore(node))
