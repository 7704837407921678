"""pyVmomi, unmodified, with the Web Services API of a whole laboratory."""

import doctest
import gc
import re
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
from kmipkit_vsphere.web_services.call import Call
from pyVim.connect import Disconnect, SmartConnect
from pyVim.task import WaitForTask
from pyVmomi import vim, vmodl
from pyVmomi.VmomiSupport import IsChildVersion
from vsphere_scene import ADMINISTRATOR
from web_lab import PASSWORD, WebLab, web_lab

# It leaves the socket of a login that failed to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """What a test leaves is collected before the next one begins."""
    yield
    gc.collect()


@pytest.fixture
def service(lab: WebLab) -> Iterator[Any]:
    connected = SmartConnect(
        host="127.0.0.1",
        port=lab.port,
        user=ADMINISTRATOR,
        pwd=PASSWORD,
        sslContext=lab.tls(),
    )
    yield connected
    Disconnect(connected)
    connected._stub.DropConnections()


def test_content(service: Any) -> None:
    about = service.content.about
    assert (about.version, about.apiVersion) == ("8.0.3", "8.0.3.0")
    assert service.content.sessionManager.currentSession.userName == ADMINISTRATOR
    assert list(service.content.customFieldsManager.field) == []


def test_container_view(service: Any) -> None:
    content = service.content
    view = content.viewManager.CreateContainerView(content.rootFolder, [vim.VirtualMachine], True)
    machines = {machine.name: machine for machine in view.view}
    view.Destroy()
    assert set(machines) == {"db1", "Büro 7"}
    assert machines["db1"].config.keyId.providerId.id == "KMS"
    assert machines["db1"].config.hardware.device[1].backing.keyId is not None
    assert machines["Büro 7"].config.keyId is None
    assert machines["Büro 7"].runtime.host.name == "esx02"
    assert machines["Büro 7"].parent.name == "finance"


def test_every_property_of_every_object_is_decoded(service: Any) -> None:
    content = service.content
    view = content.viewManager.CreateContainerView(content.rootFolder, [], True)
    objects = [content.rootFolder, *view.view]
    managers = [content.sessionManager, content.authorizationManager, content.taskManager]
    for instance in [service, view, content.viewManager, *managers, *objects]:
        for prop in instance._GetPropertyList():
            if IsChildVersion(service._stub.version, prop.version):
                getattr(instance, prop.name)


def test_unknown_property(service: Any) -> None:
    filter_spec = vmodl.query.PropertyCollector.FilterSpec(
        objectSet=[vmodl.query.PropertyCollector.ObjectSpec(obj=service.content.rootFolder)],
        propSet=[vmodl.query.PropertyCollector.PropertySpec(type=vim.Folder, pathSet=["nothing"])],
    )
    with pytest.raises(vmodl.query.InvalidProperty):
        service.content.propertyCollector.RetrieveContents([filter_spec])


def test_a_wrong_password(lab: WebLab) -> None:
    with pytest.raises(vim.fault.InvalidLogin):
        SmartConnect(host="127.0.0.1", port=lab.port, user="x", pwd="y", sslContext=lab.tls())


def test_a_task_is_waited_for(lab: WebLab, service: Any) -> None:
    """It is begun inside of the laboratory, and ends while the client waits."""
    sessions = lab.endpoint.sessions.all()

    async def work() -> str:
        await trio.sleep(0.2)
        return "done"

    async def begin() -> str:
        call = Call(lab.endpoint, lab.endpoint.release.api, sessions[-1])
        await trio.lowlevel.checkpoint()
        return lab.endpoint.tasks.start(call, "Test.work", work).value

    task = vim.Task(lab.do(begin), service._stub)
    assert WaitForTask(task) == vim.TaskInfo.State.success
    assert task.info.result == "done"


def test_vsphere_9(tmp_path: Path) -> None:
    with web_lab(tmp_path, release="9.0.0") as lab:
        connected = SmartConnect(
            host="127.0.0.1", port=lab.port, user=ADMINISTRATOR, pwd=PASSWORD, sslContext=lab.tls()
        )
        about = connected.content.about
        assert (about.version, about.apiVersion) == ("9.0.0", "9.0.0.0")
        assert connected._stub.versionId == '"urn:vim25/9.0.0.0"'
        Disconnect(connected)
        connected._stub.DropConnections()


def test_the_lines_of_the_page(lab: WebLab, service: Any, capsys: Any) -> None:
    """docs/vsphere.md shows what pyVmomi prints for this laboratory."""
    page = (Path(__file__).resolve().parents[2] / "docs" / "vsphere.md").read_text()
    block, _ = re.findall(r"^```pycon\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    examples = doctest.DocTestParser().get_examples(block)
    names = {"ssl": ssl, "vim": vim, "SmartConnect": SmartConnect, "password": PASSWORD}
    places = (
        ("lab/roles-pki/ca.crt", str(lab.authorities)),
        ("8443", str(lab.port)),
    )
    for example in examples:
        source = example.source
        for shown, real in places:
            source = source.replace(shown, real)
        exec(source, names)
    Disconnect(names["service"])
    assert capsys.readouterr().out == "".join(example.want for example in examples)
