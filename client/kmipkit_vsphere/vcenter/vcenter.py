"""The vCenter role: it alone calls the key servers, and stores nothing of a key but its id.

The connections that it opens, and their order, are those of a real vCenter (vsphere.md §3.4): the
messages are in :mod:`kmipkit_vsphere.providers.kmip_session`, the jobs in the provider, and the
order of the jobs that encrypt a machine in :mod:`kmipkit_vsphere.vcenter.encryption`.
"""

import logging
from collections.abc import Iterable

from kmipkit_vsphere.model.clock import Clock
from kmipkit_vsphere.model.defects import contained
from kmipkit_vsphere.vcenter.alarms import Alarms
from kmipkit_vsphere.vcenter.authorization import Authorization
from kmipkit_vsphere.vcenter.crypto_manager import CryptoManagerKmip
from kmipkit_vsphere.vcenter.encryption import MachineEncryption
from kmipkit_vsphere.vcenter.host_encryption import HostDialer
from kmipkit_vsphere.vcenter.host_manager import HostManager
from kmipkit_vsphere.vcenter.instance import Instance
from kmipkit_vsphere.vcenter.key_providers import ServerDialer
from kmipkit_vsphere.vcenter.key_server_trust import Trust
from kmipkit_vsphere.vcenter.key_usage import KeyUsage
from kmipkit_vsphere.vcenter.locks import Locks
from kmipkit_vsphere.vcenter.machines import Machines
from kmipkit_vsphere.vcenter.migrations import MigrationManager
from kmipkit_vsphere.vcenter.native_providers import NativeProviders
from kmipkit_vsphere.vcenter.policies import Policies
from kmipkit_vsphere.vcenter.policy_assignment import PolicyAssignment
from kmipkit_vsphere.vcenter.store import Store
from kmipkit_vsphere.vcenter.trust_authority import TrustAuthorityCluster
from kmipkit_vsphere.vcenter.trusted_clusters import TrustedClusters
from kmipkit_vsphere.vcenter.vsan import VsanClusters

log = logging.getLogger("kmipkit.vsphere.vcenter")


class VCenter:
    """One vCenter: the parts by what they look after."""

    def __init__(
        self,
        store: Store,
        *,
        key_server: ServerDialer,
        host: HostDialer,
        clock: Clock,
        trust: Trust | None = None,
        administrators: Iterable[str] = (),
    ) -> None:
        trust = trust or Trust(store, clock)
        instance, locks = Instance(store), Locks()
        self.store = store
        self.clock = clock
        self.authorization = Authorization(store.permissions, frozenset(administrators))
        self.crypto = CryptoManagerKmip(store, key_server, clock, trust, locks)
        self.hosts = HostManager(store, self.crypto, host, locks, Alarms(store, clock))
        self.natives = NativeProviders(store, clock, self.crypto.event_log, self.hosts, locks)
        self.policies = Policies(store)
        self.encryption = MachineEncryption(
            store, self.crypto, self.hosts, self.natives, locks, self.policies
        )
        self.migrations = MigrationManager(store, self.hosts)
        self.machines = Machines(
            store,
            self.crypto,
            self.hosts,
            self.encryption,
            self.migrations,
            locks,
            clock,
            self.policies,
        )
        self.policy_assignment = PolicyAssignment(
            self.policies, self.crypto, self.machines, self.encryption
        )
        self.vsan = VsanClusters(store, self.crypto, self.hosts, instance)
        self.trust_authority = TrustAuthorityCluster(store, instance, self.hosts, trust)
        self.usage = KeyUsage(
            store, self.crypto, self.hosts, lambda: self.trust_authority.primary_keys
        )
        self.trusted_clusters = TrustedClusters(
            store,
            instance,
            self.hosts,
            lambda: self.trust_authority.is_configured,
            self.crypto.event_log,
        )

    async def run_background_tasks(self) -> None:
        """One round: keys for hosts that restarted, native providers, migrations in doubt."""
        with contained(log, "keys for hosts that restarted"):
            await self.hosts.synchronise_restarted()
        with contained(log, "native key providers"):
            await self.natives.push_all()
        with contained(log, "migrations in doubt"):
            await self.migrations.settle_all()
        with contained(log, "interrupted clones"):
            await self.machines.settle_clones()

    async def poll_health(self) -> None:
        """One round of health polls, whose changes become events."""
        with contained(log, "the health of key providers"):
            await self.crypto.health.poll()
        with contained(log, "native key providers without a backup"):
            self.natives.remind()
        with contained(log, "the attestation of trusted clusters"):
            await self.trusted_clusters.poll()
