"""The story of the native key provider: no key server, and hosts that work without vCenter."""

import subprocess

from kmipkit_vsphere.demo.inspection import files_with, spellings
from kmipkit_vsphere.demo.laboratory import HOST
from kmipkit_vsphere.demo.story import DISK_SIZE, MACHINE, PLAIN, Story, require, wait_for
from kmipkit_vsphere.model.errors import InvalidState
from kmipkit_vsphere.model.keys import SecretText
from kmipkit_vsphere.vcenter.calls.hosts import CreateCluster
from kmipkit_vsphere.vcenter.calls.machines import CreateVM, EncryptVM, RegisterVM
from kmipkit_vsphere.vcenter.calls.native import (
    CreateNativeProvider,
    DownloadBackup,
    ExportProvider,
    ImportProvider,
)
from kmipkit_vsphere.vcenter.calls.providers import RetrieveKmipServersStatus
from kmipkit_vsphere.vcenter.native_backup import read

PROVIDER = "NKP"
PASSWORD = SecretText(b"a password for this demonstration")


class Native(Story):
    """One vCenter, one host, no key server."""

    summary = "no key server; vCenter is killed, the host reboots and continues"

    def run(self) -> None:
        """All steps."""
        self._start()
        self._make_provider()
        self._back_up()
        self._encrypt()
        self._without_vcenter()
        self._rebuild()
        self.verified("no key server took part, and the provider was restored from the backup.")

    def _start(self) -> None:
        self.step("Two processes: a vCenter without any key server, and a host in a cluster")
        self.lab.make_roles()
        self._vcenter = self.start("vCenter", self.lab.vcenter_command(kmip=False))
        self._host = self.start("host esx01", self.lab.host_command())
        self.call(self._vcenter, CreateCluster("production"))
        self.add_host(self._vcenter, self._host, HOST, parent="cluster/production")

    def _make_provider(self) -> None:
        self.step("vCenter makes the primary key and pushes it to the host")
        created = self.call(self._vcenter, CreateNativeProvider(PROVIDER, any_host=True))
        self.detail(f"key provider {PROVIDER}, primary key {created.key_id}")
        self.call(self._vcenter, CreateVM(HOST, MACHINE, DISK_SIZE))
        self.write(self._host)
        try:
            self.call(self._vcenter, EncryptVM(MACHINE))
        except InvalidState as refusal:
            self.detail(f"using it is refused: {refusal.message}")
        else:
            require(False, "a provider without a backup cannot be used")

    def _back_up(self) -> None:
        self.step("Back it up: a PKCS#12 file under a password, which openssl can open, too")
        prepared = self.call(self._vcenter, ExportProvider(PROVIDER, PASSWORD))
        token = prepared.location.download_token.token
        self._backup = self.lab.folder / f"{PROVIDER}.p12"
        self._backup.write_bytes(self.call(self._vcenter, DownloadBackup(token)))
        # The password is no argument, which other users of the machine could see.
        done = subprocess.run(  # noqa: S603 - our own command line
            ["openssl", "pkcs12", "-in", str(self._backup), "-noout", "-info", "-passin", "stdin"],  # noqa: S607 - from PATH
            input=PASSWORD.reveal().decode() + "\n",
            capture_output=True,
            text=True,
            check=False,
        )
        require(done.returncode == 0, f"openssl opens the backup ({done.stderr.strip()})")
        for line in done.stderr.splitlines()[:2]:
            self.detail(f"openssl: {line}")
        [status] = self.call(self._vcenter, RetrieveKmipServersStatus())
        require(status.overall_status == "green", "the provider is active now")
        self.detail(f"the provider is {status.overall_status}: {status.reasons[0]}")

    def _encrypt(self) -> None:
        self.step("Encrypt the machine: the host makes the key itself")
        key = self.call(self._vcenter, EncryptVM(MACHINE))
        self.detail(f"internal key: {key.key_id[:40]}…")
        require(PLAIN[:32] not in self.disk().read_bytes(), "the disk file holds ciphertext")
        self.read(self._host)

    def _without_vcenter(self) -> None:
        self.step(
            "vCenter is killed, then the host; it starts without vCenter and unlocks its machines"
        )
        self.detail(f"kill -9 {self._vcenter.pid} (vCenter), kill -9 {self._host.pid} (host)")
        self._vcenter.kill()
        self._host.kill()
        self._host.start()
        self.show(self._host)
        wait_for(f"the host has unlocked {MACHINE}", lambda: self.read(self._host))

    def _rebuild(self) -> None:
        self.step("vCenter is lost; a new one restores the provider from the backup")
        self._vcenter = self.start("new vCenter", self.lab.vcenter_command("vcenter2", kmip=False))
        backup = self._backup.read_bytes()
        trial = self.call(self._vcenter, ImportProvider(backup, PASSWORD, dry_run=True))
        self.detail(f"{trial.reason}")
        result = self.call(self._vcenter, ImportProvider(backup, PASSWORD))
        require(result.restored, "the provider is restored")
        self.detail(f"restored {result.provider} with primary key {result.key_id}")
        self.call(self._vcenter, CreateCluster("production"))
        self.add_host(self._vcenter, self._host, HOST, parent="cluster/production")
        self.call(self._vcenter, RegisterVM(HOST, MACHINE))
        self.read(self._host)
        kdk = read(self._backup.read_bytes(), PASSWORD).spec.kdk.reveal()
        files = files_with(self.lab.folder, spellings(kdk))
        require(not files, f"no file holds the primary key as plain text ({files})")
