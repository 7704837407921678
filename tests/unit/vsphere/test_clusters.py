"""Which hosts get encryption mode, and that rights are checked before anything is made (§6, R40)."""

from pathlib import Path
from typing import Any

import pytest
from kmipkit_vsphere.model.errors import (
    AlreadyExists,
    HostUnreachable,
    InvalidState,
    NoPermission,
    NotFound,
)
from kmipkit_vsphere.vcenter.privileges import Privilege
from vsphere_scene import Scene, play

ADA = "ada"


async def cluster(s: Scene, *hosts: str) -> None:
    s.add_server("kms1")
    await s.add_kms("KMS", "kms1")
    await s.call("CreateCluster", name="prod")
    for name in hosts:
        s.start_host(name)
        await s.call("AddHost", name=name, address="h", port=1, parent="cluster/prod")
        await s.call("CreateVM", host=name, name=f"on-{name}", diskSize=4096)
    s.forget()


async def may(s: Scene, *hosts: str) -> None:
    """Ada has all rights but RegisterHost, which she has on these hosts only."""
    every = sorted(set(Privilege))
    without = [name for name in every if name != Privilege.REGISTER_HOST]
    await s.call("SetRole", name="AllButRegisterHost", privileges=without)
    await s.call("SetPermission", principal=ADA, role="AllButRegisterHost")
    for host in hosts:
        await s.call("SetPermission", principal=ADA, role="Administrator", entity=f"host/{host}")


def modes(s: Scene) -> dict[str, str]:
    return {name: str(s.host(name).keys.crypto.state) for name in s.hosts}


@pytest.mark.parametrize("rights", [("a",), ("a", "b"), ("a", "b", "c")])
def test_r40_where_no_host_is_safe_only_the_chosen_one_is_switched(
    tmp_path: Path, rights: tuple[str, ...]
) -> None:
    async def test(s: Scene) -> None:
        await cluster(s, "a", "b")
        await may(s, *(name for name in rights if name in "ab"))
        await s.call("EncryptVM", ADA, name="on-a")
        assert modes(s) == {"a": "safe", "b": "incapable"}

    play(tmp_path, test).close()


@pytest.mark.parametrize("method", ["EncryptVM", "CreateVM"])
def test_r40_without_the_right_nothing_is_made(tmp_path: Path, method: str) -> None:
    async def test(s: Scene) -> None:
        await cluster(s, "a", "b")
        await may(s, "b")
        s.forget()
        parameters: dict[str, Any] = (
            {"name": "on-a"}
            if method == "EncryptVM"
            else {"host": "a", "name": "new", "diskSize": 4096, "encrypt": True}
        )
        with pytest.raises(NoPermission, match="RegisterHost on host/a"):
            await s.call(method, ADA, **parameters)
        assert s.kmip == []
        assert await s.call("ListKeys") == []
        assert modes(s) == {"a": "incapable", "b": "incapable"}
        assert {machine["name"] for machine in await s.call("ListVMs")} == {"on-a", "on-b"}

    play(tmp_path, test).close()


def test_r40_a_host_that_left_the_mode_at_a_reboot_needs_the_right_again(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await cluster(s, "a")
        await s.call("ConfigureCryptoKey", host="a")
        s.reboot("a")
        await may(s)
        s.forget()
        with pytest.raises(NoPermission):
            await s.call("EncryptVM", ADA, name="on-a")
        assert s.kmip == []

    play(tmp_path, test).close()


@pytest.mark.parametrize(
    ("rights", "third"), [(("a", "b", "c"), "safe"), (("a", "b"), "incapable")]
)
def test_where_some_hosts_are_safe_the_rest_follows_as_far_as_the_caller_may(
    tmp_path: Path, rights: tuple[str, ...], third: str
) -> None:
    async def test(s: Scene) -> None:
        await cluster(s, "a", "b", "c")
        for name in ("a", "b"):
            await s.call("ConfigureCryptoKey", host=name)
        await may(s, *rights)
        key = await s.call("EncryptVM", ADA, name="on-a")
        assert modes(s) == {"a": "safe", "b": "safe", "c": third}
        for name in ("a", "b"):
            ids = [known.key_id for known in s.host(name).keys.crypto.list_keys()]
            assert key["keyId"] in ids, "the key goes to every safe host"

    play(tmp_path, test).close()


def test_a_rekeying_switches_no_host(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await cluster(s, "a", "b")
        await s.call("EncryptVM", name="on-a")
        await may(s)
        await s.call("RecryptVM", ADA, name="on-a")
        assert modes(s) == {"a": "safe", "b": "incapable"}

    play(tmp_path, test).close()


def test_a_host_joins_safe_hosts_only_by_someone_with_the_right(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await cluster(s, "a")
        await s.call("ConfigureCryptoKey", host="a")
        await may(s)
        s.start_host("b")
        add = {"name": "b", "address": "h", "port": 1, "parent": "cluster/prod"}
        s.forget()
        with pytest.raises(NoPermission, match="cluster/prod"):
            await s.call("AddHost", ADA, **add)
        assert (s.kmip, s.calls) == ([], [])
        with pytest.raises(NotFound):
            s.store.inventory.host("b")
        await s.call("AddHost", **add)
        assert modes(s)["b"] == "safe"

    play(tmp_path, test).close()


def test_force_enable_needs_the_right_on_all_hosts_before_any_changes(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await cluster(s, "a", "b")
        await may(s, "a")
        await s.call(
            "SetPermission",
            principal=ADA,
            role="Administrator",
            entity="cluster/prod",
            propagate=False,
        )
        s.forget()
        with pytest.raises(NoPermission, match="host/b"):
            await s.call("SetCryptoMode", ADA, name="prod", cryptoMode="forceEnable")
        assert s.kmip == []
        assert s.store.inventory.cluster("prod").crypto_mode == "onDemand"
        assert modes(s) == {"a": "incapable", "b": "incapable"}

    play(tmp_path, test).close()


def test_force_enable_reaches_the_other_hosts_while_one_is_down(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await cluster(s, "a", "b")
        s.hosts["a"], host = None, s.hosts["a"]
        with pytest.raises(HostUnreachable):
            await s.call("SetCryptoMode", name="prod", cryptoMode="forceEnable")
        s.hosts["a"] = host
        assert modes(s) == {"a": "incapable", "b": "safe"}

    play(tmp_path, test).close()


def test_a_cluster_is_not_made_twice(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await cluster(s, "a")
        await s.call("SetCryptoMode", name="prod", cryptoMode="forceEnable")
        with pytest.raises(AlreadyExists):
            await s.call("CreateCluster", name="prod")
        assert s.store.inventory.cluster("prod").crypto_mode == "forceEnable"

    play(tmp_path, test).close()


# Native providers and the hosts that can have them -----------------------------------------------


async def backed_up(s: Scene, *, any_host: bool) -> str:
    """A native provider's colour and reason."""
    await s.call("CreateNativeProvider", provider="NKP", anyHost=any_host)
    prepared = await s.call("ExportProvider", provider="NKP")
    await s.call("DownloadBackup", token=prepared["location"]["downloadToken"]["token"])
    [status] = await s.call("RetrieveKmipServersStatus")
    return f"{status['overallStatus']}: {'; '.join(status['reasons'])}"


def test_a_native_provider_that_no_host_can_use_is_red(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        assert (await backed_up(s, any_host=True)).startswith("red: no host has it")
        await s.call("CreateCluster", name="prod")
        s.start_host("a")
        await s.call("AddHost", name="a", address="h", port=1, parent="cluster/prod")
        [status] = await s.call("RetrieveKmipServersStatus")
        assert status["overallStatus"] == "green"

    play(tmp_path, test).close()


def test_a_native_provider_that_needs_a_tpm_on_hosts_without_is_red(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await s.call("CreateCluster", name="prod")
        s.start_host("a")
        await s.call("AddHost", name="a", address="h", port=1, parent="cluster/prod")
        text = await backed_up(s, any_host=False)
        assert text.startswith("red: no host can use it")
        assert "TPM" in text
        await s.call("CreateVM", host="a", name="db1", diskSize=4096)
        with pytest.raises(InvalidState, match="TPM"):
            await s.call("EncryptVM", name="db1")

    play(tmp_path, test).close()


def test_a_native_provider_is_refused_on_a_host_outside_of_clusters(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await backed_up(s, any_host=True)
        s.start_host("a")
        await s.call("AddHost", name="a", address="h", port=1)
        await s.call("CreateVM", host="a", name="db1", diskSize=4096)
        with pytest.raises(InvalidState, match="cluster"):
            await s.call("EncryptVM", name="db1")

    play(tmp_path, test).close()
