"""The story of an upgrade that breaks attestation, and of how that is mended."""

from kmipkit_vsphere.demo.laboratory import HOST, VCENTER
from kmipkit_vsphere.demo.story import MACHINE, require, wait_for
from kmipkit_vsphere.demo.trusted import IMAGE, PROVIDER, TRUST_ADMIN, Trusted
from kmipkit_vsphere.model.encoding import encode
from kmipkit_vsphere.model.errors import AttestationFailed, EncryptionKeyRequired
from kmipkit_vsphere.trust_authority.measurements import Image
from kmipkit_vsphere.trust_authority.primary_key import PrimaryKeyMode
from kmipkit_vsphere.vcenter.calls.events import ListAlarms
from kmipkit_vsphere.vcenter.calls.hosts import PrepareUpgrade, ReconnectHost
from kmipkit_vsphere.vcenter.calls.trust import (
    AttestationStatus,
    ExportImage,
    ImportImage,
    SetPrimaryKeyMode,
    TrustAuthorityHealth,
)

UPGRADED = Image("ESXi", "8.0.4", (("esx-base", "84" * 32), ("vmx", "85" * 32)), IMAGE.options)


class UpgradeHost(Trusted):
    """The laboratory of the trusted story, and a new base image."""

    summary = "an upgrade to an image that the trust authority does not know; needs swtpm"

    def _tell(self) -> None:
        self.detail(f"made with {len(self._tpm.authorities())} certificates of its manufacturer")
        self._start_authority()
        self._configure_authority()
        self._start_workload()
        self._encrypt()
        self._use_the_key()
        self._upgrade()
        self._mend()
        self.verified(
            "after the upgrade the host was named with its image, got no key, and got it again once"
            " the image was imported."
        )

    def _use_the_key(self) -> None:
        self.step("From now on the key server itself encrypts with the primary key")
        self._to_authority(SetPrimaryKeyMode(PROVIDER, PrimaryKeyMode.USE))
        for name, health in self._to_authority(TrustAuthorityHealth()).items():
            state = health.providers[PROVIDER]
            require(state.problem is None, f"{name} can use the key ({state.problem})")
            self.detail(f"{name}: {PROVIDER}, mode {state.mode}, no problem")

    def _upgrade(self) -> None:
        self.step("The host is upgraded and reboots; its machine stays locked, and it is named")
        manifest = encode(UPGRADED).decode()
        self.call(self._vcenter, PrepareUpgrade(HOST, manifest))
        self._host.kill()
        self._boot_host(UPGRADED)
        try:
            self.call(self._vcenter, ReconnectHost(HOST, *self._host.address))
        except AttestationFailed as refusal:
            self.detail(f"no key: {refusal.message}")
        else:
            require(False, "an unknown image gets no key")
        try:
            self.read(self._host)
        except EncryptionKeyRequired:
            self.detail(f"{MACHINE} is locked")
        else:
            require(False, "the machine is locked")
        status = self.call(self._vcenter, AttestationStatus("production"))[HOST]
        self.detail(f"{HOST} is {status.status}")
        alarms = self.call(self._vcenter, ListAlarms())
        for line in sorted(f"{alarm.alarm} of {alarm.entity.name}" for alarm in alarms):
            self.detail(f"alarm {line}")
        require(all("ESXi 8.0.4" in alarm.message for alarm in alarms), "they name the image")

    def _mend(self) -> None:
        self.step("The image is exported from the host, and imported at the trust authority")
        manifest = self.ask(self._vcenter, VCENTER, TRUST_ADMIN, ExportImage(HOST))
        self._to_authority(ImportImage(manifest))
        wait_for(f"the host has unlocked {MACHINE}", lambda: self.read(self._host))
        self.call(self._vcenter, ReconnectHost(HOST))
        self._show_attestation()
        require(not self.call(self._vcenter, ListAlarms()), "no alarm is left")
        self.detail("no alarm is left")
