"""The story of vSAN: hosts fetch their key themselves, two hundred of them at once."""

import time
from typing import Any

import trio

from kmipkit_vsphere.calls.guest import ReadVsan, WriteVsan
from kmipkit_vsphere.demo.laboratory import GUEST
from kmipkit_vsphere.demo.processes import Process
from kmipkit_vsphere.demo.story import PLAIN, PROVIDER, Story, require, wait_for
from kmipkit_vsphere.model.keys import CryptoKeyId
from kmipkit_vsphere.providers.key_server import TLSKeyServer
from kmipkit_vsphere.providers.standard import StandardKeyProvider
from kmipkit_vsphere.rpc.tls import Credentials
from kmipkit_vsphere.vcenter.calls.hosts import CreateCluster, EncryptVsan

HOSTS = ("esx01", "esx02", "esx03")
DRILL = 200
"""Hosts that come back at once in the drill."""


class Vsan(Story):
    """A key server, a vCenter and three hosts of a cluster."""

    summary = "hosts fetch their key themselves; a drill with 200 hosts after a power cut"

    def run(self) -> None:
        """All steps."""
        self._start()
        self._encrypt()
        self._power_cut()
        self._drill()
        self.verified(
            "every host got its key without vCenter, and all hosts of the drill were served."
        )

    def _start(self) -> None:
        self.step("A key server, a vCenter and a cluster of three hosts")
        self.lab.make_roles(*HOSTS[1:])
        self._kms = self.start_key_server()
        self._vcenter = self.start("vCenter", self.lab.vcenter_command())
        self._hosts = {
            name: self.start(f"host {name}", self.lab.host_command(name)) for name in HOSTS
        }
        self.add_key_server(self._vcenter, self._kms)
        self.call(self._vcenter, CreateCluster("vsan"))
        for name, process in self._hosts.items():
            self.add_host(self._vcenter, process, name, parent="cluster/vsan")

    def _encrypt(self) -> None:
        self.step("vCenter pushes a certificate and the id of a key; the hosts fetch the key")
        self._key = self.call(self._vcenter, EncryptVsan("vsan")).key_id
        self.detail(f"key of the cluster: {self._key}")
        for name, process in self._hosts.items():
            self.ask(process, name, GUEST, WriteVsan(0, PLAIN))
            stored = (self.lab.folder / name / "vsan" / "group.data").read_bytes()
            require(PLAIN[:32] not in stored, f"the disk group of {name} holds ciphertext")
            self.detail(f"{name}: the disk group holds ciphertext")

    def _power_cut(self) -> None:
        self.step("Power cut: vCenter and all hosts are killed; only the hosts start again")
        for process in (self._vcenter, *self._hosts.values()):
            process.kill()
        for name, process in self._hosts.items():
            process.start()
            self._wait_for(name, process)
            self.detail(f"{name}: mounted, and reads what was written")

    def _wait_for(self, name: str, process: Process) -> None:
        """Until the disk group is mounted: the host fetches its key right after it started."""
        request = ReadVsan(0, len(PLAIN))
        data = wait_for(
            f"{name} has mounted its disk group",
            lambda: self.ask(process, name, GUEST, request),
        )
        require(data == PLAIN, f"{name} reads what was written")

    def _drill(self) -> None:
        self.step(f"Drill: {DRILL} hosts start at the same moment and fetch their key")
        files, (address, port) = self.lab.kmip(), self._kms.address
        began = time.perf_counter()
        took = sorted(trio.run(_all_at_once, files, address, port, self._key))
        total = time.perf_counter() - began
        require(len(took) == DRILL, "all are served")
        middle, late = took[DRILL // 2], took[DRILL * 99 // 100 - 1]
        self.detail(
            f"{DRILL} served in {total:.2f} s; median {middle:.2f} s, 99th percentile {late:.2f} s"
        )


async def _all_at_once(files: Credentials, address: str, port: int, key: str) -> list[float]:
    """Each its own connection and handshake; the seconds that each one waited."""
    context = files.client_context()
    took: list[float] = []

    async def fetch() -> None:
        began = time.perf_counter()
        server: Any = TLSKeyServer("kms1", address, port, context)
        fetched = await StandardKeyProvider(PROVIDER, [server]).fetch(CryptoKeyId(PROVIDER, key))
        fetched.key_data.erase()
        took.append(time.perf_counter() - began)

    async with trio.open_nursery() as nursery:
        for _ in range(DRILL):
            nursery.start_soon(fetch)
    return took
