"""Alarms over the Web Services API, called by pyVmomi."""

from pathlib import Path
from typing import Any

import pytest
from kmipkit_vsphere.model.colour import Color
from kmipkit_vsphere.vcenter.alarm_definitions import DEFINITIONS
from kmipkit_vsphere.vcenter.calls.events import AlarmName, Entity
from pyVmomi import vim, vmodl
from vmomi_machines import check, host, laboratory, machine
from vmomi_scene import Client, WebScene, talk
from vsphere_scene import Scene

RAISED = (
    (AlarmName.CONSOLIDATION_NEEDED, Entity("machine", "db 1"), "com.vmware.vc.x"),
    (AlarmName.HOST_KEY_MISSING, Entity("host", "esx01"), "com.vmware.vc.y"),
    (AlarmName.KEY_MISSING, Entity("key", "KMS/größer"), "com.vmware.vc.z"),
    (AlarmName.KEY_MISSING, Entity("key", "KMS/zwei"), "com.vmware.vc.z"),
)


def manager(client: Client) -> Any:
    instance = vim.ServiceInstance("ServiceInstance", client.stub)
    return instance.content.alarmManager


def raise_alarms(client: Client) -> None:
    for name, entity, event in RAISED:
        client.web.look(client.web.scene.vcenter.alarms.begin, name, entity, event, "wrong")


def alarm_named(client: Client, name: AlarmName) -> Any:
    return next(alarm for alarm in manager(client).GetAlarm() if alarm.info.name == name)


def root(client: Client) -> Any:
    return client.object(vim.Folder, "group-d1")


def names(states: Any) -> list[tuple[str, str]]:
    return sorted((state.alarm.info.name, state.entity._moId) for state in states)


def test_the_definitions(tmp_path: Path) -> None:
    def test(client: Client) -> None:
        alarms = manager(client).GetAlarm()
        infos = {alarm.info.name: alarm.info for alarm in alarms}
        assert list(infos) == list(DEFINITIONS)
        for alarm, info in zip(alarms, infos.values(), strict=True):
            definition = DEFINITIONS[info.name]
            assert (info.alarm, info.key, info.entity) == (alarm, alarm._moId, root(client))
            assert definition.condition in info.description
            events = [event.eventTypeId for event in info.expression.expression]
            assert events == definition.message().raised_by
        assert {event.objectType for event in infos["machineLocked"].expression.expression} == {
            vim.VirtualMachine
        }
        assert [a._moId for a in manager(client).GetAlarm(root(client))] == [
            a._moId for a in alarms
        ]
        assert list(manager(client).GetAlarm(machine(client))) == []

    check(tmp_path, test)


def test_alarms_are_seen_from_above_and_acknowledged(tmp_path: Path) -> None:
    """An entity shows its own alarms and those below; keys have theirs on the root folder."""

    def test(client: Client) -> None:
        vm = machine(client)
        assert list(vm.triggeredAlarmState) == []
        raise_alarms(client)
        [state] = vm.triggeredAlarmState
        alarm = alarm_named(client, AlarmName.CONSOLIDATION_NEEDED)
        assert (state.entity, state.alarm) == (vm, alarm)
        assert state.overallStatus == Color.YELLOW
        assert (state.acknowledged, state.acknowledgedByUser) == (False, None)
        esx = host(client, "esx01")
        assert names(root(client).triggeredAlarmState) == [
            ("consolidationNeeded", vm._moId),
            ("hostKeyMissing", esx._moId),
            ("keyMissing", "group-d1"),
        ]
        assert names(esx.parent.triggeredAlarmState) == [("hostKeyMissing", esx._moId)]
        get = manager(client).GetAlarmState
        assert names(get(root(client))) == [("keyMissing", "group-d1")]
        assert names(get(vm)) == [("consolidationNeeded", vm._moId)]
        manager(client).AcknowledgeAlarm(alarm, vm)
        [state] = get(vm)
        assert (state.acknowledged, state.acknowledgedByUser) == (True, client.user)
        assert state.acknowledgedTime >= state.time
        manager(client).AcknowledgeAlarm(alarm_named(client, AlarmName.KEY_MISSING), root(client))
        known = client.web.look(client.web.scene.vcenter.alarms.all)
        acknowledged = [alarm.acknowledged_by for alarm in known]
        assert acknowledged.count(client.user) == 3
        with pytest.raises(vmodl.fault.InvalidArgument):
            manager(client).AcknowledgeAlarm(alarm, esx)

    check(tmp_path, test)


def test_who_may_see_and_acknowledge(tmp_path: Path) -> None:
    def test(web: WebScene) -> None:
        administrator, reader, clerk = web.client(), web.client("reader"), web.client("clerk")
        raise_alarms(administrator)
        alarm = alarm_named(administrator, AlarmName.CONSOLIDATION_NEEDED)
        for entity in (machine(reader), host(reader, "esx01")):
            with pytest.raises(vim.fault.NoPermission) as error:
                manager(reader).AcknowledgeAlarm(
                    reader.object(vim.alarm.Alarm, alarm._moId), entity
                )
            assert error.value.privilegeId == "Alarm.Acknowledge"
        assert names(root(clerk).triggeredAlarmState) == [
            ("consolidationNeeded", machine(clerk)._moId)
        ]
        with pytest.raises(vim.fault.NoPermission):
            manager(clerk).GetAlarmState(host(clerk, "esx01"))
        for nobody in ("alarm-", "alarm-999", "vm-1"):
            with pytest.raises(vmodl.fault.ManagedObjectNotFound):
                manager(clerk).AcknowledgeAlarm(
                    clerk.object(vim.alarm.Alarm, nobody), machine(clerk)
                )

    async def prepare(s: Scene) -> None:
        await laboratory(s)
        await s.call("SetPermission", entity="/", principal="reader", role="ReadOnly")
        await s.call("SetPermission", entity="machine/db 1", principal="clerk", role="ReadOnly")

    talk(tmp_path, test, prepare)
