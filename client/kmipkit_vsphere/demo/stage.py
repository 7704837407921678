"""What all stories need: processes, calls to them, and steps that are told and checked."""

import base64
import shutil
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import trio
from kmipkit_client import Client

from kmipkit_vsphere.demo.laboratory import ADMINISTRATOR, GUEST, HOST, VCENTER, Laboratory
from kmipkit_vsphere.demo.processes import Process, Processes
from kmipkit_vsphere.model.errors import VSphereError
from kmipkit_vsphere.rpc import channel as rpc

Say = Callable[[str], None]
Result = TypeVar("Result")

PATIENCE = 300.0
"""Seconds to wait for what a process does by itself after its start."""
PROVIDER = "KMS"
MACHINE = "db1"
PLAIN = b"salaries 2026: Ada 120000, Grace 125000, Barbara 130000 EUR".ljust(1024, b".")
OFFSET = 4096
DISK_SIZE = 1 << 20


class NotAsClaimed(VSphereError):
    """The demonstration saw something else than what it demonstrates."""


def require(holds: bool, claim: str) -> None:
    """Go on only if the claim holds."""
    if not holds:
        raise NotAsClaimed(f"not as it should be: {claim}")


def wait_for(action: Callable[[], Result]) -> Result:
    """The result of an action, which is repeated for a while, as long as it fails."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            return action()
        except VSphereError:
            time.sleep(0.05)
    return action()


class Stage(ABC):
    """One story; a subclass tells it in :meth:`tell`."""

    summary: ClassVar[str] = ""

    def __init__(self, laboratory: Laboratory, processes: Processes, say: Say) -> None:
        self.lab = laboratory
        self._processes = processes
        self._say = say
        self._steps = 0

    @abstractmethod
    def tell(self) -> None:
        """All steps."""

    # Telling -------------------------------------------------------------------------------------

    def step(self, text: str) -> None:
        """Begin a step."""
        self._steps += 1
        self._say(f"\n{self._steps}. {text}")

    def detail(self, text: str) -> None:
        """Say what was seen."""
        self._say(f"   {text}")

    def verified(self, text: str) -> None:
        """The end."""
        self._say(f"\nverified: {text}")

    # Processes -----------------------------------------------------------------------------------

    def start(self, title: str, command: Any) -> Process:
        """Start a process and say where it listens."""
        log = self.lab.log(title.replace(" ", "-"))
        process = self._processes.start(title, command, log)
        self.show(process)
        return process

    def show(self, process: Process) -> None:
        """Say where a process listens."""
        host, port = process.address
        self.detail(f"{process.title:<12} process {process.pid}, {host}:{port}")

    def start_key_server(self) -> Process:
        """A key server, and a client certificate of it for vCenter."""
        process = self.start("key server", self.lab.kms_command())
        self.lab.admit_vcenter()
        return process

    # Calls ---------------------------------------------------------------------------------------

    def order(self, vcenter: Process, method: str, **params: Any) -> Any:
        """A call of the administrator to a vCenter."""
        return self.ask(vcenter, VCENTER, ADMINISTRATOR, method, params)

    def ask(
        self, process: Process, name: str, caller: str, method: str, params: dict[str, Any]
    ) -> Any:
        """A call to a process, with the certificate of ``caller``."""

        async def call() -> Any:
            role = self.lab.role(caller)
            async with await rpc.connect(process.address, name, role) as client:
                return await client.call(method, params)

        # Ctrl-C only where the task waits: inside a callback of TLS it would be lost.
        return trio.run(call, restrict_keyboard_interrupt_to_checkpoints=True)

    def add_key_server(self, vcenter: Process, kms: Process) -> None:
        """Register the key server as the provider KMS."""
        address, port = kms.address
        info = {"name": "kms1", "address": address, "port": port}
        answer = self.order(vcenter, "RegisterKmipServer", clusterId=PROVIDER, info=info)
        require("vendor" in answer, f"the key server answers vCenter ({answer.get('problem')})")
        self.detail(f"key provider {PROVIDER}: server kms1, vendor {answer['vendor']!r}")

    def add_host(self, vcenter: Process, host: Process, name: str, **more: Any) -> None:
        """Take a host into the inventory."""
        address, port = host.address
        self.order(vcenter, "AddHost", name=name, address=address, port=port, **more)

    def write(self, host: Process, machine: str = MACHINE, name: str = HOST) -> None:
        """The guest writes the plain text."""
        data = base64.b64encode(PLAIN).decode()
        params = {"name": machine, "offset": OFFSET, "data": data}
        self.ask(host, name, GUEST, "WriteDisk", params)

    def read(self, host: Process, machine: str = MACHINE, name: str = HOST) -> None:
        """The guest reads it back."""
        params = {"name": machine, "offset": OFFSET, "length": len(PLAIN)}
        found = base64.b64decode(self.ask(host, name, GUEST, "ReadDisk", params))
        require(found == PLAIN, "the guest reads what it wrote")
        self.detail(f"read {len(found)} bytes of {machine}: {found[:48].decode()!r}")

    def key_server_admin(self, kms: Process, lab: Laboratory | None = None) -> Client:
        """A KMIP client with the rights of vCenter, to do what an administrator would."""
        files, (address, port) = (lab or self.lab).kmip(), kms.address
        return Client(address, port, ca=files.authorities, cert=files.certificate, key=files.key)

    def disk(self, machine: str = MACHINE, host: str = HOST) -> Path:
        """The disk's file on the datastore of a host."""
        return self.lab.folder / host / "datastore" / machine / f"{machine}-flat.vmdk"


def play(story: type[Stage], keep: Path | None, say: Say) -> None:
    """Play a story; :class:`VSphereError` where anything is not as claimed."""
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
            story(Laboratory(folder), processes, say).tell()
    finally:
        if keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    if keep is not None:
        say(f"everything is left in {keep}")
