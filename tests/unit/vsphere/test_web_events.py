"""The event manager and the storage policy service, called by pyVmomi."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pyVmomi import pbm, vim, vmodl
from vmomi_scene import Client, WebScene, _Stub, talk
from vsphere_scene import Scene

OPERATION = "com.vmware.vc.crypto.Operation"
Filter = vim.event.EventFilterSpec


async def busy(s: Scene) -> None:
    """A machine in a folder that was encrypted, and another user's failure."""
    await s.prepare()
    await s.call("CreateFolder", name="Buchhaltung")
    await s.call(
        "CreateVM", host="esx01", name="Lohn µ", diskSize=4096, folder="folder/Buchhaltung"
    )
    await s.call("EncryptVM", name="Lohn µ")
    s.pass_time(hours=1)
    await s.call("SetPermission", entity="folder/Buchhaltung", principal="ada", role="ReadOnly")


def manager(client: Client) -> Any:
    return client.object(vim.event.EventManager, "EventManager")


def operations(found: list[Any]) -> list[str]:
    return [
        argument.value
        for event in found
        for argument in event.arguments
        if argument.key == "operation"
    ]


def test_an_event_says_who_did_what_with_which_key(tmp_path: Path) -> None:
    def test(web: WebScene) -> None:
        client = web.client()
        found = manager(client).QueryEvents(Filter(eventTypeId=[OPERATION]))
        [event] = [event for event in found if "Encrypt" in operations([event])]
        key = web.call("ListVMs")[0]["keyIds"][0]
        assert (event.userName, event.severity) == ("administrator", "info")
        assert (event.vm.name, event.vm.vm._GetMoId()) == ("Lohn µ", web.moid("machine/Lohn µ"))
        assert (event.objectName, event.datacenter.name) == ("Lohn µ", "Laboratory")
        arguments = {argument.key: argument.value for argument in event.arguments}
        assert arguments["keyId"] == key["keyId"]
        assert (arguments["result"], arguments["providerId"]) == ("success", "KMS")
        assert "Encrypt by administrator" in event.fullFormattedMessage
        [short] = manager(client).QueryEvents(
            Filter(eventChainId=event.key, disableFullMessage=True)
        )
        assert (short.key, short.fullFormattedMessage) == (event.key, None)
        assert manager(client).latestEvent.key >= event.key

    talk(tmp_path, test, busy)


def test_events_are_selected(tmp_path: Path) -> None:
    def test(web: WebScene) -> None:
        client = web.client()
        root = client.object(vim.Folder, "group-d1")
        folder = client.object(vim.Folder, web.moid("folder/Buchhaltung"))
        vm = client.object(vim.VirtualMachine, web.moid("machine/Lohn µ"))
        now = web.scene.now

        def count(**conditions: Any) -> int:
            return len(manager(client).QueryEvents(Filter(**conditions)))

        def by_entity(entity: Any, recursion: str) -> int:
            return count(entity=Filter.ByEntity(entity=entity, recursion=recursion))

        every = count()
        assert every > 5
        assert by_entity(root, "all") == every
        assert by_entity(vm, "self") == by_entity(vm, "all") == by_entity(folder, "children") > 0
        assert (by_entity(vm, "children"), by_entity(folder, "self")) == (0, 1)
        assert by_entity(folder, "all") == by_entity(vm, "self") + 1, "the permission"
        assert 0 < by_entity(root, "self") < every, "those of key providers"
        before = Filter.ByTime(endTime=now - timedelta(minutes=1))
        after = Filter.ByTime(beginTime=now)
        assert count(time=before) + count(time=after) == every
        assert 0 < count(time=after) < every
        users = Filter.ByUsername(systemUser=False, userList=["administrator"])
        system = Filter.ByUsername(systemUser=True)
        assert count(userName=users) + count(userName=system) == every
        assert count(category=["info", "warning", "error"]) == every
        assert count(category=["user"]) == count(type=[vim.event.VmPoweredOnEvent]) == 0
        assert count(type=[vim.event.EventEx]) == every
        assert count(maxCount=2) == 2

    talk(tmp_path, test, busy)


def test_whoever_sees_a_folder_sees_its_events(tmp_path: Path) -> None:
    def test(web: WebScene) -> None:
        found = manager(web.client("ada")).QueryEvents(Filter())
        assert {event.objectName for event in found} == {"Lohn µ", "Buchhaltung"}
        assert manager(web.client("stranger")).QueryEvents(Filter()) == []

    talk(tmp_path, test, busy)


def test_a_collector_reads_page_by_page(tmp_path: Path) -> None:
    def test(web: WebScene) -> None:
        client = web.client()
        every = [event.key for event in manager(client).QueryEvents(Filter())]
        collector = manager(client).CreateCollectorForEvents(Filter())
        read: list[int] = []
        while page := collector.ReadNextEvents(2):
            read += [event.key for event in page]
        assert read == every
        back: list[int] = []
        while page := collector.ReadPreviousEvents(3):
            back += [event.key for event in page]
        assert back == every[::-1]
        collector.SetCollectorPageSize(4)
        assert [event.key for event in collector.latestPage] == every[::-1][:4]
        collector.ResetCollector()
        assert [event.key for event in collector.ReadNextEvents(100)] == every[-4:]
        web.call("GenerateKey")
        assert [event.key for event in collector.ReadNextEvents(100)] == [every[-1] + 1]
        assert collector.latestPage[0].key == every[-1] + 1
        for wrong in (0, -1, 1001):
            with pytest.raises(vmodl.fault.InvalidArgument):
                collector.SetCollectorPageSize(wrong)
        collector.DestroyCollector()
        with pytest.raises(vmodl.fault.ManagedObjectNotFound):
            collector.RewindCollector()

    talk(tmp_path, test, busy)


def test_storage_policies(tmp_path: Path) -> None:
    def test(web: WebScene) -> None:
        web.call("CreateStoragePolicy", name="Löhne", encrypt=False)
        client = web.client()
        stub = _Stub(web, "pbm.version.version2", client.token)
        stub.path = "/pbm"
        service = pbm.ServiceInstance("ServiceInstance", stub)
        profiles = service.RetrieveContent().profileManager
        storage = pbm.profile.ResourceType(resourceType="STORAGE")
        ids = profiles.QueryProfile(storage, "REQUIREMENT")
        found = {profile.name: profile for profile in profiles.RetrieveContent(ids)}
        assert set(found) == {"VM Encryption Policy", "Löhne"}
        encryption = found["VM Encryption Policy"]
        assert encryption.profileId.uniqueId == "4d5f673c-536f-11e6-beb8-9e71128cae77"
        [subprofile] = encryption.constraints.subProfiles
        assert subprofile.capability[0].id.namespace == "com.vmware.storageprofile.dataservice"
        assert found["Löhne"].constraints.subProfiles == []
        assert profiles.QueryProfile(storage, "RESOURCE") == []
        with pytest.raises(vmodl.fault.InvalidArgument):
            profiles.RetrieveContent([pbm.profile.ProfileId(uniqueId="x")])

    talk(tmp_path, test, busy)
