"""Trusted key providers as a whole: R9, R25 to R29, R43, R44, and failures of the parts."""

import json
from pathlib import Path

import pytest
from kmipkit_client import calls
from kmipkit_vsphere.calls.host import AttestationStatus, TrustServices
from kmipkit_vsphere.host.host import Host
from kmipkit_vsphere.host.trusted_host import TrustedHost
from kmipkit_vsphere.model.certificates import to_pem
from kmipkit_vsphere.model.encoding import convert, encode
from kmipkit_vsphere.model.errors import (
    AttestationFailed,
    DamagedData,
    EncryptionKeyRequired,
    InvalidArgument,
    InvalidState,
    KeyNotUsable,
    KeyServerUnreachable,
    NoPermission,
    NotAttested,
    NotFound,
)
from kmipkit_vsphere.model.keys import CryptoKeyId
from kmipkit_vsphere.trust_authority.calls import UnwrapKey
from kmipkit_vsphere.trust_authority.trust_authority_host import TrustAuthorityHost
from software_tpm import IMAGE, NOW, OTHER, Maker, SoftwareTPM
from trusted_scene import Direct, Whole, whole

from kmipkit.spec.enums import RevocationReasonCode


@pytest.fixture(scope="module")
def maker() -> Maker:
    return Maker("TPM maker", NOW)


def test_r09_r44_a_key_reaches_an_attested_host_without_vcenter(
    tmp_path: Path, maker: Maker
) -> None:
    async def test(w: Whole) -> None:
        host = await w.trusted_host()
        w.workload.calls.clear()
        key = await w.workload.call("EncryptVM", name="db1")
        assert key["providerId"] == "TKP"
        assert "AddKey" not in {method for _, method in w.workload.calls}
        host.guests.write_disk("db1", 0, b"secret")
        kek = host.keys.crypto.key(CryptoKeyId("TKP", key["keyId"])).reveal()
        for path in w.workload.folder.glob("vcenter*"):
            assert kek not in path.read_bytes()
        assert w.workload.servers == {}, "the workload vCenter knows no key server"
        host = w.workload.reboot("esx01")
        w.tpm.reboot()
        w.events = IMAGE.measure(w.tpm)
        w.use(host)
        await w.workload.vcenter.hosts.synchronise_restarted()
        assert host.guests.read_disk("db1", 0, 6) == b"secret"
        assert await w.agent(events=w.events).key(CryptoKeyId("TKP", key["keyId"]))

    whole(tmp_path, maker, test)


def test_r09_an_unattested_host_gets_no_key(tmp_path: Path, maker: Maker) -> None:
    async def test(w: Whole) -> None:
        agent = w.agent()
        key = (await agent.new_key("TKP")).key_id
        stranger = SoftwareTPM("other")
        with pytest.raises(AttestationFailed):
            await w.agent(stranger, IMAGE.measure(stranger)).key(key)
        service = w.services["ta1"]
        assert service is not None
        with pytest.raises(NotAttested, match="no token"):
            await Direct(service).call(UnwrapKey("TKP", key.key_id))

    whole(tmp_path, maker, test)


def test_r25_the_workload_vcenter_cannot_ask_keys_of_a_trusted_provider(
    tmp_path: Path, maker: Maker
) -> None:
    async def test(w: Whole) -> None:
        await w.trusted_host()
        with pytest.raises(InvalidState, match="trustAuthority"):
            await w.workload.call("GenerateKey", keyProvider="TKP")
        assert w.workload.store.providers.servers("TKP") == []
        assert w.workload.store.secrets.get("client/TKP") is None
        with pytest.raises(InvalidArgument, match="no key servers"):
            await w.workload.add_kms("TKP", "kms1")

    whole(tmp_path, maker, test)


def test_r26_access_depends_on_the_state_of_the_host(tmp_path: Path, maker: Maker) -> None:
    """Another register: refused. Restored: given. An expired token: attested anew, or refused."""

    async def test(w: Whole) -> None:
        good_events = IMAGE.measure(w.tpm)
        key = (await w.agent(events=good_events).new_key("TKP")).key_id
        w.tpm.extend(8, b"\x13" * 32)
        agent = w.agent(events=good_events)
        with pytest.raises(AttestationFailed, match="does not lead to the registers"):
            await agent.key(key)
        assert agent.status().status == "notAttested"
        assert "registers" in agent.status().messages[0]
        w.tpm.reboot()
        agent = w.agent(events=IMAGE.measure(w.tpm))
        assert agent.status().status == "unknown"
        assert await agent.key(key)
        status = agent.status()
        assert status.status == "attested"
        session = agent._session
        assert session is not None
        w.authority.pass_time(hours=9)
        assert agent.status().status == "notAttested"
        service = w.services["ta1"]
        assert service is not None
        stale = UnwrapKey("TKP", key.key_id, session.token)
        with pytest.raises(NotAttested, match="expired"):
            await Direct(service).call(stale)
        assert await agent.key(key), "the agent attests again by itself"
        await w.ta("RemoveImage", name="ESXi", version="8.0.3")
        w.authority.pass_time(hours=6)
        with pytest.raises(AttestationFailed, match="not an accepted image"):
            await agent.key(key)

    whole(tmp_path, maker, test)


def test_r27_both_roles_on_one_vcenter_are_refused(tmp_path: Path, maker: Maker) -> None:
    async def test(w: Whole) -> None:
        document = await w.ta("ExportTrustServices")
        with pytest.raises(InvalidState, match="different vCenter"):
            await w.ta("ImportTrustServices", document=document)
        await w.workload.call("SetMember", group="TrustedAdmins", member="boss")
        offered = await w.workload.call("ImportTrustServices", "boss", document=document)
        assert offered == ["TKP"], "what the trust authority publishes is visible (R44)"
        with pytest.raises(InvalidArgument):
            await w.workload.call("ImportTrustServices", "boss", document="{}")

    whole(tmp_path, maker, test)


def test_r29_only_trusted_admins_administer(tmp_path: Path, maker: Maker) -> None:
    async def test(w: Whole) -> None:
        certificate = to_pem(maker.certificate)
        for method, params in {
            "AddTpmAuthority": {"certificate": certificate},
            "ImportPrincipal": {"name": "x", "certificate": certificate},
            "PublishTrustedProvider": {"provider": "TKP", "primaryKeyId": "x"},
            "ExportTrustServices": {},
        }.items():
            with pytest.raises(NoPermission, match="not a member of the group TrustedAdmins"):
                await w.ta(method, "administrator", **params)
        with pytest.raises(NoPermission, match="ManageKeys"):
            await w.authority.call("GenerateKey", "trust-admin")
        await w.ta("AddTpmAuthority", certificate=certificate)

    whole(tmp_path, maker, test)


def test_r43_a_host_has_one_of_both_roles(tmp_path: Path, maker: Maker) -> None:
    async def test(w: Whole) -> None:
        with pytest.raises(InvalidState, match="cannot run machines"):
            Host.start("ta1", w.folder / "ta1")
        Host.start("esx", w.folder / "esx").close()
        with pytest.raises(InvalidState, match="cannot be a trust authority"):
            TrustAuthorityHost("esx", w.folder / "esx", lambda: NOW)
        service = w.services["ta1"]
        assert service is not None
        assert set(service.services()) == {"Challenge", "Attest", "NewKey", "UnwrapKey"}
        plain = w.workload.start_host("esx02")
        await w.workload.call("AddHost", name="esx02", address="h", port=1)
        with pytest.raises(InvalidState, match="needs a TPM"):
            await w.workload.vcenter.hosts.call(
                w.workload.store.inventory.host("esx02"), AttestationStatus()
            )
        assert plain.trusted is None

    whole(tmp_path, maker, test)


def test_the_next_trust_authority_host_is_tried_and_cached_keys_go_on(
    tmp_path: Path, maker: Maker
) -> None:
    async def test(w: Whole) -> None:
        host = await w.trusted_host()
        w.services["ta1"] = None
        await w.workload.call("EncryptVM", name="db1")
        host.guests.write_disk("db1", 0, b"secret")
        w.services["ta2"] = None
        assert host.guests.read_disk("db1", 0, 6) == b"secret"
        await w.workload.call("PowerOnVM", name="db1")
        await w.workload.call("CreateVM", host="esx01", name="db2", diskSize=4096)
        with pytest.raises(KeyServerUnreachable, match="does not answer"):
            await w.workload.call("EncryptVM", name="db2")
        host = w.workload.reboot("esx01")
        w.use(host)
        with pytest.raises((KeyServerUnreachable, EncryptionKeyRequired)):
            await w.workload.call("CryptoUnlock", name="db1")
        health = await w.ta("TrustAuthorityHealth")
        assert not health["ta1"]["applied"]

    whole(tmp_path, maker, test)


def test_the_key_server_down_or_the_primary_key_gone(tmp_path: Path, maker: Maker) -> None:
    async def test(w: Whole) -> None:
        agent = w.agent()
        w.authority.servers["kms1"].is_up = False
        with pytest.raises(KeyServerUnreachable, match="kms1 is down"):
            await agent.new_key("TKP")
        health = await w.ta("TrustAuthorityHealth")
        assert health["ta1"]["applied"]
        assert "kms1 is down" in health["ta1"]["problems"][0]
        w.authority.servers["kms1"].is_up = True
        key = await agent.new_key("TKP")
        other = (await w.authority.call("GenerateKey"))["keyId"]["keyId"]
        await w.ta("WithdrawTrustedProvider", provider="TKP")
        await w.ta("PublishTrustedProvider", provider="TKP", primaryKeyId=other)
        with pytest.raises(DamagedData, match="no longer has"):
            await agent.key(key.key_id)
        await w.ta("RotatePrimaryKey", provider="TKP", primaryKeyId=w.primary)
        w.service("ta1")
        await w.authority.ask_kms(
            calls.revoke(w.primary, RevocationReasonCode.CESSATION_OF_OPERATION, None, None)
        )
        with pytest.raises(KeyNotUsable):
            await agent.key(key.key_id)
        with pytest.raises(NotFound):
            await agent.new_key("UNKNOWN")

    whole(tmp_path, maker, test)


def test_a_host_that_missed_a_change_is_not_healthy_until_it_is_remediated(
    tmp_path: Path, maker: Maker
) -> None:
    async def test(w: Whole) -> None:
        missed = w.services["ta2"]
        w.services["ta2"] = None
        await w.ta("ImportImage", manifest=encode(OTHER).decode())
        w.services["ta2"] = missed
        health = await w.ta("TrustAuthorityHealth")
        assert (health["ta1"]["applied"], health["ta2"]["applied"]) == (True, False)
        assert await w.ta("TrustAuthorityRemediate") == {"ta1": None, "ta2": None}
        assert (await w.ta("TrustAuthorityHealth"))["ta2"]["applied"]
        restarted = TrustAuthorityHost("ta2", w.folder / "ta2", lambda: NOW, lambda _: [])
        assert restarted.configuration.digest, "and it is kept over a restart"
        assert missed is not None
        assert restarted.service_id == missed.service_id

    whole(tmp_path, maker, test)


def test_attestation_is_told_by_the_hosts_and_its_changes_are_events(
    tmp_path: Path, maker: Maker
) -> None:
    async def test(w: Whole) -> None:
        host = await w.trusted_host()
        agent = w.use(host)

        host.trusted = agent  # type: ignore[assignment]  # replaced for this test
        await w.workload.call("SetMember", group="TrustedAdmins", member="boss")
        document = await w.ta("ExportTrustServices")
        await w.workload.call("ImportTrustServices", "boss", document=document)
        statuses = await w.workload.call("AttestationStatus", name="prod")
        assert statuses["esx01"]["status"] == "attested"
        await w.ta("RemoveImage", name="ESXi", version="8.0.3")
        w.authority.pass_time(hours=9)
        for _ in range(2):
            statuses = await w.workload.call("AttestationStatus", name="prod")
        assert statuses["esx01"]["status"] == "notAttested"
        assert "not an accepted image" in statuses["esx01"]["messages"][0]
        events = await w.workload.events(eventTypeId="TaHost")
        ids = [event["eventTypeId"].rpartition(".")[2] for event in events]
        assert ids == ["TaHostAttestPassEvent", "TaHostAttestFailEvent"], "each change once"

    whole(tmp_path, maker, test)


def test_a_trusted_host_keeps_where_the_services_are(tmp_path: Path, maker: Maker) -> None:
    async def test(w: Whole) -> None:
        from kmipkit_vsphere.rpc.tls import Credentials

        host = Host.start("esx03", w.folder / "esx03")
        files = Credentials(w.folder / "c", w.folder / "k", w.folder / "a")
        document = json.loads(await w.ta("ExportTrustServices"))

        def trusted_host() -> TrustedHost:
            return TrustedHost(
                host.uuid,
                host.config,
                host.keys.sources,
                w.folder / "esx03",
                w.tpm,
                [],
                files,
                lambda: NOW,
            )

        fresh = trusted_host()
        with pytest.raises(InvalidState, match="not configured for a trust authority"):
            await fresh.attest()
        fresh.configure(convert(document, TrustServices))
        assert host.keys.sources.has("TKP")
        host.keys.sources._sources.clear()
        trusted_host()
        assert host.keys.sources.has("TKP")
        host.close()

    whole(tmp_path, maker, test)
