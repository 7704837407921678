"""Trusted key providers: R9, R25 to R29, R43, R44, and every failure of vsphere.md §7.5."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from kmipkit_vsphere.calls.host import AttestationStatus, TrustServices
from kmipkit_vsphere.host.host import Host
from kmipkit_vsphere.host.trusted_host import TrustedHost
from kmipkit_vsphere.model.certificates import to_pem
from kmipkit_vsphere.model.encoding import convert, decode, encode
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
from kmipkit_vsphere.trust_authority import token
from kmipkit_vsphere.trust_authority.anchors import Anchors, fingerprint
from kmipkit_vsphere.trust_authority.calls import Attest, Challenge, UnwrapKey
from kmipkit_vsphere.trust_authority.measurements import Event, Image, replay
from kmipkit_vsphere.trust_authority.structures import FIXED_TPM, SIGN
from kmipkit_vsphere.trust_authority.trust_authority_host import TrustAuthorityHost
from msgspec.structs import replace
from software_tpm import NOW, Maker, SoftwareTPM, attest, service
from trusted_scene import IMAGE, Direct, Whole, good, whole

OTHER = Image("ESXi", "8.0.2", (("esx-base", "07" * 32),))


@pytest.fixture(scope="module")
def maker() -> Maker:
    return Maker("TPM maker", NOW)


def anchors(maker: Maker, **more: Any) -> Anchors:
    return Anchors((to_pem(maker.certificate),), **more)


def refused(
    tpm: SoftwareTPM, trusted: Anchors, match: str, events: list[Event] | None = None
) -> None:
    measured = IMAGE.measure(tpm)
    verifier = service(trusted, [IMAGE], lambda: NOW)
    with pytest.raises(AttestationFailed, match=match):
        attest(verifier, tpm, measured if events is None else events)


# The failures of §7.5 ----------------------------------------------------------------------------


def test_a_good_host_is_attested(maker: Maker) -> None:
    tpm = good(maker)
    result = attest(service(anchors(maker), [OTHER, IMAGE], lambda: NOW), tpm, IMAGE.measure(tpm))
    claims = jwt.decode(result.documents[token.KMS_AUTH], options={"verify_signature": False})
    assert claims["sub"] == "host"
    assert claims["image"] == {"name": "ESXi", "version": "8.0.3"}
    assert claims["exp"] - claims["iat"] == timedelta(hours=8).total_seconds()
    assert claims["ek_fingerprint"] == fingerprint(tpm.ek.public_key())


def test_an_unknown_maker(maker: Maker) -> None:
    stranger = Maker("another", NOW)
    tpm = SoftwareTPM()
    tpm.certificate = stranger.certify(tpm.ek)
    refused(tpm, anchors(maker), "registered TPM maker")


def test_an_expired_endorsement_certificate(maker: Maker) -> None:
    tpm = SoftwareTPM()
    tpm.certificate = Maker("TPM maker", NOW - timedelta(days=400)).certify(tpm.ek)
    refused(tpm, anchors(maker), "registered TPM maker")
    tpm.certificate = maker.certify(tpm.ek, days=0)
    verifier = service(anchors(maker), [IMAGE], lambda: NOW + timedelta(days=1))
    with pytest.raises(AttestationFailed, match="not valid now"):
        attest(verifier, tpm, IMAGE.measure(tpm))


def test_a_certificate_of_another_tpm(maker: Maker) -> None:
    tpm = good(maker)
    tpm.certificate = maker.certify(SoftwareTPM("other").ek)
    refused(tpm, anchors(maker), "for another key")


def test_tpms_without_a_certificate_only_by_registration(maker: Maker) -> None:
    tpm = SoftwareTPM()
    refused(tpm, anchors(maker), "no endorsement certificate")
    known = (("host", fingerprint(tpm.ek.public_key())),)
    tpm.reboot()
    loose = Anchors((), known, require_certificate_validation=False)
    assert attest(service(loose, [IMAGE], lambda: NOW), tpm, IMAGE.measure(tpm)).attested
    refused(SoftwareTPM("other"), loose, "no endorsement certificate")
    strict = anchors(maker, require_endorsement_keys=True)
    refused(good(maker), strict, "not registered")


def test_an_attestation_key_outside_the_tpm(maker: Maker) -> None:
    class Elsewhere(SoftwareTPM):
        def activate_credential(self, blob: bytes, secret: bytes) -> bytes:
            return bytes(32)  # it cannot know the secret

    tpm = Elsewhere()
    tpm.certificate = maker.certify(tpm.ek)
    refused(tpm, anchors(maker), "not in the TPM of the endorsement key")


def test_an_attestation_key_that_signs_anything(maker: Maker) -> None:
    tpm = good(maker)
    tpm.ak_attributes = FIXED_TPM | SIGN
    refused(tpm, anchors(maker), "not a restricted signing key")


def test_a_quote_that_another_key_signed(maker: Maker) -> None:
    tpm = good(maker)
    tpm.signing_key = SoftwareTPM("other").ak
    refused(tpm, anchors(maker), "signature of the quote")


def test_an_old_quote(maker: Maker) -> None:
    tpm = good(maker)
    tpm.nonce = bytes(32)
    refused(tpm, anchors(maker), "old one")


def test_a_quote_over_other_registers(maker: Maker) -> None:
    tpm = good(maker)
    tpm.quoted = (0, 1)
    refused(tpm, anchors(maker), "registers that were requested")


def test_a_log_that_is_not_what_was_measured(maker: Maker) -> None:
    tpm = good(maker)
    tpm.extend(8, b"\x66" * 32)  # something else was loaded first, and left out of the log
    refused(tpm, anchors(maker), "does not lead to the registers")


@pytest.mark.parametrize(
    ("image", "match"),
    [
        (OTHER, r"ESXi 8\.0\.2.*not an accepted image"),
        (Image("ESXi", "8.0.3", IMAGE.components, IMAGE.options, secure_boot=False), "secure boot"),
        (Image("ESXi", "8.0.3", IMAGE.components, IMAGE.options, debug_mode=True), "debug mode"),
        (Image("ESXi", "8.0.3", tuple(("c", "00" * 32) for _ in range(1001))), "unreliable"),
    ],
)
def test_software_that_is_not_accepted(maker: Maker, image: Image, match: str) -> None:
    tpm = good(maker)
    verifier = service(anchors(maker), [IMAGE], lambda: NOW)
    with pytest.raises(AttestationFailed, match=match):
        attest(verifier, tpm, image.measure(tpm))


def test_a_challenge_is_answered_once_and_in_time(maker: Maker) -> None:
    now = [NOW]
    verifier = service(anchors(maker), [IMAGE], lambda: now[0])
    tpm = good(maker)
    events = IMAGE.measure(tpm)
    seen: list[Attest] = []
    real = verifier.attest

    def record(request: Attest) -> Any:
        seen.append(request)
        return real(request)

    verifier.attest = record  # type: ignore[method-assign]
    attest(verifier, tpm, events)
    with pytest.raises(AttestationFailed, match="answered already"):
        real(seen[0])

    def late(request: Attest) -> Any:
        now[0] += timedelta(minutes=2)
        return real(request)

    verifier.attest = late  # type: ignore[method-assign]
    with pytest.raises(AttestationFailed, match="too old"):
        attest(verifier, tpm, events)


@pytest.mark.parametrize("name", ["ek_public", "ak_public"])
@pytest.mark.parametrize("data", [b"", bytes(10), b"\x00\x01\x00\x0b" + bytes(200), bytes(5000)])
def test_malformed_structures_are_refused(maker: Maker, name: str, data: bytes) -> None:
    tpm = good(maker)
    request = Challenge(
        "h",
        tpm.endorsement().public,
        tpm.make_attestation_key(),
        bytes(32),
        tpm.certificate,
    )
    verifier = service(anchors(maker), [IMAGE], lambda: NOW)
    with pytest.raises(AttestationFailed):
        verifier.challenge(replace(request, **{name: data}))


def test_a_log_replays_to_what_a_tpm_has() -> None:
    tpm = SoftwareTPM()
    assert replay(IMAGE.measure(tpm)) == tpm._digest()
    assert decode(encode(IMAGE), Image) == IMAGE
    for bad in ({}, {"name": "x", "version": "1", "components": [["a", "00"]]}):
        with pytest.raises(InvalidArgument):
            convert(bad, Image)


# Tokens ------------------------------------------------------------------------------------------


def test_tokens_that_do_not_entitle() -> None:
    key, other = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    from cryptography.hazmat.primitives import serialization as form

    pem = (
        key.public_key()
        .public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )
    keys = {"as1": pem}
    claims = token.HostClaims(
        "fingerprint", token.ImageClaim("ESXi", "8.0.3"), token.Confirmation(bytes(32)), "digest"
    )

    def issued(
        signer: Any = key, issuer: str = "as1", group: str = "g", kind: str = token.KMS_AUTH
    ) -> str:
        return token.issue(signer, issuer, group, "host", NOW, kind, claims)

    assert token.check(issued(), keys, "g", NOW) == claims
    assert (
        jwt.decode(issued(), options={"verify_signature": False})["ek_fingerprint"] == "fingerprint"
    )
    for text, match in (
        (issued(other), "not valid"),
        (issued(issuer="as9"), "no Attestation Service"),
        (issued(group="foreign"), "another group"),
        (issued(kind=token.REPORTING), "for reports"),
        (jwt.encode({"iss": "as1"}, None, algorithm="none"), "not valid"),
        ("nonsense", "not valid"),
    ):
        with pytest.raises(NotAttested, match=match):
            token.check(text, keys, "g", NOW)
    for now in (NOW + timedelta(hours=8), NOW - timedelta(seconds=1)):
        with pytest.raises(NotAttested, match="expired"):
            token.check(issued(), keys, "g", now)


def test_an_answer_opens_only_with_the_key_of_the_token() -> None:
    own = X25519PrivateKey.generate()
    sealed = token.seal_to(own.public_key().public_bytes_raw(), b"kek", b"id")
    assert token.open_sealed(own, sealed, b"id") == b"kek"
    for key, about in ((X25519PrivateKey.generate(), b"id"), (own, b"other")):
        with pytest.raises(NotAttested, match="another host"):
            token.open_sealed(key, sealed, about)


# The whole: two vCenters, a trust authority, a trusted host --------------------------------------


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
        await w.ta("PublishTrustedProvider", provider="TKP", primaryKeyId="no-such-key")
        with pytest.raises(KeyNotUsable):
            await agent.key(key.key_id)
        other = (await w.authority.call("GenerateKey"))["keyId"]["keyId"]
        await w.ta("PublishTrustedProvider", provider="TKP", primaryKeyId=other)
        with pytest.raises(DamagedData, match="another primary key"):
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

        host.trusted = agent  # type: ignore[assignment]
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
