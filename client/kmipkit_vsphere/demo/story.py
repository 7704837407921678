"""The story itself, step by step; each step checks what it claims.

A key server, a vCenter and a host run as processes of their own. A machine's disk is written in
plain text, encrypted, and read back; the key server and the host are killed and started again in
between. At the end all files but the key server's are searched for the keys.
"""

import base64
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import trio
from kmipkit_client import Client, material

from kmipkit_vsphere import rpc
from kmipkit_vsphere.demo.laboratory import ADMINISTRATOR, GUEST, HOST, VCENTER, Laboratory
from kmipkit_vsphere.demo.look import files_with, hexdump, spellings
from kmipkit_vsphere.demo.processes import Process, Processes
from kmipkit_vsphere.errors import EncryptionKeyRequired, VSphereError
from kmipkit_vsphere.tls import Credentials

Say = Callable[[str], None]

MACHINE = "db1"
PROVIDER = "KMS"
DISK_SIZE = 1 << 20
OFFSET = 4096
PLAIN = b"salaries 2026: Ada 120000, Grace 125000, Barbara 130000 EUR".ljust(1024, b".")


class NotAsClaimed(VSphereError):
    """The demonstration saw something else than what it demonstrates."""


def require(holds: bool, claim: str) -> None:
    """Go on only if the claim holds."""
    if not holds:
        raise NotAsClaimed(f"not as it should be: {claim}")


def tell(keep: Path | None, say: Say) -> None:
    """Run the demonstration; :class:`VSphereError` where anything is not as claimed."""
    if keep is not None:
        try:
            keep.mkdir(parents=True, mode=0o700)
        except FileExistsError:
            raise VSphereError(f"{keep} exists already; name a new directory") from None
        except OSError as error:
            raise VSphereError(f"{keep}: {error.strerror}") from None
    folder = keep or Path(tempfile.mkdtemp(prefix="kmipkit-demo-"))
    try:
        with Processes() as processes:
            Story(Laboratory(folder), processes, say).tell()
    finally:
        if keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    if keep is not None:
        say(f"everything is left in {keep}")


class Story:
    """The steps, and what later ones need of earlier ones."""

    def __init__(self, laboratory: Laboratory, processes: Processes, say: Say) -> None:
        self._lab = laboratory
        self._processes = processes
        self._say = say
        self._steps = 0
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
        self._say(
            f"\nverified: {len(self._key_ids)} keys came from the key server and lie nowhere else;"
            f" disk {MACHINE} is ciphertext at rest, and was read back after the key server and"
            " the host had been killed."
        )

    def _step(self, text: str) -> None:
        self._steps += 1
        self._say(f"\n{self._steps}. {text}")

    def _detail(self, text: str) -> None:
        self._say(f"   {text}")

    def _start(self) -> None:
        self._step("Three processes, mutual TLS between them, on loopback")
        lab, start = self._lab, self._processes.start
        lab.make_roles()
        self._kms = start("key server", lab.kms_command(), lab.log("kms"))
        lab.admit_vcenter()
        self._vcenter = start("vCenter", lab.vcenter_command(), lab.log("vcenter"))
        self._host = start("host esx01", lab.host_command(), lab.log("esx01"))
        for process in (self._kms, self._vcenter, self._host):
            self._show(process)

    def _show(self, process: Process) -> None:
        host, port = process.address
        self._detail(f"{process.title:<11} process {process.pid}, {host}:{port}")

    def _connect(self) -> None:
        self._step("vCenter gets a key provider and a host")
        address, port = self._kms.address
        info = {"name": "kms1", "address": address, "port": port}
        answer = self._order("RegisterKmipServer", {"clusterId": PROVIDER, "info": info})
        require("vendor" in answer, f"the key server answers vCenter ({answer.get('problem')})")
        self._detail(f"key provider {PROVIDER}: server kms1, vendor {answer['vendor']!r}")
        address, port = self._host.address
        self._order("AddHost", {"name": HOST, "address": address, "port": port})
        self._detail(f"host {HOST}: encryption mode {self._host_state()}")

    def _write_plain_text(self) -> None:
        self._step(f"A plain machine {MACHINE}; its guest writes to the disk")
        params = {"host": HOST, "name": MACHINE, "diskSize": DISK_SIZE}
        self._order("CreateVM", params)
        data = base64.b64encode(PLAIN).decode()
        self._guest("WriteDisk", {"name": MACHINE, "offset": OFFSET, "data": data})
        self._dump()
        require(PLAIN in self._disk.read_bytes(), "the disk file holds the plain text")

    @property
    def _disk(self) -> Path:
        return self._lab.host / "datastore" / MACHINE / f"{MACHINE}-flat.vmdk"

    def _dump(self) -> None:
        self._detail(f"what lies in {self._disk.name}:")
        for line in hexdump(self._disk, OFFSET, 4):
            self._detail(line)

    def _encrypt(self) -> None:
        self._step("Encrypt it: vCenter has keys made, hands them to the host, the host encrypts")
        key = self._order("EncryptVM", {"name": MACHINE})
        self._key_ids = [one["keyId"] for one in self._order("ListKeys")]
        require(key["keyId"] in self._key_ids, "vCenter knows the id of the machine's key")
        self._detail(f"key-encryption key of the machine: {key['keyId']}")
        others = [one for one in self._key_ids if one != key["keyId"]]
        self._detail(f"host key (encryption mode is now {self._host_state()}): {', '.join(others)}")
        self._dump()
        require(PLAIN[:32] not in self._disk.read_bytes(), "the disk file holds ciphertext")

    def _read_back(self, step: str = "") -> None:
        if step:
            self._step(step)
        params = {"name": MACHINE, "offset": OFFSET, "length": len(PLAIN)}
        found = base64.b64decode(self._guest("ReadDisk", params))
        require(found == PLAIN, "the guest reads what it wrote")
        self._detail(f"read {len(found)} bytes: {found[:58].decode()!r}")

    def _survive_loss_of_key_server(self) -> None:
        self._step("The key server is killed; the host has the keys and goes on")
        self._detail(f"kill -9 {self._kms.pid}")
        self._kms.kill()
        self._read_back()

    def _restart_key_server(self) -> None:
        self._step("The key server starts again, with all that it had acknowledged")
        self._kms.start()
        self._show(self._kms)
        [status] = self._order("RetrieveKmipServersStatus")
        reasons = "; ".join(status["reasons"])
        require(status["overallStatus"] == "green", f"vCenter reaches the key server ({reasons})")
        with self._kmip() as client:
            states = [client.get_attributes(key, "State").items[0].value for key in self._key_ids]
        self._detail(
            ", ".join(
                f"{key}: {state.name}" for key, state in zip(self._key_ids, states, strict=True)
            )
        )

    def _restart_host(self) -> None:
        self._step("The host is killed and starts again: it has forgotten its keys")
        self._detail(f"kill -9 {self._host.pid}")
        self._host.kill()
        self._host.start()
        self._show(self._host)
        params = {"name": MACHINE, "offset": OFFSET, "length": len(PLAIN)}
        try:
            self._guest("ReadDisk", params)
        except EncryptionKeyRequired as refusal:
            self._detail(f"reading the disk is refused: {refusal.message}")
        else:
            raise NotAsClaimed("not as it should be: a restarted host reads an encrypted disk")
        address, port = self._host.address
        order = {"name": HOST, "address": address, "port": port}
        unlocked = self._order("ReconnectHost", order)
        machine = self._order("ListVMs")[0]
        require(machine["cryptoState"] == "unlocked", f"{MACHINE} is unlocked again")
        self._detail(
            f"vCenter fetched the keys again by their ids; {MACHINE} is {machine['cryptoState']}"
            + (" by it" if unlocked else "")
        )
        self._read_back()

    def _look_at_events(self) -> None:
        self._step("vCenter has written down who did what with which key")
        events = [event for event in self._order("QueryEvents") if event["operation"]]
        require(all(event["userName"] for event in events), "each event names a user")
        for event in events:
            key = event["keyId"] or "-"
            self._detail(f"{event['operation']:<13} {event['result']:<8} {key}")

    def _search_for_keys(self) -> None:
        self._step("Search every file of vCenter and host for the keys: raw, hex, base64")
        with self._kmip() as client:
            keys = [material(client.get(key)) for key in self._key_ids]
        secrets = tuple(text for key in keys for text in spellings(key))
        found = files_with(self._lab.folder, secrets)
        require(not found, f"no file holds a key ({', '.join(map(str, found))})")
        count = sum(path.is_file() for path in self._lab.folder.rglob("*"))
        self._detail(f"{len(keys)} keys, {count} files (the key server's own, too): none found")

    def _kmip(self) -> Client:
        files, (address, port) = self._lab.kmip(), self._kms.address
        return Client(address, port, ca=files.authorities, cert=files.certificate, key=files.key)

    def _host_state(self) -> str:
        info = self._ask(self._host, HOST, self._lab.role(VCENTER), "HostInfo", {})
        return str(info["cryptoState"])

    def _order(self, method: str, params: dict[str, Any] | None = None) -> Any:
        role = self._lab.role(ADMINISTRATOR)
        return self._ask(self._vcenter, VCENTER, role, method, params or {})

    def _guest(self, method: str, params: dict[str, Any]) -> Any:
        return self._ask(self._host, HOST, self._lab.role(GUEST), method, params)

    def _ask(
        self, process: Process, name: str, role: Credentials, method: str, params: dict[str, Any]
    ) -> Any:
        async def call() -> Any:
            async with await rpc.connect(process.address, name, role) as client:
                return await client.call(method, params)

        return trio.run(call)
