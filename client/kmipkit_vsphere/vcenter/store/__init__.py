"""What vCenter remembers: providers, inventory, permissions, key ids and events; never key bytes.

SQLite, one small file with mode 0600, every change durable before the call returns. No table could
take a key of a key server: ids and names are text that others chose, events are JSON records. What
vCenter itself must keep secret (passwords, its own private keys, the primary keys of native key
providers) is encrypted by :mod:`kmipkit_vsphere.vcenter.store.secrets`.
"""

from pathlib import Path

from kmipkit_vsphere.vcenter.store.database import Database
from kmipkit_vsphere.vcenter.store.events import Events
from kmipkit_vsphere.vcenter.store.inventory import Inventory
from kmipkit_vsphere.vcenter.store.permissions import Permissions
from kmipkit_vsphere.vcenter.store.providers import Providers
from kmipkit_vsphere.vcenter.store.secrets import Secrets


class Store:
    """The database, one part for each kind of thing."""

    def __init__(self, path: Path) -> None:
        self._database = Database(path)
        self.providers = Providers(self._database)
        self.inventory = Inventory(self._database)
        self.permissions = Permissions(self._database)
        self.events = Events(self._database)
        self.secrets = Secrets(self._database, path.with_suffix(".key"))

    def close(self) -> None:
        """Close the file."""
        self._database.close()
