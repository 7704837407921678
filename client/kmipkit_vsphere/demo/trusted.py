"""The story of the trusted key provider: two vCenters, and a host with a software TPM."""

import json
from typing import Any

from kmipkit_vsphere.demo.laboratory import ADMINISTRATOR, HOST, VCENTER, Laboratory
from kmipkit_vsphere.demo.processes import Process, Processes
from kmipkit_vsphere.demo.stage import DISK_SIZE, MACHINE, PLAIN, Say, Stage, require, wait_for
from kmipkit_vsphere.demo.swtpm import SoftwareTPM
from kmipkit_vsphere.model.errors import NoPermission, VSphereError
from kmipkit_vsphere.trust_authority.measurements import Image

PROVIDER = "TKP"
SERVICES = ("ta1", "ta2")
TRUST_ADMIN = "trust-admin"

IMAGE = Image(
    "ESXi",
    "8.0.3",
    (("esx-base", bytes(range(32))), ("vmx", bytes(range(32, 64)))),
    ("execInstalledOnly=TRUE",),
)
TAMPERED = Image("ESXi", "8.0.3", (*IMAGE.components, ("rootkit", b"\x66" * 32)), IMAGE.options)


class Trusted(Stage):
    """A trust authority with its own vCenter and key server; a workload vCenter with a host."""

    summary = "attested hosts get keys from a Key Provider Service; needs swtpm"

    def __init__(self, laboratory: Laboratory, processes: Processes, say: Say) -> None:
        super().__init__(laboratory, processes, say)
        self._authority = Laboratory(laboratory.folder / "authority")
        self._ta: dict[str, Process] = {}

    def tell(self) -> None:
        """All steps."""
        self.step("A TPM 2.0 in software, with a certificate of its maker")
        self._tpm = SoftwareTPM(self.lab.folder / "tpm")
        try:
            self._tell()
        finally:
            self._tpm.stop()

    def _tell(self) -> None:
        self.detail(f"made with {len(self._tpm.authorities())} certificates of its maker")
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

    def _to_authority(self, method: str, caller: str = TRUST_ADMIN, **params: Any) -> Any:
        lab, self.lab = self.lab, self._authority
        try:
            return self.ask(self._ta_vcenter, VCENTER, caller, method, params)
        finally:
            self.lab = lab

    def _configure_authority(self) -> None:
        self.step("A member of TrustedAdmins says what is trusted; the administrator may not")
        address, port = self._kms.address
        info = {"name": "kms1", "address": address, "port": port}
        self._to_authority("RegisterKmipServer", ADMINISTRATOR, clusterId=PROVIDER, info=info)
        made = self._to_authority("GenerateKey", ADMINISTRATOR)["keyId"]["keyId"]
        with self.key_server_admin(self._kms, self._authority) as client:
            client.activate(made)
        member = {"group": "TrustedAdmins", "member": TRUST_ADMIN}
        try:
            self._to_authority("ExportTrustServices", ADMINISTRATOR)
        except NoPermission as refusal:
            self.detail(f"refused: {refusal.message}")
        self._to_authority("SetMember", ADMINISTRATOR, **member)
        for name in SERVICES:
            address, port = self._ta[name].address
            self._to_authority(
                "TrustAuthorityAddHost",
                name=name,
                address=address,
                port=port,
                servicePort=self._ports[name],
            )
        for certificate in self._tpm.authorities():
            self._to_authority("AddTpmAuthority", certificate=certificate)
        self._to_authority("ImportImage", manifest=json.dumps(IMAGE.to_json()))
        self._to_authority("PublishTrustedProvider", provider=PROVIDER, primaryKeyId=made)
        self.detail(f"trusted: the TPM's maker, image ESXi 8.0.3; primary key {made}")

    # The workload --------------------------------------------------------------------------------

    def _boot_host(self, image: Image) -> None:
        where = self._tpm.boot()
        manifest = self.lab.folder / "booted.json"
        manifest.write_text(json.dumps(image.to_json()))
        command = (*self.lab.host_command(), "--tpm", where, "--image", str(manifest))
        self._host = self.start("host esx01", command)

    def _start_workload(self) -> None:
        self.step("The workload: another vCenter, without a key server, and a host with the TPM")
        self.lab.make_roles(TRUST_ADMIN)
        self._vcenter = self.start("vCenter", self.lab.vcenter_command(kmip=False))
        self._boot_host(IMAGE)
        principal = self.lab.roles_authority()
        self._to_authority("ImportPrincipal", name="workload", certificate=principal)
        services = self._to_authority("ExportTrustServices")
        self.order(self._vcenter, "SetMember", group="TrustedAdmins", member=TRUST_ADMIN)
        self.order(self._vcenter, "CreateCluster", name="production")
        self.add_host(self._vcenter, self._host, HOST, parent="cluster/production")
        for method, params in (
            ("ImportTrustServices", {"document": services}),
            ("EnableTrustedCluster", {"name": "production"}),
        ):
            self.ask(self._vcenter, VCENTER, TRUST_ADMIN, method, params)
        self.order(self._vcenter, "RegisterKmsCluster", clusterId=PROVIDER)
        self._show_attestation()

    def _attestation(self) -> dict[str, Any]:
        return dict(self.order(self._vcenter, "AttestationStatus", name="production")[HOST])

    def _show_attestation(self) -> None:
        status = self._attestation()
        require(status["status"] == "attested", f"the host is attested ({status['messages']})")
        self.detail(f"{HOST} is attested by {status['serviceId']} until {status['attestedUntil']}")

    def _encrypt(self) -> None:
        self.step("Encrypt a machine: the host gets the key from the Key Provider Service")
        machine = {"host": HOST, "name": MACHINE, "diskSize": DISK_SIZE}
        self.order(self._vcenter, "CreateVM", **machine)
        self.write(self._host)
        key = self.order(self._vcenter, "EncryptVM", name=MACHINE)
        self.detail(f"the key's id is the wrapped key itself: {key['keyId'][:40]}…")
        require(PLAIN[:32] not in self.disk().read_bytes(), "the disk file holds ciphertext")
        self.read(self._host)

    def _without_vcenter(self) -> None:
        self.step("vCenter and one Trust Authority host are killed, and the host reboots")
        for process in (self._vcenter, self._ta["ta1"], self._host):
            process.kill()
        self._boot_host(IMAGE)
        self._await_read()

    def _await_read(self) -> None:
        """Right after its start the host attests and unlocks its machines by itself."""
        wait_for(lambda: self.read(self._host))

    def _tamper(self) -> None:
        self.step("The host boots something else: its TPM says so, and it gets no key")
        self._vcenter.start()
        self._host.kill()
        try:
            self._boot_host(TAMPERED)
        except VSphereError:
            self.detail("it cannot even unseal its own configuration, and does not start")
            log = self.lab.log("host-esx01").read_text().splitlines()[-1]
            self.detail(log)

    def _restore(self) -> None:
        self.step("It boots the accepted image again, and gets the key again")
        self._ta["ta1"].start()
        self._boot_host(IMAGE)
        self._await_read()
        address, port = self._host.address
        order = {"name": HOST, "address": address, "port": port}
        self.order(self._vcenter, "ReconnectHost", **order)
        self._show_attestation()
