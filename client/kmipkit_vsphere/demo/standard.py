"""The story of the standard key provider, step by step; each step checks what it claims.

A key server, a vCenter and a host run as processes of their own. A machine's disk is written in
plain text, encrypted, and read back; the key server and the host are killed and started again in
between. At the end all files but the key server's are searched for the keys.
"""

import base64
from pathlib import Path
from typing import Any

from kmipkit_client import Client, material

from kmipkit_vsphere.demo.laboratory import GUEST, HOST, VCENTER, Laboratory
from kmipkit_vsphere.demo.look import files_with, hexdump, spellings
from kmipkit_vsphere.demo.processes import Processes
from kmipkit_vsphere.demo.stage import (
    DISK_SIZE,
    MACHINE,
    OFFSET,
    PLAIN,
    NotAsClaimed,
    Say,
    Stage,
    require,
)
from kmipkit_vsphere.model.errors import EncryptionKeyRequired


class Standard(Stage):
    """The steps, and what later ones need of earlier ones."""

    summary = "keys of a key server; key server and host are killed on the way"

    def __init__(self, laboratory: Laboratory, processes: Processes, say: Say) -> None:
        super().__init__(laboratory, processes, say)
        self._key_ids: list[str] = []

    def tell(self) -> None:
        """All steps."""
        self._start()
        self._connect()
        self._write_plain_text()
        self._encrypt()
        self._read_back("The guest reads its disk through the host, which decrypts it")
        self._survive_loss_of_key_server()
        self._restart_key_server()
        self._restart_host()
        self._look_at_events()
        self._search_for_keys()
        self.verified(
            f"{len(self._key_ids)} keys came from the key server and lie nowhere else;"
            f" disk {MACHINE} is ciphertext at rest, and was read back after the key server and"
            " the host had been killed."
        )

    def _start(self) -> None:
        self.step("Three processes, mutual TLS between them, on loopback")
        self.lab.make_roles()
        self._kms = self.start_key_server()
        self._vcenter = self.start("vCenter", self.lab.vcenter_command())
        self._host = self.start("host esx01", self.lab.host_command())

    def _connect(self) -> None:
        self.step("vCenter gets a key provider and a host")
        self.add_key_server(self._vcenter, self._kms)
        self.add_host(self._vcenter, self._host, HOST)
        self.detail(f"host {HOST}: encryption mode {self._host_state()}")

    def _write_plain_text(self) -> None:
        self.step(f"A plain machine {MACHINE}; its guest writes to the disk")
        params = {"host": HOST, "name": MACHINE, "diskSize": DISK_SIZE}
        self._order("CreateVM", params)
        data = base64.b64encode(PLAIN).decode()
        self._guest("WriteDisk", {"name": MACHINE, "offset": OFFSET, "data": data})
        self._dump()
        require(PLAIN in self._disk.read_bytes(), "the disk file holds the plain text")

    @property
    def _disk(self) -> Path:
        return self.disk()

    def _dump(self) -> None:
        self.detail(f"what lies in {self._disk.name}:")
        for line in hexdump(self._disk, OFFSET, 4):
            self.detail(line)

    def _encrypt(self) -> None:
        self.step("Encrypt it: vCenter has keys made, hands them to the host, the host encrypts")
        key = self._order("EncryptVM", {"name": MACHINE})
        self._key_ids = [one["keyId"] for one in self._order("ListKeys")]
        require(key["keyId"] in self._key_ids, "vCenter knows the id of the machine's key")
        self.detail(f"key-encryption key of the machine: {key['keyId']}")
        others = [one for one in self._key_ids if one != key["keyId"]]
        self.detail(f"host key (encryption mode is now {self._host_state()}): {', '.join(others)}")
        self._dump()
        require(PLAIN[:32] not in self._disk.read_bytes(), "the disk file holds ciphertext")

    def _read_back(self, step: str = "") -> None:
        if step:
            self.step(step)
        params = {"name": MACHINE, "offset": OFFSET, "length": len(PLAIN)}
        found = base64.b64decode(self._guest("ReadDisk", params))
        require(found == PLAIN, "the guest reads what it wrote")
        self.detail(f"read {len(found)} bytes: {found[:58].decode()!r}")

    def _survive_loss_of_key_server(self) -> None:
        self.step("The key server is killed; the host has the keys and goes on")
        self.detail(f"kill -9 {self._kms.pid}")
        self._kms.kill()
        self._read_back()

    def _restart_key_server(self) -> None:
        self.step("The key server starts again, with all that it had acknowledged")
        self._kms.start()
        self.show(self._kms)
        [status] = self._order("RetrieveKmipServersStatus")
        reasons = "; ".join(status["reasons"])
        require(status["overallStatus"] == "green", f"vCenter reaches the key server ({reasons})")
        with self._kmip() as client:
            states = [client.get_attributes(key, "State").items[0].value for key in self._key_ids]
        self.detail(
            ", ".join(
                f"{key}: {state.name}" for key, state in zip(self._key_ids, states, strict=True)
            )
        )

    def _restart_host(self) -> None:
        self.step("The host is killed and starts again: it has forgotten its keys")
        self.detail(f"kill -9 {self._host.pid}")
        self._host.kill()
        self._host.start()
        self.show(self._host)
        params = {"name": MACHINE, "offset": OFFSET, "length": len(PLAIN)}
        try:
            self._guest("ReadDisk", params)
        except EncryptionKeyRequired as refusal:
            self.detail(f"reading the disk is refused: {refusal.message}")
        else:
            raise NotAsClaimed("not as it should be: a restarted host reads an encrypted disk")
        address, port = self._host.address
        order = {"name": HOST, "address": address, "port": port}
        unlocked = self._order("ReconnectHost", order)
        machine = self._order("ListVMs")[0]
        require(machine["cryptoState"] == "unlocked", f"{MACHINE} is unlocked again")
        self.detail(
            f"vCenter fetched the keys again by their ids; {MACHINE} is {machine['cryptoState']}"
            + (" by it" if unlocked else "")
        )
        self._read_back()

    def _look_at_events(self) -> None:
        self.step("vCenter has written down who did what with which key")
        events = [event for event in self._order("QueryEvents") if event["operation"]]
        require(all(event["userName"] for event in events), "each event names a user")
        for event in events:
            key = event["keyId"] or "-"
            self.detail(f"{event['operation']:<13} {event['result']:<8} {key}")

    def _search_for_keys(self) -> None:
        self.step("Search every file of vCenter and host for the keys: raw, hex, base64")
        with self._kmip() as client:
            keys = [material(client.get(key)) for key in self._key_ids]
        secrets = tuple(text for key in keys for text in spellings(key))
        found = files_with(self.lab.folder, secrets)
        require(not found, f"no file holds a key ({', '.join(map(str, found))})")
        count = sum(path.is_file() for path in self.lab.folder.rglob("*"))
        self.detail(f"{len(keys)} keys, {count} files (the key server's own, too): none found")

    def _kmip(self) -> Client:
        files, (address, port) = self.lab.kmip(), self._kms.address
        return Client(address, port, ca=files.authorities, cert=files.certificate, key=files.key)

    def _host_state(self) -> str:
        info = self.ask(self._host, HOST, VCENTER, "HostInfo", {})
        return str(info["cryptoState"])

    def _order(self, method: str, params: dict[str, Any] | None = None) -> Any:
        return self.order(self._vcenter, method, **(params or {}))

    def _guest(self, method: str, params: dict[str, Any]) -> Any:
        return self.ask(self._host, HOST, GUEST, method, params)
