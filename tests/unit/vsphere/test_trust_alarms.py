"""Alarms about a trust authority and its hosts: they begin, change color and end by themselves."""

from pathlib import Path

import pytest
from software_tpm import IMAGE, NOW, Maker
from trusted_scene import Whole, trusted, whole
from vsphere_scene import Scene


@pytest.fixture(scope="module")
def maker() -> Maker:
    return Maker("TPM maker", NOW)


async def alarms(s: Scene) -> dict[str, tuple[str, str]]:
    """Alarm to color and entity, after the next look and the next round of the background."""
    await s.vcenter.poll_health()
    await s.vcenter.run_background_tasks()
    return {
        alarm["alarm"]: (alarm["color"], alarm["entity"]["name"])
        for alarm in await s.call("ListAlarms")
    }


def test_services_that_do_not_answer(tmp_path: Path, maker: Maker) -> None:
    async def test(w: Whole) -> None:
        s, services = w.authority, dict(w.services)
        assert "trustAuthority" not in await alarms(s)
        for name in services:
            w.services[name] = None
        assert (await alarms(s))["trustAuthority"] == ("red", "trust authority")
        w.services["ta1"] = services["ta1"]
        assert (await alarms(s))["trustAuthority"] == ("yellow", "trust authority")
        w.services.update(services)
        assert "trustAuthority" not in await alarms(s)

    whole(tmp_path, maker, test)


def test_a_host_with_another_configuration(tmp_path: Path, maker: Maker) -> None:
    async def test(w: Whole) -> None:
        missed, w.services["ta2"] = w.services["ta2"], None
        await w.ta("RemoveImage", name=IMAGE.name, version=IMAGE.version)
        w.services["ta2"] = missed
        assert (await alarms(w.authority))["trustAuthority"] == ("yellow", "trust authority")
        [event] = await w.authority.events(eventTypeId="kms.crypto.TrustAuthority.ClusterUnhealthy")
        assert "ta2 has another configuration" in event["message"]
        await w.ta("TrustAuthorityRemediate")
        assert "trustAuthority" not in await alarms(w.authority)

    whole(tmp_path, maker, test)


def test_a_primary_key_that_cannot_be_used(tmp_path: Path, maker: Maker) -> None:
    async def test(w: Whole) -> None:
        w.authority.servers["kms1"].is_up = False
        assert (await alarms(w.authority))["primaryKey"] == ("red", "TKP")
        w.authority.servers["kms1"].is_up = True
        assert "primaryKey" not in await alarms(w.authority)

    whole(tmp_path, maker, test)


def test_hosts_that_are_not_attested(tmp_path: Path, maker: Maker) -> None:
    async def test(w: Whole) -> None:
        await trusted(w)
        s, services = w.workload, dict(w.services)
        assert await alarms(s) == {}
        for name in services:
            w.services[name] = None
        w.authority.pass_time(hours=9)
        found = await alarms(s)
        assert found["hostAttestation"] == ("red", "esx01")
        assert found["trustAuthority"] == ("red", "prod")
        w.services.update(services)
        assert await alarms(s) == {}

    whole(tmp_path, maker, test)
