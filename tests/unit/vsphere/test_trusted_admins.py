"""The group TrustedAdmins: the first member, the others, and the last (R29, §5.2)."""

from pathlib import Path

import pytest
from kmipkit_vsphere.model.errors import NoPermission, NotFound, ResourceInUse
from vsphere_scene import Scene, play

GROUP = "TrustedAdmins"


async def with_member(s: Scene) -> None:
    """Grace is the only member; an administrator appointed her."""
    await s.call("AddTrustedAdmin", member="grace")
    assert await s.call("ListTrustedAdmins", "grace") == ["grace"]


def test_r29_only_members_change_the_group_once_there_is_one(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await with_member(s)
        for call in (
            s.call("AddTrustedAdmin", member="administrator"),
            s.call("SetMember", group=GROUP, member="administrator"),
            s.call("RemoveTrustedAdmin", member="grace"),
            s.call("SetMember", group=GROUP, member="grace", remove=True),
        ):
            with pytest.raises(NoPermission, match="only members change it"):
                await call
        await s.call("AddTrustedAdmin", "grace", member="Zoë Öst")
        await s.call("RemoveTrustedAdmin", "Zoë Öst", member="grace")
        assert (await s.call("ListGroups"))[GROUP] == ["Zoë Öst"]
        [added, removed] = [
            event
            for event in await s.events(eventTypeId="crypto.Operation")
            if event["operation"] in ("AddTrustedAdmin", "RemoveTrustedAdmin")
            and event["result"] == "success"
        ][1:]
        assert (added["userName"], removed["userName"]) == ("grace", "Zoë Öst")

    play(tmp_path, test).close()


def test_the_first_member_is_appointed_by_who_may_modify_permissions(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await s.call("SetRole", name="trust", privileges=["TrustedAdmin.ManageTrustedHosts"])
        await s.call("SetPermission", entity="/", principal="ada", role="trust")
        with pytest.raises(NoPermission, match=r"Authorization\.ModifyPermissions"):
            await s.call("AddTrustedAdmin", "ada", member="ada")
        await s.call("SetPermission", entity="/", principal="bob", role="NoTrustedAdmin")
        with pytest.raises(NoPermission, match=r"TrustedAdmin\.ManageTrustedHosts"):
            await s.call("AddTrustedAdmin", "bob", member="bob")
        await s.call("SetMember", group=GROUP, member="grace")
        assert await s.call("ListTrustedAdmins") == ["grace"]

    play(tmp_path, test).close()


def test_the_last_member_stays(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await with_member(s)
        with pytest.raises(ResourceInUse, match="add another one first"):
            await s.call("RemoveTrustedAdmin", "grace", member="grace")
        with pytest.raises(NotFound, match="not a member"):
            await s.call("RemoveTrustedAdmin", "grace", member="alan")
        await s.call("AddTrustedAdmin", "grace", member="grace")
        assert await s.call("ListTrustedAdmins") == ["grace"]

    play(tmp_path, test).close()


def test_who_runs_the_process_appoints_another_member(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await with_member(s)
        for _ in range(2):
            s.restart_vcenter()
            s.vcenter.trusted_admins.appoint("alan")
        assert await s.call("ListTrustedAdmins") == ["alan", "grace"]
        appointed = [e for e in await s.events() if e["operation"] == "AppointTrustedAdmin"]
        assert [event["arguments"] for event in appointed] == [{"member": "alan"}]

    play(tmp_path, test).close()
