"""The story of the native key provider: no key server, and hosts that go on without vCenter."""

import base64
import subprocess

from kmipkit_vsphere.demo.laboratory import HOST
from kmipkit_vsphere.demo.look import files_with, spellings
from kmipkit_vsphere.demo.stage import DISK_SIZE, MACHINE, PLAIN, Stage, require
from kmipkit_vsphere.model.errors import InvalidState
from kmipkit_vsphere.vcenter.native_backup import read

PROVIDER = "NKP"
PASSWORD = "a password that somebody wrote down"  # noqa: S105 -- of a demonstration


class Native(Stage):
    """One vCenter, one host, no key server."""

    summary = "no key server; vCenter is killed, the host reboots, and goes on"

    def tell(self) -> None:
        """All steps."""
        self._start()
        self._make_provider()
        self._back_up()
        self._encrypt()
        self._without_vcenter()
        self._rebuild()
        self.verified("no key server took part, and the backup brought the provider back.")

    def _start(self) -> None:
        self.step("Two processes: a vCenter without any key server, and a host in a cluster")
        self.lab.make_roles()
        self._vcenter = self.start("vCenter", self.lab.vcenter_command(kmip=False))
        self._host = self.start("host esx01", self.lab.host_command())
        self.order(self._vcenter, "CreateCluster", name="production")
        self.add_host(self._vcenter, self._host, HOST, parent="cluster/production")

    def _make_provider(self) -> None:
        self.step("vCenter makes the primary key and pushes it to the host")
        made = self.order(self._vcenter, "CreateNativeProvider", provider=PROVIDER, anyHost=True)
        self.detail(f"key provider {PROVIDER}, primary key {made['keyId']}")
        size = {"host": HOST, "name": MACHINE, "diskSize": DISK_SIZE}
        self.order(self._vcenter, "CreateVM", **size)
        self.write(self._host)
        try:
            self.order(self._vcenter, "EncryptVM", name=MACHINE)
        except InvalidState as refusal:
            self.detail(f"using it is refused: {refusal.message}")
        else:
            require(False, "a provider without a backup cannot be used")

    def _back_up(self) -> None:
        self.step("Back it up: a PKCS#12 file under a password, which openssl opens too")
        asked = {"provider": PROVIDER, "password": PASSWORD}
        prepared = self.order(self._vcenter, "ExportProvider", **asked)
        token = prepared["location"]["downloadToken"]["token"]
        data = base64.b64decode(self.order(self._vcenter, "DownloadBackup", token=token))
        self._backup = self.lab.folder / f"{PROVIDER}.p12"
        self._backup.write_bytes(data)
        command = ["openssl", "pkcs12", "-in", str(self._backup), "-noout", "-info"]
        done = subprocess.run(  # noqa: S603 -- our own command line
            [*command, "-passin", f"pass:{PASSWORD}"], capture_output=True, text=True, check=False
        )
        require(done.returncode == 0, f"openssl opens the backup ({done.stderr.strip()})")
        for line in done.stderr.splitlines()[:2]:
            self.detail(f"openssl: {line}")
        [status] = self.order(self._vcenter, "RetrieveKmipServersStatus")
        require(status["overallStatus"] == "green", "the provider is active now")
        self.detail(f"the provider is {status['overallStatus']}: {status['reasons'][0]}")

    def _encrypt(self) -> None:
        self.step("Encrypt the machine: the host makes the key by itself")
        key = self.order(self._vcenter, "EncryptVM", name=MACHINE)
        self.detail(f"internal key: {key['keyId'][:40]}…")
        require(PLAIN[:32] not in self.disk().read_bytes(), "the disk file holds ciphertext")
        self.read(self._host)

    def _without_vcenter(self) -> None:
        self.step("vCenter is killed, then the host: it starts alone and opens its machines")
        self.detail(f"kill -9 {self._vcenter.pid} (vCenter), kill -9 {self._host.pid} (host)")
        self._vcenter.kill()
        self._host.kill()
        self._host.start()
        self.show(self._host)
        self.read(self._host)

    def _rebuild(self) -> None:
        self.step("vCenter is gone for good; a new one restores the provider from the backup")
        self._vcenter = self.start("new vCenter", self.lab.vcenter_command("vcenter2", kmip=False))
        backup = base64.b64encode(self._backup.read_bytes()).decode()
        order = {"backup": backup, "password": PASSWORD}
        trial = self.order(self._vcenter, "ImportProvider", dryRun=True, **order)
        self.detail(f"dry run: {trial['reason']}")
        done = self.order(self._vcenter, "ImportProvider", **order)
        require(done["restored"], "the provider is back")
        self.detail(f"restored {done['provider']} with primary key {done['keyId']}")
        self.order(self._vcenter, "CreateCluster", name="production")
        self.add_host(self._vcenter, self._host, HOST, parent="cluster/production")
        self.order(self._vcenter, "RegisterVM", host=HOST, name=MACHINE)
        self.read(self._host)
        kdk = read(self._backup.read_bytes(), PASSWORD).kdk.reveal()
        found = files_with(self.lab.folder, spellings(kdk))
        require(not found, f"no file holds the primary key in the clear ({found})")
