"""Base images: a host that was upgraded to an unknown one, and how that is mended (§7.2)."""

import json
from pathlib import Path
from typing import Any

import pytest
from kmipkit_vsphere.host.host import Host
from kmipkit_vsphere.host.trusted_host import TrustedHost
from kmipkit_vsphere.model.encoding import encode
from kmipkit_vsphere.model.errors import (
    EncryptionKeyRequired,
    InvalidArgument,
    InvalidState,
    NoPermission,
    NotFound,
)
from kmipkit_vsphere.rpc.tls import Credentials
from kmipkit_vsphere.trust_authority.measurements import Image
from software_tpm import IMAGE, NOW, Maker
from trusted_scene import Whole, whole

NEW = Image("ESXi", "8.0.4 bétä", (("esx-base", "0a" * 32), ("vmx", "0b" * 32)), IMAGE.options)
PATTERN = b"TOP SECRET"


@pytest.fixture(scope="module")
def maker() -> Maker:
    return Maker("TPM maker", NOW)


class Booted:
    """A trusted host with a TPM, which boots images."""

    def __init__(self, w: Whole) -> None:
        self._w = w

    def boot(self, image: Image) -> Host:
        """A reboot: the registers are reset, and the image is measured."""
        w = self._w
        if (old := w.workload.hosts.get("esx01")) is not None:
            old.close()
        w.tpm.reboot()
        w.events = image.measure(w.tpm)
        host = w.workload.start_host("esx01", w.tpm)
        agent = w.use(host)
        files = Credentials(w.folder / "c", w.folder / "k", w.folder / "a")
        trusted = TrustedHost(
            host.uuid,
            host.config,
            host.keys.sources,
            w.folder,
            w.tpm,
            w.events,
            files,
            lambda: NOW,
            image,
        )
        trusted.attest = agent.attest  # type: ignore[method-assign]
        trusted.configure = lambda _: None  # type: ignore[method-assign, assignment]
        host.trusted = trusted
        return host


async def prepared(w: Whole) -> Booted:
    """An encrypted machine on a trusted host that has booted the known image."""
    booted = Booted(w)
    booted.boot(IMAGE)
    s = w.workload
    await s.call("CreateCluster", name="prod")
    await s.call("AddHost", name="esx01", address="h", port=1, parent="cluster/prod")
    await s.call("RegisterKmsCluster", clusterId="TKP")
    await s.call("SetMember", group="TrustedAdmins", member="trust-admin")
    document = await w.ta("ExportTrustServices")
    await s.call("ImportTrustServices", "trust-admin", document=document)
    await s.call("EnableTrustedCluster", "trust-admin", name="prod")
    await s.call("CreateVM", host="esx01", name="db1", diskSize=4096)
    await s.call("EncryptVM", name="db1")
    s.host().guests.write_disk("db1", 0, PATTERN)
    await s.vcenter.poll_health()
    return booted


def read(host: Host) -> bytes:
    return host.guests.read_disk("db1", 0, len(PATTERN))


async def upgrade(w: Whole, booted: Booted) -> Host:
    await w.workload.call("PrepareUpgrade", host="esx01", manifest=encode(NEW).decode())
    return booted.boot(NEW)


def test_an_upgrade_breaks_attestation_until_the_image_is_imported(
    tmp_path: Path, maker: Maker
) -> None:
    async def test(w: Whole) -> None:
        booted, s = await prepared(w), w.workload
        host = await upgrade(w, booted)
        with pytest.raises(EncryptionKeyRequired):
            read(host)
        await s.vcenter.run_background_tasks()
        await s.vcenter.poll_health()
        [failed] = await s.events(eventTypeId="TaHostAttestFailEvent")
        assert "ESXi 8.0.4 bétä" in failed["arguments"]["reason"]
        [locked] = await s.events(eventTypeId="vm.Crypto.VMLocked")
        assert "ESXi 8.0.4 bétä" in locked["message"]
        alarms = {alarm["entity"]["name"] for alarm in await s.call("ListAlarms")}
        assert alarms == {"esx01", "db1"}
        exported = await s.call("ExportImage", "trust-admin", host="esx01")
        assert json.loads(exported)["version"] == "8.0.4 bétä"
        await w.ta("ImportImage", manifest=exported)
        await s.vcenter.run_background_tasks()
        await s.vcenter.poll_health()
        assert read(host) == PATTERN
        assert await s.call("ListAlarms") == []
        assert [image["version"] for image in await w.ta("ListImages")] == ["8.0.3", "8.0.4 bétä"]
        status = await s.call("AttestationStatus", name="prod")
        assert status["esx01"]["image"] == "ESXi 8.0.4 bétä"

    whole(tmp_path, maker, test)


def test_a_rollback_mends_it_as_well(tmp_path: Path, maker: Maker) -> None:
    async def test(w: Whole) -> None:
        booted, s = await prepared(w), w.workload
        await upgrade(w, booted)
        host = booted.boot(IMAGE)
        await s.vcenter.run_background_tasks()
        assert read(host) == PATTERN

    whole(tmp_path, maker, test)


def test_running_machines_go_on_while_their_image_is_removed(tmp_path: Path, maker: Maker) -> None:
    async def test(w: Whole) -> None:
        booted, s = await prepared(w), w.workload
        await w.ta("ImportImage", manifest=encode(NEW).decode())
        await w.ta("RemoveImage", name=IMAGE.name, version=IMAGE.version)
        with pytest.raises(NotFound):
            await w.ta("RemoveImage", name=IMAGE.name, version=IMAGE.version)
        w.authority.pass_time(hours=9)
        await s.vcenter.poll_health()
        [failed] = await s.events(eventTypeId="TaHostAttestFailEvent")
        assert "ESXi 8.0.3" in failed["message"]
        assert read(s.host()) == PATTERN
        host = booted.boot(IMAGE)
        await s.vcenter.run_background_tasks()
        with pytest.raises(EncryptionKeyRequired):
            read(host)

    whole(tmp_path, maker, test)


def test_an_upgrade_that_was_not_prepared_does_not_open_the_configuration(
    tmp_path: Path, maker: Maker
) -> None:
    async def test(w: Whole) -> None:
        booted = await prepared(w)
        with pytest.raises(InvalidState, match="booted in another state"):
            booted.boot(NEW)
        booted.boot(IMAGE)
        third = Image("ESXi", "9", NEW.components)
        await upgrade(w, booted)
        with pytest.raises(InvalidState, match="booted in another state"):
            booted.boot(third)
        booted.boot(NEW)
        await w.workload.call("PrepareUpgrade", host="esx01", manifest=encode(third).decode())
        booted.boot(third)
        booted.boot(NEW)
        with pytest.raises(InvalidState, match="booted in another state"):
            booted.boot(IMAGE)
        w.workload.hosts.clear()

    whole(tmp_path, maker, test)


def test_who_may_prepare_and_export(tmp_path: Path, maker: Maker) -> None:
    async def test(w: Whole) -> None:
        await prepared(w)
        s = w.workload
        calls: list[tuple[str, dict[str, Any], str]] = [
            ("ExportImage", {"host": "esx01"}, "TrustedAdmins"),
            ("ListImages", {}, "TrustedAdmins"),
        ]
        for method, params, words in calls:
            with pytest.raises(NoPermission, match=words):
                await s.call(method, **params)
        await s.call("SetPermission", entity="/", principal="ada", role="ReadOnly")
        with pytest.raises(NoPermission, match=r"Host\.Config\.Patch"):
            await s.call("PrepareUpgrade", "ada", host="esx01", manifest="{}")
        with pytest.raises(InvalidArgument, match="not a manifest"):
            await s.call("PrepareUpgrade", host="esx01", manifest="{}")
        s.start_host("esx02")
        await s.call("AddHost", name="esx02", address="h", port=1)
        with pytest.raises(InvalidState, match="has none"):
            await s.call("PrepareUpgrade", host="esx02", manifest=encode(NEW).decode())

    whole(tmp_path, maker, test)
