"""A vCenter, key servers and hosts in one process: real code on all sides, no sockets.

The key servers are real dispatchers, which record what a key server's administrator would see; the
hosts are real ones behind no channel. :meth:`Scene.call` makes a call as a user with a certificate
does, through the table that checks privileges.
"""

import json
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import trio
import trio.testing
from kmipkit_client import calls, material, messages
from kmipkit_client.calls import Call
from kmipkit_server.identity.identity import Identity
from kmipkit_vsphere.host.host import Host
from kmipkit_vsphere.host.service import host_calls
from kmipkit_vsphere.model.encoding import decode, encode
from kmipkit_vsphere.model.errors import KeyServerUnreachable, RPCError
from kmipkit_vsphere.model.records import HostRecord, ServerRecord
from kmipkit_vsphere.model.sealed_config import Sealer
from kmipkit_vsphere.providers.kmip_session import Login
from kmipkit_vsphere.rpc.call import Request, Row, Rows
from kmipkit_vsphere.vcenter.service import VCenterService
from kmipkit_vsphere.vcenter.store import Store
from kmipkit_vsphere.vcenter.vcenter import VCenter
from kmipkit_vsphere.vmotion.migrations import Migrations
from kmipkit_vsphere.vmotion.service import MigrationCalls
from laboratory import Laboratory

from kmipkit.model import codec
from kmipkit.model.envelope import decode_response
from kmipkit.model.messages import RequestMessage, ResponseMessage
from kmipkit.spec.versions import V1_1

A = TypeVar("A")

VCENTER = "vcenter"
ADMINISTRATOR = "administrator"
PATTERN = b"TOP SECRET MEMORY " * 20


@dataclass
class Seen:
    """What a key server saw: messages of each connection, and who sent them."""

    connections: list[list[str]] = field(default_factory=list)
    requests: list[RequestMessage] = field(default_factory=list)


class KeyServer:
    """A key server that can be switched off."""

    certificate: bytes | None = None

    def __init__(self, name: str, laboratory: Laboratory, login: Login | None = None) -> None:
        self.name = name
        self.laboratory = laboratory
        self.login = login
        self.is_up = True
        self.seen = Seen()
        self.certificate_shown: bytes | None = None

    async def retrieve_certificate(self) -> bytes | None:
        await trio.lowlevel.checkpoint()
        return self.certificate_shown

    async def connect(self) -> "Connection":
        if not self.is_up:
            raise KeyServerUnreachable(f"{self.name} is down")
        self.seen.connections.append([])
        return Connection(self, self.seen.connections[-1])


class Connection:
    """One connection to a key server."""

    def __init__(self, server: KeyServer, log: list[str]) -> None:
        self._server = server
        self._log = log
        self.certificate = server.certificate_shown

    async def exchange(self, request: RequestMessage) -> ResponseMessage:
        self._log.append(request.batch_items[0].operation.name)
        self._server.seen.requests.append(request)
        data = codec.encode(request, request.request_header.protocol_version.version)
        answer = await self._server.laboratory.dispatcher.respond(data, Identity(VCENTER))
        return decode_response(answer.data)[0]

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


class PretendedTPM:
    """Seals by keeping: what another one sealed does not open."""

    def __init__(self) -> None:
        self._kept: dict[bytes, bytes] = {}

    def seal(self, data: bytes, state: bytes | None = None) -> bytes:
        name = len(self._kept).to_bytes(8, "big")
        self._kept[name] = data
        return name

    def unseal(self, blob: bytes) -> bytes:
        return self._kept[blob]


class Scene:
    """A vCenter; ``hosts`` is what answers at the address of each host, None for a dead one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = datetime(2026, 11, 24, 12, tzinfo=UTC)
        self.laboratories: dict[str, Laboratory] = {}
        self.servers: dict[str, KeyServer] = {}
        self.hosts: dict[str, Host | None] = {}
        self.migrations: dict[str, Migrations] = {}
        self.tpms: dict[str, Sealer] = {}
        self.calls: list[tuple[str, str]] = []
        self.start_vcenter()

    def start_vcenter(self) -> None:
        self.store = Store(self.folder / "vcenter.sqlite3")
        self.vcenter = VCenter(
            self.store,
            key_server=self._dial,
            host=self._host,
            clock=lambda: self.now,
            administrators=[ADMINISTRATOR],
        )
        self.rows = VCenterService(self.vcenter).rows()

    def restart_vcenter(self) -> None:
        self.store.close()
        self.start_vcenter()

    def pass_time(self, **duration: float) -> None:
        self.now += timedelta(**duration)

    # Key servers ---------------------------------------------------------------------------------

    def make_laboratory(self, name: str, vendor: str = "kmipkit") -> Laboratory:
        made = Laboratory(self.folder / name)
        server = made.dispatcher.server
        made.dispatcher.server = replace(server, settings=replace(server.settings, vendor=vendor))
        self.laboratories[name] = made
        return made

    def add_server(self, name: str, laboratory: Laboratory | None = None) -> KeyServer:
        place = laboratory or self.laboratories.get("kms") or self.make_laboratory("kms")
        self.servers[name] = KeyServer(name, place)
        return self.servers[name]

    def _dial(self, _provider: str, server: ServerRecord) -> KeyServer:
        return self.servers[server.name]

    @property
    def kmip(self) -> list[str]:
        """All operations that key servers saw so far, forgotten when told."""
        found = []
        for server in self.servers.values():
            found += [operation for log in server.seen.connections for operation in log]
            server.seen.connections.clear()
        return found

    def forget(self) -> None:
        """Look only at what key servers and hosts see from now on."""
        assert self.kmip is not None
        self.calls.clear()

    async def ask_kms(self, call: Call[Any], laboratory: str = "kms") -> Any:
        """What the key server's administrator gets for an operation."""
        request = codec.encode(messages.request(V1_1, [call]), V1_1)
        dispatcher = self.laboratories[laboratory].dispatcher
        answered = await dispatcher.respond(request, Identity(VCENTER))
        answer = decode_response(answered.data)[0]
        [result] = messages.results((call,), answer)
        if isinstance(result, Exception):
            raise result
        return result

    async def key_on_kms(self, key_id: str) -> bytes:
        """The bytes of a key, as the key server has them."""
        return bytes(material(await self.ask_kms(calls.get(key_id, None, None, None))))

    # Hosts ---------------------------------------------------------------------------------------

    def start_host(self, name: str, sealer: Sealer | None = None) -> Host:
        if sealer is not None:
            self.tpms[name] = sealer
        host = Host.start(name, self.folder / name, self.tpms.get(name))
        self.hosts[name] = host
        self.migrations[name] = Migrations(host.migration)
        host.restore()
        return host

    def reboot(self, name: str) -> Host:
        """Kill a host and start it again: its memory is lost."""
        old = self.hosts[name]
        if old is not None:
            old.close()
        return self.start_host(name)

    @asynccontextmanager
    async def _host(self, record: HostRecord) -> Any:
        yield _Channel(self, record.name)

    def host(self, name: str = "esx01") -> Host:
        found = self.hosts[name]
        assert found is not None
        return found

    # Calls ---------------------------------------------------------------------------------------

    async def call(self, method: str, caller: str = ADMINISTRATOR, **params: Any) -> Any:
        """A call of a user; keywords are the parameters."""
        return json.loads(await answer_of(self.rows[method], json.dumps(params).encode(), caller))

    async def prepare(self, *hosts: str, provider: str = "KMS") -> None:
        """A standard provider with one server, hosts, and a machine db1 on the first one."""
        self.add_server("kms1")
        await self.add_kms(provider, "kms1")
        for name in hosts or ("esx01",):
            self.start_host(name)
            await self.call("AddHost", name=name, address="192.0.2.1", port=1)
        first = (hosts or ("esx01",))[0]
        await self.call("CreateVM", host=first, name="db1", diskSize=16384)
        self.forget()

    async def add_kms(self, provider: str, server: str, **more: Any) -> Any:
        info = {"name": server, "address": "192.0.2.7", "port": 5696}
        return await self.call("RegisterKmipServer", clusterId=provider, info=info, **more)

    async def events(self, caller: str = ADMINISTRATOR, **wanted: Any) -> list[dict[str, Any]]:
        found = await self.call("QueryEvents", caller, **wanted)
        return list(found)

    def close(self) -> None:
        for host in self.hosts.values():
            if host is not None:
                host.close()
        self.store.close()
        for laboratory in self.laboratories.values():
            laboratory.close()


async def answer_of(row: Row, params: bytes, caller: str) -> bytes:
    """The answer to a call, as JSON on both sides, as it would be sent."""
    return encode(await row.handler(decode(params, row.request), caller))


async def ask(rows: Rows, request: Request[A]) -> A:
    """A call to a role that serves these rows, with request and answer as they would be sent."""
    row = rows[request.method()]
    return decode(await answer_of(row, encode(request), VCENTER), request.answer())


class _Channel:
    def __init__(self, scene: Scene, name: str) -> None:
        self._scene = scene
        self._name = name

    async def call(self, request: Request[A]) -> A:
        host = self._scene.hosts.get(self._name)
        if host is None:
            raise RPCError("nobody answers")
        self._scene.calls.append((self._name, request.method()))
        migrations = MigrationCalls(self._scene.migrations[self._name])
        return await ask({**host_calls(host), **migrations.rows()}, request)


def play(
    folder: Path,
    test: Callable[[Scene], Awaitable[None]],
    clock: trio.abc.Clock | None = None,
) -> Scene:
    """Run a test in a scene, with the writers of all key servers that it makes."""
    scene = Scene(folder)

    async def work() -> None:
        async with AsyncExitStack() as stack:
            nursery = await stack.enter_async_context(trio.open_nursery())
            make = scene.make_laboratory
            started: list[Laboratory] = []

            def made(name: str, vendor: str = "kmipkit") -> Laboratory:
                laboratory = make(name, vendor)
                started.append(laboratory)
                nursery.start_soon(laboratory.store.serve)
                return laboratory

            scene.make_laboratory = made  # type: ignore[method-assign]  # replaced for this test
            await test(scene)
            for laboratory in started:
                await laboratory.store.stop()

    try:
        trio.run(work, clock=clock)
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None
    return scene


async def two_hosts(s: Scene, nursery: trio.Nursery) -> None:
    """Two hosts that listen for migrations, and a machine on the first one."""
    await s.prepare("a", "b")
    for name in "ab":
        nursery.start_soon(s.migrations[name].run)
    s.host("a").guests.write_disk("db1", 0, PATTERN)
    await trio.testing.wait_all_tasks_blocked()


def migrating(folder: Path, test: Callable[[Scene], Awaitable[None]]) -> None:
    """Run a test in a scene whose hosts can send machines to each other."""

    async def with_nursery(s: Scene) -> None:
        async with trio.open_nursery() as nursery:
            await two_hosts(s, nursery)
            await test(s)
            nursery.cancel_scope.cancel()

    play(folder, with_nursery).close()
