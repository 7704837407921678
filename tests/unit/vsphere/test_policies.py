"""Storage policies: what they encrypt and decrypt, who may change them, and what is as required."""

from pathlib import Path
from typing import Any

import pytest
from kmipkit_vsphere.model.errors import (
    AlreadyExists,
    InvalidArgument,
    InvalidState,
    NoPermission,
    NotFound,
    ResourceInUse,
    VSphereError,
)
from kmipkit_vsphere.vcenter.policies import DATASTORE_DEFAULT, ENCRYPTION_POLICY, FORBIDDEN
from vsphere_scene import Scene, play

ENCRYPTION = "VM Encryption Policy"
DEFAULT = "Datastore Default"
PAYROLL = "Gehälter 2026"


async def compliance(s: Scene, name: str = "db1") -> dict[str, str]:
    checked = await s.call("CheckCompliance", names=[name], allParts=True)
    return {result["part"]: result["status"] for result in checked}


async def policies(s: Scene, name: str = "db1") -> dict[str, str]:
    [machine] = [machine for machine in await s.call("ListVMs") if machine["name"] == name]
    return dict(machine["policies"])


def encrypted(s: Scene, name: str = "db1") -> list[str]:
    return s.host().machines.info(name).encrypted_parts


def test_the_predefined_policies_have_the_ids_that_they_have_everywhere(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        listed = await s.call("ListStoragePolicies")
        assert [(policy["name"], policy["encrypts"]) for policy in listed] == [
            (ENCRYPTION, True),
            (DEFAULT, False),
        ]
        assert listed[0]["policyId"] == "4d5f673c-536f-11e6-beb8-9e71128cae77"
        for name in (ENCRYPTION, DEFAULT):
            with pytest.raises(InvalidArgument, match="predefined"):
                await s.call("RemoveStoragePolicy", policy=name)
            with pytest.raises(InvalidArgument, match="predefined"):
                await s.call("UpdateStoragePolicy", policy=name, encrypt=False)

    play(tmp_path, test)


def test_setting_a_policy_encrypts_and_decrypts(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        assert await policies(s) == {"home": DEFAULT, "disk": DEFAULT}
        s.host().guests.write_disk("db1", 0, b"payroll")
        results = await s.call("SetStoragePolicy", name="db1", policy=ENCRYPTION)
        assert [result["status"] for result in results] == ["compliant", "compliant"]
        assert encrypted(s) == ["home", "disk"]
        assert s.store.inventory.machine("db1").key_id is not None
        s.forget()
        await s.call("SetStoragePolicy", name="db1", policy=ENCRYPTION_POLICY.policy_id)
        assert not s.kmip, "nothing changes the second time"
        await s.call("SetStoragePolicy", name="db1", policy=DATASTORE_DEFAULT.policy_id)
        assert encrypted(s) == []
        assert s.host().guests.read_disk("db1", 0, 7) == b"payroll"
        assert s.store.inventory.machine("db1").key_id is None

    play(tmp_path, test)


def test_each_disk_has_a_policy_of_its_own(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        await s.call("AddDisk", name="db1", diskSize=8192)
        with pytest.raises(InvalidState, match="encrypt the home too"):
            await s.call("SetStoragePolicy", name="db1", policy=ENCRYPTION, parts=["disk1"])
        assert await policies(s) == dict.fromkeys(("home", "disk", "disk1"), DEFAULT)
        await s.call("SetStoragePolicy", name="db1", policy=ENCRYPTION, parts=["home", "disk1"])
        assert encrypted(s) == ["home", "disk1"]
        assert await policies(s) == {"home": ENCRYPTION, "disk": DEFAULT, "disk1": ENCRYPTION}
        with pytest.raises(InvalidState, match="decrypt the disks first: disk1"):
            await s.call("SetStoragePolicy", name="db1", policy=DEFAULT, parts=["home"])
        with pytest.raises(InvalidArgument, match="has no disk7"):
            await s.call("SetStoragePolicy", name="db1", policy=DEFAULT, parts=["disk7"])
        assert await compliance(s) == {
            "home": "compliant",
            "disk": "notApplicable",
            "disk1": "compliant",
        }

    play(tmp_path, test)


def test_a_machine_is_created_with_a_policy(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        await s.call("CreateStoragePolicy", name=PAYROLL, encrypt=True)
        create = {"host": "esx01", "diskSize": 8192}
        info = await s.call("CreateVM", name="db2", policy=PAYROLL, **create)
        assert (info["cryptoState"], info["encryptedParts"]) == ("unlocked", ["home", "disk"])
        assert await policies(s, "db2") == {"home": PAYROLL, "disk": PAYROLL}
        await s.call("CreateVM", name="db3", policy=DEFAULT, **create)
        assert encrypted(s, "db3") == []
        with pytest.raises(InvalidArgument, match="does not encrypt"):
            await s.call("CreateVM", name="db4", policy=DEFAULT, encrypt=True, **create)
        with pytest.raises(NotFound, match="no storage policy"):
            await s.call("CreateVM", name="db4", policy="unknown", **create)
        assert s.host().datastore.names() == ["db1", "db2", "db3"]

    play(tmp_path, test)


def test_new_disks_follow_their_policy(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        with pytest.raises(InvalidState, match="set its policy afterwards"):
            await s.call("AddDisk", name="db1", diskSize=8192, policy=ENCRYPTION)
        await s.call("EncryptVM", name="db1")
        await s.call("AddDisk", name="db1", diskSize=8192)
        await s.call("AddDisk", name="db1", diskSize=8192, policy=DEFAULT)
        await s.call("AddDisk", name="db1", diskSize=8192, policy=ENCRYPTION, keyProvider="KMS")
        with pytest.raises(InvalidArgument, match="needs no key provider"):
            await s.call("AddDisk", name="db1", diskSize=8192, policy=DEFAULT, keyProvider="KMS")
        assert encrypted(s) == ["home", "disk", "disk1", "disk3"]
        await s.call("RemoveDisk", name="db1", disk=2)
        assert await policies(s) == dict.fromkeys(("home", "disk", "disk1", "disk3"), ENCRYPTION)

    play(tmp_path, test)


def test_a_policy_that_changes_makes_machines_non_compliant(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        await s.call("CreateStoragePolicy", name=PAYROLL, description="for HR")
        await s.call("SetStoragePolicy", name="db1", policy=PAYROLL)
        assert await s.call("CheckCompliance") == []
        await s.call("UpdateStoragePolicy", policy=PAYROLL, encrypt=True)
        results = await s.call("CheckCompliance")
        assert [(result["part"], result["status"]) for result in results] == [
            ("home", "nonCompliant"),
            ("disk", "nonCompliant"),
        ]
        assert "is not encrypted" in results[0]["reason"]
        await s.call("SetStoragePolicy", name="db1", policy=PAYROLL)
        assert await s.call("CheckCompliance") == []
        await s.call("UpdateStoragePolicy", policy=PAYROLL, encrypt=False, name="open")
        assert "does not require" in (await s.call("CheckCompliance"))[0]["reason"]
        with pytest.raises(ResourceInUse):
            await s.call("RemoveStoragePolicy", policy="open")
        s.hosts["esx01"] = None
        assert await compliance(s) == {"home": "unknown", "disk": "unknown"}
        with pytest.raises(NotFound):
            await s.call("CheckCompliance", names=["db7"])

    play(tmp_path, test)


def test_encryption_and_decryption_keep_policies_in_step(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        with pytest.raises(InvalidState, match=FORBIDDEN):
            await s.call("EncryptVM", name="db1", requirePolicy=True)
        assert encrypted(s) == []
        await s.call("EncryptVM", name="db1")
        assert await policies(s) == {"home": ENCRYPTION, "disk": ENCRYPTION}
        await s.call("DecryptVM", name="db1", parts=["disk"])
        assert await policies(s) == {"home": ENCRYPTION, "disk": DEFAULT}
        await s.call("CreateStoragePolicy", name=PAYROLL, encrypt=False)
        await s.call("SetStoragePolicy", name="db1", policy=PAYROLL, parts=["disk"])
        await s.call("UpdateStoragePolicy", policy=PAYROLL, encrypt=True)
        await s.call("EncryptVM", name="db1", parts=["disk"], requirePolicy=True)
        assert await policies(s) == {"home": ENCRYPTION, "disk": PAYROLL}
        await s.call("CloneVM", name="db1", newName="db2")
        assert await policies(s, "db2") == {"home": ENCRYPTION, "disk": PAYROLL}
        await s.call("DestroyVM", name="db2")
        await s.call("UnregisterVM", name="db1")
        assert not s.store.providers.settings("machine-policy/")
        await s.call("RemoveStoragePolicy", policy=PAYROLL)

    play(tmp_path, test)


REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("CreateStoragePolicy", {"name": "p2", "encrypt": True}),
    ("UpdateStoragePolicy", {"policy": "p1", "encrypt": False}),
    ("UpdateStoragePolicy", {"policy": "p0", "encrypt": True}),
    ("RemoveStoragePolicy", {"policy": "p1"}),
    ("SetStoragePolicy", {"name": "db1", "policy": "p1"}),
    ("CreateVM", {"host": "esx01", "name": "db2", "diskSize": 8192, "policy": "p1"}),
]


@pytest.mark.parametrize(
    ("method", "params"),
    [*REFUSED[:2], *(pytest.param(*case, marks=pytest.mark.long) for case in REFUSED[2:])],
)
def test_r24_policies_that_encrypt_need_crypto_privileges(
    tmp_path: Path, method: str, params: dict[str, Any]
) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        await s.call("CreateStoragePolicy", name="p0")
        await s.call("CreateStoragePolicy", name="p1", encrypt=True)
        await s.call("SetPermission", entity="/", principal="eve", role="NoCryptoAdmin")
        before = s.vcenter.policies.all()
        with pytest.raises(NoPermission, match="Cryptographer"):
            await s.call(method, "eve", **params)
        assert (s.vcenter.policies.all(), encrypted(s)) == (before, [])
        await s.call("CreateStoragePolicy", "eve", name="p2")
        await s.call("SetStoragePolicy", "eve", name="db1", policy="p2")

    play(tmp_path, test)


def test_names_of_policies_are_unique_and_survive_a_restart(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        made = await s.call("CreateStoragePolicy", name=PAYROLL, encrypt=True)
        for name in (PAYROLL, ENCRYPTION, made["policyId"]):
            with pytest.raises(AlreadyExists):
                await s.call("CreateStoragePolicy", name=name)
        s.restart_vcenter()
        assert made in await s.call("ListStoragePolicies")

    play(tmp_path, test)


def test_a_failure_leaves_the_policies_as_they_were(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        s.servers["kms1"].is_up = False
        with pytest.raises(VSphereError):
            await s.call("SetStoragePolicy", name="db1", policy=ENCRYPTION)
        with pytest.raises(InvalidArgument, match="needs no key provider"):
            await s.call("SetStoragePolicy", name="db1", policy=DEFAULT, keyProvider="KMS")
        assert await policies(s) == {"home": DEFAULT, "disk": DEFAULT}

    play(tmp_path, test)
