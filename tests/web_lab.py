"""A whole laboratory whose vCenter serves the Web Services API, for real clients and for raw requests.

:func:`web_lab` runs a :class:`~vsphere_scene.Scene` (vCenter, key servers and hosts in this process) in
a thread of its own, with the API over TLS on a free port. Clients block, so they run in the thread of
the test; :meth:`WebLab.do` runs something inside the laboratory.

:class:`RawClient` sends envelopes to the application without sockets, inside ``play``.
"""

import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import trio
from kmipkit_vsphere.demo.laboratory import VCENTER, Laboratory
from kmipkit_vsphere.model.keys import Secret
from kmipkit_vsphere.rpc.tls import Credentials
from kmipkit_vsphere.vcenter.passwords import hash_password
from kmipkit_vsphere.web_services import objects, rest
from kmipkit_vsphere.web_services.application import Application
from kmipkit_vsphere.web_services.endpoint import Endpoint
from kmipkit_vsphere.web_services.server import WebServer
from kmipkit_vsphere.web_services.versions import DEFAULT_RELEASE, RELEASES
from lxml import etree
from vsphere_scene import ADMINISTRATOR, Scene, play

assert objects, "imported, so that all managed objects are declared"
assert rest, "imported, so that its paths are served"

T = TypeVar("T")

PASSWORD = "ein gutes Paßwort"
NS = {"s": "http://schemas.xmlsoap.org/soap/envelope/", "v": "urn:vim25"}
XSI_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"
START_TIMEOUT = 120.0

Prepare = Callable[[Scene], Awaitable[None]]


@dataclass
class WebLab:
    """A laboratory that runs; ``authorities`` are what a client trusts."""

    scene: Scene
    endpoint: Endpoint
    port: int
    authorities: Path
    _token: trio.lowlevel.TrioToken

    def do(self, function: Callable[..., Awaitable[T]], *arguments: Any) -> T:
        """Run something inside the laboratory, such as ``scene.call``."""
        return trio.from_thread.run(function, *arguments, trio_token=self._token)

    def call(self, method: str, **parameters: Any) -> Any:
        """One of vCenter's own calls, as the administrator."""

        async def run() -> Any:
            return await self.scene.call(method, **parameters)

        return self.do(run)

    def play(self, test: "Callable[[Scene, RawClient], Awaitable[None]]") -> None:
        """Run a test inside, with a client that has logged in."""

        async def work() -> None:
            client = RawClient(self.endpoint)
            await client.login()
            await test(self.scene, client)

        self.do(work)

    def tls(self) -> ssl.SSLContext:
        """A client's context, which trusts the laboratory's authority and checks the name."""
        return ssl.create_default_context(cafile=str(self.authorities))

    def govc(self, **more: str) -> dict[str, str]:
        """The environment of govc for this laboratory."""
        return {
            "GOVC_URL": f"https://127.0.0.1:{self.port}/sdk",
            "GOVC_USERNAME": ADMINISTRATOR,
            "GOVC_PASSWORD": PASSWORD,
            "GOVC_TLS_CA_CERTS": str(self.authorities),
            "GOVC_PERSIST_SESSION": "false",
            **more,
        }


@dataclass
class _Running:
    ready: threading.Event = field(default_factory=threading.Event)
    lab: WebLab | None = None
    stop: trio.Event | None = None
    failure: BaseException | None = None


@contextmanager
def web_lab(
    folder: Path, prepare: Prepare | None = None, release: str = DEFAULT_RELEASE
) -> Iterator[WebLab]:
    """A laboratory in a thread; ``prepare`` fills it before it serves."""
    credentials = certificates(folder)
    running = _Running()

    async def main(scene: Scene) -> None:
        set_password(scene)
        if prepare is not None:
            await prepare(scene)
        endpoint = Endpoint(scene.vcenter, RELEASES[release])
        running.stop = trio.Event()
        async with trio.open_nursery() as nursery:
            await nursery.start(endpoint.run)
            server = WebServer(Application(endpoint), credentials)
            _, port = await nursery.start(server.serve, ("127.0.0.1", 0))
            token = trio.lowlevel.current_trio_token()
            running.lab = WebLab(scene, endpoint, port, credentials.authorities, token)
            running.ready.set()
            await running.stop.wait()
            nursery.cancel_scope.cancel()

    def serve() -> None:
        try:
            play(folder / "scene", main).close()
        except BaseException as failure:  # raised again in the thread of the test
            running.failure = failure
            running.ready.set()

    (folder / "scene").mkdir(parents=True)
    thread = threading.Thread(target=serve, name="web lab")
    thread.start()
    try:
        assert running.ready.wait(START_TIMEOUT)
        if running.lab is not None:
            yield running.lab
    finally:
        if running.lab is not None and running.stop is not None:
            running.lab._token.run_sync_soon(running.stop.set)
        thread.join()
        if running.failure is not None:
            raise running.failure


def certificates(folder: Path) -> Credentials:
    """The certificate of a vCenter."""
    laboratory = Laboratory(folder)
    laboratory.make_roles()
    return laboratory.role(VCENTER)


def set_password(scene: Scene, user: str = ADMINISTRATOR, password: str = PASSWORD) -> None:
    """Give a user a password."""
    scene.store.users.set_password(user, hash_password(Secret(password.encode())))


# Requests without sockets -------------------------------------------------------------------------


@dataclass
class Answer:
    """An answer of the application."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def root(self) -> etree._Element:
        return etree.fromstring(self.body)

    @property
    def values(self) -> list[etree._Element]:
        """The elements ``returnval``."""
        return self.root.findall(".//v:returnval", NS)

    @property
    def fault(self) -> str:
        """The type of the fault."""
        [detail] = self.root.findall(".//detail/*")
        name = str(detail.get(XSI_TYPE))
        assert detail.tag == f"{{urn:vim25}}{name}Fault"
        return name

    @property
    def fault_detail(self) -> etree._Element:
        [detail] = self.root.findall(".//detail/*")
        return detail

    @property
    def fault_string(self) -> str:
        return str(self.root.findtext(".//faultstring"))

    def text(self, path: str) -> str | None:
        """The text of the first element at a path, with names without prefix."""
        steps = "/".join(f"v:{step}" for step in path.split("/"))
        return self.root.findtext(f".//{steps}", None, NS)


class RawClient:
    """A client of an endpoint, which keeps the cookie."""

    def __init__(self, endpoint: Endpoint, version: str = "8.0.3.0") -> None:
        self.endpoint = endpoint
        self.application = Application(endpoint)
        self.version = version
        self.cookie = ""
        self.address = "192.0.2.9"

    async def login(self, user: str = ADMINISTRATOR, password: str = PASSWORD) -> Answer:
        """Log in."""
        fields = f"<userName>{user}</userName><password>{password}</password>"
        return await self.call("SessionManager", "SessionManager", "Login", fields)

    async def call(self, kind: str, moid: str, method: str, fields: str = "") -> Answer:
        """Call a method; ``fields`` are its parameters as XML."""
        this = f'<_this type="{kind}">{moid}</_this>'
        body = f'<{method} xmlns="urn:vim25">{this}{fields}</{method}>'
        return await self.send(envelope(body))

    async def fetch(self, kind: str, moid: str, path: str) -> Answer:
        """Read a property."""
        return await self.call(kind, moid, "Fetch", f"<prop>{path}</prop>")

    async def send(self, body: bytes, **headers: str) -> Answer:
        """Send a request to ``/sdk``."""
        action = f'"urn:vim25/{self.version}"' if self.version else ""
        given = {"soapaction": action, "cookie": self.cookie, **headers}
        return await self.request("POST", "/sdk", body, given)

    async def request(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Any request."""
        name, _, query = path.partition("?")
        scope = {
            "type": "http",
            "method": method,
            "path": name,
            "query_string": query.encode(),
            "headers": [(k.encode(), v.encode()) for k, v in (headers or {}).items()],
            "client": (self.address, 40000),
            "scheme": "https",
        }
        sent: list[dict[str, Any]] = []
        waiting = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Mapping[str, Any]:
            if not waiting:
                await trio.sleep_forever()
            return waiting.pop()

        async def send(message: dict[str, Any]) -> None:
            await trio.lowlevel.checkpoint()
            sent.append(message)

        await self.application(scope, receive, send)
        start, *parts = sent
        answered = {k.decode(): v.decode() for k, v in start["headers"]}
        if "set-cookie" in answered:
            self.cookie = answered["set-cookie"]
        return Answer(start["status"], answered, b"".join(part["body"] for part in parts))


def envelope(body: str) -> bytes:
    """An envelope around the element of a method."""
    return (
        '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"'
        ' xmlns:xsd="http://www.w3.org/2001/XMLSchema"'
        ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
        f"<soapenv:Body>{body}</soapenv:Body></soapenv:Envelope>"
    ).encode()


# What is in it ------------------------------------------------------------------------------------


async def furnish(scene: Scene) -> None:
    """A provider, a host that stands alone with an encrypted machine, a cluster, a folder."""
    await scene.prepare("esx01")
    await scene.call("CreateCluster", name="Rechenzentrum")
    scene.start_host("esx02")
    await scene.call(
        "AddHost", name="esx02", address="192.0.2.2", port=1, parent="cluster/Rechenzentrum"
    )
    await scene.call("CreateFolder", name="finance")
    await scene.call("EncryptVM", name="db1")
    await scene.call(
        "CreateVM", host="esx02", name="Büro 7", diskSize=32768, folder="folder/finance"
    )


def play_api(
    folder: Path,
    test: Callable[[Scene, RawClient], Awaitable[None]],
    clock: trio.abc.Clock | None = None,
    prepare: Prepare = furnish,
) -> None:
    """Run a test in a furnished scene with a client that has logged in."""

    async def work(scene: Scene) -> None:
        set_password(scene)
        await prepare(scene)
        endpoint = Endpoint(scene.vcenter)
        async with trio.open_nursery() as nursery:
            await nursery.start(endpoint.run)
            client = RawClient(endpoint)
            answer = await client.login()
            assert answer.status == 200, answer.body
            await test(scene, client)
            nursery.cancel_scope.cancel()

    play(folder, work, clock).close()
