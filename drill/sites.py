"""All machines of the drill: three key servers, two databases, and who looks after these."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from kmipkit_certs import development
from kmipkit_certs.clock import system_clock

from drill.database import OWNER, PORT, Database
from drill.load import Service
from drill.manager import Manager
from drill.network import Disk, Host, Network, Side
from drill.node import Node

NODES = (Host("kms1", 11), Host("kms2", 12), Host("kms3", 13))
DATABASES = (Host("db1", 21, (Side.BACK,)), Host("db2", 22, (Side.BACK,)))
_ROLE = "kmipkit"
_NAME = "kms"
_DATABASE_MEGABYTES, _NODE_MEGABYTES = 512, 128


class Site:
    """The machines; they end with the process that has made their network."""

    def __init__(self, workers: int, note: Callable[[str], None]) -> None:
        self.network = Network()
        self.folder = folder = self.network.folder
        for host in (*NODES, *DATABASES):
            self.network.add(host)
        self.databases = tuple(
            Database(
                self.network, host, Disk(folder / host.name, _DATABASE_MEGABYTES), self._log(host)
            )
            for host in DATABASES
        )
        pki = folder / "pki"
        addresses = tuple(host.address(Side.FRONT) for host in NODES)
        development.ensure(pki, hosts=addresses, clients=("admin",), clock=system_clock)
        places = ",".join(f"{each.address}:{PORT}" for each in self.databases)
        self.nodes = tuple(
            Node(
                self.network,
                host,
                Disk(folder / host.name, _NODE_MEGABYTES),
                self._log(host),
                pki,
                f"postgresql://{_ROLE}@{places}/{_NAME}",
                workers,
            )
            for host in NODES
        )
        self.service = Service(tuple(each.address for each in self.nodes), pki)
        primary, replica = self.databases
        self.manager = Manager(primary, replica, note)

    def start(self) -> None:
        """Start everything, as docs/high-availability.md says."""
        primary, replica = self.databases
        primary.create()
        primary.start()
        primary.sql(f"CREATE ROLE {_ROLE} LOGIN")
        primary.sql(f"CREATE DATABASE {_NAME}")
        self._require(
            self.nodes[0].command(
                "admin", "store", "init", primary.url(OWNER, _NAME), "--role", _ROLE
            )
        )
        replica.clone(primary)
        primary.wait_for_replica()
        first, *others = self.nodes
        first.start()
        for node in others:  # all have the same root key
            node.folder.mkdir(mode=0o700)
            shutil.copy2(first.folder / "root.key", node.folder / "root.key")
            node.start()
        self.manager.start()

    def settle(self) -> None:
        """Have everything work as in the beginning. An error if that is impossible."""
        machines: list[Node | Database] = [*self.nodes, *self.databases]
        for machine in machines:
            self.network.mend(machine.host)
            machine.free_disk()
        self.manager.rebuild()
        if self.manager.error is not None:
            raise self.manager.error

    def stop(self) -> None:
        """End the servers as an administrator does."""
        self.manager.stop()
        for node in self.nodes:
            node.stop()

    def _log(self, host: Host) -> Path:
        return self.folder / f"{host.name}.log"

    @staticmethod
    def _require(done: "subprocess.CompletedProcess[str]") -> None:
        if done.returncode:
            raise RuntimeError(f"{done.args}: {done.stdout}{done.stderr}")
