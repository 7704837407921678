"""The inventory as the Web Services API shows it, and what finds entities in it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
import trio.lowlevel
from kmipkit_vsphere.vcenter.host_connections import LOST_AFTER
from kmipkit_vsphere.web_services.call import Call
from kmipkit_vsphere.web_services.endpoint import Endpoint
from kmipkit_vsphere.web_services.inventory import InventoryTree, escaped_name, plain_name
from kmipkit_vsphere.web_services.vim25.declaration import Ref, Value, shape_of
from vsphere_scene import Scene
from web_lab import NS, XSI_TYPE, RawClient, WebLab, furnish, play_api, web_lab


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebLab]:
    """A laboratory that the tests only read."""
    with web_lab(tmp_path_factory.mktemp("lab"), furnish) as running:
        yield running


SEARCH = ("SearchIndex", "SearchIndex")


async def found(client: RawClient, method: str, fields: str) -> Ref | None:
    answer = await client.call(*SEARCH, method, fields)
    assert answer.status == 200, answer.body
    return (
        Ref(str(answer.values[0].get("type")), str(answer.values[0].text))
        if answer.values
        else None
    )


async def by_path(client: RawClient, path: str) -> Ref | None:
    return await found(client, "FindByInventoryPath", f"<inventoryPath>{path}</inventoryPath>")


PATHS = [
    ("/", "Folder"),
    ("/Laboratory", "Datacenter"),
    ("Laboratory/vm/finance/Büro 7", "VirtualMachine"),
    ("/Laboratory/host/Rechenzentrum", "ClusterComputeResource"),
    ("/Laboratory/host/Rechenzentrum/esx02", "HostSystem"),
    ("/Laboratory/host/esx01", "ComputeResource"),
    ("/Laboratory/host/esx01/Resources", "ResourcePool"),
    ("/Laboratory/datastore/esx01-datastore", "Datastore"),
    ("/Laboratory/network/VM Network", "Network"),
]


@pytest.mark.parametrize(("path", "kind"), PATHS)
def test_entities_by_path(lab: WebLab, path: str, kind: str) -> None:
    async def test(_: Scene, client: RawClient) -> None:
        ref = await by_path(client, path)
        assert ref is not None
        assert ref.type == kind
        name = await client.fetch(*ref, "name")
        assert name.text("returnval") in (path.rpartition("/")[2], "Datacenters")

    lab.play(test)


def test_nothing_is_found(lab: WebLab) -> None:
    async def test(_: Scene, client: RawClient) -> None:
        assert await by_path(client, "/Laboratory/nothing/vm") is None
        uuid = "<uuid>0</uuid><vmSearch>true</vmSearch>"
        assert await found(client, "FindByUuid", uuid) is None

    lab.play(test)


def test_machines_by_uuid_path_and_name(lab: WebLab) -> None:
    async def test(_: Scene, client: RawClient) -> None:
        machine = await by_path(client, "/Laboratory/vm/db1")
        assert machine is not None
        config = await client.fetch(*machine, "config")
        uuid = str(config.text("returnval/uuid")).upper()
        by_uuid = f"<uuid>{uuid}</uuid><vmSearch>true</vmSearch><instanceUuid>true</instanceUuid>"
        assert await found(client, "FindByUuid", by_uuid) == machine
        file = config.text("returnval/files/vmPathName")
        assert file == "[esx01-datastore] db1/db1.vmx"
        by_file = f'<datacenter type="Datacenter">datacenter-2</datacenter><path>{file}</path>'
        assert await found(client, "FindByDatastorePath", by_file) == machine
        child = '<entity type="Folder">group-v3</entity><name>db1</name>'
        assert await found(client, "FindChild", child) == machine

    lab.play(test)


def test_the_key_of_a_machine_and_of_its_disk(lab: WebLab) -> None:
    async def test(scene: Scene, client: RawClient) -> None:
        key = scene.store.inventory.machine("db1").key_id
        assert key is not None
        machine = await by_path(client, "/Laboratory/vm/db1")
        assert machine is not None
        for path in ("config.keyId", "config.hardware.device[2000].backing.keyId"):
            answer = await client.fetch(*machine, path)
            assert answer.text("returnval/keyId") == key.key_id
            assert answer.text("returnval/providerId/id") == key.provider_id
        size = await client.fetch(*machine, "config.hardware.device[2000].capacityInBytes")
        assert (size.text("returnval"), size.values[0].get(XSI_TYPE)) == ("16384", "xsd:long")
        plain = await by_path(client, "/Laboratory/vm/finance/Büro 7")
        assert plain is not None
        assert (await client.fetch(*plain, "config.keyId")).values == []
        assert (await client.fetch(*plain, "runtime.cryptoState")).values == []

    lab.play(test)


def test_a_host_that_does_not_answer(tmp_path: Path) -> None:
    async def test(scene: Scene, client: RawClient) -> None:
        scene.host("esx01").close()
        scene.hosts["esx01"] = None
        host = await by_path(client, "/Laboratory/host/esx01/esx01")
        machine = await by_path(client, "/Laboratory/vm/db1")
        assert host is not None
        assert machine is not None
        states = [
            (await client.fetch(*ref, "runtime.connectionState")).text("returnval")
            for ref in (host, machine)
        ]
        assert states == ["notResponding", "disconnected"]
        assert (await client.fetch(*machine, "config.keyId")).values
        assert (await client.fetch(*machine, "summary")).status == 200
        for _ in range(LOST_AFTER):
            await scene.vcenter.run_background_tasks()
        assert await shown(client, host) == ("notResponding", "red")
        scene.start_host("esx01")
        assert await shown(client, host) == ("notResponding", "red"), "until vCenter notices it"
        await scene.vcenter.run_background_tasks()
        assert await shown(client, host) == ("connected", "green")

    async def shown(client: RawClient, host: Ref) -> tuple[str | None, ...]:
        paths = ("summary.runtime.connectionState", "overallStatus")
        return tuple([(await client.fetch(*host, path)).text("returnval") for path in paths])

    play_api(tmp_path, test)


def test_identifiers_survive_a_restart_and_are_not_used_again(tmp_path: Path) -> None:
    async def test(scene: Scene, _: RawClient) -> None:
        before = {node.title: node.ref for node in InventoryTree(scene.store).root.walk()}
        scene.restart_vcenter()
        after = {node.title: node.ref for node in InventoryTree(scene.store).root.walk()}
        assert after == before
        await scene.call("DestroyVM", name="db1")
        await scene.call("CreateVM", host="esx01", name="db1", diskSize=16384)
        again = {node.title: node.ref for node in InventoryTree(scene.store).root.walk()}
        assert again["db1"] not in before.values()
        assert Endpoint(scene.vcenter).ref_of("machine/db1") == again["db1"]
        assert Endpoint(scene.vcenter).ref_of("machine/nothing") is None

    play_api(tmp_path, test)


@pytest.mark.parametrize("name", ["a/b", "50%", "a\\b", "%2f", "Büro 7", "%252F"])
def test_names_are_escaped_as_in_vsphere(name: str) -> None:
    assert "/" not in escaped_name(name)
    assert plain_name(escaped_name(name)) == name


# Views --------------------------------------------------------------------------------------------


async def view(client: RawClient, container: Ref, types: str, *, recursive: bool) -> list[str]:
    asked = "".join(f"<type>{name}</type>" for name in types.split())
    fields = (
        f'<container type="{container.type}">{container.value}</container>{asked}'
        f"<recursive>{str(recursive).lower()}</recursive>"
    )
    answer = await client.call("ViewManager", "ViewManager", "CreateContainerView", fields)
    ref = ("ContainerView", str(answer.values[0].text))
    listed = await client.fetch(*ref, "view")
    types_ = [
        str(each.get("type")) for each in listed.root.iter("{urn:vim25}ManagedObjectReference")
    ]
    assert (await client.call(*ref, "DestroyView")).status == 200
    assert (await client.fetch(*ref, "view")).fault == "ManagedObjectNotFound"
    return types_


ROOT_FOLDER = Ref("Folder", "group-d1")
VIEWS = [
    (ROOT_FOLDER, "VirtualMachine", True, ["VirtualMachine", "VirtualMachine"]),
    (ROOT_FOLDER, "VirtualMachine", False, []),
    (ROOT_FOLDER, "", False, ["Datacenter"]),
    (Ref("Folder", "group-v3"), "", False, ["Folder", "VirtualMachine"]),
    (ROOT_FOLDER, "ComputeResource", True, ["ClusterComputeResource", "ComputeResource"]),
    (ROOT_FOLDER, "HostSystem Network", True, ["HostSystem", "HostSystem", "Network"]),
    (ROOT_FOLDER, "DistributedVirtualSwitch", True, []),
]


@pytest.mark.parametrize(("container", "types", "recursive", "expected"), VIEWS)
def test_container_views(
    lab: WebLab, container: Ref, types: str, recursive: bool, expected: list[str]
) -> None:
    async def test(_: Scene, client: RawClient) -> None:
        assert sorted(await view(client, container, types, recursive=recursive)) == expected

    lab.play(test)


def test_list_views_answer_what_does_not_exist(lab: WebLab) -> None:
    async def test(_: Scene, client: RawClient) -> None:
        manager = ("ViewManager", "ViewManager")
        known, unknown = '<{} type="Folder">group-d1</{}>', '<{} type="Folder">group-d99</{}>'
        both = (known + unknown).format("obj", "obj", "obj", "obj")
        created = await client.call(*manager, "CreateListView", both)
        ref = ("ListView", str(created.values[0].text))
        listed = await client.fetch(*ref, "view")
        assert [child.text for child in listed.values[0]] == ["group-d1"]
        reset = await client.call(*ref, "ResetListView", both)
        assert [value.text for value in reset.values] == ["group-d99"]
        changed = await client.call(*ref, "ModifyListView", known.format("remove", "remove"))
        assert changed.values == []
        views = await client.fetch(*manager, "viewList")
        assert [child.text for child in views.values[0]] == [ref[1]]

    lab.play(test)


# Tasks, roles, custom fields ----------------------------------------------------------------------


def test_tasks_succeed_and_fail(lab: WebLab) -> None:
    async def test(scene: Scene, client: RawClient) -> None:
        endpoint = client.endpoint
        session = endpoint.sessions.all()[-1]
        call = Call(endpoint, endpoint.release.api, session)

        async def succeed() -> Value:
            await trio.lowlevel.checkpoint()
            return Value(shape_of(str), "done")

        async def fail() -> None:
            await scene.call("EncryptVM", name="nothing")

        async def break_down() -> None:
            raise ZeroDivisionError("a secret")

        for work, state in ((succeed, "success"), (fail, "error"), (break_down, "error")):
            ref = endpoint.tasks.start(call, "Test.work", work)
            for _ in range(20):
                info = await client.fetch(*ref, "info")
                if info.text("returnval/completeTime"):
                    break
            assert info.text("returnval/state") == state
            assert info.text("returnval/reason/userName") == "administrator"
            fault = info.root.find(".//v:error/v:fault", NS)
            kind = None if fault is None else fault.get(XSI_TYPE)
            assert kind == {succeed: None, fail: "NotFound", break_down: "SystemError"}[work]
            assert b"secret" not in info.body
        recent = await client.fetch("TaskManager", "TaskManager", "recentTask")
        assert len(recent.values[0]) == 3
        assert (await client.call(*ref, "CancelTask")).fault == "InvalidState"

    lab.play(test)


def test_roles_and_permissions(lab: WebLab) -> None:
    async def test(scene: Scene, client: RawClient) -> None:
        await scene.call("SetRole", name="Prüfer", privileges=["System.View"])
        await scene.call("SetPermission", principal="team", role="Prüfer", group=True)
        manager = ("AuthorizationManager", "AuthorizationManager")
        roles = await client.fetch(*manager, "roleList")
        ids = {
            str(role.findtext("v:name", None, NS)): str(role.findtext("v:roleId", None, NS))
            for role in roles.values[0]
        }
        assert ids["Admin"] == "-1"
        assert int(ids["Prüfer"]) > 1000
        machine = await by_path(client, "/Laboratory/vm/db1")
        assert machine is not None
        entity = f'<entity type="VirtualMachine">{machine.value}</entity>'
        for inherited, expected in (("false", set()), ("true", {"administrator", "team"})):
            fields = f"{entity}<inherited>{inherited}</inherited>"
            answer = await client.call(*manager, "RetrieveEntityPermissions", fields)
            principals = {v.findtext("v:principal", "", NS) for v in answer.values}
            assert principals - {"TrustedAdmins"} == expected
        role = f"<roleId>{ids['Prüfer']}</roleId>"
        answer = await client.call(*manager, "RetrieveRolePermissions", role)
        assert [v.findtext("v:group", "", NS) for v in answer.values] == ["true"]
        answer = await client.call(*manager, "RetrieveRolePermissions", "<roleId>7</roleId>")
        assert answer.fault == "NotFound"
        asked = f"{entity.replace('entity', 'entities')}<userName>nobody</userName>"
        answer = await client.call(
            *manager, "HasUserPrivilegeOnEntities", asked + "<privId>System.View</privId>"
        )
        assert answer.text("returnval/privAvailability/isGranted") == "false"

    lab.play(test)
