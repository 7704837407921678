"""Key providers of a vCenter: requirements R1 to R23 of the laboratory, as far as they are here."""

import base64
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from kmipkit_certs.authority import Authority, Purpose
from kmipkit_client import calls, material
from kmipkit_vsphere.model.certificates import to_der, to_pem
from kmipkit_vsphere.model.encoding import to_builtins
from kmipkit_vsphere.model.errors import (
    ClientNotTrusted,
    InvalidArgument,
    InvalidState,
    KeyProviderError,
    ServerNotTrusted,
)
from kmipkit_vsphere.model.keys import CryptoKeyId, Secret
from kmipkit_vsphere.providers.kmip_session import Login
from kmipkit_vsphere.vcenter.health import certificate_info
from laboratory import Laboratory
from vsphere_scene import VCENTER, Scene, play

from kmipkit.model.credentials import UsernameAndPassword
from kmipkit.spec.enums import RevocationReasonCode

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def key_id(found: dict[str, Any]) -> CryptoKeyId:
    return CryptoKeyId(found["providerId"], found["keyId"])


async def revoke(scene: Scene, key: CryptoKeyId) -> None:
    code = RevocationReasonCode.CESSATION_OF_OPERATION
    await scene.ask_kms(calls.revoke(key.key_id, code, None, None))


def test_r01_each_provider_tells_who_takes_part(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        s.add_server("kms1")
        await s.add_kms("KMS", "kms1")
        await s.call("RegisterKmsCluster", clusterId="TKP")
        await s.call("CreateNativeProvider", provider="NKP")
        infos = await s.call("ListKmsClusters")
        assert {info["clusterId"]: info["participants"] for info in infos} == {
            "KMS": ["hosts", "key server", "vCenter"],
            "TKP": ["Key Provider Service", "hosts", "key server"],
            "NKP": ["hosts", "vCenter"],
        }

    play(tmp_path, test).close()


def test_r03_requests_go_to_the_servers_of_the_provider(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        for name in ("kms1", "kms2"):
            s.add_server(name)
            await s.add_kms("KMS", name)
        s.add_server("other", s.make_laboratory("others"))
        await s.add_kms("OTHER", "other")
        s.forget()
        await s.call("GenerateKey", keyProvider="KMS")
        assert "CREATE" in [
            operation for log in s.servers["kms1"].seen.connections for operation in log
        ]
        assert s.servers["other"].seen.connections == []
        s.forget()
        await s.call("GenerateKey", keyProvider="OTHER")
        assert "CREATE" in [
            operation for log in s.servers["other"].seen.connections for operation in log
        ]
        assert s.servers["kms1"].seen.connections == []
        [first, _] = await s.call("ListKmsClusters")
        assert [server["name"] for server in first["servers"]] == ["kms1", "kms2"]
        assert first["servers"][0]["port"] == 5696

    play(tmp_path, test).close()


def test_r04_a_standard_provider_without_a_server_is_red_and_refused(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        await s.call("RemoveKmipServer", clusterId="KMS", serverName="kms1")
        [status] = await s.call("RetrieveKmipServersStatus")
        assert status["overallStatus"] == "red"
        assert status["reasons"] == ["there is no key server; add one"]
        with pytest.raises(InvalidState, match="no key server"):
            await s.call("EncryptVM", name="db1")
        assert s.host().machines.info("db1").crypto_state == "plain"

    play(tmp_path, test).close()


def test_r07_the_key_server_makes_the_key_and_keeps_it_over_a_restart(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        await s.call("GenerateKey")
        operations = s.kmip
        assert "CREATE" in operations
        assert "REGISTER" not in operations
        s.hosts.clear()

    scene = play(tmp_path, test)
    [made] = scene.vcenter.crypto.list_keys()
    scene.close()
    restarted = Laboratory(tmp_path / "kms")
    found = restarted.ask(calls.get(made.key_id, None, None, None), identity=VCENTER)
    assert len(material(found)) == 32
    restarted.close()


def test_r12_a_provider_is_added_and_shown(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        s.add_server("kms1")
        await s.add_kms("KMS", "kms1")
        [info] = await s.call("ListKmipServers")
        assert info["clusterId"] == "KMS"
        assert info["managementType"] == "vCenter"
        [direct] = s.vcenter.crypto.providers.infos()
        assert to_builtins(direct) == info

    play(tmp_path, test).close()


def test_r13_a_server_of_another_vendor_is_refused(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        s.add_server("kms1")
        await s.add_kms("KMS", "kms1")
        s.add_server("foreign", s.make_laboratory("foreign", "Another Vendor"))
        with pytest.raises(InvalidArgument, match=r"'Another Vendor'.*'kmipkit'"):
            await s.add_kms("KMS", "foreign")
        [info] = await s.call("ListKmsClusters")
        assert [server["name"] for server in info["servers"]] == ["kms1"]
        await s.add_kms("KMS", "foreign", anyVendor=True)
        [status] = await s.call("RetrieveKmipServersStatus")
        assert status["overallStatus"] == "yellow"
        assert "is 'Another Vendor'" in status["reasons"][0]

    play(tmp_path, test).close()


def test_r14_a_server_that_lacks_a_key_is_reported(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        s.add_server("kms2", s.make_laboratory("apart"))
        await s.add_kms("KMS", "kms2")
        made = key_id((await s.call("GenerateKey"))["keyId"])
        [status] = await s.call("RetrieveKmipServersStatus")
        assert [server["status"] for server in status["servers"]] == ["green", "yellow"]
        assert f"kms2 does not have key {made}" in status["reasons"][0]
        await s.vcenter.crypto.health.poll()
        await s.vcenter.crypto.health.poll()
        events = await s.events(eventTypeId="kms.crypto.SendKeyError.KeyMissingOnKMS")
        assert len(events) == 1, "told once, not at each poll"

    play(tmp_path, test).close()


def test_r14_any_server_delivers_a_key_that_was_made_on_another(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        s.add_server("kms2")
        await s.add_kms("KMS", "kms2")
        made = key_id((await s.call("GenerateKey"))["keyId"])
        s.servers["kms1"].is_up = False
        fetched = await s.vcenter.crypto.providers.standard("KMS").fetch(made)
        assert fetched.key_data == Secret(await s.key_on_kms(made.key_id))

    play(tmp_path, test).close()


def test_r14_a_server_that_lacks_a_key_does_not_hide_it_on_the_others(tmp_path: Path) -> None:
    """Replication may lag: the next server of the provider is asked."""

    async def test(s: Scene) -> None:
        await s.prepare()
        s.add_server("lagging", s.make_laboratory("lagging"))
        s.add_server("kms2")
        made = key_id((await s.call("GenerateKey"))["keyId"])
        await s.call("RemoveKmipServer", clusterId="KMS", serverName="kms1")
        for name in ("lagging", "kms2"):
            await s.add_kms("KMS", name)
        fetched = await s.vcenter.crypto.providers.standard("KMS").fetch(made)
        assert fetched.key_data == Secret(await s.key_on_kms(made.key_id))

    play(tmp_path, test).close()


def test_r15_r16_r17_defaults(tmp_path: Path) -> None:
    """Two vendors side by side; the first is the default; setting another keeps old keys usable."""

    async def test(s: Scene) -> None:
        await s.prepare()
        s.add_server("foreign", s.make_laboratory("foreign", "Another Vendor"))
        await s.add_kms("SECOND", "foreign")
        assert await s.call("GetDefaultKmsCluster") == "KMS", "the first one (R16)"
        old = key_id((await s.call("GenerateKey"))["keyId"])
        await s.call("MarkDefault", clusterId="SECOND")
        new = key_id((await s.call("GenerateKey"))["keyId"])
        assert (old.provider_id, new.provider_id) == ("KMS", "SECOND")
        assert await s.vcenter.crypto.providers.standard("KMS").fetch(old)
        await s.call("UnregisterKmsCluster", clusterId="SECOND")
        assert await s.call("GetDefaultKmsCluster") is None, "removing the default leaves none"
        with pytest.raises(InvalidState, match="no default"):
            await s.call("GenerateKey")

    play(tmp_path, test).close()


def test_r17_the_nearest_default_decides(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await s.call("CreateFolder", name="site")
        await s.call("CreateCluster", name="prod", parent="folder/site")
        for provider in ("GLOBAL", "SITE", "PROD"):
            s.add_server(provider.lower())
            await s.add_kms(provider, provider.lower())
        await s.call("SetDefaultKmsCluster", clusterId="SITE", entity="folder/site")
        asked = {"entity": "cluster/prod", "defaultsToParent": True}
        assert await s.call("GetDefaultKmsCluster", **asked) == "SITE"
        await s.call("SetDefaultKmsCluster", clusterId="PROD", entity="cluster/prod")
        assert await s.call("GetDefaultKmsCluster", **asked) == "PROD"
        s.start_host("esx01")
        await s.call("AddHost", name="esx01", address="h", port=1, parent="cluster/prod")
        await s.call("CreateVM", host="esx01", name="db1", diskSize=4096)
        assert (await s.call("EncryptVM", name="db1"))["providerId"] == "PROD"
        infos = {info["clusterId"]: info for info in await s.call("ListKmsClusters")}
        assert infos["PROD"]["useAsEntityDefault"] == ["cluster/prod"]
        await s.call("SetDefaultKmsCluster", entity="cluster/prod")
        assert await s.call("GetDefaultKmsCluster", **asked) == "SITE"
        with pytest.raises(InvalidArgument, match="neither a cluster nor a folder"):
            await s.call("SetDefaultKmsCluster", clusterId="SITE", entity="host/esx01")

    play(tmp_path, test).close()


def test_r22_r23_vcenter_lists_key_ids_after_a_restart_and_holds_no_keys(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        await s.call("EncryptVM", name="db1")
        unused = (await s.call("GenerateKey"))["keyId"]
        listed = await s.call("ListKeys")
        assert unused in listed, "also the key that nothing uses yet"
        s.restart_vcenter()
        assert await s.call("ListKeys") == listed
        assert [key["providerId"] for key in listed] == ["KMS", "KMS", "KMS"]

        for found in listed:
            key = await s.key_on_kms(found["keyId"])
            for path in s.folder.glob("vcenter*"):
                data = path.read_bytes()
                spellings = (key, key.hex().encode(), base64.b64encode(key))
                assert not any(spelling in data for spelling in spellings), path

    play(tmp_path, test).close()


# How they are ------------------------------------------------------------------------------------


def test_colours_tell_who_does_not_trust_whom(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        server = s.add_server("kms1")
        await s.add_kms("KMS", "kms1")
        faults: dict[type[KeyProviderError], tuple[Any, Any, str]] = {
            ServerNotTrusted: (False, None, "notTrusted"),
            ClientNotTrusted: (True, False, "notTrusted"),
        }
        for fault, expected in faults.items():

            async def refuse(fault: type[KeyProviderError] = fault) -> Any:
                raise fault("no trust")

            server.connect = refuse  # type: ignore[method-assign]  # replaced for this test
            [status] = await s.call("RetrieveKmipServersStatus")
            [one] = status["servers"]
            found = (one["clientTrustServer"], one["serverTrustClient"], one["connectionStatus"])
            assert found == expected
            assert status["overallStatus"] == "red"
            assert not await s.call("IsKmsClusterActive", clusterId="KMS")

    play(tmp_path, test).close()


def test_a_certificate_that_ends_soon_is_a_warning_and_an_event(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        server = s.add_server("kms1")
        await s.add_kms("KMS", "kms1")
        authority = Authority.create("ca", "ecdsa-p256", NOW)
        issued = authority.issue("kms1", Purpose.SERVER, NOW, days=30)
        server.certificate_shown = to_der(issued.certificate)
        [status] = await s.call("RetrieveKmipServersStatus")
        assert status["overallStatus"] == "yellow"
        info = status["servers"][0]["certInfo"]
        assert info == to_builtins(certificate_info(issued.certificate, s.now))
        assert len(info["fingerprint"].split(":")) == 20
        await s.vcenter.crypto.health.poll()
        [event] = await s.events(eventTypeId="vecs.KMSServerCertExpirationEvent")
        assert event["severity"] == "warning"
        shown = await s.call("RetrieveKmipServerCert", clusterId="KMS", serverName="kms1")
        assert shown["certificate"] == to_pem(issued.certificate)

    play(tmp_path, test).close()


def test_a_client_certificate_that_ends_soon_is_told_once(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        s.add_server("kms1")
        await s.add_kms("KMS", "kms1")
        await s.call("IssueClientCert", clusterId="KMS")
        await s.vcenter.crypto.health.poll()
        wanted = {"eventTypeId": "vecs.KMSClientCertExpirationEvent"}
        assert await s.events(**wanted) == []
        s.pass_time(days=680)
        for _ in range(2):
            await s.vcenter.crypto.health.poll()
        assert len(await s.events(**wanted)) == 1

    play(tmp_path, test).close()


def test_a_poll_is_a_probe_and_two_discoveries_and_a_loss_is_told_once(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        server = s.add_server("kms1")
        await s.add_kms("KMS", "kms1")
        server.seen.connections.clear()
        await s.vcenter.crypto.health.poll()
        assert server.seen.connections == [[], ["DISCOVER_VERSIONS"] * 2]
        server.is_up = False
        await s.vcenter.crypto.health.poll()
        await s.vcenter.crypto.health.poll()
        assert len(await s.events(eventTypeId="kms.crypto.Unreachable")) == 1

    play(tmp_path, test).close()


# Trust -------------------------------------------------------------------------------------------


def test_trust_by_root_by_certificate_by_request_and_by_pair(tmp_path: Path) -> None:
    """The four ways of vsphere.md §4.5, each ending with a client certificate in use."""

    async def test(s: Scene) -> None:
        s.add_server("kms1")
        await s.add_kms("KMS", "kms1")

        async def used() -> str:
            return str(await s.call("RetrieveClientCert", clusterId="KMS"))

        root = await s.call("RetrieveRootCert")
        await s.call("IssueClientCert", clusterId="KMS")
        from cryptography import x509

        issued = x509.load_pem_x509_certificate((await used()).encode())
        issued.verify_directly_issued_by(x509.load_pem_x509_certificate(root.encode()))

        before = await used()
        subject = {"commonName": "vc1", "organization": "Bücher AG"}
        made = await s.call("GenerateSelfSignedClientCert", clusterId="KMS", request=subject)
        assert await used() == before, "not in use before the update"
        assert await s.call("RetrieveSelfSignedClientCert", clusterId="KMS") == made
        info = await s.call("UpdateSelfSignedClientCert", clusterId="KMS")
        assert await used() == made
        assert "Bücher AG" in info["subject"]

        request = await s.call("GenerateClientCsr", clusterId="KMS", request=subject)
        authority = Authority.create("kms ca", "ecdsa-p256", NOW)
        csr = x509.load_pem_x509_csr(request.encode())
        signed = to_pem(authority.sign(csr, Purpose.CLIENT, NOW))
        await s.call("UpdateKmsSignedCsrClientCert", clusterId="KMS", certificate=signed)
        assert await used() == signed
        assert await s.call("RetrieveClientCsr", clusterId="KMS") == request

        pair = authority.issue("vcenter", Purpose.CLIENT, NOW)
        from cryptography.hazmat.primitives import serialization as form

        key = pair.key.private_bytes(
            form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption()
        ).decode()
        await s.call(
            "UploadClientCert",
            clusterId="KMS",
            certificate=to_pem(pair.certificate),
            privateKey=key,
        )
        assert await used() == to_pem(pair.certificate)
        with pytest.raises(InvalidArgument, match="does not belong"):
            await s.call("UploadClientCert", clusterId="KMS", certificate=signed, privateKey=key)
        assert s.vcenter.crypto.providers.trust.for_provider("KMS").context
        for path in s.folder.glob("vcenter*"):
            assert key.splitlines()[1].encode() not in path.read_bytes()

    play(tmp_path, test).close()


def test_user_and_password_are_sent_with_operations_and_not_with_the_first_message(
    tmp_path: Path,
) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        s.servers["kms1"].login = Login("vc", Secret(b"geheim"))
        await s.call("RetrieveKmipServersStatus")
        first, second = s.servers["kms1"].seen.requests[-2:]
        assert first.request_header.authentication is None
        authentication = second.request_header.authentication
        assert authentication is not None
        value = authentication.credentials[0].credential_value
        assert value == UsernameAndPassword(username="vc", password="geheim")
        assert "geheim" not in repr(s.servers["kms1"].login)

    play(tmp_path, test).close()


# Keys --------------------------------------------------------------------------------------------


def test_generated_keys_carry_custom_attributes(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        wanted = {"Department": "Größe & Co", "x-Cost": "4711"}
        made = key_id((await s.call("GenerateKey", customAttributes=wanted))["keyId"])
        found = await s.ask_kms(calls.get_attributes(made.key_id, ("x-Department",)))
        assert found.items[0].value == "Größe & Co"
        await s.call(
            "SetKeyCustomAttributes",
            keyId=to_builtins(made),
            customAttributes={"Department": "new"},
        )
        found = await s.ask_kms(calls.get_attributes(made.key_id, ("x-Department",)))
        assert [item.value for item in found.items] == ["new"]

    play(tmp_path, test).close()


def test_an_error_of_the_key_server_is_a_result_not_a_fault(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        s.servers["kms1"].is_up = False
        result = await s.call("GenerateKey")
        assert not result["success"]
        assert result["fault"] == "KeyServerUnreachable"
        [event] = await s.events(eventTypeId="kms.crypto.KeyGenerateFail")
        assert event["result"] == "failure"

    play(tmp_path, test).close()


def test_the_status_of_keys_tells_why_one_cannot_be_used(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        key = key_id(await s.call("EncryptVM", name="db1"))

        async def status(asked: CryptoKeyId, bits: int = 15) -> dict[str, Any]:
            [found] = await s.call(
                "QueryCryptoKeyStatus", keyIds=[to_builtins(asked)], checkKeyBitMap=bits
            )
            return dict(found)

        found = await status(key)
        assert (found["keyAvailable"], found["reason"]) == (True, None)
        assert found["encryptedVMs"] == ["db1"]
        assert set(await status(key, 2)) == {"keyId", "encryptedVMs"}
        await revoke(s, key)
        assert (await status(key, 1))["reason"] == "KeyStateNotActiveOrEnabled"
        missing = CryptoKeyId("KMS", "no-such-key")
        assert (await status(missing, 1))["reason"] == "KeyStateMissingInKMS"
        assert (await status(CryptoKeyId("?", "x"), 1))["reason"] == "KeyStateClusterInvalid"
        s.servers["kms1"].is_up = False
        assert (await status(key, 1))["reason"] == "KeyStateClusterUnreachable"

    play(tmp_path, test).close()


def test_removing_a_key_never_touches_the_key_server(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        key = key_id(await s.call("EncryptVM", name="db1"))
        s.forget()
        [refused] = await s.call("RemoveKeys", keyIds=[to_builtins(key)])
        assert refused["fault"] == "ResourceInUse"
        [unknown] = await s.call("RemoveKeys", keyIds=[{"providerId": "KMS", "keyId": "?"}])
        assert unknown["fault"] == "InvalidArgument"
        [done] = await s.call("RemoveKeys", keyIds=[to_builtins(key)], force=True)
        assert done["success"]
        assert s.kmip == []
        assert key not in s.host().keys.crypto.list_keys()
        assert await s.key_on_kms(key.key_id)

    play(tmp_path, test).close()


def test_wrapped_keys_leave_one_wrapping_key_on_the_key_server(tmp_path: Path) -> None:
    """Wrapped keys of vSphere 9 (vsphere.md §4.3): by id, then by an interval."""

    async def test(s: Scene) -> None:
        await s.prepare()
        wrapping = key_id((await s.call("GenerateKey"))["keyId"])
        await s.call("ConfigureWrappingKey", clusterId="KMS", keyId=wrapping.key_id)
        s.forget()
        first = key_id(await s.call("EncryptVM", name="db1"))
        assert "CREATE" not in s.kmip, "the key server makes no key for a machine"
        assert first.key_id.startswith(f"wrapped:{wrapping.key_id}:")
        s.host().guests.write_disk("db1", 0, b"payroll")
        s.reboot("esx01")
        await s.vcenter.hosts.synchronise_restarted()
        assert s.host().guests.read_disk("db1", 0, 7) == b"payroll"
        [status] = await s.call(
            "QueryCryptoKeyStatus", keyIds=[to_builtins(first)], checkKeyBitMap=1
        )
        assert status["keyAvailable"]

        await s.call("ConfigureWrappingKey", clusterId="KMS", rotationInterval=30)
        ids = []
        for days in (0, 29, 2):
            s.pass_time(days=days)
            ids.append((await s.call("RecryptVM", name="db1"))["keyId"].split(":")[1])
        assert ids[0] == ids[1] != ids[2], "replaced after thirty days"
        [info] = await s.call("ListKmsClusters")
        assert info["keyInfo"]["keyId"] == ids[2]
        await revoke(s, CryptoKeyId("KMS", ids[2]))
        [machine] = await s.call("ListVMs")
        [status] = await s.call("QueryCryptoKeyStatus", keyIds=machine["keyIds"], checkKeyBitMap=1)
        assert status["reason"] == "WrappingKeyNotActiveOrEnabled"
        for days in (29, 3651):
            with pytest.raises(InvalidArgument, match="30 to 3650"):
                await s.call("ConfigureWrappingKey", clusterId="KMS", rotationInterval=days)

    play(tmp_path, test).close()
