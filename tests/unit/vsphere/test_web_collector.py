"""The property collector: what it selects, how it reads, and what it reports as changed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock
from vsphere_scene import Scene
from web_lab import NS, XSI_TYPE, Answer, RawClient, WebLab, furnish, play_api, web_lab

COLLECTOR = ("PropertyCollector", "propertyCollector")
XSI = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebLab]:
    """A laboratory for the tests that change nothing which others see."""
    with web_lab(tmp_path_factory.mktemp("lab"), furnish) as running:
        yield running


def spec(kind: str, paths: str, start: str, *, skip: bool = False, select: str = "") -> str:
    """A filter; ``paths`` are separated by spaces, and ``*`` stands for all."""
    if paths == "*":
        asked = "<all>true</all>"
    else:
        asked = "".join(f"<pathSet>{path}</pathSet>" for path in paths.split())
    type_name, _, moid = start.partition(":")
    return (
        f"<propSet><type>{kind}</type>{asked}</propSet>"
        f'<objectSet><obj type="{type_name}">{moid}</obj><skip>{str(skip).lower()}</skip>'
        f"{select}</objectSet>"
    )


def traversal(kind: str, path: str, inner: str = "", name: str = "") -> str:
    named = f"<name>{name}</name>" if name else ""
    return (
        f'<selectSet {XSI} xsi:type="TraversalSpec">{named}<type>{kind}</type>'
        f"<path>{path}</path>{inner}</selectSet>"
    )


def by_name(name: str) -> str:
    return f"<selectSet><name>{name}</name></selectSet>"


async def retrieve(client: RawClient, filters: str, options: str = "") -> Answer:
    fields = f"<specSet>{filters}</specSet><options>{options}</options>"
    return await client.call(*COLLECTOR, "RetrievePropertiesEx", fields)


def objects(answer: Answer) -> dict[str, dict[str, Any]]:
    """The properties of each object, by its reference."""
    return {
        str(found.findtext("v:obj", None, NS)): {
            str(each.findtext("v:name", None, NS)): each.find("v:val", NS)
            for each in found.findall("v:propSet", NS)
        }
        for found in answer.root.findall(".//v:objects", NS)
    }


def names(answer: Answer) -> list[str]:
    return [str(found["name"].text) for found in objects(answer).values()]


EVERYTHING = traversal(
    "Folder", "childEntity", by_name("folder") + by_name("dc") + by_name("cr"), "folder"
) + traversal("Datacenter", "vmFolder", by_name("folder"), "dc")
HOSTS = traversal("ComputeResource", "host", name="cr") + traversal(
    "Datacenter", "hostFolder", by_name("folder"), "dc"
)


def test_recursion_by_name_reaches_all_machines(lab: WebLab) -> None:
    async def test(_: Scene, client: RawClient) -> None:
        select = EVERYTHING + traversal("ComputeResource", "host", name="cr")
        answer = await retrieve(
            client, spec("VirtualMachine", "name", "Folder:group-d1", skip=True, select=select)
        )
        assert sorted(names(answer)) == ["Büro 7", "db1"]

    lab.play(test)


def test_base_types_match_and_each_object_comes_once(lab: WebLab) -> None:
    """A cluster is a ComputeResource for a TraversalSpec, and all are a ManagedEntity."""

    async def test(_: Scene, client: RawClient) -> None:
        inner = traversal("ComputeResource", "host")
        select = traversal("Folder", "childEntity", inner) * 2
        answer = await retrieve(
            client, spec("ManagedEntity", "name", "Folder:group-h4", skip=True, select=select)
        )
        assert sorted(names(answer)) == ["Rechenzentrum", "esx01", "esx01", "esx02"]

    lab.play(test)


def test_what_no_property_spec_is_for_is_left_out(lab: WebLab) -> None:
    async def test(_: Scene, client: RawClient) -> None:
        answer = await retrieve(client, spec("HostSystem", "name", "Folder:group-d1"))
        assert answer.values == []

    lab.play(test)


def test_dotted_paths_and_types_of_values(lab: WebLab) -> None:
    async def test(_: Scene, client: RawClient) -> None:
        machine = (await machines(client))["db1"]
        paths = (
            "summary.runtime.powerState config.keyId.providerId.id runtime.host"
            " config.hardware.device config.hardware.device[2000].backing datastore snapshot"
            " guest.ipAddress config.template effectiveRole config.modified"
        )
        answer = await retrieve(client, spec("VirtualMachine", paths, machine))
        [found] = objects(answer).values()
        kinds = {name: value.get(XSI_TYPE) for name, value in found.items()}
        assert kinds == {
            "summary.runtime.powerState": "VirtualMachinePowerState",
            "config.keyId.providerId.id": "xsd:string",
            "runtime.host": "ManagedObjectReference",
            "config.hardware.device": "ArrayOfVirtualDevice",
            "config.hardware.device[2000].backing": "VirtualDiskFlatVer2BackingInfo",
            "datastore": "ArrayOfManagedObjectReference",
            "config.template": "xsd:boolean",
            "effectiveRole": "ArrayOfInt",
            "config.modified": "xsd:dateTime",
        }
        devices = [child.get(XSI_TYPE) for child in found["config.hardware.device"]]
        assert devices == ["ParaVirtualSCSIController", "VirtualDisk"]
        assert {child.tag for child in found["config.hardware.device"]} == {
            "{urn:vim25}VirtualDevice"
        }
        assert found["config.keyId.providerId.id"].text == "KMS"
        assert found["runtime.host"].get("type") == "HostSystem"

    lab.play(test)


async def machines(client: RawClient) -> dict[str, str]:
    """The references of the machines, by name."""
    answer = await retrieve(
        client,
        spec("VirtualMachine", "name", "Folder:group-d1", skip=True, select=EVERYTHING + CR),
    )
    return {
        str(found["name"].text): f"VirtualMachine:{ref}" for ref, found in objects(answer).items()
    }


CR = traversal("ComputeResource", "host", name="cr")


def test_all_properties(lab: WebLab) -> None:
    async def test(_: Scene, client: RawClient) -> None:
        answer = await retrieve(client, spec("HostSystem", "*", await host(client)))
        [found] = objects(answer).values()
        assert {"name", "parent", "summary", "runtime", "vm"} <= found.keys()

    lab.play(test)


async def host(client: RawClient) -> str:
    fields = "<dnsName>esx01</dnsName><vmSearch>false</vmSearch>"
    answer = await client.call("SearchIndex", "SearchIndex", "FindByDnsName", fields)
    return f"HostSystem:{answer.values[0].text}"


@pytest.mark.parametrize("path", ["nothing", "name.nothing", "config.hardware.nothing", "", "a..b"])
def test_a_path_that_the_api_does_not_have(lab: WebLab, path: str) -> None:
    async def test(_: Scene, client: RawClient) -> None:
        machine = (await machines(client))["db1"]
        filters = spec("VirtualMachine", "name", machine).replace(">name<", f">{path}<")
        answer = await retrieve(client, filters)
        assert answer.status == 500
        assert answer.fault == "InvalidProperty"
        assert answer.fault_detail.findtext("v:name", "", NS) == path

    lab.play(test)


def test_objects_that_do_not_exist(lab: WebLab) -> None:
    async def test(_: Scene, client: RawClient) -> None:
        missing = spec("VirtualMachine", "name", "VirtualMachine:vm-99999")
        answer = await retrieve(client, missing)
        assert answer.fault == "ManagedObjectNotFound"
        assert answer.fault_detail.findtext("v:obj", None, NS) == "vm-99999"
        reported = missing + "<reportMissingObjectsInResults>true</reportMissingObjectsInResults>"
        assert (await retrieve(client, reported)).status == 200

    lab.play(test)


def test_a_name_that_no_traversal_has(lab: WebLab) -> None:
    async def test(_: Scene, client: RawClient) -> None:
        filters = spec("Folder", "name", "Folder:group-d1", select=by_name("nobody"))
        assert (await retrieve(client, filters)).fault == "InvalidArgument"

    lab.play(test)


def test_pages(lab: WebLab) -> None:
    async def test(_: Scene, client: RawClient) -> None:
        select = traversal("Folder", "childEntity", traversal("ComputeResource", "host"))
        filters = spec("ManagedEntity", "name", "Folder:group-h4", skip=True, select=select)
        answer = await retrieve(client, filters, "<maxObjects>3</maxObjects>")
        found = names(answer)
        assert len(found) == 3
        token = answer.text("returnval/token")
        answer = await client.call(
            *COLLECTOR, "ContinueRetrievePropertiesEx", f"<token>{token}</token>"
        )
        assert sorted(found + names(answer)) == ["Rechenzentrum", "esx01", "esx01", "esx02"]
        assert answer.text("returnval/token") is None
        for method in ("ContinueRetrievePropertiesEx", "CancelRetrievePropertiesEx"):
            again = await client.call(*COLLECTOR, method, f"<token>{token}</token>")
            assert again.fault == "InvalidArgument"

    lab.play(test)


def test_the_older_form_answers_objects_at_once(lab: WebLab) -> None:
    async def test(_: Scene, client: RawClient) -> None:
        filters = f"<specSet>{spec('Folder', 'name', 'Folder:group-d1')}</specSet>"
        answer = await client.call(*COLLECTOR, "RetrieveProperties", filters)
        assert answer.text("returnval/propSet/val") == "Datacenters"

    lab.play(test)


def test_who_sees_one_machine_sees_the_way_to_it(lab: WebLab) -> None:
    async def test(scene: Scene, client: RawClient) -> None:
        await scene.call("SetPassword", user="ada", password="geheimes Wort")
        await scene.call("SetPermission", principal="ada", role="ReadOnly", entity="machine/db1")
        ada = RawClient(client.endpoint)
        assert (await ada.login("ada", "geheimes Wort")).status == 200
        assert set(await machines(ada)) == {"db1"}
        hidden = (await machines(client))["Büro 7"]
        answer = await retrieve(ada, spec("VirtualMachine", "name", hidden))
        assert answer.text("returnval/objects/missingSet/path") == "name"
        fault = answer.root.find(".//v:missingSet/v:fault/v:fault", NS)
        assert fault is not None
        assert fault.get(XSI_TYPE) == "NoPermission"

    lab.play(test)


# Updates ------------------------------------------------------------------------------------------


async def create_filter(client: RawClient, filters: str) -> str:
    fields = f"<spec>{filters}</spec><partialUpdates>false</partialUpdates>"
    answer = await client.call(*COLLECTOR, "CreateFilter", fields)
    assert answer.status == 200, answer.body
    return str(answer.values[0].text)


async def wait(client: RawClient, version: str = "", seconds: int | None = 0) -> Answer:
    options = "" if seconds is None else f"<maxWaitSeconds>{seconds}</maxWaitSeconds>"
    fields = f"<version>{version}</version><options>{options}</options>"
    return await client.call(*COLLECTOR, "WaitForUpdatesEx", fields)


def kinds(answer: Answer) -> list[str | None]:
    return [found.text for found in answer.root.findall(".//v:objectSet/v:kind", NS)]


FOLDERS = spec(
    "Folder", "name", "Folder:group-v3", skip=True, select=traversal("Folder", "childEntity")
)


def test_updates_enter_modify_and_leave(tmp_path: Path) -> None:
    async def test(scene: Scene, client: RawClient) -> None:
        folder = "Folder:group-v3"
        await create_filter(client, spec("Folder", "childEntity", folder))
        first = await wait(client)
        assert kinds(first) == ["enter"]
        version = str(first.text("returnval/version"))
        assert (await wait(client, version)).values == []
        await scene.call("CreateFolder", name="neu")
        second = await wait(client, version)
        assert kinds(second) == ["modify"]
        assert second.text("changeSet/op") == "assign"
        assert (await wait(client, version)).fault == "InvalidCollectorVersion"
        assert kinds(await wait(client)) == ["enter"]

    play_api(tmp_path, test)


def test_an_object_that_is_deleted_leaves(tmp_path: Path) -> None:
    async def test(scene: Scene, client: RawClient) -> None:
        machine = (await machines(client))["db1"]
        await create_filter(client, spec("VirtualMachine", "name", machine))
        version = str((await wait(client)).text("returnval/version"))
        await scene.call("DestroyVM", name="db1")
        assert kinds(await wait(client, version)) == ["leave"]

    play_api(tmp_path, test)


def test_a_wait_ends_after_its_time_and_with_a_change(tmp_path: Path) -> None:
    async def test(_: Scene, client: RawClient) -> None:
        view = await client.call("ViewManager", "ViewManager", "CreateListView")
        ref = f"ListView:{view.values[0].text}"
        await create_filter(client, spec("ListView", "view", ref))
        version = str((await wait(client)).text("returnval/version"))
        start = trio.current_time()
        assert (await wait(client, version, 12)).values == []
        assert trio.current_time() - start == pytest.approx(12)

        async def change() -> None:
            await trio.sleep(1)
            add = '<add type="Folder">group-d1</add>'
            await client.call(*ref.split(":"), "ModifyListView", add)

        start = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(change)
            assert kinds(await wait(client, version, None)) == ["modify"]
        assert trio.current_time() - start == pytest.approx(1)

    play_api(tmp_path, test, MockClock(autojump_threshold=0.5))


def test_a_wait_is_cancelled_by_another_call(lab: WebLab) -> None:
    async def test(_: Scene, client: RawClient) -> None:
        answers: list[Answer] = []

        async def waits() -> None:
            answers.append(await wait(client, "", None))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(waits)
            await trio.testing.wait_all_tasks_blocked()
            await client.call(*COLLECTOR, "CancelWaitForUpdates")
        assert answers[0].fault == "RequestCanceled"

    lab.play(test)


def test_updates_are_cut_where_the_client_wants(lab: WebLab) -> None:
    async def test(_: Scene, client: RawClient) -> None:
        select = traversal("Folder", "childEntity", traversal("ComputeResource", "host"))
        await create_filter(
            client, spec("ManagedEntity", "name", "Folder:group-h4", skip=True, select=select)
        )
        fields = "<options><maxObjectUpdates>3</maxObjectUpdates></options>"
        first = await client.call(*COLLECTOR, "WaitForUpdatesEx", fields)
        assert (len(kinds(first)), first.text("returnval/truncated")) == (3, "true")
        rest = await wait(client, str(first.text("returnval/version")))
        assert (len(kinds(rest)), rest.text("returnval/truncated")) == (1, None)

    lab.play(test)


def test_collectors_and_filters_end(lab: WebLab) -> None:
    async def test(_: Scene, client: RawClient) -> None:
        answer = await client.call(*COLLECTOR, "CreatePropertyCollector")
        own = ("PropertyCollector", str(answer.values[0].text))
        fields = f"<spec>{FOLDERS}</spec><partialUpdates>false</partialUpdates>"
        created = await client.call(*own, "CreateFilter", fields)
        name = ("PropertyFilter", str(created.values[0].text))
        assert kinds(await client.call(*own, "CheckForUpdates")) == ["enter"]
        assert (await client.call(*name, "DestroyPropertyFilter")).status == 200
        assert (await client.call(*name, "DestroyPropertyFilter")).fault == "ManagedObjectNotFound"
        assert (await client.call(*own, "DestroyPropertyCollector")).status == 200
        assert (await client.call(*own, "CheckForUpdates")).fault == "ManagedObjectNotFound"
        assert (await client.call(*COLLECTOR, "DestroyPropertyCollector")).fault == "NotSupported"

    lab.play(test)


def test_a_filter_belongs_to_its_session(lab: WebLab) -> None:
    async def test(_: Scene, client: RawClient) -> None:
        name = await create_filter(client, FOLDERS)
        other = RawClient(client.endpoint)
        await other.login()
        answer = await other.call("PropertyFilter", name, "DestroyPropertyFilter")
        assert answer.fault == "ManagedObjectNotFound"
        assert (await wait(other)).values == []

    lab.play(test)
