"""The vCenter role: it alone calls the key servers, and stores nothing of a key but its id.

The connections that it opens, and their order, are those of a real vCenter (vsphere.md §3.4): the
messages are in :mod:`kmipkit_vsphere.providers.kmip_session`, the jobs in the provider, and the
order of the jobs that encrypt a machine in :mod:`kmipkit_vsphere.vcenter.encryption`.
"""

import logging
from collections.abc import Iterable

from kmipkit_vsphere.model.clock import Clock
from kmipkit_vsphere.model.defects import contained
from kmipkit_vsphere.model.keys import CryptoKeyId, escaped
from kmipkit_vsphere.vcenter.alarms import Alarms
from kmipkit_vsphere.vcenter.authorization import Authorization
from kmipkit_vsphere.vcenter.calls.events import AlarmName
from kmipkit_vsphere.vcenter.crypto_manager import CryptoManagerKmip
from kmipkit_vsphere.vcenter.encryption import MachineEncryption
from kmipkit_vsphere.vcenter.host_encryption import HostDialer
from kmipkit_vsphere.vcenter.host_manager import HostManager
from kmipkit_vsphere.vcenter.instance import Instance
from kmipkit_vsphere.vcenter.key_persistence import KeyPersistence
from kmipkit_vsphere.vcenter.key_providers import ServerDialer
from kmipkit_vsphere.vcenter.key_server_trust import Trust
from kmipkit_vsphere.vcenter.key_usage import KeyUsage
from kmipkit_vsphere.vcenter.locks import Locks
from kmipkit_vsphere.vcenter.machines import Machines
from kmipkit_vsphere.vcenter.migrations import MigrationManager
from kmipkit_vsphere.vcenter.native_providers import NativeProviders
from kmipkit_vsphere.vcenter.policies import Policies
from kmipkit_vsphere.vcenter.policy_assignment import PolicyAssignment
from kmipkit_vsphere.vcenter.provider_replacement import ProviderReplacement
from kmipkit_vsphere.vcenter.store import Store
from kmipkit_vsphere.vcenter.trust_authority import TrustAuthorityCluster
from kmipkit_vsphere.vcenter.trust_authority_monitor import AUTHORITY, TrustAuthorityMonitor
from kmipkit_vsphere.vcenter.trusted_admins import TrustedAdmins
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
        alarms = self.alarms = Alarms(store, clock)
        crypto = self.crypto = CryptoManagerKmip(store, key_server, clock, trust, locks, alarms)
        events = crypto.event_log
        hosts = self.hosts = HostManager(store, crypto, host, locks, alarms)
        natives = self.natives = NativeProviders(store, clock, events, hosts, locks)
        policies = self.policies = Policies(store)
        encryption = self.encryption = MachineEncryption(
            store, crypto, hosts, natives, locks, policies
        )
        self.migrations = MigrationManager(store, hosts)
        self.machines = Machines(
            store, crypto, hosts, encryption, self.migrations, locks, clock, policies
        )
        self.policy_assignment = PolicyAssignment(
            policies, crypto, self.machines, encryption, alarms
        )
        self.vsan = VsanClusters(store, crypto, hosts, natives, instance)
        self.persistence = KeyPersistence(store, hosts)
        self.trusted_admins = TrustedAdmins(store, events)
        authority = TrustAuthorityCluster(store, instance, hosts, trust, events)
        self.trust_authority = authority
        self.trust_authority_monitor = TrustAuthorityMonitor(
            authority, trust, events, alarms, clock
        )
        self.usage = KeyUsage(store, crypto, hosts, lambda: authority.primary_keys)
        self.replacement = ProviderReplacement(
            store, crypto, hosts, natives, encryption, self.vsan, self.usage
        )
        self.trusted_clusters = TrustedClusters(
            store, instance, hosts, lambda: authority.is_configured, events
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
        with contained(log, "encrypted disk groups"):
            await self.vsan.push_changes()
        with contained(log, "alarms of what is gone"):
            self._prune_alarms()

    def _prune_alarms(self) -> None:
        """End the alarms of machines, hosts, key providers and key servers that are gone."""
        inventory, providers = self.store.inventory, self.store.providers
        known = {
            *(("machine", machine.name) for machine in inventory.machines()),
            *(("host", host.name) for host in inventory.hosts()),
            *(("cluster", cluster.name) for cluster in inventory.clusters()),
            (AUTHORITY.type, AUTHORITY.name),
            *(("provider", record.id) for record in providers.all()),
            *(
                ("keyServer", f"{escaped(record.id)}/{server.name}")
                for record in providers.all()
                for server in providers.servers(record.id)
            ),
        }
        self.alarms.prune(
            lambda entity: entity.type == "key" or (entity.type, entity.name) in known
        )

    async def _look_at_missing_keys(self) -> None:
        """End the alarms of missing keys that nothing uses any more."""
        missing = [alarm for alarm in self.alarms.all() if alarm.alarm is AlarmName.KEY_MISSING]
        if missing:
            uses = await self.usage.all()
            for alarm in missing:
                in_use = uses.of(CryptoKeyId.parse(alarm.entity.name))
                if not in_use and not uses.silent_hosts:
                    self.alarms.end(alarm.alarm, alarm.entity)

    async def poll_health(self) -> None:
        """One round of health polls, whose changes become events."""
        with contained(log, "the health of key providers"):
            await self.crypto.health.poll()
        with contained(log, "native key providers without a backup"):
            self.natives.remind()
        with contained(log, "the trust authority"):
            await self.trust_authority_monitor.poll()
        with contained(log, "keys that are missing"):
            await self._look_at_missing_keys()
        with contained(log, "the attestation of trusted clusters"):
            await self.trusted_clusters.poll()
