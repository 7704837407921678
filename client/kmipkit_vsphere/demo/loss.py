"""Two runbooks: the loss of keys on the key server, and the loss of vCenter."""

from kmipkit.spec.enums import RevocationReasonCode
from kmipkit_vsphere.demo.laboratory import HOST
from kmipkit_vsphere.demo.processes import Process
from kmipkit_vsphere.demo.stage import DISK_SIZE, MACHINE, PROVIDER, Stage, require
from kmipkit_vsphere.model.errors import EncryptionKeyRequired, KeyNotUsable, VSphereError


class Loss(Stage):
    """What both begin with: an encrypted machine."""

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
        machine = {"host": HOST, "name": MACHINE, "diskSize": self.disk_size}
        self.order(self.vcenter, "CreateVM", **machine)
        self.write(self.host)
        self.key = self.order(self.vcenter, "EncryptVM", name=MACHINE)["keyId"]
        self.detail(f"{MACHINE} is encrypted with key {self.key}")
        self.read(self.host)

    def is_locked(self) -> str:
        """Why a guest cannot read the disk."""
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
    """Somebody deactivates the machine's key on the key server."""

    summary = "a key is deactivated on the key server: who notices, when, and the way back"

    def tell(self) -> None:
        """All steps."""
        self.begin()
        self._deactivate()
        self._status()
        self._reboot()
        self._repair()
        self.verified(
            "a key that is deactivated locks nothing until its host reboots; giving the machine"
            " another key before that keeps it."
        )

    def _deactivate(self) -> None:
        self.step("Two machines share the key; somebody deactivates it on the key server")
        self.order(self.vcenter, "CloneVM", name=MACHINE, newName="db2")
        with self.key_server_admin(self.kms) as client:
            client.revoke(self.key, RevocationReasonCode.CESSATION_OF_OPERATION)
        self.read(self.host)
        self.detail("the machine goes on: its host has the key in memory")

    def _status(self) -> None:
        self.step("vCenter says what is wrong, and what depends on the key")
        asked = [{"providerId": PROVIDER, "keyId": self.key}]
        [status] = self.order(self.vcenter, "QueryCryptoKeyStatus", keyIds=asked)
        require(status["reason"] == "KeyStateNotActiveOrEnabled", "the state is noticed")
        users = ", ".join(status["encryptedVMs"])
        self.detail(f"reason {status['reason']}; used by {users}")

    def _repair(self) -> None:
        self.step("db1 had got another key in time and opens; db2 stays locked, with a reason")
        self.order(self.vcenter, "CryptoUnlock", name=MACHINE)
        self.read(self.host)
        try:
            self.order(self.vcenter, "CryptoUnlock", name="db2")
        except KeyNotUsable as refusal:
            self.detail(f"db2: {refusal.message}")
        else:
            require(False, "a deactivated key is not used")
        events = self.order(self.vcenter, "QueryEvents", keyId=self.key)
        require(any(one["result"] == "failure" for one in events), "and it is an event")

    def _reboot(self) -> None:
        self.step("db1 gets another key while its host still has the old one; then a power cut")
        new = self.order(self.vcenter, "RecryptVM", name=MACHINE)["keyId"]
        self.detail(f"{MACHINE} has key {new} now")
        self.reboot_host()


class RebuildVCenter(Loss):
    """vCenter and its store are lost; the key server is not."""

    summary = "vCenter is lost with its store; a new one serves the machines"

    def tell(self) -> None:
        """All steps."""
        self.begin()
        self._lose()
        self._rebuild()
        self.verified(
            "the files of a machine and the same provider id are all that a new one needs."
        )

    def _lose(self) -> None:
        self.step("vCenter is lost with its store, then the host reboots")
        self.detail(f"kill -9 {self.vcenter.pid} (vCenter)")
        self.vcenter.kill()
        self.reboot_host()
        reason = self.is_locked()
        require(bool(reason), "the machine is locked")
        self.detail(f"reading the disk is refused: {reason}")

    def _rebuild(self) -> None:
        self.step("A new vCenter, with a key provider under another id: the machine stays locked")
        new = self.start("new vCenter", self.lab.vcenter_command("vcenter2"))
        self.add_host(new, self.host, HOST)
        self._register_provider(new, "ANOTHER")
        try:
            self.order(new, "RegisterVM", host=HOST, name=MACHINE)
        except VSphereError as refusal:
            self.detail(f"registering {MACHINE}: {refusal.message}")
        else:
            require(False, "the provider id in the machine's files decides")
        self.step("The same key server under the old id: the machine is unlocked")
        self.add_key_server(new, self.kms)
        self.order(new, "CryptoUnlock", name=MACHINE)
        self.read(self.host)

    def _register_provider(self, vcenter: Process, name: str) -> None:
        address, port = self.kms.address
        info = {"name": "kms1", "address": address, "port": port}
        self.order(vcenter, "RegisterKmipServer", clusterId=name, info=info)
