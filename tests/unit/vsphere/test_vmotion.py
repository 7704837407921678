"""Encrypted vMotion: R42, and that no fault on the way loses a machine or leaves plain text."""

import json
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st
from kmipkit_vsphere.calls.machines import MigrationEnd
from kmipkit_vsphere.host.host import Host
from kmipkit_vsphere.host.machines import MIGRATE_ENCRYPTION
from kmipkit_vsphere.model.encoding import convert, to_builtins
from kmipkit_vsphere.model.errors import (
    AlreadyExists,
    HostUnreachable,
    InvalidArgument,
    InvalidState,
    MigrationBroken,
    NoPermission,
)
from kmipkit_vsphere.model.migration_spec import EncryptionMode, MigrationSpec, decide
from kmipkit_vsphere.rpc.call import Request
from kmipkit_vsphere.vmotion.migrations import Migrations
from kmipkit_vsphere.vmotion.packets import HEAD_SIZE, TO_SOURCE, TO_TARGET, Kind, Opener, Sealer
from kmipkit_vsphere.vmotion.staging import (
    MAX_FILES,
    StagedMachine,
    has_arrived,
    parse_manifest,
    withdraw,
)
from kmipkit_vsphere.vmotion.transfer import receive, send
from lengths import examples
from vsphere_scene import PATTERN, Scene, migrating

PACKETS = st.lists(
    st.tuples(st.sampled_from(Kind), st.binary(max_size=200)), min_size=1, max_size=8
)


def opened(opener: Opener, packet: bytes) -> Any:
    head, body = packet[:HEAD_SIZE], packet[HEAD_SIZE:]
    if opener.length(head) != len(body):
        raise MigrationBroken("another length")
    return opener.open(head, body)


@given(packets=PACKETS, encrypted=st.booleans())
def test_packets_arrive_as_they_were_sent(
    packets: list[tuple[Kind, bytes]], encrypted: bool
) -> None:
    spec = MigrationSpec.new(encrypted=encrypted)
    sealer, opener = Sealer(spec, TO_TARGET), Opener(spec, TO_TARGET)
    assert [opened(opener, sealer.seal(*packet)) for packet in packets] == packets


@settings(max_examples=examples(200))
@given(packets=PACKETS, data=st.data())
def test_r42_altered_replayed_and_moved_packets_are_refused(
    packets: list[tuple[Kind, bytes]], data: st.DataObject
) -> None:
    spec = MigrationSpec.new(encrypted=True)
    sealer, opener = Sealer(spec, TO_TARGET), Opener(spec, TO_TARGET)
    sealed = [sealer.seal(*packet) for packet in packets]
    place = data.draw(st.integers(0, len(sealed) - 1))
    for packet in sealed[:place]:
        opened(opener, packet)
    bad = [Sealer(spec, TO_SOURCE).seal(*packets[0])]
    flipped = bytearray(sealed[place])
    flipped[data.draw(st.integers(0, len(flipped) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    bad.append(bytes(flipped))
    bad += [packet for number, packet in enumerate(sealed) if number != place]
    for packet in bad:
        with pytest.raises(MigrationBroken):
            opened(opener, packet)
    assert opened(opener, sealed[place]) == packets[place], "the right one is still taken"


@pytest.mark.parametrize(
    ("mode", "source", "target", "expected"),
    [
        ("disabled", True, True, False),
        ("opportunistic", True, True, True),
        ("opportunistic", True, False, False),
        ("required", True, True, True),
        ("required", True, False, None),
        ("required", False, True, None),
    ],
)
def test_modes(mode: str, source: bool, target: bool, expected: bool | None) -> None:
    if expected is None:
        with pytest.raises(InvalidState, match="source" if target else "target"):
            decide(EncryptionMode(mode), source, target)
    else:
        assert decide(EncryptionMode(mode), source, target) is expected


def test_the_one_time_key_does_not_show() -> None:
    spec = MigrationSpec.new(encrypted=True)
    assert spec.key is not None
    assert len(spec.key) == 32
    assert spec.key.reveal().hex() not in repr(spec)
    assert convert(to_builtins(spec), MigrationSpec) == spec
    for bad in ({}, {"migrationId": "x", "nonce": "00", "key": None}, {"nonce": 1}):
        with pytest.raises(InvalidArgument):
            convert(bad, MigrationSpec)


# Two hosts on a stream that somebody listens to, and may touch -----------------------------------


Touch = Callable[[int, bytes], list[bytes]]


def untouched(_number: int, packet: bytes) -> list[bytes]:
    return [packet]


class Relay:
    """Somebody between both hosts who sees, and may touch, every packet to the target."""

    def __init__(self, touch: Touch) -> None:
        self._touch = touch
        self.capture = b""

    async def run(self, near: trio.abc.Stream, far: trio.abc.Stream, touched: bool) -> None:
        buffer, number = b"", 0
        try:
            while data := await near.receive_some(65536):
                self.capture += data
                if not touched:
                    await far.send_all(data)
                    continue
                buffer += data
                while len(buffer) >= HEAD_SIZE:
                    size = HEAD_SIZE + int.from_bytes(buffer[:4], "big")
                    if len(buffer) < size:
                        break
                    for packet in self._touch(number, buffer[:size]):
                        await far.send_all(packet)
                    buffer, number = buffer[size:], number + 1
            await far.aclose()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            await trio.aclose_forcefully(far)


def hosts(folder: Path) -> tuple[Host, Host]:
    source, target = Host.start("a", folder / "a"), Host.start("b", folder / "b")
    source.machines.create("vm1", 8192)
    source.guests.write_disk("vm1", 0, PATTERN)
    source.power.power_on("vm1")
    source.power.memory("vm1")[: len(PATTERN)] = PATTERN
    return source, target


async def transfer(
    source: Host, target: Host, spec: MigrationSpec, touch: Touch = untouched
) -> tuple[bytes, Any, Any]:
    """What was captured, and the errors of both sides."""
    near, relay_near = trio.testing.memory_stream_pair()
    relay_far, far = trio.testing.memory_stream_pair()
    relay = Relay(touch)
    errors: dict[str, Any] = {"source": None, "target": None}

    async def side(name: str, work: Callable[[], Awaitable[Any]], end: trio.abc.Stream) -> None:
        try:
            await work()
        except MigrationBroken as broken:
            errors[name] = broken
        finally:
            await end.aclose()

    machine = source.migration.quiesce("vm1")

    async def sending() -> None:
        await send(
            near,
            spec,
            machine,
            lambda: withdraw(source.datastore.folder, "vm1", spec.migration_id),
        )

    async def receiving() -> None:
        def take_into_use(machine: StagedMachine) -> None:
            target.migration.add(machine.name, bytes(machine.memory))

        await receive(far, spec, target.datastore.folder, take_into_use)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(relay.run, relay_near, relay_far, True)
        nursery.start_soon(relay.run, relay_far, relay_near, False)
        nursery.start_soon(side, "source", sending, near)
        nursery.start_soon(side, "target", receiving, far)
    return relay.capture, errors["source"], errors["target"]


@pytest.mark.parametrize("encrypted", [True, False])
def test_r42_a_capture_shows_nothing_of_an_encrypted_migration(
    tmp_path: Path, encrypted: bool
) -> None:
    source, target = hosts(tmp_path)
    spec = MigrationSpec.new(encrypted=encrypted)
    capture, failed, refused = trio.run(transfer, source, target, spec)
    assert (failed, refused) == (None, None)
    assert (PATTERN in capture) is not encrypted, "and a plain one shows it"
    assert (b"vm1.vmdk" in capture) is not encrypted
    assert len(capture) > 64 * 1024
    assert bytes(target.power.memory("vm1")[: len(PATTERN)]) == PATTERN
    assert target.guests.read_disk("vm1", 0, len(PATTERN)) == PATTERN
    assert has_arrived(target.datastore.folder, "vm1", spec.migration_id)


def flip(packet: bytes) -> bytes:
    return packet[:-1] + bytes((packet[-1] ^ 1,))


TOUCHES: dict[str, Callable[[bytes], list[bytes]]] = {
    "altered": lambda packet: [flip(packet)],
    "replayed": lambda packet: [packet, packet],
    "lost": lambda _packet: [],
    "cut": lambda packet: [packet[: len(packet) // 2]],
}


@pytest.mark.parametrize("touch", TOUCHES)
@pytest.mark.parametrize("at", range(4))
def test_r42_a_touched_packet_leaves_the_machine_on_the_source(
    tmp_path: Path, touch: str, at: int
) -> None:
    """At the manifest, at data, at its end; the COMMIT is the test after this."""
    source, target = hosts(tmp_path)
    spec = MigrationSpec.new(encrypted=True)

    def touched(number: int, packet: bytes) -> list[bytes]:
        return TOUCHES[touch](packet) if number == at else [packet]

    _, failed, refused = trio.run(transfer, source, target, spec, touched)
    assert failed or refused
    assert not (target.datastore.folder / "vm1").exists()
    assert list(target.datastore.folder.iterdir()) == [], "nothing is left behind"
    source.migration.resume("vm1")
    assert source.guests.read_disk("vm1", 0, len(PATTERN)) == PATTERN
    assert bytes(source.power.memory("vm1")[: len(PATTERN)]) == PATTERN


# With vCenter ------------------------------------------------------------------------------------


def test_a_running_encrypted_machine_moves_with_its_memory_and_its_key(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        key = await s.call("EncryptVM", name="db1")
        await s.call("PowerOnVM", name="db1")
        s.host("a").power.memory("db1")[: len(PATTERN)] = PATTERN
        info = await s.call("MigrateVM", name="db1", target="b")
        assert (info["cryptoState"], info["powerState"]) == ("unlocked", "poweredOn")
        assert bytes(s.host("b").power.memory("db1")[: len(PATTERN)]) == PATTERN
        assert s.host("b").guests.read_disk("db1", 0, len(PATTERN)) == PATTERN
        assert [path.name for path in s.host("a").datastore.folder.iterdir()] == []
        assert (await s.call("ListVMs"))[0]["host"] == "b"
        [event] = await s.events(eventTypeId="vm.VmHotMigratingWithEncryptionEvent")
        assert event["keyId"] == key["keyId"]
        await s.call("MigrateVM", name="db1", target="a")
        assert s.host("a").guests.read_disk("db1", 0, len(PATTERN)) == PATTERN

    migrating(tmp_path, test)


class ObservedLock:
    """The lock of a host's machines; it knows which threads took it."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self.threads: set[int] = set()

    def __enter__(self) -> None:
        self._lock.acquire()
        self.threads.add(threading.get_ident())

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def test_the_event_loop_never_waits_for_the_lock_of_the_machines(tmp_path: Path) -> None:
    """A thread may hold it while it waits for the event loop: for a key of a trusted provider."""

    async def test(s: Scene) -> None:
        await s.call("EncryptVM", name="db1")
        await s.call("PowerOnVM", name="db1")
        locks = []
        for name in "ab":
            lock = ObservedLock()
            s.host(name)._open.lock = lock  # type: ignore[assignment]  # replaced for this test
            locks.append(lock)
        await s.call("MigrateVM", name="db1", target="b")
        for lock in locks:
            assert lock.threads, "the migration uses the machines"
            assert threading.get_ident() not in lock.threads

    migrating(tmp_path, test)


def test_what_must_move_encrypted_is_refused_where_a_host_cannot(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        s.host("b").migration.can_encrypt = False
        await s.call("SetMigrateEncryption", name="db1", migrateEncryption="required")
        with pytest.raises(InvalidState, match="the target host cannot"):
            await s.call("MigrateVM", name="db1", target="b")
        await s.call("SetMigrateEncryption", name="db1", migrateEncryption="opportunistic")
        await s.call("MigrateVM", name="db1", target="b")
        assert s.host("b").guests.read_disk("db1", 0, 10) == PATTERN[:10]
        assert await s.events(eventTypeId="vm.VmMigratingWithEncryptionEvent") == []

    migrating(tmp_path, test)


def test_r42_an_encrypted_machine_moves_encrypted_whatever_its_setting(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await s.call("EncryptVM", name="db1")
        s.host("a").datastore.machine("db1").set(MIGRATE_ENCRYPTION, EncryptionMode.DISABLED)
        ask, keys = s.vcenter.hosts.call, []

        async def call(host: Any, request: Any) -> Any:
            if type(request).__name__ == "StartMigration":
                keys.append(request.spec.key.reveal() if request.spec.key is not None else None)
            return await ask(host, request)

        s.vcenter.hosts.call = call  # type: ignore[assignment,method-assign]
        await s.call("MigrateVM", name="db1", target="b")
        [key] = keys
        assert key is not None
        assert len(key) == 32

    migrating(tmp_path, test)


@pytest.mark.parametrize("arrived", [False, True])
def test_r42_a_migration_in_doubt_ends_as_the_target_says(tmp_path: Path, arrived: bool) -> None:
    """The answer of the source is lost: only the target knows which of the two has the machine."""

    async def test(s: Scene) -> None:
        await s.call("EncryptVM", name="db1")
        ask = s.vcenter.hosts.call

        async def call(host: Any, request: Any) -> Any:
            if type(request).__name__ != "StartMigration":
                return await ask(host, request)
            if arrived:
                await ask(host, request)
            return MigrationEnd.IN_DOUBT

        s.vcenter.hosts.call = call  # type: ignore[assignment,method-assign]
        if arrived:
            await s.call("MigrateVM", name="db1", target="b")
        else:
            with pytest.raises(MigrationBroken, match="still on a"):
                await s.call("MigrateVM", name="db1", target="b")
        there, other = ("b", "a") if arrived else ("a", "b")
        assert s.store.inventory.machine("db1").host == there
        assert s.host(there).guests.read_disk("db1", 0, len(PATTERN)) == PATTERN
        assert list(s.host(other).datastore.folder.iterdir()) == []

    migrating(tmp_path, test)


def test_migration_needs_the_privilege(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await s.call("EncryptVM", name="db1")
        await s.call("SetPermission", principal="ada", role="NoCryptoAdmin")
        with pytest.raises(NoPermission, match=r"Cryptographer\.Migrate"):
            await s.call("MigrateVM", "ada", name="db1", target="b")

    migrating(tmp_path, test)


@pytest.mark.parametrize("step", ["PrepareMigration", "StartMigration", "MigrationOutcome"])
@pytest.mark.parametrize("which", ["before", "after"])
def test_hosts_that_stop_answering_lose_no_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, which: str
) -> None:
    """The call is lost, or its answer is; later vCenter finds out who has the machine."""

    async def test(s: Scene) -> None:
        real = s.vcenter.hosts.call
        lost = step != "MigrationOutcome"

        async def call(host: Any, request: Request[Any]) -> Any:
            method = request.method()
            if method == step or (method == "StartMigration" and not lost):
                if which == "after":
                    await real(host, request)
                raise HostUnreachable(f"host {host.name}: no answer")
            return await real(host, request)

        with monkeypatch.context() as patch:
            patch.setattr(s.vcenter.hosts, "call", call)
            try:
                await s.call("MigrateVM", name="db1", target="b")
            except HostUnreachable:
                assert step != "StartMigration" or which == "before"
        await s.vcenter.migrations.settle_all()
        where = (await s.call("ListVMs"))[0]["host"]
        assert s.host(where).guests.read_disk("db1", 0, len(PATTERN)) == PATTERN
        other = "a" if where == "b" else "b"
        assert list(s.host(other).datastore.folder.iterdir()) == []
        assert s.store.providers.settings("migration/") == {}

    migrating(tmp_path, test)


def test_a_lost_commit_and_a_lost_done_are_settled(tmp_path: Path) -> None:
    """Cut the connection at COMMIT, and behind it: the target's word decides."""
    last: list[tuple[bool, int]] = []
    for reaches in (False, True):
        source, target = hosts(tmp_path / str(reaches))
        spec = MigrationSpec.new(encrypted=True)

        def touched(number: int, packet: bytes, reaches: bool = reaches) -> list[bytes]:
            if packet[HEAD_SIZE - 1] == Kind.COMMIT:
                last.append((reaches, number))
                return [packet] if reaches else [flip(packet)]
            return [packet]

        trio.run(transfer, source, target, spec, touched)
        assert last[-1][0] is reaches
        has_left = has_arrived(target.datastore.folder, "vm1", spec.migration_id)
        assert has_left is reaches
        migrations = Migrations(source.migration)
        trio.run(partial(migrations.settle, spec.migration_id, "vm1", has_left=has_left))
        owner, other = (target, source) if reaches else (source, target)
        assert owner.guests.read_disk("vm1", 0, len(PATTERN)) == PATTERN
        assert list(other.datastore.folder.iterdir()) == []


@pytest.mark.parametrize(
    "manifest",
    [
        {"name": "../x"},
        {"files": [{"name": "../../etc/passwd", "size": 1}]},
        {"files": [{"name": "f", "size": -1}]},
        {"files": [{"name": "f", "size": 1}] * (MAX_FILES + 1)},
        {"memory": 1 << 40},
    ],
)
def test_a_manifest_that_leads_elsewhere(tmp_path: Path, manifest: dict[str, Any]) -> None:
    good = {"name": "vm", "running": False, "memory": 0, "files": [{"name": "vm.vmx", "size": 3}]}
    with pytest.raises(MigrationBroken, match="the manifest"):
        parse_manifest(json.dumps({**good, **manifest}).encode())
    parsed = parse_manifest(json.dumps(good).encode())
    StagedMachine(tmp_path, "id", parsed).discard()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "vm").mkdir()
    with pytest.raises(AlreadyExists):
        StagedMachine(tmp_path, "id", parsed)
