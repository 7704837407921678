"""On which host a machine is to be: what a request names by host, datastore or resource pool."""

from typing import TYPE_CHECKING

from kmipkit_vsphere.model.errors import InvalidArgument
from kmipkit_vsphere.model.records import ClusterRecord, HostRecord
from kmipkit_vsphere.web_services.inventory import datastore_name
from kmipkit_vsphere.web_services.vim25.declaration import Ref

if TYPE_CHECKING:
    from kmipkit_vsphere.web_services.call import Call


def host_for(
    call: "Call", host: Ref | None, pool: Ref | None, datastore: Ref | None
) -> HostRecord | None:
    """The host that a request names, each host having its own datastore; None if it names none.

    A pool of a cluster names none of its hosts. Raises InvalidArgument where host and datastore do
    not go together.
    """
    named = _record(call, host, "HostSystem", "host")
    storing = _record(call, datastore, "Datastore", "datastore")
    if named is not None and storing is not None and named != storing:
        raise InvalidArgument(
            f"host {named.name} does not have this datastore: that of {storing.name}",
            invalid_property="datastore",
        )
    return named or storing or _record(call, pool, "ResourcePool", "pool")


def host_for_new(call: "Call", host: Ref | None, pool: Ref, path: str | None) -> HostRecord:
    """The host of a new machine: as named, by the datastore in a path, or any of the pool's cluster."""
    chosen = host_for(call, host, None, None) or host_of_path(call, path or "")
    chosen = chosen or host_for(call, None, pool, None)
    if chosen is not None:
        return chosen
    node = call.inventory.find(pool)
    cluster = node.record if node is not None else None
    members = [
        record
        for record in call.vcenter.store.inventory.hosts()
        if isinstance(cluster, ClusterRecord) and record.parent == f"cluster/{cluster.name}"
    ]
    if not members:
        raise InvalidArgument("the resource pool has no host", invalid_property="pool")
    # A host in encryption mode can hold every machine.
    return next((record for record in members if record.key_id is not None), members[0])


def host_of_path(call: "Call", path: str) -> HostRecord | None:
    """The host whose datastore a path such as ``[esx01-datastore] db1/db1.vmx`` names."""
    if not path.startswith("["):
        return None
    name = path[1:].partition("]")[0]
    hosts = call.vcenter.store.inventory.hosts()
    return next((record for record in hosts if datastore_name(record.name) == name), None)


def _record(call: "Call", ref: Ref | None, type_name: str, parameter: str) -> HostRecord | None:
    if ref is None:
        return None
    node = call.inventory.find(ref)
    if node is None or node.ref.type != type_name or not call.sees(node):
        raise InvalidArgument(f"there is no {type_name} {ref.value}", invalid_property=parameter)
    return node.record if isinstance(node.record, HostRecord) else None
