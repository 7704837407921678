"""Two runbooks: the loss of keys on the key server, and the loss of vCenter."""

from kmipkit.spec.enums import RevocationReasonCode
from kmipkit_vsphere.demo.laboratory import HOST
from kmipkit_vsphere.demo.story import DISK_SIZE, MACHINE, PROVIDER, Story, require
from kmipkit_vsphere.model.errors import EncryptionKeyRequired, KeyNotUsable, VSphereError
from kmipkit_vsphere.model.keys import CryptoKeyId
from kmipkit_vsphere.vcenter.calls.events import QueryEvents
from kmipkit_vsphere.vcenter.calls.keys import QueryCryptoKeyStatus
from kmipkit_vsphere.vcenter.calls.machines import (
    CloneVM,
    CreateVM,
    CryptoUnlock,
    EncryptVM,
    RecryptVM,
    RegisterVM,
)


class Loss(Story):
    """The beginning of both: an encrypted machine."""

    disk_size = DISK_SIZE

    def begin(self) -> None:
        """A key server, a vCenter, a host, and the machine db1, encrypted."""
        self.step("A key server, a vCenter, a host, and an encrypted machine")
        self.lab.make_roles()
        self.kms = self.start_key_server()
        self.vcenter = self.start("vCenter", self.lab.vcenter_command())
        self.host = self.start("host esx01", self.lab.host_command())
        self.add_key_server(self.vcenter, self.kms)
        self.add_host(self.vcenter, self.host, HOST)
        self.call(self.vcenter, CreateVM(HOST, MACHINE, self.disk_size))
        self.write(self.host)
        self.key = self.call(self.vcenter, EncryptVM(MACHINE)).key_id
        self.detail(f"{MACHINE} is encrypted with key {self.key}")
        self.read(self.host)

    def read_error(self) -> str:
        """The reason why a guest cannot read the disk; empty if it can."""
        try:
            self.read(self.host)
        except EncryptionKeyRequired as refusal:
            return refusal.message
        return ""

    def reboot_host(self) -> None:
        """Kill the host and start it again."""
        self.detail(f"kill -9 {self.host.pid} (host)")
        self.host.kill()
        self.host.start()
        self.show(self.host)


class KeyLoss(Loss):
    """The machine's key is deactivated on the key server."""

    summary = "a key is deactivated on the key server: the symptoms and the repair"

    def run(self) -> None:
        """All steps."""
        self.begin()
        self._deactivate()
        self._status()
        self._reboot()
        self._repair()
        self.verified(
            "a deactivated key locks no machine until its host reboots; a machine that gets another"
            " key before that stays accessible."
        )

    def _deactivate(self) -> None:
        self.step("Two machines use the key; it is deactivated on the key server")
        self.call(self.vcenter, CloneVM(MACHINE, "db2"))
        with self.key_server_admin(self.kms) as client:
            client.revoke(self.key, RevocationReasonCode.CESSATION_OF_OPERATION)
        self.read(self.host)
        self.detail("the machine continues: its host has the key in memory")

    def _status(self) -> None:
        self.step("vCenter shows the problem, and the machines that use the key")
        query = QueryCryptoKeyStatus([CryptoKeyId(PROVIDER, self.key)])
        [status] = self.call(self.vcenter, query)
        require(status.reason == "KeyStateNotActiveOrEnabled", "vCenter notices the state")
        users = ", ".join(status.encrypted_vms or [])
        self.detail(f"reason {status.reason}; used by {users}")

    def _repair(self) -> None:
        self.step("db1 got another key in time and can be unlocked; db2 stays locked")
        self.call(self.vcenter, CryptoUnlock(MACHINE))
        self.read(self.host)
        try:
            self.call(self.vcenter, CryptoUnlock("db2"))
        except KeyNotUsable as refusal:
            self.detail(f"db2: {refusal.message}")
        else:
            require(False, "a deactivated key is not used")
        events = self.call(self.vcenter, QueryEvents(key_id=self.key))
        require(any(event.result == "failure" for event in events), "there is an event about it")

    def _reboot(self) -> None:
        self.step(
            "db1 gets another key while its host still has the old one; then the host reboots"
        )
        new = self.call(self.vcenter, RecryptVM(MACHINE)).key_id
        self.detail(f"{MACHINE} has key {new} now")
        self.reboot_host()


class RebuildVCenter(Loss):
    """vCenter and its store are lost; the key server is not."""

    summary = "vCenter and its store are lost; a new one serves the machines"

    def run(self) -> None:
        """All steps."""
        self.begin()
        self._lose()
        self._rebuild()
        self.verified("a new vCenter needs only the files of a machine and the same provider id.")

    def _lose(self) -> None:
        self.step("vCenter and its store are lost, then the host reboots")
        self.detail(f"kill -9 {self.vcenter.pid} (vCenter)")
        self.vcenter.kill()
        self.reboot_host()
        reason = self.read_error()
        require(bool(reason), "the machine is locked")
        self.detail(f"reading the disk is refused: {reason}")

    def _rebuild(self) -> None:
        self.step("A new vCenter, with a key provider under another id: the machine stays locked")
        new = self.start("new vCenter", self.lab.vcenter_command("vcenter2"))
        self.add_host(new, self.host, HOST)
        self.add_key_server(new, self.kms, "ANOTHER")
        try:
            self.call(new, RegisterVM(HOST, MACHINE))
        except VSphereError as refusal:
            self.detail(f"registering {MACHINE} fails: {refusal.message}")
        else:
            require(False, "the provider id in the machine's files decides")
        self.step("The same key server under the old id: the machine is unlocked")
        self.add_key_server(new, self.kms)
        self.call(new, CryptoUnlock(MACHINE))
        self.read(self.host)
