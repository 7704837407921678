"""The story of key persistence: a power cut, after which neither vCenter nor the key server is there."""

from kmipkit_vsphere.demo.laboratory import HOST
from kmipkit_vsphere.demo.story import DISK_SIZE, MACHINE, Story, require, wait_for
from kmipkit_vsphere.demo.swtpm import SoftwareTPM
from kmipkit_vsphere.demo.trusted import IMAGE
from kmipkit_vsphere.model.encoding import encode
from kmipkit_vsphere.model.errors import EncryptionKeyRequired
from kmipkit_vsphere.vcenter.calls.hosts import CreateCluster, ReconnectHost
from kmipkit_vsphere.vcenter.calls.machines import CreateVM, EncryptVM
from kmipkit_vsphere.vcenter.calls.persistence import ListKeyPersistence, SetClusterKeyPersistence


class KeyPersistence(Story):
    """A key server, a vCenter, and a host with a software TPM."""

    summary = "a host with a TPM stores its keys for a power cut; needs swtpm"

    def run(self) -> None:
        """All steps."""
        self.step("A key server, a vCenter, and a host with a software TPM in a cluster")
        self._tpm = SoftwareTPM(self.lab.folder / "tpm")
        try:
            self._start()
            self._enable()
            self._power_cut()
            self._disable()
        finally:
            self._tpm.stop()
        self.verified(
            "with key persistence a host needs nobody after a power cut; without it, its machines"
            " wait for vCenter."
        )

    def _boot(self) -> None:
        where = self._tpm.boot()
        manifest = self.lab.folder / "booted.json"
        manifest.write_bytes(encode(IMAGE))
        command = (*self.lab.host_command(), "--tpm", where, "--image", str(manifest))
        self._host = self.start("host esx01", command)

    def _start(self) -> None:
        self.lab.make_roles()
        self._kms = self.start_key_server()
        self._vcenter = self.start("vCenter", self.lab.vcenter_command())
        self._boot()
        self.add_key_server(self._vcenter, self._kms)
        self.call(self._vcenter, CreateCluster("production"))
        self.add_host(self._vcenter, self._host, HOST, parent="cluster/production")

    def _enable(self) -> None:
        self.step("Key persistence is enabled on the cluster, then a machine is encrypted")
        enable = SetClusterKeyPersistence("production", enable=True)
        problems = self.call(self._vcenter, enable)
        require(problems == {HOST: None}, f"it is enabled ({problems})")
        self.call(self._vcenter, CreateVM(HOST, MACHINE, DISK_SIZE))
        self.write(self._host)
        self.call(self._vcenter, EncryptVM(MACHINE))
        status = self.call(self._vcenter, ListKeyPersistence())[HOST]
        self.detail(f"{HOST} stores {status.stored_keys} keys, sealed by its TPM")

    def _power_cut(self) -> None:
        self.step("Power cut: everything is killed, and only the host starts again")
        for process in (self._kms, self._vcenter, self._host):
            process.kill()
        self._boot()
        wait_for(f"the host has unlocked {MACHINE}", lambda: self.read(self._host))

    def _disable(self) -> None:
        self.step(
            "Key persistence is disabled: the stored keys are gone, and the next reboot shows it"
        )
        self._vcenter.start()
        self.call(self._vcenter, ReconnectHost(HOST, *self._host.address))
        disable = SetClusterKeyPersistence("production", remove_all_stored_keys=True)
        self.call(self._vcenter, disable)
        status = self.call(self._vcenter, ListKeyPersistence())[HOST]
        self.detail(f"{HOST} stores {status.stored_keys} keys")
        self._vcenter.kill()
        self._host.kill()
        self._boot()
        try:
            self.read(self._host)
        except EncryptionKeyRequired as refusal:
            self.detail(f"reading the disk is refused: {refusal.message}")
        else:
            require(False, "the machine is locked")
