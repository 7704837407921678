"""What all stories share: processes, calls to them, and steps that are printed and checked."""

import shutil
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import trio
from kmipkit_client import Client

from kmipkit_vsphere.calls.guest import ReadDisk, WriteDisk
from kmipkit_vsphere.demo.laboratory import ADMINISTRATOR, GUEST, HOST, VCENTER, Laboratory
from kmipkit_vsphere.demo.processes import Process, Processes
from kmipkit_vsphere.model.errors import VSphereError
from kmipkit_vsphere.model.records import ROOT, ServerRecord
from kmipkit_vsphere.rpc import channel
from kmipkit_vsphere.rpc.call import Request
from kmipkit_vsphere.vcenter.calls.hosts import AddHost
from kmipkit_vsphere.vcenter.calls.providers import RegisterKmipServer

Say = Callable[[str], None]
A = TypeVar("A")

TIMEOUT = 300.0
"""Seconds to wait for what a process does by itself after its start."""
PROVIDER = "KMS"
MACHINE = "db1"
PLAIN = b"salaries 2026: Ada 120000, Grace 125000, Barbara 130000 EUR".ljust(1024, b".")
OFFSET = 4096
DISK_SIZE = 1 << 20


class DemonstrationFailed(VSphereError):
    """A step did not show what it claims."""


def require(condition: bool, claim: str) -> None:
    """Continue only if the claim is true."""
    if not condition:
        raise DemonstrationFailed(f"this should be true, but is not: {claim}")


def wait_for(event: str, action: Callable[[], A]) -> A:
    """The result of an action, which is repeated while it fails; ``event`` names what must happen."""
    end = time.monotonic() + TIMEOUT
    while True:
        try:
            return action()
        except VSphereError as failure:
            if time.monotonic() > end:
                raise DemonstrationFailed(
                    f"waited {TIMEOUT:.0f} s until {event}; the last error: {failure.message}"
                ) from failure
            time.sleep(0.05)


class Story(ABC):
    """One story; a subclass implements :meth:`run`."""

    summary: ClassVar[str] = ""

    def __init__(self, laboratory: Laboratory, processes: Processes, say: Say) -> None:
        self.lab = laboratory
        self._processes = processes
        self._say = say
        self._steps = 0

    @abstractmethod
    def run(self) -> None:
        """All steps."""

    # Output --------------------------------------------------------------------------------------

    def step(self, text: str) -> None:
        """Print the title of a step."""
        self._steps += 1
        self._say(f"\n{self._steps}. {text}")

    def detail(self, text: str) -> None:
        """Print an observation."""
        self._say(f"   {text}")

    def verified(self, text: str) -> None:
        """Print the conclusion."""
        self._say(f"\nverified: {text}")

    # Processes -----------------------------------------------------------------------------------

    def start(self, title: str, command: Any) -> Process:
        """Start a process and print its address."""
        log = self.lab.log(title.replace(" ", "-"))
        process = self._processes.start(title, command, log)
        self.show(process)
        return process

    def show(self, process: Process) -> None:
        """Print the address of a process."""
        host, port = process.address
        self.detail(f"{process.title:<12} process {process.pid}, {host}:{port}")

    def start_key_server(self) -> Process:
        """A key server, and a client certificate of it for vCenter."""
        process = self.start("key server", self.lab.kms_command())
        self.lab.admit_vcenter()
        return process

    # Calls ---------------------------------------------------------------------------------------

    def call(self, vcenter: Process, request: Request[A]) -> A:
        """A call of the administrator to a vCenter."""
        return self.ask(vcenter, VCENTER, ADMINISTRATOR, request)

    def ask(self, process: Process, name: str, caller: str, request: Request[A]) -> A:
        """A call to a process, with the certificate of ``caller``."""

        async def exchange() -> A:
            role = self.lab.role(caller)
            async with await channel.connect(process.address, name, role) as client:
                return await client.call(request)

        # Ctrl-C only while the task waits: inside a callback of TLS it would be lost.
        return trio.run(exchange, restrict_keyboard_interrupt_to_checkpoints=True)

    def add_key_server(self, vcenter: Process, kms: Process, provider: str = PROVIDER) -> None:
        """Register the key server with a key provider."""
        server = ServerRecord("kms1", *kms.address)
        answer = self.call(vcenter, RegisterKmipServer(provider, server))
        require(answer.vendor is not None, f"the key server answers vCenter ({answer.problem})")
        self.detail(f"key provider {provider}: server kms1, vendor {answer.vendor!r}")

    def add_host(self, vcenter: Process, host: Process, name: str, parent: str = ROOT) -> None:
        """Add a host to the inventory."""
        self.call(vcenter, AddHost(name, *host.address, parent))

    def write(self, host: Process, machine: str = MACHINE, name: str = HOST) -> None:
        """Write the plain text as a guest."""
        self.ask(host, name, GUEST, WriteDisk(machine, OFFSET, PLAIN))

    def read(self, host: Process, machine: str = MACHINE, name: str = HOST) -> None:
        """Read it back as a guest."""
        data = self.ask(host, name, GUEST, ReadDisk(machine, OFFSET, len(PLAIN)))
        require(data == PLAIN, "the guest reads what it wrote")
        self.detail(f"read {len(data)} bytes of {machine}: {data[:48].decode()!r}")

    def key_server_admin(self, kms: Process, lab: Laboratory | None = None) -> Client:
        """A KMIP client with the rights of vCenter, for what an administrator does."""
        files, (address, port) = (lab or self.lab).kmip(), kms.address
        return Client(address, port, ca=files.authorities, cert=files.certificate, key=files.key)

    def disk(self, machine: str = MACHINE, host: str = HOST) -> Path:
        """The disk's file on the datastore of a host."""
        return self.lab.folder / host / "datastore" / machine / f"{machine}-flat.vmdk"


def play(story: type[Story], keep: Path | None, say: Say) -> None:
    """Run a story; :class:`VSphereError` if a step does not show what it claims."""
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
            story(Laboratory(folder), processes, say).run()
    finally:
        if keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    if keep is not None:
        say(f"everything is kept in {keep}")
