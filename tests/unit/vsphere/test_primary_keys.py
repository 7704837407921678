"""The primary keys of trusted providers: fetched or used on the key server, rotated, in outages."""

import base64
from dataclasses import replace
from pathlib import Path

import pytest
from kmipkit_client import calls
from kmipkit_vsphere.model.errors import (
    AlreadyExists,
    DamagedData,
    InvalidState,
    KeyNotUsable,
    KeyServerUnreachable,
    NotFound,
)
from kmipkit_vsphere.model.keys import CryptoKeyId, CryptoKeyPlain
from software_tpm import NOW, Maker
from trusted_scene import Whole, whole

from kmipkit.spec.enums import Operation, RevocationReasonCode
from kmipkit.spec.versions import V1_1, V1_2, V1_3, V1_4, V2_0, V2_1, VERSIONS, Version

MODES = ("fetch", "use")


@pytest.fixture(scope="module")
def maker() -> Maker:
    return Maker("TPM maker", NOW)


async def new_primary(w: Whole) -> str:
    made = await w.authority.call("GenerateKey")
    key = str(made["keyId"]["keyId"])
    await w.authority.ask_kms(calls.activate(key))
    return key


def restart(w: Whole) -> None:
    """Both Trust Authority hosts lose their memory."""
    for name in w.services:
        w.service(name)


async def set_mode(w: Whole, mode: str) -> None:
    await w.ta("SetPrimaryKeyMode", provider="TKP", mode=mode)


def limit_versions(w: Whole, latest: Version) -> None:
    """The key server speaks no version after this one."""
    dispatcher = w.authority.laboratories["kms"].dispatcher
    versions = tuple(version for version in VERSIONS if version <= latest)
    settings = replace(dispatcher.server.settings, versions=versions)
    dispatcher.server = replace(dispatcher.server, settings=settings)


def used(w: Whole) -> list[str]:
    return [operation for operation in w.authority.kmip if operation != "DISCOVER_VERSIONS"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("later", MODES)
def test_a_wrapped_key_opens_in_both_modes_also_after_a_restart(
    tmp_path: Path, maker: Maker, mode: str, later: str
) -> None:
    async def test(w: Whole) -> None:
        await set_mode(w, mode)
        made = await w.agent().new_key("TKP")
        await set_mode(w, later)
        restart(w)
        agent = w.agent(events=[])
        w.tpm.reboot()
        agent = w.agent()
        assert (await agent.key(made.key_id)).key_data == made.key_data

    whole(tmp_path, maker, test)


def test_in_the_mode_use_the_primary_key_never_leaves_the_key_server(
    tmp_path: Path, maker: Maker
) -> None:
    async def test(w: Whole) -> None:
        await set_mode(w, "use")
        primary = await w.authority.key_on_kms(w.primary)
        restart(w)
        w.authority.forget()
        agent = w.agent()
        made = await agent.new_key("TKP")
        await agent.key(made.key_id)
        assert used(w) == ["ENCRYPT", "DECRYPT"]
        assert made.key_data.reveal() != primary
        health = await w.ta("TrustAuthorityHealth")
        assert "GET" not in used(w)
        for host in health.values():
            assert host["providers"]["TKP"] == {"mode": "use", "primaryKeyId": w.primary}
        w.authority.forget()
        await set_mode(w, "fetch")
        assert await agent.key(made.key_id)
        assert "GET" in used(w)

    whole(tmp_path, maker, test)


@pytest.mark.parametrize(
    "version",
    [V1_2, V2_1, *(pytest.param(one, marks=pytest.mark.long) for one in (V1_3, V1_4, V2_0))],
)
def test_the_latest_version_of_the_key_server_is_used(
    tmp_path: Path, maker: Maker, version: Version
) -> None:
    async def test(w: Whole) -> None:
        limit_versions(w, version)
        await set_mode(w, "use")
        w.authority.servers["kms1"].seen.requests.clear()
        await w.agent().new_key("TKP")
        [encrypt] = [
            request
            for request in w.authority.servers["kms1"].seen.requests
            if request.batch_items[0].operation is Operation.ENCRYPT
        ]
        assert encrypt.request_header.protocol_version.version == version

    whole(tmp_path, maker, test)


@pytest.mark.parametrize("mode", MODES)
def test_an_outage_of_the_key_server(tmp_path: Path, maker: Maker, mode: str) -> None:
    """Fetched: the key in memory serves until a restart. Used: each request needs the server."""

    async def test(w: Whole) -> None:
        await set_mode(w, mode)
        agent = w.agent()
        made = await agent.new_key("TKP")
        w.authority.servers["kms1"].is_up = False
        if mode == "fetch":
            assert await agent.key(made.key_id)
            restart(w)
        with pytest.raises(KeyServerUnreachable, match="kms1 is down"):
            await agent.key(made.key_id)
        w.authority.servers["kms1"].is_up = True
        w.tpm.reboot()
        assert (await w.agent().key(made.key_id)).key_data == made.key_data

    whole(tmp_path, maker, test)


@pytest.mark.parametrize("mode", MODES)
def test_a_rotation_keeps_what_the_old_key_wrapped(tmp_path: Path, maker: Maker, mode: str) -> None:
    async def test(w: Whole) -> None:
        await set_mode(w, mode)
        agent = w.agent()
        old = await agent.new_key("TKP")
        second = await new_primary(w)
        await w.ta("RotatePrimaryKey", provider="TKP", primaryKeyId=second)
        with pytest.raises(AlreadyExists, match="already"):
            await w.ta("RotatePrimaryKey", provider="TKP", primaryKeyId=second)
        new = await agent.new_key("TKP")
        assert (await agent.key(old.key_id)).key_data == old.key_data
        assert await w.ta("ListTrustedProviders") == [
            {
                "provider": "TKP",
                "primaryKeyId": second,
                "mode": mode,
                "previousKeyIds": [w.primary],
            }
        ]
        [status] = await w.authority.call(
            "QueryCryptoKeyStatus",
            keyIds=[{"providerId": "TKP", "keyId": w.primary}],
            checkKeyBitMap=8,
        )
        assert status["referencedByTags"] == ["trusted key provider TKP"]
        await w.authority.ask_kms(
            calls.revoke(w.primary, RevocationReasonCode.CESSATION_OF_OPERATION, None, None)
        )
        assert (await agent.key(new.key_id)).key_data == new.key_data
        with pytest.raises(NotFound, match="not a previous"):
            await w.ta("RemovePrimaryKey", provider="TKP", primaryKeyId=second)
        await w.ta("RemovePrimaryKey", provider="TKP", primaryKeyId=w.primary)
        with pytest.raises(DamagedData, match="no longer has"):
            await agent.key(old.key_id)

    whole(tmp_path, maker, test)


def altered(key: CryptoKeyPlain, place: int) -> CryptoKeyId:
    blob = bytearray(base64.b64decode(key.key_id.key_id))
    blob[place] ^= 1
    return CryptoKeyId("TKP", base64.b64encode(blob).decode())


@pytest.mark.parametrize("mode", MODES)
def test_an_altered_wrapped_key_is_refused(tmp_path: Path, maker: Maker, mode: str) -> None:
    """Form, tag of the primary key, IV, ciphertext and MAC."""

    async def test(w: Whole) -> None:
        await set_mode(w, mode)
        agent = w.agent()
        made = await agent.new_key("TKP")
        for place in (0, 3, 10, 30, 60, 72, 80, -1):
            with pytest.raises(DamagedData):
                await agent.key(altered(made, place))
        short = base64.b64encode(base64.b64decode(made.key_id.key_id)[:-1]).decode()
        with pytest.raises(DamagedData):
            await agent.key(CryptoKeyId("TKP", short))

    whole(tmp_path, maker, test)


@pytest.mark.parametrize("mode", MODES)
def test_a_key_of_one_provider_is_not_a_key_of_another(
    tmp_path: Path, maker: Maker, mode: str
) -> None:
    """Even if both have the same primary key."""

    async def test(w: Whole) -> None:
        await w.authority.add_kms("OTHER", "kms1")
        await w.authority.call("IssueClientCert", clusterId="OTHER")
        certificate = w.authority.store.providers.get("TKP").details.server_certificates[0]
        await w.authority.call("UploadKmipServerCert", clusterId="OTHER", certificate=certificate)
        await set_mode(w, mode)
        await w.ta("PublishTrustedProvider", provider="OTHER", primaryKeyId=w.primary, mode=mode)
        agent = w.agent()
        made = await agent.new_key("TKP")
        with pytest.raises(DamagedData):
            await agent.key(CryptoKeyId("OTHER", made.key_id.key_id))

    whole(tmp_path, maker, test)


def test_a_key_server_that_cannot_encrypt_is_refused_when_the_mode_is_chosen(
    tmp_path: Path, maker: Maker
) -> None:
    async def test(w: Whole) -> None:
        limit_versions(w, V1_1)
        with pytest.raises(InvalidState, match="cannot encrypt"):
            await set_mode(w, "use")
        [provider] = await w.ta("ListTrustedProviders")
        assert provider["mode"] == "fetch"
        assert await w.agent().new_key("TKP")

    whole(tmp_path, maker, test)


@pytest.mark.parametrize("mode", MODES)
def test_a_primary_key_that_is_not_there_cannot_be_published(
    tmp_path: Path, maker: Maker, mode: str
) -> None:
    async def test(w: Whole) -> None:
        await w.ta("WithdrawTrustedProvider", provider="TKP")
        with pytest.raises(InvalidState, match="cannot be used in the mode"):
            await w.ta("PublishTrustedProvider", provider="TKP", primaryKeyId="none", mode=mode)
        for name in w.services:
            w.services[name] = None
        with pytest.raises(InvalidState, match="no Trust Authority host can check"):
            await w.ta("PublishTrustedProvider", provider="TKP", primaryKeyId=w.primary, mode=mode)

    whole(tmp_path, maker, test)


def test_a_published_provider_is_not_replaced_by_accident(tmp_path: Path, maker: Maker) -> None:
    async def test(w: Whole) -> None:
        await w.ta("PublishTrustedProvider", provider="TKP", primaryKeyId=w.primary)
        with pytest.raises(AlreadyExists, match="rotate-primary-key"):
            await w.ta("PublishTrustedProvider", provider="TKP", primaryKeyId="another")
        with pytest.raises(NotFound):
            await w.ta("RotatePrimaryKey", provider="NONE", primaryKeyId="another")

    whole(tmp_path, maker, test)


def test_a_deactivated_primary_key_is_a_problem_of_the_provider(
    tmp_path: Path, maker: Maker
) -> None:
    async def test(w: Whole) -> None:
        await set_mode(w, "use")
        await w.authority.ask_kms(
            calls.revoke(w.primary, RevocationReasonCode.CESSATION_OF_OPERATION, None, None)
        )
        with pytest.raises(KeyNotUsable, match="cannot use primary key"):
            await w.agent().new_key("TKP")
        health = await w.ta("TrustAuthorityHealth")
        assert all("cannot use primary key" in host["problems"][0] for host in health.values())

    whole(tmp_path, maker, test)


def test_a_second_server_serves_while_the_first_is_down_or_lacks_the_key(
    tmp_path: Path, maker: Maker
) -> None:
    async def test(w: Whole) -> None:
        await set_mode(w, "use")
        s = w.authority
        s.add_server("kms2", s.laboratories["kms"])
        await s.add_kms("TKP", "kms2")
        await w.ta("TrustAuthorityRemediate")
        agent = w.agent()
        s.servers["kms1"].is_up = False
        made = await agent.new_key("TKP")
        s.servers["kms1"].is_up = True
        s.servers["kms1"].laboratory = s.make_laboratory("empty")
        assert (await agent.key(made.key_id)).key_data == made.key_data

    whole(tmp_path, maker, test)


def test_user_and_password_reach_the_services_and_only_their_sealed_configuration(
    tmp_path: Path, maker: Maker
) -> None:
    async def test(w: Whole) -> None:
        info = {"name": "kms1", "address": "192.0.2.7", "userName": "kps"}
        await w.authority.call("UpdateKmipServer", clusterId="TKP", info=info, password="Grüße 7")
        health = await w.ta("TrustAuthorityHealth")
        assert not health["ta1"]["applied"], "the change is not pushed yet"
        await w.ta("TrustAuthorityRemediate")
        service = w.services["ta1"]
        assert service is not None
        [server] = service.configuration.providers["TKP"].access.dial()
        assert server.login is not None
        assert (server.login.user_name, server.login.password.reveal()) == (
            "kps",
            "Grüße 7".encode(),
        )
        for path in (w.folder / "ta1").rglob("*"):
            assert not path.is_file() or "Grüße 7".encode() not in path.read_bytes(), path

    whole(tmp_path, maker, test)


def test_a_server_without_its_password_keeps_no_other_provider_away(
    tmp_path: Path, maker: Maker
) -> None:
    async def test(w: Whole) -> None:
        info = {"name": "kms1", "address": "192.0.2.7", "userName": "kps"}
        await w.authority.call("UpdateKmipServer", clusterId="TKP", info=info)
        await w.ta("TrustAuthorityRemediate")
        service = w.services["ta1"]
        assert service is not None
        [server] = service.configuration.providers["TKP"].access.servers
        assert "password of user kps is missing" in (server.problem() or "")

    whole(tmp_path, maker, test)
