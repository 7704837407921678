"""The vCenter role: the order of its messages, fail-over, what it keeps, and what it writes down.

The key servers are real dispatchers without sockets, the host is a real one behind no channel; what
is recorded is what a key server's administrator would see.
"""

from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trio
from kmipkit_client import calls, material
from kmipkit_server.identity.identity import Identity
from kmipkit_vsphere.host.host import Host
from kmipkit_vsphere.host.service import host_calls
from kmipkit_vsphere.model.errors import (
    HostUnreachable,
    InvalidState,
    KeyNotUsable,
    KeyServerUnreachable,
    NotFound,
    RPCError,
)
from kmipkit_vsphere.model.records import HostRecord, ServerRecord
from kmipkit_vsphere.providers.standard import StandardKeyProvider
from kmipkit_vsphere.rpc.call import Request
from kmipkit_vsphere.vcenter.caller import Caller
from kmipkit_vsphere.vcenter.calls.events import Entity
from kmipkit_vsphere.vcenter.store import Store
from kmipkit_vsphere.vcenter.vcenter import VCenter
from laboratory import Laboratory
from vsphere_scene import ask

from kmipkit.model.codec import encode
from kmipkit.model.envelope import decode_response
from kmipkit.model.messages import RequestMessage, ResponseMessage
from kmipkit.spec.enums import RevocationReasonCode
from kmipkit.spec.versions import V1_1

IDENTITY = "vcenter"
NEGOTIATE = "DISCOVER_VERSIONS"
PROBE: tuple[str, ...] = ()
TAGGING = (NEGOTIATE, *["GET_ATTRIBUTES"] * 3, "ADD_ATTRIBUTE x3")


def told(request: RequestMessage) -> str:
    """A message in a word."""
    items = request.batch_items
    many = f" x{len(items)}" if len(items) > 1 else ""
    return f"{items[0].operation.name}{many}"


@dataclass
class Server:
    """A key server that can be switched off; ``seen`` has one list of messages per connection."""

    name: str
    laboratory: Laboratory
    is_up: bool = True
    seen: list[list[str]] = field(default_factory=list)
    requests: list[RequestMessage] = field(default_factory=list)
    login: None = None
    certificate: None = None

    async def retrieve_certificate(self) -> None:
        await trio.lowlevel.checkpoint()

    async def connect(self) -> "Server":
        if not self.is_up:
            raise KeyServerUnreachable(f"{self.name} is down")
        connection = Server(self.name, self.laboratory, seen=self.seen, requests=self.requests)
        connection.mine = []  # type: ignore[attr-defined]  # noted on the connection
        self.seen.append(connection.mine)  # type: ignore[attr-defined]  # noted on the connection
        return connection

    async def exchange(self, request: RequestMessage) -> ResponseMessage:
        self.mine.append(told(request))  # type: ignore[attr-defined]  # the test knows the class
        self.requests.append(request)
        data = encode(request, V1_1)
        answer = (await self.laboratory.dispatcher.respond(data, Identity(IDENTITY))).data
        return decode_response(answer)[0]

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


@dataclass
class Channel:
    """Calls to a host in the same process."""

    host: Host | None

    async def call(self, request: Request[Any]) -> Any:
        if self.host is None:
            raise RPCError("nobody answers")
        return await ask(host_calls(self.host), request)


class Scene:
    """A vCenter with two key servers that share their objects, and a host."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.laboratory = Laboratory(folder)
        self.servers = [Server("kms1", self.laboratory), Server("kms2", self.laboratory)]
        self.host: Host | None = Host.start("esx01", folder / "esx01")
        self.store = Store(folder / "vcenter.sqlite3")
        self.vcenter = VCenter(
            self.store, key_server=self._dial, host=self._host, clock=lambda: datetime.now(UTC)
        )

    def _dial(self, _provider: str, server: ServerRecord) -> Server:
        return next(each for each in self.servers if each.name == server.name)

    @asynccontextmanager
    async def _host(self, _host: HostRecord) -> Any:
        yield Channel(self.host)

    @property
    def seen(self) -> list[tuple[str, ...]]:
        """The connections to the first server so far, forgotten when told."""
        seen = [tuple(call) for call in self.servers[0].seen]
        self.servers[0].seen.clear()
        return seen

    async def prepare(self) -> None:
        for server in self.servers:
            record = ServerRecord(server.name, "127.0.0.1", 5696)
            await self.vcenter.crypto.providers.register_server("root", "KMS", record)
        await self.vcenter.hosts.add(Caller("root"), "esx01", "127.0.0.1", 1)
        await self.vcenter.machines.create("esx01", "db1", 4096)
        assert self.seen

    def restart_host(self) -> None:
        assert self.host is not None
        self.host.close()
        self.host = Host.start("esx01", self.folder / "esx01")

    def keys(self) -> list[bytes]:
        """The material of all keys that vCenter has had made."""
        ids = [key.key_id for key in self.vcenter.crypto.list_keys()]
        return [
            material(self.laboratory.ask(calls.get(key, None, None, None), identity=IDENTITY))
            for key in ids
        ]

    def close(self) -> None:
        if self.host is not None:
            self.host.close()
        self.store.close()
        self.laboratory.close()


Test = Callable[[Scene], Awaitable[None]]


@pytest.fixture
def scene(tmp_path: Path) -> Any:
    made = Scene(tmp_path)

    def run(test: Test) -> Scene:
        async def work() -> None:
            async with made.laboratory.serving():
                await test(made)

        trio.run(work)
        return made

    yield run
    made.close()


def test_a_provider_is_registered_in_the_connections_of_a_real_vcenter(scene: Any) -> None:
    async def test(s: Scene) -> None:
        record = ServerRecord("kms1", "127.0.0.1", 5696)
        answer = await s.vcenter.crypto.providers.register_server("root", "KMS", record)
        assert answer.vendor == "kmipkit"
        check = (NEGOTIATE, NEGOTIATE)
        first, *parallel, vendor, probe, again, last = s.seen
        assert first == PROBE
        assert sorted(parallel) == sorted([check, PROBE])
        assert [vendor, probe, again, last] == [(NEGOTIATE, "QUERY"), PROBE, check, PROBE]

    scene(test)


def test_a_machine_is_encrypted_in_the_order_of_a_real_vcenter(scene: Any) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        await s.vcenter.encryption.encrypt(Caller("root"), "db1")
        seen = s.seen
        assert seen[0] == (NEGOTIATE, "CREATE"), "the machine's key comes first"
        get = (NEGOTIATE, "GET", "GET_ATTRIBUTES", "ACTIVATE")
        assert sorted(seen[1:]) == sorted(
            [TAGGING, (NEGOTIATE, "CREATE"), get, TAGGING, TAGGING, get, TAGGING]
        )
        assert seen[-2:] == [get, TAGGING], (
            "fetched, pushed to the host, then marked with its owner"
        )

    s = scene(test)
    [first, second] = [key.key_id for key in s.vcenter.crypto.list_keys()]
    for key, name, component in (
        (first, "db1", "Virtual Machine"),
        (second, "esx01", "ESXi Server"),
    ):
        marks = {"x-Name": name, "x-Component": component, "x-Vendor": "VMware, Inc."}
        found = s.laboratory.ask(calls.locate(None, None, marks, *[None] * 3), identity=IDENTITY)
        assert found.ids == (key,)


def test_messages_have_the_header_and_ids_of_a_real_vcenter(scene: Any) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        await s.vcenter.encryption.encrypt(Caller("root"), "db1")

    for request in scene(test).servers[0].requests:
        header = request.request_header
        assert header == type(header)(
            protocol_version=header.protocol_version, batch_count=len(request.batch_items)
        )
        ids = [item.unique_batch_item_id for item in request.batch_items]
        counted = [b"QLKC" + number.to_bytes(4, "little") for number in range(1, len(ids) + 1)]
        assert ids in (counted, [None])


def test_vcenter_keeps_key_ids_and_never_keys(scene: Any) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        await s.vcenter.encryption.encrypt(Caller("root"), "db1")

    s = scene(test)
    files = [path for path in s.folder.iterdir() if path.name.startswith("vcenter")]
    assert files
    keys = s.keys()
    assert len(keys) == 2
    for path in files:
        data = path.read_bytes()
        assert s.vcenter.crypto.list_keys()[0].key_id.encode() in data
        for key in keys:
            assert key not in data
            assert key.hex().encode() not in data


def test_a_restarted_host_gets_its_keys_again_and_unlocks_its_machines(scene: Any) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        await s.vcenter.encryption.encrypt(Caller("root"), "db1")
        assert s.host is not None
        s.host.guests.write_disk("db1", 0, b"payroll".ljust(512))
        s.restart_host()
        assert s.host.machines.list_all()[0].crypto_state.value == "locked"
        assert s.seen
        await s.vcenter.hosts.synchronise_restarted()
        assert s.host.guests.read_disk("db1", 0, 7) == b"payroll"
        assert s.seen == [(NEGOTIATE, "GET", "GET_ATTRIBUTES")] * 2, "both are active already"
        await s.vcenter.hosts.synchronise_restarted()
        assert s.seen == [], "a host that did not restart is left alone"

    s = scene(test)
    types = [event.event_type_id for event in s.vcenter.crypto.event_log.find()]
    assert types[-1] == "com.vmware.vc.vm.Crypto.VMUnlocked"


def test_the_next_server_is_tried_when_one_is_down(scene: Any) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        s.servers[0].is_up = False
        await s.vcenter.encryption.encrypt(Caller("root"), "db1")
        [status] = await s.vcenter.crypto.health.status()
        assert status.status == "yellow"
        assert {server.name: server.reasons for server in status.servers} == {
            "kms1": ("kms1 is down",),
            "kms2": (),
        }
        s.servers[1].is_up = False
        with pytest.raises(KeyServerUnreachable, match="kms1 is down; kms2 is down"):
            await s.vcenter.crypto.generate_key("root")

    events = scene(test).vcenter.crypto.event_log.find()
    assert events[-1].result == "failure"
    assert events[-1].event_type_id.endswith("KeyGenerateFail")


def test_a_key_that_one_server_lacks_is_got_from_the_other(scene: Any, tmp_path: Path) -> None:
    """Replication between key servers may lag."""
    (tmp_path / "empty").mkdir()
    other = Laboratory(tmp_path / "empty")

    async def test(s: Scene) -> None:
        await s.prepare()
        key = await s.vcenter.crypto.generate_key("root")
        lagging = Server("lagging", other)
        provider = StandardKeyProvider("KMS", [lagging, s.servers[1]])
        assert len((await provider.fetch(key)).key_data) == 32
        assert lagging.seen == [[NEGOTIATE, "GET"]]
        with pytest.raises(KeyNotUsable):
            await StandardKeyProvider("KMS", [lagging]).fetch(key)

    scene(test)
    other.close()


def test_a_key_that_was_deactivated_is_not_used(scene: Any) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        key = await s.vcenter.encryption.encrypt(Caller("root"), "db1")
        s.restart_host()
        code = RevocationReasonCode.CESSATION_OF_OPERATION
        revoke = calls.revoke(key.key_id, code, None, None)
        from kmipkit_client import messages

        request = encode(messages.request(V1_1, [revoke]), V1_1)
        await s.laboratory.dispatcher.respond(request, Identity(IDENTITY))
        with pytest.raises(KeyNotUsable, match="DEACTIVATED"):
            await s.vcenter.encryption.unlock(Caller("root"), "db1")

    s = scene(test)
    assert s.host.machines.list_all()[0].crypto_state.value == "locked"


def test_tagging_is_best_effort(scene: Any) -> None:
    """A key server that cannot do it must not stop a machine from being encrypted."""

    async def test(s: Scene) -> None:
        await s.prepare()
        provider = s.vcenter.crypto.default_provider()
        key = await provider.create_key()
        for server in s.servers:
            server.is_up = False
        await provider.tag_product(key)

    scene(test)


def test_every_operation_with_keys_is_an_event_with_user_time_key_and_outcome(scene: Any) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        await s.vcenter.encryption.encrypt(Caller("ada"), "db1")
        s.host = None
        with pytest.raises(HostUnreachable):
            await s.vcenter.encryption.unlock(Caller("grace"), "db1")
        with pytest.raises(NotFound):
            await s.vcenter.encryption.encrypt(Caller("grace"), "no such machine")

    s = scene(test)
    events = s.vcenter.crypto.event_log.find()
    done = [(e.user_name, e.operation, e.result) for e in events if e.operation]
    assert done == [
        ("ada", "GenerateKey", "success"),
        ("ada", "GenerateKey", "success"),
        ("ada", "EnableCrypto", "success"),
        ("ada", "AddKey", "success"),
        ("ada", "Encrypt", "success"),
    ]
    assert all(datetime.fromisoformat(event.created_time).tzinfo for event in events)
    assert events[0].entity == Entity("provider", "KMS")


def test_encryption_without_a_provider_is_refused_and_leaves_the_machine_as_it_was(
    scene: Any,
) -> None:
    async def test(s: Scene) -> None:
        await s.vcenter.hosts.add(Caller("root"), "esx01", "127.0.0.1", 1)
        await s.vcenter.machines.create("esx01", "db1", 4096)
        with pytest.raises(InvalidState, match="no default key provider"):
            await s.vcenter.encryption.encrypt(Caller("root"), "db1")
        assert s.host is not None
        assert s.host.machines.list_all()[0].crypto_state.value == "plain"
        assert s.vcenter.crypto.list_keys() == []

    scene(test)


def test_an_altered_event_is_noticed(scene: Any) -> None:
    import sqlite3
    from contextlib import closing

    from kmipkit_vsphere.model.errors import DamagedData

    async def test(s: Scene) -> None:
        await s.prepare()
        await s.vcenter.encryption.encrypt(Caller("mallory"), "db1")

    s = scene(test)
    with closing(sqlite3.connect(s.folder / "vcenter.sqlite3")) as database, database:
        database.execute("UPDATE event SET record = replace(record, 'mallory', 'nobody!')")
    with pytest.raises(DamagedData, match="altered"):
        s.vcenter.crypto.event_log.find()
