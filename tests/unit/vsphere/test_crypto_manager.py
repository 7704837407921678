"""CryptoManagerKmip of vCenter: what tools ask for beyond making a key (vsphere.md §4.2)."""

import base64
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from kmipkit_certs import keypairs
from kmipkit_certs.authority import Authority, Purpose
from kmipkit_vsphere.calls.host import TrustServices
from kmipkit_vsphere.model.certificates import to_pem
from kmipkit_vsphere.model.encoding import encode, to_builtins
from kmipkit_vsphere.model.errors import (
    AlreadyExists,
    InvalidArgument,
    InvalidState,
    NotFound,
    ResourceInUse,
)
from kmipkit_vsphere.model.keys import CryptoKeyId
from kmipkit_vsphere.model.records import ServerChange, ServerRecord
from vsphere_scene import Scene, play

KEY = {"providerId": "KMS", "keyId": "older-key-µ"}
MATERIAL = base64.b64encode(b"k" * 32).decode()


def plain(**changes: Any) -> dict[str, Any]:
    return {"keyId": KEY, "algorithm": "AES-256", "keyData": MATERIAL, **changes}


# Servers -----------------------------------------------------------------------------------------

SETTINGS: dict[str, Any] = {
    "timeout": 10,
    "userName": "Jörg van Müller",
    "proxyAddress": "proxy.example.net",
    "proxyPort": 3128,
    "reconnect": 2,
    "protocol": "KMIP1",
    "nbio": 1,
}


def test_all_settings_of_a_server_are_stored_changed_and_removed(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        s.add_server("kms1")
        info = {"name": "kms1", "address": "192.0.2.7", "port": 5696, **SETTINGS}
        await s.call("RegisterKmipServer", clusterId="KMS", info=info, password="geheim µ")
        s.restart_vcenter()

        async def stored() -> Any:
            [listed] = await s.call("ListKmipServers")
            return listed["servers"][0]

        assert await stored() == info
        await s.call("UpdateKmipServer", clusterId="KMS", info={"name": "kms1", "port": 5697})
        assert await stored() == {**info, "port": 5697}, "the others stay"
        assert s.store.secrets.get("password/KMS/kms1") is not None
        none = {name: "" if isinstance(old, str) else -1 for name, old in SETTINGS.items()}
        await s.call("UpdateKmipServer", clusterId="KMS", info={"name": "kms1", **none})
        assert await stored() == {"name": "kms1", "address": "192.0.2.7", "port": 5697}
        assert s.store.secrets.get("password/KMS/kms1") is None, "nobody needs it any more"
        with pytest.raises(NotFound):
            await s.call("UpdateKmipServer", clusterId="KMS", info={"name": "kms2"})

    play(tmp_path, test).close()


def test_a_change_knows_every_setting_of_a_server() -> None:
    assert set(ServerChange.__struct_fields__) == set(ServerRecord.__struct_fields__)


def test_the_provider_goes_with_its_last_server_where_the_caller_says_so(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        for name in ("kms1", "kms2"):
            s.add_server(name)
            await s.add_kms("KMS", name)
        for name, left in (("kms1", ["KMS"]), ("kms2", [])):
            await s.call(
                "RemoveKmipServer", clusterId="KMS", serverName=name, removeEmptyCluster=True
            )
            assert [info["clusterId"] for info in await s.call("ListKmsClusters")] == left
        assert await s.call("GetDefaultKmsCluster") is None

    play(tmp_path, test).close()


LISTS = [
    (-1, -1, ["KMS", "DOWN", "TKP", "NKP", "OFFERED"]),
    (1, -1, ["KMS", "DOWN"]),
    (2, -1, ["TKP"]),
    (4, -1, ["OFFERED"]),
    (8, -1, ["NKP"]),
    (9, -1, ["KMS", "DOWN", "NKP"]),
    (0, -1, []),
    (-1, 1, ["KMS"]),
    (-1, 2, ["DOWN", "TKP", "NKP", "OFFERED"]),
    (1, 2, ["DOWN"]),
    (-1, 3, ["KMS", "DOWN", "TKP", "NKP", "OFFERED"]),
]


def test_providers_are_listed_by_type_and_status(tmp_path: Path) -> None:
    services = TrustServices("other", "g", "", ["TKP", "OFFERED"], [])

    async def test(s: Scene) -> None:
        for provider, server in (("KMS", "kms1"), ("DOWN", "kms2")):
            s.add_server(server)
            await s.add_kms(provider, server)
        s.servers["kms2"].is_up = False
        s.store.permissions.set_member("TrustedAdmins", "trusted", is_in=True)
        await s.call("ImportTrustServices", "trusted", document=encode(services).decode())
        await s.call("RegisterKmsCluster", clusterId="TKP")
        await s.call("CreateNativeProvider", provider="NKP")
        for bits, status, expected in LISTS:
            infos = await s.call(
                "ListKmsClusters",
                managementTypeFilter=bits,
                statusFilter=status,
                includeKmsServers=False,
            )
            assert [info["clusterId"] for info in infos] == expected, (bits, status)
            assert not any(info["servers"] for info in infos)

    play(tmp_path, test).close()


def test_the_list_of_servers_has_a_limit(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        for number in range(3):
            s.add_server(f"kms{number}")
            await s.add_kms(f"KMS {number}", f"kms{number}")
        assert len(await s.call("ListKmipServers", limit=2)) == 2
        assert len(await s.call("ListKmipServers")) == 3

    play(tmp_path, test).close()


def test_whether_an_unknown_provider_is_active_is_an_invalid_argument(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        with pytest.raises(InvalidArgument) as error:
            await s.call("IsKmsClusterActive", clusterId="missing")
        assert error.value.arguments == {"invalid_property": "cluster"}

    play(tmp_path, test).close()


def test_the_certificate_of_a_server_that_is_not_registered(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        s.add_server("kms1")
        await s.add_kms("KMS", "kms1")
        s.add_server("kms2")
        server = {"name": "kms2", "address": "192.0.2.8", "port": 5696}
        found = await s.call(
            "RetrieveKmipServerCert", clusterId="KMS", serverName="kms2", server=server
        )
        assert found == {"certificate": "", "certInfo": None}
        with pytest.raises(NotFound):
            await s.call("RetrieveKmipServerCert", clusterId="KMS", serverName="kms2")

    play(tmp_path, test).close()


# Trust -------------------------------------------------------------------------------------------


def test_certificate_and_signing_request_are_generated_apart_and_stay(tmp_path: Path) -> None:
    """What Ansible does each time it runs: retrieve, generate if there is none, use."""

    async def test(s: Scene) -> None:
        s.add_server("kms1")
        await s.add_kms("KMS", "kms1")
        for method in ("RetrieveSelfSignedClientCert", "RetrieveClientCsr", "RetrieveClientCert"):
            assert await s.call(method, clusterId="KMS") == ""
        request = await s.call("GenerateClientCsr", clusterId="KMS")
        certificate = await s.call(
            "GenerateSelfSignedClientCert", clusterId="KMS", request={"commonName": "vc1"}
        )
        assert await s.call("RetrieveClientCert", clusterId="KMS") == "", "not in use yet"
        for _ in range(2):
            await s.call("UpdateSelfSignedClientCert", clusterId="KMS", certificate=certificate)
            assert await s.call("RetrieveClientCert", clusterId="KMS") == certificate
            assert await s.call("RetrieveSelfSignedClientCert", clusterId="KMS") == certificate
        assert await s.call("RetrieveClientCsr", clusterId="KMS") == request
        authority = Authority.create("KMS CA", keypairs.DEFAULT_ALGORITHM, s.now)
        parsed = x509.load_pem_x509_csr(request.encode())
        signed = to_pem(authority.sign(parsed, Purpose.CLIENT, s.now))
        await s.call("UpdateKmsSignedCsrClientCert", clusterId="KMS", certificate=signed)
        assert await s.call("RetrieveClientCert", clusterId="KMS") == signed
        stranger = await s.call("GenerateSelfSignedClientCert", clusterId="KMS")
        await s.call("GenerateSelfSignedClientCert", clusterId="KMS")
        with pytest.raises(InvalidArgument, match="does not belong"):
            await s.call("UpdateSelfSignedClientCert", clusterId="KMS", certificate=stranger)
        await s.call("UnregisterKmsCluster", clusterId="KMS")
        assert s.store.secrets.get("selfSigned/KMS") is None

    play(tmp_path, test).close()


# Keys --------------------------------------------------------------------------------------------


def test_a_key_that_the_key_server_lost_is_handed_to_the_hosts(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        key = await s.call("EncryptVM", name="db1")
        s.host().guests.write_disk("db1", 0, b"payroll")
        material = base64.b64encode(await s.key_on_kms(key["keyId"])).decode()
        s.reboot("esx01")
        await s.call("ConfigureCryptoKey", host="esx01")
        s.servers["kms1"].is_up = False
        await s.call("AddKey", key=plain(keyId=key, keyData=material))
        await s.call("CryptoUnlock", name="db1")
        assert s.host().guests.read_disk("db1", 0, 7) == b"payroll"
        with pytest.raises(AlreadyExists):
            await s.call("AddKey", key=plain(keyId=key, keyData=material))
        database = (s.folder / "vcenter.sqlite3").read_bytes()
        assert base64.b64decode(material) not in database

    play(tmp_path, test).close()


WRONG_KEYS = {
    "the algorithm": (plain(algorithm="AES-128"), "key.algorithm"),
    "the size": (plain(keyData=base64.b64encode(b"k" * 16).decode()), "key.keyData"),
    "no id": (plain(keyId={"providerId": "KMS", "keyId": ""}), "key.keyId.keyId"),
}


@pytest.mark.parametrize(("key", "parameter"), WRONG_KEYS.values(), ids=WRONG_KEYS)
def test_a_key_that_cannot_be_added(tmp_path: Path, key: Any, parameter: str) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        await s.call("ConfigureCryptoKey", host="esx01")
        with pytest.raises(InvalidArgument) as error:
            await s.call("AddKey", key=key)
        assert error.value.arguments["invalid_property"] == parameter

    play(tmp_path, test).close()


def test_keys_are_added_each_by_itself(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        with pytest.raises(InvalidState, match="no host"):
            await s.call("AddKey", key=plain())
        await s.call("ConfigureCryptoKey", host="esx01")
        other = (await s.call("GenerateKey"))["keyId"]
        results = await s.call(
            "AddKeys", keys=[plain(), plain(keyId=other), plain(algorithm="DES"), plain()]
        )
        faults = [result.get("fault") for result in results]
        assert faults == [None, "InvalidArgument", "InvalidArgument", "AlreadyExists"]
        assert "another key" in results[1]["reason"]
        assert KEY in await s.call("ListKeys")
        assert CryptoKeyId("KMS", "older-key-µ") in s.host().keys.crypto.list_keys()
        await s.call("RemoveKey", keyId=KEY)
        assert KEY not in await s.call("ListKeys")
        with pytest.raises(InvalidArgument, match="does not know"):
            await s.call("RemoveKey", keyId=KEY)

    play(tmp_path, test).close()


def test_one_key_that_is_in_use_is_removed_by_force_only(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        key = await s.call("EncryptVM", name="db1")
        with pytest.raises(ResourceInUse):
            await s.call("RemoveKey", keyId=key)
        await s.call("RemoveKey", keyId=key, force=True)
        assert CryptoKeyId("KMS", key["keyId"]) not in s.host().keys.crypto.list_keys()

    play(tmp_path, test).close()


# Wrapped keys ------------------------------------------------------------------------------------

WRAPPING = {
    "fixed": ({"keyId": "wrapping-1"}, {"keyId": "wrapping-1"}),
    "an interval": ({"rotationInterval": 90}, {"rotationInterval": 90, "madeByVcenter": True}),
    "never replaced": ({}, {"madeByVcenter": True}),
}


@pytest.mark.parametrize(("spec", "info"), WRAPPING.values(), ids=WRAPPING)
@pytest.mark.parametrize("method", ["RegisterKmipServer", "UpdateKmipServer"])
def test_wrapped_keys_are_chosen_with_the_server(
    tmp_path: Path, method: str, spec: Any, info: Any
) -> None:
    async def test(s: Scene) -> None:
        s.add_server("kms1")
        if method == "UpdateKmipServer":
            await s.add_kms("KMS", "kms1")
        server = {"name": "kms1", "address": "192.0.2.7", "port": 5696}
        keys = {"defaultKeyType": "wrappedKey", "keySpec": spec}
        await s.call(method, clusterId="KMS", info=server, **keys)
        [listed] = await s.call("ListKmsClusters")
        assert listed["defaultKeyType"] == "wrappedKey"
        listed["keyInfo"].pop("configuredTime", None)
        assert listed["keyInfo"] == info

    play(tmp_path, test).close()


def test_raw_and_wrapped_keys_of_one_provider(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        first = (await s.call("GenerateKey"))["keyId"]
        with pytest.raises(InvalidArgument, match="no wrapping key"):
            await s.call("GenerateKey", keyType="wrappedKey")
        server = {"name": "kms1", "address": "192.0.2.7", "port": 5696}
        await s.call("UpdateKmipServer", clusterId="KMS", info=server, defaultKeyType="wrappedKey")
        keys = [first]
        for kind, is_wrapped in ((None, True), ("rawKey", False), ("wrappedKey", True)):
            key = (await s.call("GenerateKey", keyType=kind))["keyId"]
            assert key["keyId"].startswith("wrapped:") == is_wrapped
            keys.append(key)
        with pytest.raises(InvalidArgument, match="wrapped key"):
            await s.call("GenerateKey", customAttributes={"Department": "finance"})
        raw = await s.call(
            "GenerateKey", keyType="rawKey", customAttributes={"Department": "finance"}
        )
        assert raw["success"]
        provider = s.vcenter.crypto.providers.standard("KMS")
        for key in keys:
            fetched = await provider.fetch(CryptoKeyId(key["providerId"], key["keyId"]))
            assert len(fetched.key_data) == 32
        statuses = await s.call("QueryCryptoKeyStatus", keyIds=keys, checkKeyBitMap=1)
        assert [status["keyAvailable"] for status in statuses] == [True] * 4
        assert ["keyInfo" in status for status in statuses] == [False, True, False, True]

    play(tmp_path, test).close()


def test_the_status_of_a_wrapped_key_names_its_wrapping_key(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        fixed = (await s.call("GenerateKey"))["keyId"]["keyId"]
        await s.call("ConfigureWrappingKey", clusterId="KMS", keyId=fixed)
        first = (await s.call("GenerateKey"))["keyId"]
        await s.call("ConfigureWrappingKey", clusterId="KMS", rotationInterval=30)
        second = (await s.call("GenerateKey"))["keyId"]
        old, new = [
            status["keyInfo"]
            for status in await s.call("QueryCryptoKeyStatus", keyIds=[first, second])
        ]
        assert old == {"keyId": fixed, "createTime": "2026-11-24T12:00:00Z"}
        assert new["rotateTime"] == "2026-12-24T12:00:00Z"

    play(tmp_path, test).close()


def test_attributes_of_a_key_that_the_key_server_does_not_have(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        result = await s.call("SetKeyCustomAttributes", keyId=KEY, customAttributes={"a": "b"})
        assert not result["success"]
        known = (await s.call("GenerateKey"))["keyId"]
        done = await s.call("SetKeyCustomAttributes", keyId=known, customAttributes={"a": "b"})
        assert done == {"keyId": known, "success": True}
        assert to_builtins(done["keyId"]) == known

    play(tmp_path, test).close()
