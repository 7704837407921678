"""Alarms: what an administrator sees when a key server, a certificate or a key is in trouble."""

from kmipkit.spec.enums import RevocationReasonCode
from kmipkit_vsphere.demo.laboratory import HOST
from kmipkit_vsphere.demo.runbooks import Loss
from kmipkit_vsphere.demo.story import MACHINE, require, wait_for
from kmipkit_vsphere.model.errors import VSphereError
from kmipkit_vsphere.vcenter.calls.events import AcknowledgeAlarm, Alarm, AlarmName, ListAlarms
from kmipkit_vsphere.vcenter.calls.hosts import ReconnectHost
from kmipkit_vsphere.vcenter.calls.machines import CryptoUnlock, DestroyVM
from kmipkit_vsphere.vcenter.calls.native import CreateNativeProvider
from kmipkit_vsphere.vcenter.calls.providers import RetrieveKmipServersStatus


class Alarms(Loss):
    """The steps."""

    summary = "alarms: raised, acknowledged, kept over a restart, and cleared"

    def run(self) -> None:
        """All steps."""
        self.begin()
        self._lose_key_server()
        self._restart()
        self._recover()
        self._lose_key()
        self._make_native()
        self.verified(
            "each trouble has one alarm, which lasts as long as the trouble does, and says who knows"
            " of it."
        )

    def _alarms(self, *names: AlarmName) -> list[Alarm]:
        alarms = self.call(self.vcenter, ListAlarms())
        found = [alarm.alarm for alarm in alarms]
        require(found == list(names), f"the alarms are {', '.join(names)}, not {', '.join(found)}")
        for alarm in alarms:
            known = f", known to {alarm.acknowledged_by}" if alarm.acknowledged_by else ""
            self.detail(f"{alarm.colour:<7}{alarm.alarm} {alarm.entity}{known}")
        if not alarms:
            self.detail("no alarm")
        return alarms

    def _lose_key_server(self) -> None:
        self.step("The key server is killed; the administrator looks at the status")
        self.kms.kill()
        self.call(self.vcenter, RetrieveKmipServersStatus())
        self._alarms(AlarmName.KEY_SERVER_CONNECTION, AlarmName.KEY_PROVIDER_HEALTH)

    def _restart(self) -> None:
        self.step("Somebody acknowledges one of them; vCenter is killed and starts again")
        acknowledge = AcknowledgeAlarm(AlarmName.KEY_SERVER_CONNECTION, "keyServer/KMS/kms1")
        self.call(self.vcenter, acknowledge)
        self.vcenter.kill()
        self.vcenter.start()
        first, _ = self._alarms(AlarmName.KEY_SERVER_CONNECTION, AlarmName.KEY_PROVIDER_HEALTH)
        require(first.acknowledged_by is not None, "vCenter remembers who knows of it")

    def _recover(self) -> None:
        self.step("The key server is back")
        self.kms.start()
        self.call(self.vcenter, RetrieveKmipServersStatus())
        self._alarms()

    def _lose_key(self) -> None:
        self.step(f"The key of {MACHINE} is deactivated, and the host reboots")
        with self.key_server_admin(self.kms) as client:
            client.revoke(self.key, RevocationReasonCode.CESSATION_OF_OPERATION)
        self.reboot_host()
        self.call(self.vcenter, ReconnectHost(HOST, *self.host.address))

        def refused() -> None:
            try:
                self.call(self.vcenter, CryptoUnlock(MACHINE))
            except VSphereError:
                alarms = self.call(self.vcenter, ListAlarms())
                require(len(alarms) == 2, "the key and the machine have an alarm")

        wait_for("the machine is locked", refused)
        self._alarms(AlarmName.KEY_MISSING, AlarmName.MACHINE_LOCKED)

    def _make_native(self) -> None:
        self.step("The machine is deleted; a native key provider is made, and not backed up")
        self.call(self.vcenter, DestroyVM(MACHINE))
        self.call(self.vcenter, CreateNativeProvider("NKP"))
        alarms = self.call(self.vcenter, ListAlarms())
        require(
            AlarmName.NATIVE_PROVIDER_BACKUP in [alarm.alarm for alarm in alarms],
            "the missing backup is an alarm",
        )
        require(
            AlarmName.MACHINE_LOCKED not in [alarm.alarm for alarm in alarms],
            "the alarm of the machine is gone with it",
        )
        for alarm in alarms:
            if alarm.alarm is AlarmName.NATIVE_PROVIDER_BACKUP:
                self.detail(f"{alarm.colour:<7}{alarm.alarm} {alarm.entity}: {alarm.message}")
