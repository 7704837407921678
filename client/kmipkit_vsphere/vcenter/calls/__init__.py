"""The calls of vCenter by subject: requests, answers, and a row for each.

Names are those of the vSphere API where it has them (vsphere.md §4.2). See
:mod:`kmipkit_vsphere.vcenter.command` for how to add one.
"""

from typing import Final

from kmipkit_vsphere.vcenter.calls import (
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

ROWS: Final = (
    *providers.ROWS,
    *native.ROWS,
    *keys.ROWS,
    *hosts.ROWS,
    *host_keys.ROWS,
    *persistence.ROWS,
    *machines.ROWS,
    *replacement.ROWS,
    *snapshots.ROWS,
    *policies.ROWS,
    *events.ROWS,
    *permissions.ROWS,
    *users.ROWS,
    *trust.ROWS,
)
"""All calls, in the order in which the command line lists them."""
