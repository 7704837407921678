"""The story of the trusted key provider: two vCenters, and a host with a software TPM."""

from typing import TypeVar

from kmipkit_vsphere.demo.laboratory import ADMINISTRATOR, HOST, VCENTER, Laboratory
from kmipkit_vsphere.demo.processes import Process, Processes
from kmipkit_vsphere.demo.story import DISK_SIZE, MACHINE, PLAIN, Say, Story, require, wait_for
from kmipkit_vsphere.demo.swtpm import SoftwareTPM
from kmipkit_vsphere.model.encoding import encode
from kmipkit_vsphere.model.errors import NoPermission, VSphereError
from kmipkit_vsphere.model.records import ServerRecord
from kmipkit_vsphere.rpc.call import Request
from kmipkit_vsphere.trust_authority.measurements import Image
from kmipkit_vsphere.vcenter.calls.hosts import CreateCluster, ReconnectHost
from kmipkit_vsphere.vcenter.calls.keys import GenerateKey
from kmipkit_vsphere.vcenter.calls.machines import CreateVM, EncryptVM
from kmipkit_vsphere.vcenter.calls.permissions import SetMember
from kmipkit_vsphere.vcenter.calls.providers import RegisterKmipServer, RegisterKmsCluster
from kmipkit_vsphere.vcenter.calls.trust import (
    AddTpmAuthority,
    AttestationStatus,
    EnableTrustedCluster,
    ExportTrustServices,
    ImportImage,
    ImportPrincipal,
    ImportTrustServices,
    PublishTrustedProvider,
    TrustAuthorityAddHost,
)

A = TypeVar("A")

PROVIDER = "TKP"
SERVICES = ("ta1", "ta2")
TRUST_ADMIN = "trust-admin"

IMAGE = Image(
    "ESXi",
    "8.0.3",
    (("esx-base", bytes(range(32)).hex()), ("vmx", bytes(range(32, 64)).hex())),
    ("execInstalledOnly=TRUE",),
)
TAMPERED = Image("ESXi", "8.0.3", (*IMAGE.components, ("rootkit", "66" * 32)), IMAGE.options)


class Trusted(Story):
    """A trust authority with its own vCenter and key server; a workload vCenter with a host."""

    summary = "attested hosts get keys from a Key Provider Service; needs swtpm"

    def __init__(self, laboratory: Laboratory, processes: Processes, say: Say) -> None:
        super().__init__(laboratory, processes, say)
        self._authority = Laboratory(laboratory.folder / "authority")
        self._ta: dict[str, Process] = {}

    def run(self) -> None:
        """All steps."""
        self.step("A software TPM 2.0 with a certificate of its manufacturer")
        self._tpm = SoftwareTPM(self.lab.folder / "tpm")
        try:
            self._tell()
        finally:
            self._tpm.stop()

    def _tell(self) -> None:
        self.detail(f"made with {len(self._tpm.authorities())} certificates of its manufacturer")
        self._start_authority()
        self._configure_authority()
        self._start_workload()
        self._encrypt()
        self._without_vcenter()
        self._tamper()
        self._restore()
        self.verified(
            "the key reached the host only while its TPM showed an accepted image, and no vCenter"
            " was in its path."
        )

    # The trust authority -------------------------------------------------------------------------

    def _start_authority(self) -> None:
        self.step("The trust authority: a key server, its own vCenter, two Trust Authority hosts")
        lab = self._authority
        lab.folder.mkdir(mode=0o700)
        lab.make_roles(*SERVICES, TRUST_ADMIN)
        self._kms = self.start("key server", lab.kms_command())
        lab.admit_vcenter()
        self._ta_vcenter = self.start("TA vCenter", lab.vcenter_command())
        self._ports = {}
        for name in SERVICES:
            self._ta[name] = self.start(f"host {name}", lab.trust_authority_command(name))
            self._ports[name] = int(self._ta[name].line().rpartition(":")[2])

    def _to_authority(self, request: Request[A], caller: str = TRUST_ADMIN) -> A:
        lab, self.lab = self.lab, self._authority
        try:
            return self.ask(self._ta_vcenter, VCENTER, caller, request)
        finally:
            self.lab = lab

    def _configure_authority(self) -> None:
        self.step("A member of TrustedAdmins configures what is trusted; the administrator cannot")
        server = ServerRecord("kms1", *self._kms.address)
        self._to_authority(RegisterKmipServer(PROVIDER, server), ADMINISTRATOR)
        generated = self._to_authority(GenerateKey(), ADMINISTRATOR)
        require(generated.key_id is not None, f"a key is generated ({generated.reason})")
        assert generated.key_id is not None
        primary_key = generated.key_id.key_id
        with self.key_server_admin(self._kms, self._authority) as client:
            client.activate(primary_key)
        try:
            self._to_authority(ExportTrustServices(), ADMINISTRATOR)
        except NoPermission as refusal:
            self.detail(f"refused: {refusal.message}")
        self._to_authority(SetMember("TrustedAdmins", TRUST_ADMIN), ADMINISTRATOR)
        for name in SERVICES:
            add = TrustAuthorityAddHost(name, *self._ta[name].address, self._ports[name])
            self._to_authority(add)
        for certificate in self._tpm.authorities():
            self._to_authority(AddTpmAuthority(certificate))
        self._to_authority(ImportImage(encode(IMAGE).decode()))
        self._to_authority(PublishTrustedProvider(PROVIDER, primary_key))
        self.detail(f"trusted: the TPM's manufacturer, image ESXi 8.0.3; primary key {primary_key}")

    # The workload --------------------------------------------------------------------------------

    def _boot_host(self, image: Image) -> None:
        where = self._tpm.boot()
        manifest = self.lab.folder / "booted.json"
        manifest.write_bytes(encode(image))
        command = (*self.lab.host_command(), "--tpm", where, "--image", str(manifest))
        self._host = self.start("host esx01", command)

    def _start_workload(self) -> None:
        self.step("The workload: another vCenter, without a key server, and a host with the TPM")
        self.lab.make_roles(TRUST_ADMIN)
        self._vcenter = self.start("vCenter", self.lab.vcenter_command(kmip=False))
        self._boot_host(IMAGE)
        principal = self.lab.roles_authority()
        self._to_authority(ImportPrincipal("workload", principal))
        services = self._to_authority(ExportTrustServices())
        self.call(self._vcenter, SetMember("TrustedAdmins", TRUST_ADMIN))
        self.call(self._vcenter, CreateCluster("production"))
        self.add_host(self._vcenter, self._host, HOST, parent="cluster/production")
        self.ask(self._vcenter, VCENTER, TRUST_ADMIN, ImportTrustServices(services))
        self.ask(self._vcenter, VCENTER, TRUST_ADMIN, EnableTrustedCluster("production"))
        self.call(self._vcenter, RegisterKmsCluster(PROVIDER))
        self._show_attestation()

    def _show_attestation(self) -> None:
        status = self.call(self._vcenter, AttestationStatus("production"))[HOST]
        require(status.status == "attested", f"the host is attested ({status.messages})")
        self.detail(f"{HOST} is attested by {status.service_id} until {status.attested_until}")

    def _encrypt(self) -> None:
        self.step("Encrypt a machine: the host gets the key from the Key Provider Service")
        self.call(self._vcenter, CreateVM(HOST, MACHINE, DISK_SIZE))
        self.write(self._host)
        key = self.call(self._vcenter, EncryptVM(MACHINE))
        self.detail(f"the key's id is the wrapped key itself: {key.key_id[:40]}…")
        require(PLAIN[:32] not in self.disk().read_bytes(), "the disk file holds ciphertext")
        self.read(self._host)

    def _without_vcenter(self) -> None:
        self.step("vCenter and one Trust Authority host are killed, and the host reboots")
        for process in (self._vcenter, self._ta["ta1"], self._host):
            process.kill()
        self._boot_host(IMAGE)
        self._await_read()

    def _await_read(self) -> None:
        """After its start the host attests and unlocks its machines by itself."""
        wait_for(f"the host has unlocked {MACHINE}", lambda: self.read(self._host))

    def _tamper(self) -> None:
        self.step("The host boots another image: its TPM shows that, and it gets no key")
        self._vcenter.start()
        self._host.kill()
        try:
            self._boot_host(TAMPERED)
        except VSphereError:
            self.detail("it cannot unseal its own configuration, and does not start")
            log = self.lab.log("host-esx01").read_text().splitlines()[-1]
            self.detail(log)

    def _restore(self) -> None:
        self.step("The host boots the accepted image again, and gets the key again")
        self._ta["ta1"].start()
        self._boot_host(IMAGE)
        self._await_read()
        self.call(self._vcenter, ReconnectHost(HOST, *self._host.address))
        self._show_attestation()
