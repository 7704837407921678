"""The story of vSAN: hosts fetch their key themselves, two hundred of them at once."""

import base64
import time
from typing import Any

import trio

from kmipkit_vsphere.demo.laboratory import GUEST
from kmipkit_vsphere.demo.processes import Process
from kmipkit_vsphere.demo.stage import PLAIN, PROVIDER, Stage, require, wait_for
from kmipkit_vsphere.model.keys import CryptoKeyId
from kmipkit_vsphere.providers.key_server import TLSKeyServer
from kmipkit_vsphere.providers.standard import StandardKeyProvider
from kmipkit_vsphere.rpc.tls import Credentials

HOSTS = ("esx01", "esx02", "esx03")
DRILL = 200
"""Hosts that come back at once in the drill."""


class Vsan(Stage):
    """A key server, a vCenter and three hosts of a cluster."""

    summary = "hosts fetch their key themselves; a drill with 200 hosts after a power cut"

    def tell(self) -> None:
        """All steps."""
        self._start()
        self._encrypt()
        self._power_cut()
        self._drill()
        self.verified("every host got its key without vCenter, and all of the drill were served.")

    def _start(self) -> None:
        self.step("A key server, a vCenter and a cluster of three hosts")
        self.lab.make_roles(*HOSTS[1:])
        self._kms = self.start_key_server()
        self._vcenter = self.start("vCenter", self.lab.vcenter_command())
        self._hosts = {
            name: self.start(f"host {name}", self.lab.host_command(name)) for name in HOSTS
        }
        self.add_key_server(self._vcenter, self._kms)
        self.order(self._vcenter, "CreateCluster", name="vsan")
        for name, process in self._hosts.items():
            self.add_host(self._vcenter, process, name, parent="cluster/vsan")

    def _encrypt(self) -> None:
        self.step("vCenter pushes a certificate and the id of a key; the hosts fetch the key")
        self._key = self.order(self._vcenter, "EncryptVsan", name="vsan")["keyId"]
        self.detail(f"key of the cluster: {self._key}")
        data = base64.b64encode(PLAIN).decode()
        for name, process in self._hosts.items():
            self.ask(process, name, GUEST, "WriteVsan", {"offset": 0, "data": data})
            stored = (self.lab.folder / name / "vsan" / "group.data").read_bytes()
            require(PLAIN[:32] not in stored, f"the disk group of {name} holds ciphertext")
            self.detail(f"{name}: the disk group holds ciphertext")

    def _power_cut(self) -> None:
        self.step("Power cut: vCenter and all hosts are gone; the hosts come back alone")
        for process in (self._vcenter, *self._hosts.values()):
            process.kill()
        for name, process in self._hosts.items():
            process.start()
            self._wait_for(name, process)
            self.detail(f"{name}: mounted, and reads what was written")

    def _wait_for(self, name: str, process: Process) -> None:
        """Until the disk group is mounted: the host fetches its key right after it started."""
        params = {"offset": 0, "length": len(PLAIN)}
        found = wait_for(lambda: self.ask(process, name, GUEST, "ReadVsan", params))
        require(base64.b64decode(found) == PLAIN, f"{name} reads what was written")

    def _drill(self) -> None:
        self.step(f"Drill: {DRILL} hosts come back in the same moment and want their key")
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

    async def one() -> None:
        began = time.perf_counter()
        server: Any = TLSKeyServer("kms1", address, port, context)
        found = await StandardKeyProvider(PROVIDER, [server]).fetch(CryptoKeyId(PROVIDER, key))
        found.key_data.erase()
        took.append(time.perf_counter() - began)

    async with trio.open_nursery() as nursery:
        for _ in range(DRILL):
            nursery.start_soon(one)
    return took
