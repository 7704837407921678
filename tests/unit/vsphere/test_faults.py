"""Faults at every step: no machine is lost, no plain text stays, and there is a reason to act on."""

import contextlib
import itertools
from pathlib import Path
from typing import Any

import pytest
from kmipkit_vsphere.model.errors import (
    DamagedData,
    HostUnreachable,
    KeyServerUnreachable,
    VSphereError,
)
from kmipkit_vsphere.model.keys import CryptoKeyId, CryptoKeyPlain, Secret
from kmipkit_vsphere.providers.standard import StandardKeyProvider
from kmipkit_vsphere.rpc.call import Request
from vsphere_scene import Connection, Scene, play

PATTERN = "Gehälter 2026 ".encode() * 30

OPERATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "encrypt": ("EncryptVM", {"name": "db1"}),
    "shallow": ("RecryptVM", {"name": "db1"}),
    "deep": ("RecryptVM", {"name": "db1", "deep": True}),
    "decrypt": ("DecryptVM", {"name": "db1"}),
    "clone": ("CloneVM", {"name": "db1", "newName": "db2"}),
    "unlock": ("CryptoUnlock", {"name": "db1"}),
    "change host key": ("ChangeHostKey", {"host": "esx01"}),
}


async def ready(s: Scene, operation: str) -> None:
    await s.prepare()
    s.host().guests.write_disk("db1", 100, PATTERN)
    if operation != "encrypt":
        await s.call("EncryptVM", name="db1")


def contents(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


async def settled(s: Scene, operation: str) -> None:
    """The host reboots, the key server is there again, and the call is repeated."""
    s.reboot("esx01")
    await s.vcenter.hosts.synchronise_restarted()
    assert s.host().guests.read_disk("db1", 100, len(PATTERN)) == PATTERN
    method, params = OPERATIONS[operation]
    done = {"encrypt": True, "decrypt": False}.get(operation)
    names = {info.name for info in s.host().machines.list_all()}
    if s.host().datastore.machine("db1").is_encrypted() is not done and "db2" not in names:
        await s.call(method, **params)
    assert s.host().guests.read_disk("db1", 100, len(PATTERN)) == PATTERN
    if operation != "decrypt":
        assert PATTERN[:16] not in contents(s.host().datastore.folder)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_key_server_goes_at_each_step_of_each_operation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    method, params = OPERATIONS[operation]
    real = Connection.exchange
    for step in itertools.count():
        folder = tmp_path / str(step)
        folder.mkdir()
        count = itertools.count()
        lost: list[int] = []

        async def test(s: Scene, step: int = step, count: Any = count, lost: Any = lost) -> None:
            async def exchange(self: Connection, request: Any) -> Any:
                number = next(count)
                if number >= step:
                    lost.append(number)
                    raise KeyServerUnreachable("kms1: the connection broke")
                return await real(self, request)

            await ready(s, operation)
            with monkeypatch.context() as patch:
                patch.setattr(Connection, "exchange", exchange)
                with contextlib.suppress(KeyServerUnreachable):
                    await s.call(method, **params)
            await settled(s, operation)

        play(folder, test).close()
        if not lost:
            break
    assert step or operation in ("decrypt", "clone", "unlock"), "those need no key server here"


@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_host_stops_answering_at_each_step(tmp_path: Path, operation: str) -> None:
    method, params = OPERATIONS[operation]
    for step in itertools.count():
        folder = tmp_path / str(step)
        folder.mkdir()
        count = itertools.count()
        lost: list[str] = []

        async def test(s: Scene, step: int = step, count: Any = count, lost: Any = lost) -> None:
            await ready(s, operation)
            real = s.vcenter.hosts.call

            async def call(host: Any, request: Request[Any]) -> Any:
                answer = await real(host, request)
                if next(count) == step:
                    name = request.method()
                    lost.append(name)
                    raise HostUnreachable(f"host {host.name}: the answer to {name} was lost")
                return answer

            s.vcenter.hosts.call = call  # type: ignore[method-assign]  # replaced for this test
            with contextlib.suppress(HostUnreachable):
                await s.call(method, **params)
            s.vcenter.hosts.call = real  # type: ignore[method-assign]  # replaced for this test
            await settled(s, operation)

        play(folder, test).close()
        if not lost:
            break
    assert step


def test_a_key_server_that_gives_another_key_opens_nothing_and_harms_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(s: Scene) -> None:
        await ready(s, "unlock")

        async def wrong(_self: Any, key_id: CryptoKeyId) -> CryptoKeyPlain:
            return CryptoKeyPlain(key_id, "AES-256", Secret(b"\x11" * 32))

        s.reboot("esx01")
        with monkeypatch.context() as patch:
            patch.setattr(StandardKeyProvider, "fetch", wrong)
            with pytest.raises(DamagedData, match="the key server gave another key"):
                await s.call("CryptoUnlock", name="db1")
        [event] = [event for event in await s.events() if event["operation"] == "CryptoUnlock"]
        assert event["result"] == "failure"
        s.reboot("esx01")
        await s.vcenter.hosts.synchronise_restarted()
        assert s.host().guests.read_disk("db1", 100, len(PATTERN)) == PATTERN

    play(tmp_path, test).close()


@pytest.mark.parametrize("file", ["db1.vmx", "db1.vmdk", "db1-flat.vmdk", "db1.nvram"])
@pytest.mark.parametrize("damage", ["cut", "empty", "missing"])
def test_damaged_files_are_told_and_other_machines_go_on(
    tmp_path: Path, file: str, damage: str
) -> None:
    async def test(s: Scene) -> None:
        await ready(s, "unlock")
        await s.call("CloneVM", name="db1", newName="db2")
        s.host().close()
        path = s.host().datastore.folder / "db1" / file
        data = path.read_bytes()
        if damage == "missing":
            path.unlink()
        else:
            path.write_bytes({"cut": data[: len(data) // 2], "empty": b""}[damage])
        s.reboot("esx01")
        with contextlib.suppress(VSphereError):
            await s.vcenter.hosts.synchronise_restarted()
        await s.call("CryptoUnlock", name="db2")
        assert s.host().guests.read_disk("db2", 100, len(PATTERN)) == PATTERN
        if file != "db1.nvram" or damage == "missing":
            with pytest.raises(VSphereError, match=r"db1"):
                s.host().guests.read_disk("db1", 100, len(PATTERN))
        path.write_bytes(data)
        await s.call("CryptoUnlock", name="db1")
        assert s.host().guests.read_disk("db1", 100, len(PATTERN)) == PATTERN, (
            "restored, it opens again"
        )

    play(tmp_path, test).close()


@pytest.mark.parametrize("file", ["db1.vmx", "db1.vmdk"])
def test_an_altered_locator_does_not_open(tmp_path: Path, file: str) -> None:
    async def test(s: Scene) -> None:
        await ready(s, "unlock")
        path = s.host().datastore.folder / "db1" / file
        text = path.read_text()
        data = text.index("HMAC%2dSHA%2d256,") + 20
        # a character of the base64 itself, not of an escape such as %2b
        start = next(at for at in range(data, data + 9) if "%" not in text[at - 2 : at + 1])
        flipped = "B" if text[start] == "A" else "A"
        s.host().close()
        path.write_text(text[:start] + flipped + text[start + 1 :])
        s.reboot("esx01")
        with pytest.raises(DamagedData, match="altered"):
            await s.call("CryptoUnlock", name="db1")

    play(tmp_path, test).close()
