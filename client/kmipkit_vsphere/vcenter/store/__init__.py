"""The store of vCenter: providers, inventory, permissions, key ids and events; never key bytes.

SQLite, one small file with mode 0600; every change is durable before the call returns. No table holds
keys of a key server: ids and names are text, events are JSON records. The secrets of vCenter itself
(passwords, its own private keys, the primary keys of native key providers) are encrypted by
:mod:`kmipkit_vsphere.vcenter.store.secrets`.
"""

from pathlib import Path

from kmipkit_vsphere.vcenter.store.database import Database
from kmipkit_vsphere.vcenter.store.events import Events
from kmipkit_vsphere.vcenter.store.inventory import Inventory
from kmipkit_vsphere.vcenter.store.managed_objects import ManagedObjects
from kmipkit_vsphere.vcenter.store.permissions import Permissions
from kmipkit_vsphere.vcenter.store.providers import Providers
from kmipkit_vsphere.vcenter.store.secrets import Secrets
from kmipkit_vsphere.vcenter.store.users import Users


class Store:
    """The database, with one part for each subject."""

    def __init__(self, path: Path) -> None:
        self._database = Database(path)
        self.providers = Providers(self._database)
        self.inventory = Inventory(self._database)
        self.permissions = Permissions(self._database)
        self.managed_objects = ManagedObjects(self._database)
        self.users = Users(self._database)
        self.events = Events(self._database)
        self.secrets = Secrets(self._database, path.with_suffix(".key"))

    def close(self) -> None:
        """Close the file."""
        self._database.close()
