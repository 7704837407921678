"""CryptoManagerKmip over the Web Services API, called by pyVmomi (shared facts §8)."""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from kmipkit_certs import keypairs
from kmipkit_certs.authority import Authority, Purpose
from kmipkit_vsphere.model.certificates import to_pem
from kmipkit_vsphere.web_services.objects.crypto_manager_kmip import CryptoManagerKmip
from pyVmomi import vim, vmodl
from vmomi_scene import Client, WebScene, provider, talk
from vsphere_scene import ADMINISTRATOR, Scene

encryption = vim.encryption


def spec(server: str, cluster: str = "KMS", **more: Any) -> Any:
    info = {"name": server, "address": "192.0.2.7", "port": 5696, **more.pop("info", {})}
    return encryption.KmipServerSpec(
        clusterId=provider(cluster), info=encryption.KmipServerInfo(**info), **more
    )


def key(key_id: str, cluster: str | None = "KMS") -> Any:
    found = encryption.CryptoKeyId(keyId=key_id)
    if cluster is not None:
        found.providerId = provider(cluster)
    return found


async def key_servers(s: Scene) -> None:
    """Two providers, and a host in a cluster with a machine."""
    await s.prepare()
    s.add_server("kms2")
    await s.add_kms("OTHER", "kms2")


def check(
    folder: Path, test: Callable[[Client], None], release: str = "8.0.3", prepare: Any = key_servers
) -> None:
    talk(folder, lambda web: test(web.client()), prepare, release)


# Servers and providers ---------------------------------------------------------------------------

SETTINGS: dict[str, Any] = {
    "timeout": 10,
    "userName": "Jörg van Müller",
    "proxyAddress": "proxy.example.net",
    "proxyPort": 3128,
    "reconnect": 2,
    "protocol": "KMIP1",
    "nbio": 1,
}


def test_servers_are_registered_changed_and_removed(tmp_path: Path) -> None:
    def test(client: Client) -> None:
        manager, scene = client.key_manager, client.web.scene
        scene.add_server("kms3")
        manager.RegisterKmipServer(spec("kms3", info=SETTINGS, password="geheim"))
        [server] = manager.ListKmipServers(1)[0].servers[1:]
        assert {name: getattr(server, name) for name in SETTINGS} == SETTINGS
        assert manager.kmipServers[0].servers[1].userName == "Jörg van Müller"

        server.address = "192.0.2.8"  # what Ansible does: the returned information, edited
        manager.UpdateKmipServer(encryption.KmipServerSpec(clusterId=provider("KMS"), info=server))
        [changed] = manager.ListKmipServers()[0].servers[1:]
        assert (changed.address, changed.userName) == ("192.0.2.8", "Jörg van Müller")
        manager.UpdateKmipServer(spec("kms3", info={"userName": "", "timeout": -1}))
        [changed] = manager.ListKmipServers()[0].servers[1:]
        assert (changed.userName, changed.timeout, changed.nbio) == (None, None, 1)

        manager.RemoveKmipServer(provider("KMS"), "kms3")
        assert [s.name for s in manager.ListKmipServers()[0].servers] == ["kms1"]
        manager.RemoveKmipServer(provider("OTHER"), "kms2")
        assert [info.clusterId.id for info in manager.ListKmsClusters()] == ["KMS"]

    check(tmp_path, test)


def test_what_is_not_set_may_be_empty_at_registration(tmp_path: Path) -> None:
    def test(client: Client) -> None:
        client.web.scene.add_server("kms3")
        empty = {name: "" if isinstance(old, str) else -1 for name, old in SETTINGS.items()}
        client.key_manager.RegisterKmipServer(spec("kms3", info=empty))
        server = client.key_manager.ListKmipServers()[0].servers[1]
        assert {getattr(server, name) for name in SETTINGS} == {None}

    check(tmp_path, test)


def test_providers_are_listed_by_type_and_status(tmp_path: Path) -> None:
    def test(client: Client) -> None:
        manager, scene = client.key_manager, client.web.scene
        manager.RegisterKmsCluster(provider("TKP"))
        manager.RegisterKmsCluster(provider("TKP 2"), "trustAuthority")
        client.web.call("CreateNativeProvider", provider="NKP")
        scene.servers["kms2"].is_up = False

        def names(*args: Any) -> list[str]:
            return [info.clusterId.id for info in manager.ListKmsClusters(*args)]

        assert names() == ["KMS", "OTHER", "TKP", "TKP 2", "NKP"]
        assert names(True, 1) == ["KMS", "OTHER"]
        assert names(True, 2) == ["TKP", "TKP 2"]
        assert names(True, 8) == ["NKP"]
        assert names(True, -1, 1) == ["KMS"]
        assert names(True, 1, 2) == ["OTHER"]
        assert manager.ListKmsClusters()[0].servers == []
        assert manager.ListKmsClusters(True)[0].servers[0].name == "kms1"
        types = [info.managementType for info in manager.ListKmsClusters()]
        assert types == ["vCenter", "vCenter", "trustAuthority", "trustAuthority", "nativeProvider"]
        manager.UnregisterKmsCluster(provider("TKP"))
        manager.UnregisterKmsCluster(provider("KMS"))
        assert names() == ["OTHER", "TKP 2", "NKP"]

    check(tmp_path, test)


def test_defaults_everywhere_and_on_entities(tmp_path: Path) -> None:
    def test(client: Client) -> None:
        manager = client.key_manager
        client.web.call("CreateCluster", name="prod")
        cluster = client.object(vim.ClusterComputeResource, client.web.moid("cluster/prod"))
        assert manager.GetDefaultKmsCluster().id == "KMS"
        assert manager.GetDefaultKmsCluster(cluster) is None
        assert manager.GetDefaultKmsCluster(cluster, True).id == "KMS"
        manager.SetDefaultKmsCluster(cluster, provider("OTHER"))
        assert manager.GetDefaultKmsCluster(cluster).id == "OTHER"
        info = manager.ListKmsClusters()[1]
        assert (info.useAsDefault, info.useAsEntityDefault) == (False, [cluster])
        manager.MarkDefault(provider("OTHER"))
        assert manager.GetDefaultKmsCluster().id == "OTHER"
        manager.SetDefaultKmsCluster(cluster)
        manager.SetDefaultKmsCluster()
        assert manager.GetDefaultKmsCluster(cluster, True) is None
        with pytest.raises(vmodl.RuntimeFault):
            manager.GenerateKey()

    check(tmp_path, test)


def test_the_status_of_servers_is_a_task(tmp_path: Path) -> None:
    def test(client: Client) -> None:
        manager, scene = client.key_manager, client.web.scene
        scene.servers["kms2"].is_up = False
        client.web.call("CreateNativeProvider", provider="NKP")

        def status(*clusters: Any) -> dict[str, Any]:
            result = client.result(manager.RetrieveKmipServersStatus_Task(list(clusters)))
            return {status.clusterId.id: status for status in result}

        found = status(*manager.ListKmsClusters(True))
        colours = {name: str(status.overallStatus) for name, status in found.items()}
        assert colours == {"KMS": "green", "OTHER": "red", "NKP": "red"}
        assert found["OTHER"].servers[0].connectionStatus == "notConnected: kms2 is down"
        assert (found["KMS"].servers[0].name, found["NKP"].servers) == ("kms1", [])
        assert found["NKP"].managementType == "nativeProvider"
        assert set(status()) == {"KMS", "OTHER", "NKP"}
        one = encryption.KmipClusterInfo(clusterId=provider("KMS"), useAsDefault=False)
        assert set(status(one)) == {"KMS"}
        one.servers = [encryption.KmipServerInfo(name="other", address="", port=1)]
        assert status(one)["KMS"].servers == []
        one.clusterId = provider("missing")
        assert status(one) == {}
        assert manager.IsKmsClusterActive(provider("KMS"))
        assert manager.IsKmsClusterActive()
        assert not manager.IsKmsClusterActive(provider("OTHER"))

    check(tmp_path, test)


# Trust -------------------------------------------------------------------------------------------


def test_trust_in_both_directions(tmp_path: Path) -> None:
    def test(client: Client) -> None:
        manager, kms, scene = client.key_manager, provider("KMS"), client.web.scene
        authority = Authority.create("kms ca", keypairs.DEFAULT_ALGORITHM, scene.now)
        pair = authority.issue("kms1", Purpose.SERVER, scene.now)
        server = encryption.KmipServerInfo(name="kms1", address="192.0.2.7", port=5696)
        assert manager.RetrieveKmipServerCert(kms, server).certificate == ""
        scene.servers["kms1"].certificate_shown = pair.certificate.public_bytes(
            serialization.Encoding.DER
        )
        shown = manager.RetrieveKmipServerCert(kms, server)
        assert (shown.certificate, shown.clientTrustServer) == (to_pem(pair.certificate), False)
        assert "kms1" in shown.certInfo.subject
        manager.UploadKmipServerCert(kms, shown.certificate)
        assert manager.RetrieveKmipServerCert(kms, server).clientTrustServer

        assert manager.RetrieveSelfSignedClientCert(kms) == ""
        assert manager.RetrieveClientCsr(kms) == ""
        assert manager.RetrieveClientCert(kms) == ""
        subject = encryption.CryptoManagerKmip.CertSignRequest(
            commonName="vc1", organization="Bücher AG", country="DE"
        )
        made = manager.GenerateSelfSignedClientCert(kms, subject)
        assert manager.RetrieveSelfSignedClientCert(kms) == made
        manager.UpdateSelfSignedClientCert(kms, made)
        assert manager.RetrieveClientCert(kms) == made

        request = manager.GenerateClientCsr(kms, subject)
        assert manager.RetrieveClientCsr(kms) == request
        parsed = x509.load_pem_x509_csr(request.encode())
        assert "O=Bücher AG" in parsed.subject.rfc4514_string()
        signed = to_pem(authority.sign(parsed, Purpose.CLIENT, scene.now))
        manager.UpdateKmsSignedCsrClientCert(kms, signed)
        assert manager.RetrieveClientCert(kms) == signed

        own = authority.issue("vcenter", Purpose.CLIENT, scene.now)
        manager.UploadClientCert(kms, to_pem(own.certificate), key_pem(own.key).decode())
        assert manager.RetrieveClientCert(kms) == to_pem(own.certificate)
        with pytest.raises(vmodl.fault.InvalidArgument):
            manager.UploadClientCert(kms, made, key_pem(own.key).decode())

    check(tmp_path, test)


def key_pem(private_key: Any) -> bytes:
    form = serialization.PrivateFormat.PKCS8
    no_encryption = serialization.NoEncryption()
    pem: bytes = private_key.private_bytes(serialization.Encoding.PEM, form, no_encryption)
    return pem


# Keys --------------------------------------------------------------------------------------------


def test_keys_are_made_marked_listed_and_removed(tmp_path: Path) -> None:
    def test(client: Client) -> None:
        manager = client.key_manager
        attributes = encryption.CryptoManagerKmip.CustomAttributeSpec(
            attributes=[vim.KeyValue(key="Department", value="Buchhaltung µ")]
        )
        made = manager.GenerateKey(provider("OTHER"), attributes)
        assert (made.success, made.keyId.providerId.id, made.reason) == (True, "OTHER", None)
        default = manager.GenerateKey()
        assert default.keyId.providerId.id == "KMS"
        again = manager.SetKeyCustomAttributes(made.keyId, attributes)
        assert (again.success, again.keyId.keyId) == (True, made.keyId.keyId)
        listed = {found.keyId for found in manager.ListKeys()}
        assert {made.keyId.keyId, default.keyId.keyId} <= listed
        assert len(manager.ListKeys(1)) == 1
        manager.RemoveKey(made.keyId, False)
        results = manager.RemoveKeys([made.keyId, key(default.keyId.keyId, None)], False)
        assert [result.success for result in results] == [False, True]
        assert isinstance(results[0].fault, vmodl.fault.InvalidArgument)
        assert made.keyId.keyId not in {found.keyId for found in manager.ListKeys()}

    check(tmp_path, test)


def test_errors_of_the_key_server_are_in_the_result(tmp_path: Path) -> None:
    def test(client: Client) -> None:
        client.web.scene.servers["kms1"].is_up = False
        failed = client.key_manager.GenerateKey(provider("KMS"))
        assert (failed.success, failed.keyId.providerId.id) == (False, "KMS")
        assert "kms1 is down" in failed.reason
        assert isinstance(failed.fault, vmodl.fault.SystemError)
        attributes = encryption.CryptoManagerKmip.CustomAttributeSpec()
        assert not client.key_manager.SetKeyCustomAttributes(key("?"), attributes).success

    check(tmp_path, test)


def test_a_key_is_handed_to_the_hosts(tmp_path: Path) -> None:
    def plain(name: str, data: bytes = b"k" * 32) -> Any:
        return encryption.CryptoKeyPlain(
            keyId=key(name), algorithm="AES-256", keyData=base64.b64encode(data).decode()
        )

    def test(client: Client) -> None:
        manager = client.key_manager
        with pytest.raises(vim.fault.InvalidState):
            manager.AddKey(plain("k1"))
        client.web.call("ConfigureCryptoKey", host="esx01")
        manager.AddKey(plain("k1"))
        with pytest.raises(vim.fault.AlreadyExists):
            manager.AddKey(plain("k1"))
        with pytest.raises(vmodl.fault.InvalidArgument) as error:
            manager.AddKey(plain("k2", b"short"))
        assert error.value.invalidProperty == "key.keyData"
        results = manager.AddKeys([plain("k1"), plain("k2")])
        assert [result.success for result in results] == [False, True]
        assert isinstance(results[0].fault, vim.fault.AlreadyExists)
        assert {found.keyId for found in manager.ListKeys()} >= {"k1", "k2"}

    check(tmp_path, test)


def test_the_status_of_keys_has_what_was_asked_for(tmp_path: Path) -> None:
    def test(client: Client) -> None:
        manager = client.key_manager
        used = client.web.call("EncryptVM", name="db1")["keyId"]
        machine = client.web.moid("machine/db1")

        def fields(bits: int) -> set[str]:
            [status] = manager.QueryCryptoKeyStatus([key(used)], bits)
            assert status.keyId.keyId == used
            names = ("keyAvailable", "encryptedVMs", "affectedHosts", "referencedByTags")
            return {name for name in names if getattr(status, name) not in (None, [])}

        assert [fields(bits) for bits in (0, 1, 2, 3)] == [
            set(),
            {"keyAvailable"},
            {"encryptedVMs"},
            {"keyAvailable", "encryptedVMs"},
        ]
        [status] = manager.QueryCryptoKeyStatus([key(used)], 15)
        assert [vm._GetMoId() for vm in status.encryptedVMs] == [machine]
        host_key = client.web.look(client.web.scene.store.inventory.host, "esx01").key_id
        [status] = manager.QueryCryptoKeyStatus([key(host_key.key_id)], 4)
        assert len(status.affectedHosts) == 1
        unknown, nameless = manager.QueryCryptoKeyStatus([key("?"), key(used, None)], 1)
        assert (unknown.keyAvailable, unknown.reason) == (False, "KeyStateMissingInKMS")
        assert (nameless.keyAvailable, nameless.reason) == (False, "KeyStateClusterInvalid")
        assert manager.QueryCryptoKeyStatus([], 15) == []
        with pytest.raises(vim.fault.ResourceInUse):
            manager.RemoveKey(key(used), False)
        manager.RemoveKey(key(used), True)

    check(tmp_path, test)


# Versions ----------------------------------------------------------------------------------------

ROTATION = encryption.KmipServerSpec.WrappingRotationIntervalKeySpec
FIXED = encryption.KmipServerSpec.WrappingKeyIdKeySpec


def test_wrapped_keys_of_9_0(tmp_path: Path) -> None:
    def test(client: Client) -> None:
        manager, scene = client.key_manager, client.web.scene
        scene.add_server("kms3")
        wrapped = {"defaultKeyType": "wrappedKey", "keySpec": ROTATION(rotationInterval=90)}
        manager.RegisterKmipServer(spec("kms3", "WRAPPED", **wrapped))
        made = manager.GenerateKey(provider("WRAPPED"))
        assert made.keyId.keyId.startswith("wrapped:")
        info = manager.ListKmsClusters()[2]
        assert (info.defaultKeyType, info.keyInfo.rotationInterval) == ("wrappedKey", 90)
        assert info.keyInfo.lastRotation is not None
        raw = encryption.CryptoManagerKmip.GenerateKeySpec(keyType="rawKey")
        plain = manager.GenerateKey(provider("WRAPPED"), None, raw)
        assert not plain.keyId.keyId.startswith("wrapped:")
        [status] = manager.QueryCryptoKeyStatus([made.keyId], 1)
        assert status.keyAvailable
        assert status.keyInfo.keyId == info.keyInfo.keyId
        assert status.keyInfo.rotateTime is not None
        fixed = {"defaultKeyType": "rawKey", "keySpec": FIXED(keyId=plain.keyId.keyId)}
        manager.UpdateKmipServer(spec("kms3", "WRAPPED", **fixed))
        info = manager.ListKmsClusters()[2]
        assert (info.defaultKeyType, info.keyInfo.keyId) == ("rawKey", plain.keyId.keyId)
        assert isinstance(info.keyInfo, encryption.KmipClusterInfo.WrappingKeyIdKeyInfo)
        with pytest.raises(vmodl.fault.InvalidArgument) as error:
            manager.UpdateKmipServer(spec("kms3", "WRAPPED", keySpec=ROTATION(rotationInterval=1)))
        assert "rotationInterval" in error.value.invalidProperty

    check(tmp_path, test, "9.0.0")


def test_older_clients_get_nothing_of_9_0(tmp_path: Path) -> None:
    """pyVmomi fails on elements that its version does not know."""

    def test(web: WebScene) -> None:
        web.call("ConfigureWrappingKey", clusterId="KMS", rotationInterval=90)
        client = web.client()
        client.stub.versionId = '"urn:vim25/8.0.3.0"'
        info = client.key_manager.ListKmsClusters()[0]
        assert (info.defaultKeyType, info.keyInfo) == (None, None)

    talk(tmp_path, test, key_servers, "9.0.0")


# Faults ------------------------------------------------------------------------------------------

Manager = Any
FAULTS: dict[str, tuple[Callable[[Manager], object], type[Exception], str | None]] = {
    "no name": (
        lambda m: m.RegisterKmipServer(spec("")),
        vmodl.fault.InvalidArgument,
        "server.info.name",
    ),
    "no address": (
        lambda m: m.RegisterKmipServer(spec("x", info={"address": ""})),
        vmodl.fault.InvalidArgument,
        "server.info.address",
    ),
    "a port that is none": (
        lambda m: m.RegisterKmipServer(spec("x", info={"port": 65536})),
        vmodl.fault.InvalidArgument,
        "server.info.port",
    ),
    "no provider": (
        lambda m: m.RegisterKmipServer(spec("x", "")),
        vmodl.fault.InvalidArgument,
        "server.clusterId",
    ),
    "a name twice": (
        lambda m: m.RegisterKmipServer(spec("kms1")),
        vmodl.RuntimeFault,
        "server.info.name",
    ),
    "change an unknown server": (
        lambda m: m.UpdateKmipServer(spec("x")),
        vmodl.RuntimeFault,
        "server.info.name",
    ),
    "remove an unknown server": (
        lambda m: m.RemoveKmipServer(provider("KMS"), "x"),
        vmodl.RuntimeFault,
        "serverName",
    ),
    "another management type": (
        lambda m: m.RegisterKmsCluster(provider("x"), "vCenter"),
        vmodl.fault.InvalidArgument,
        "managementType",
    ),
    "register a provider twice": (
        lambda m: m.RegisterKmsCluster(provider("KMS")),
        vmodl.RuntimeFault,
        "clusterId",
    ),
    "an unknown provider": (
        lambda m: m.UnregisterKmsCluster(provider("x")),
        vmodl.RuntimeFault,
        "clusterId",
    ),
    "an unknown default": (
        lambda m: m.MarkDefault(provider("x")),
        vmodl.RuntimeFault,
        "clusterId",
    ),
    "whether an unknown one is active": (
        lambda m: m.IsKmsClusterActive(provider("x")),
        vmodl.fault.InvalidArgument,
        "cluster",
    ),
    "a key of an unknown provider": (
        lambda m: m.GenerateKey(provider("x")),
        vmodl.RuntimeFault,
        "keyProvider",
    ),
    "a key of a trusted provider": (
        lambda m: (m.RegisterKmsCluster(provider("TKP")), m.GenerateKey(provider("TKP"))),
        vmodl.RuntimeFault,
        None,
    ),
    "trust of an unknown provider": (
        lambda m: m.GenerateClientCsr(provider("x")),
        vmodl.RuntimeFault,
        "cluster",
    ),
    "a certificate that is none": (
        lambda m: m.UploadKmipServerCert(provider("KMS"), "PEM"),
        vmodl.RuntimeFault,
        None,
    ),
    "nothing was generated": (
        lambda m: m.UpdateSelfSignedClientCert(provider("KMS"), "PEM"),
        vmodl.RuntimeFault,
        "cluster",
    ),
    "a limit that is none": (
        lambda m: m.ListKeys(-1),
        vmodl.fault.InvalidArgument,
        "limit",
    ),
}


def test_faults_name_the_parameter(tmp_path: Path) -> None:
    def test(client: Client) -> None:
        for name, (call, kind, parameter) in FAULTS.items():
            with pytest.raises(kind) as error:
                call(client.key_manager)
            if parameter is not None:
                assert error.value.invalidProperty == parameter, name
            assert error.value.msg, name

    check(tmp_path, test)


# Privileges --------------------------------------------------------------------------------------

ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "AddKey": (encryption.CryptoKeyPlain(keyId=key("x"), algorithm="AES-256", keyData="AAAA"),),
    "AddKeys": ([],),
    "RemoveKey": (key("x"), False),
    "RemoveKeys": ([], False),
    "RegisterKmipServer": (spec("x"),),
    "UpdateKmipServer": (spec("kms1"),),
    "RemoveKmipServer": (provider("KMS"), "kms1"),
    "RegisterKmsCluster": (provider("x"),),
    "UnregisterKmsCluster": (provider("KMS"),),
    "MarkDefault": (provider("OTHER"),),
    "SetDefaultKmsCluster": (),
    "RetrieveKmipServerCert": (
        provider("KMS"),
        encryption.KmipServerInfo(name="kms1", address="x", port=1),
    ),
    "UploadKmipServerCert": (provider("KMS"), "PEM"),
    "GenerateSelfSignedClientCert": (provider("KMS"),),
    "GenerateClientCsr": (provider("KMS"),),
    "RetrieveSelfSignedClientCert": (provider("KMS"),),
    "RetrieveClientCsr": (provider("KMS"),),
    "RetrieveClientCert": (provider("KMS"),),
    "UpdateSelfSignedClientCert": (provider("KMS"), "PEM"),
    "UpdateKmsSignedCsrClientCert": (provider("KMS"), "PEM"),
    "UploadClientCert": (provider("KMS"), "PEM", "PEM"),
    "SetKeyCustomAttributes": (key("x"), encryption.CryptoManagerKmip.CustomAttributeSpec()),
    "QueryCryptoKeyStatus": ([], 15),
    "RetrieveKmipServersStatus_Task": ([],),
}
"""Of the methods that need some."""

METHODS = sorted(set(CryptoManagerKmip.METHODS) - {"Fetch"})


def test_every_method_needs_its_privilege(tmp_path: Path) -> None:
    def test(web: WebScene) -> None:
        stranger = web.client("stranger")
        before = _state(web)
        for method in METHODS:
            with pytest.raises(vim.fault.NoPermission) as error:
                getattr(stranger.key_manager, method)(*ARGUMENTS.get(method, ()))
            privilege = error.value.privilegeId
            assert privilege.startswith("Cryptographer."), method
            assert error.value.missingPrivileges[0].privilegeIds == [privilege], method
            event = web.run(web.scene.events)[-1]
            assert (event["userName"], event["result"]) == ("stranger", "failure"), method
            assert event["arguments"]["privilege_id"] == privilege, method
        assert _state(web) == before, "nothing has changed"
        assert web.scene.kmip == [], "and no key server was asked"
        with pytest.raises(vim.fault.NoPermission):
            assert stranger.key_manager.kmipServers is None

    async def prepare(s: Scene) -> None:
        await key_servers(s)
        s.forget()

    talk(tmp_path, test, prepare)


def _state(web: WebScene) -> Any:
    providers = web.call("ListKmsClusters")
    return providers, web.call("ListKeys"), web.call("GetDefaultKmsCluster")


def test_every_method_is_in_pyvmomis_table() -> None:
    table = encryption.CryptoManagerKmip._methodInfo
    own = {info.wsdlName for info in table.values()}
    own |= {info.wsdlName for info in encryption.CryptoManager._methodInfo.values()}
    assert set(METHODS) == own
    assert ADMINISTRATOR not in own
