"""The story of the standard key provider, step by step; each step checks what it claims.

A key server, a vCenter and a host run as processes of their own. A machine's disk is written in
plain text, encrypted, and read back; the key server and the host are killed and started again in
between. At the end all files but the key server's are searched for the keys.
"""

from pathlib import Path
from typing import TypeVar

from kmipkit_client import Client, material

from kmipkit_vsphere.calls.host import HostInfo
from kmipkit_vsphere.calls.machines import MachineState
from kmipkit_vsphere.demo.inspection import files_with, hexdump, spellings
from kmipkit_vsphere.demo.laboratory import HOST, VCENTER, Laboratory
from kmipkit_vsphere.demo.processes import Processes
from kmipkit_vsphere.demo.story import (
    DISK_SIZE,
    MACHINE,
    OFFSET,
    PLAIN,
    DemonstrationFailed,
    Say,
    Story,
    require,
)
from kmipkit_vsphere.model.errors import EncryptionKeyRequired
from kmipkit_vsphere.rpc.call import Request
from kmipkit_vsphere.vcenter.calls.events import QueryEvents
from kmipkit_vsphere.vcenter.calls.hosts import ReconnectHost
from kmipkit_vsphere.vcenter.calls.keys import ListKeys
from kmipkit_vsphere.vcenter.calls.machines import CreateVM, EncryptVM, ListVMs
from kmipkit_vsphere.vcenter.calls.providers import RetrieveKmipServersStatus

A = TypeVar("A")


class Standard(Story):
    """The steps."""

    summary = "keys from a key server; key server and host are killed on the way"

    def __init__(self, laboratory: Laboratory, processes: Processes, say: Say) -> None:
        super().__init__(laboratory, processes, say)
        self._key_ids: list[str] = []

    def run(self) -> None:
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
            f"{len(self._key_ids)} keys came from the key server and are stored nowhere else;"
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
        self.step("Add a key provider and a host to vCenter")
        self.add_key_server(self._vcenter, self._kms)
        self.add_host(self._vcenter, self._host, HOST)
        self.detail(f"host {HOST}: encryption mode {self._host_state()}")

    def _write_plain_text(self) -> None:
        self.step(f"Create a plain machine {MACHINE}; its guest writes to the disk")
        self._call(CreateVM(HOST, MACHINE, DISK_SIZE))
        self.write(self._host)
        self._dump()
        require(PLAIN in self._disk.read_bytes(), "the disk file holds the plain text")

    @property
    def _disk(self) -> Path:
        return self.disk()

    def _dump(self) -> None:
        self.detail(f"the content of {self._disk.name}:")
        for line in hexdump(self._disk, OFFSET, 4):
            self.detail(line)

    def _encrypt(self) -> None:
        self.step("Encrypt it: vCenter requests keys and gives them to the host, which encrypts")
        key_id = self._call(EncryptVM(MACHINE)).key_id
        self._key_ids = [key.key_id for key in self._call(ListKeys())]
        require(key_id in self._key_ids, "vCenter knows the id of the machine's key")
        self.detail(f"key-encryption key of the machine: {key_id}")
        others = [other for other in self._key_ids if other != key_id]
        self.detail(f"host key (encryption mode is now {self._host_state()}): {', '.join(others)}")
        self._dump()
        require(PLAIN[:32] not in self._disk.read_bytes(), "the disk file holds ciphertext")

    def _read_back(self, step: str = "") -> None:
        if step:
            self.step(step)
        self.read(self._host)

    def _survive_loss_of_key_server(self) -> None:
        self.step("The key server is killed; the host has the keys and continues")
        self.detail(f"kill -9 {self._kms.pid}")
        self._kms.kill()
        self._read_back()

    def _restart_key_server(self) -> None:
        self.step("The key server starts again; it has everything that it had acknowledged")
        self._kms.start()
        self.show(self._kms)
        [status] = self._call(RetrieveKmipServersStatus())
        reasons = "; ".join(status.reasons)
        require(status.overall_status == "green", f"vCenter reaches the key server ({reasons})")
        with self._kmip() as client:
            states = [client.get_attributes(key, "State").items[0].value for key in self._key_ids]
        self.detail(
            ", ".join(
                f"{key}: {state.name}" for key, state in zip(self._key_ids, states, strict=True)
            )
        )

    def _restart_host(self) -> None:
        self.step("The host is killed and starts again; it has lost its keys")
        self.detail(f"kill -9 {self._host.pid}")
        self._host.kill()
        # On another port, so that vCenter's background task cannot unlock the machine before it is
        # shown to be locked.
        self._host.start(keep_port=False)
        self.show(self._host)
        try:
            self.read(self._host)
        except EncryptionKeyRequired as refusal:
            self.detail(f"reading the disk is refused: {refusal.message}")
        else:
            raise DemonstrationFailed("a restarted host can read an encrypted disk")
        self._call(ReconnectHost(HOST, *self._host.address))
        [machine] = self._call(ListVMs())
        require(machine.crypto_state is MachineState.UNLOCKED, f"{MACHINE} is unlocked again")
        self.detail(
            f"vCenter fetched the keys again by their ids; {MACHINE} is {machine.crypto_state}"
        )
        self._read_back()

    def _look_at_events(self) -> None:
        self.step("vCenter has an event for each operation with a key")
        events = [event for event in self._call(QueryEvents()) if event.operation]
        require(all(event.user_name for event in events), "each event names a user")
        for event in events:
            self.detail(f"{event.operation:<13} {event.result:<8} {event.key_id}")

    def _search_for_keys(self) -> None:
        self.step("Search every file of vCenter and host for the keys: raw, hex, base64")
        with self._kmip() as client:
            keys = [material(client.get(key)) for key in self._key_ids]
        secrets = tuple(text for key in keys for text in spellings(key))
        files = files_with(self.lab.folder, secrets)
        require(not files, f"no file holds a key ({', '.join(map(str, files))})")
        count = sum(path.is_file() for path in self.lab.folder.rglob("*"))
        self.detail(f"{len(keys)} keys, {count} files (including the key server's): none found")

    def _kmip(self) -> Client:
        files, (address, port) = self.lab.kmip(), self._kms.address
        return Client(address, port, ca=files.authorities, cert=files.certificate, key=files.key)

    def _host_state(self) -> str:
        return self.ask(self._host, HOST, VCENTER, HostInfo()).crypto_state

    def _call(self, request: Request[A]) -> A:
        return self.call(self._vcenter, request)
