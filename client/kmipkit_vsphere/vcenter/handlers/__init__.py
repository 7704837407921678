"""The handlers of vCenter's calls, by the subjects of :mod:`kmipkit_vsphere.vcenter.calls`.

A handler gets the vCenter, the caller and the request, after the privilege of the row has been
checked; privileges that depend on the state of things are checked in the handler (vsphere.md §5.1).
Importing this package registers all handlers.
"""

from kmipkit_vsphere.vcenter.handlers import (
    events,
    host_keys,
    hosts,
    keys,
    machines,
    native,
    permissions,
    persistence,
    policies,
    providers,
    replacement,
    snapshots,
    trust,
    users,
)

__all__ = [
    "events",
    "host_keys",
    "hosts",
    "keys",
    "machines",
    "native",
    "permissions",
    "persistence",
    "policies",
    "providers",
    "replacement",
    "snapshots",
    "trust",
    "users",
]
