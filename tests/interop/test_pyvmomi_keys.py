"""pyVmomi over TLS: the page's example, trust by each way, and the calls of Ansible's module."""

import doctest
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from kmipkit_certs import keypairs
from kmipkit_certs.authority import Authority, Purpose
from kmipkit_vsphere.model.certificates import to_der, to_pem
from pyVim.connect import Disconnect, SmartConnect
from pyVim.task import WaitForTask
from pyVmomi import vim
from vsphere_scene import ADMINISTRATOR, Scene
from web_lab import PASSWORD, WebLab, web_lab

encryption = vim.encryption


async def prepare(s: Scene) -> None:
    """A host with an encrypted machine that is powered on, and key servers with certificates."""
    authority = Authority.create("kms ca", keypairs.DEFAULT_ALGORITHM, s.now)
    for name in ("kms1", "kms2", "kms3"):
        pair = authority.issue(name, Purpose.SERVER, s.now)
        s.add_server(name).certificate_shown = to_der(pair.certificate)
    await s.add_kms("KMS", "kms1")
    s.start_host("esx01")
    await s.call("AddHost", name="esx01", address="192.0.2.1", port=1)
    await s.call("CreateVM", host="esx01", name="db1", diskSize=4096, encrypt=True)
    await s.call("PowerOnVM", name="db1")


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[WebLab]:
    with web_lab(tmp_path, prepare) as running:
        yield running


@pytest.fixture
def service(lab: WebLab) -> Iterator[Any]:
    connected = SmartConnect(
        host="127.0.0.1", port=lab.port, user=ADMINISTRATOR, pwd=PASSWORD, sslContext=lab.tls()
    )
    yield connected
    Disconnect(connected)


def test_the_lines_of_the_page(service: Any, capsys: Any) -> None:
    """docs/vsphere.md shows what pyVmomi prints for this laboratory."""
    page = (Path(__file__).resolve().parents[2] / "docs" / "vsphere.md").read_text()
    blocks = re.findall(r"^```pycon\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    content = service.content
    view = content.viewManager.CreateContainerView(content.rootFolder, [vim.VirtualMachine], True)
    names = {"vim": vim, "content": content, "machine": view.view[0], "WaitForTask": WaitForTask}
    options = doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL
    test = doctest.DocTestParser().get_doctest(blocks[1], names, "the page", None, 0)
    results = doctest.DocTestRunner(optionflags=options).run(test)
    assert results.attempted >= 6
    assert results.failed == 0, capsys.readouterr().out


def test_what_ansible_does_to_a_standard_key_provider(lab: WebLab, service: Any) -> None:
    """The calls of community.vmware.vcenter_standard_key_provider, in their order."""
    content = service.content
    assert list(content.customFieldsManager.field) == []
    manager = content.cryptoManager
    name = encryption.KeyProviderId(id="ansible")
    assert name.id not in [info.clusterId.id for info in manager.ListKmsClusters(True)]

    # state: present, for a provider that is new
    for number, server in enumerate(("kms2", "kms3")):
        info = encryption.KmipServerInfo(name=server, address="192.0.2.9", port=5696 + number)
        manager.RegisterKmipServer(
            server=encryption.KmipServerSpec(clusterId=name, info=info, password="geheim")
        )
        shown = manager.RetrieveKmipServerCert(keyProvider=name, server=info).certificate
        assert shown
        manager.UploadKmipServerCert(cluster=name, certificate=shown)
    manager.MarkDefault(name)
    [found] = [i for i in manager.ListKmsClusters(True) if i.clusterId.id == name.id]
    assert (found.managementType, found.useAsDefault) == ("vCenter", True)

    # again, with other settings: the information that was returned, edited
    server = found.servers[0]
    server.address, server.userName = "192.0.2.10", "vcenter"
    manager.UpdateKmipServer(encryption.KmipServerSpec(clusterId=name, info=server))

    # mark the trust in its four ways
    for _ in range(2):
        certificate = manager.RetrieveSelfSignedClientCert(name)
        if not certificate:
            certificate = manager.GenerateSelfSignedClientCert(name)
        manager.UpdateSelfSignedClientCert(name, certificate)
        assert manager.RetrieveClientCert(name) == certificate
    request = manager.RetrieveClientCsr(name) or manager.GenerateClientCsr(name)
    now = lab.scene.now
    authority = Authority.create("kms ca", keypairs.DEFAULT_ALGORITHM, now)
    signed = authority.sign(x509.load_pem_x509_csr(request.encode()), Purpose.CLIENT, now)
    manager.UpdateKmsSignedCsrClientCert(name, to_pem(signed))
    assert manager.RetrieveClientCert(name) == to_pem(signed)

    # state: absent removes the servers, and expects the provider to be gone
    for known in [i for i in manager.ListKmsClusters(True) if i.clusterId.id == name.id]:
        for listed in known.servers:
            manager.RemoveKmipServer(clusterId=known.clusterId, serverName=listed.name)
    assert [info.clusterId.id for info in manager.ListKmsClusters(True)] == ["KMS"]
