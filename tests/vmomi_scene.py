"""The Web Services API of a scene: pyVmomi and REST requests reach the application without sockets.

pyVmomi writes and reads the messages, so that what it does not accept fails; only its connection is
replaced. A test is an ordinary function in a thread, in which :class:`Client` answers for a user.
"""

import io
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import trio
from kmipkit_vsphere.web_services import objects, rest
from kmipkit_vsphere.web_services.application import Application
from kmipkit_vsphere.web_services.endpoint import Endpoint
from kmipkit_vsphere.web_services.versions import DEFAULT_RELEASE, RELEASES
from pyVmomi import SoapStubAdapter, vim
from vsphere_scene import ADMINISTRATOR, Scene, play

assert objects
assert rest

HOST = "vc.example.net"
NAMESPACES = {"8.0.3": "vim.version.v8_0_3_0", "9.0.0": "vim.version.v9_0_0_0"}


@dataclass
class Answer:
    """An HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)


class WebScene:
    """A scene with the endpoint of its vCenter."""

    def __init__(self, scene: Scene, release: str) -> None:
        self.scene = scene
        self.release = release
        self.endpoint = Endpoint(scene.vcenter, RELEASES[release])
        self._application = Application(self.endpoint)

    async def ask(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes = b""
    ) -> Answer:
        """A request over what passes for HTTPS."""
        name, _, query = path.partition("?")
        scope = {
            "type": "http",
            "method": method,
            "path": name,
            "query_string": query.encode(),
            "scheme": "https",
            "client": ("192.0.2.99", 40000),
            "headers": [
                (key.lower().encode(), str(value).encode()) for key, value in headers.items()
            ],
        }
        arrived = False
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            nonlocal arrived
            if arrived:
                await trio.sleep_forever()
            arrived = True
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await self._application(scope, receive, send)
        answered = {key.decode(): value.decode() for key, value in sent[0]["headers"]}
        return Answer(sent[0]["status"], answered, sent[1].get("body", b""))

    def client(self, user: str = ADMINISTRATOR) -> "Client":
        """A client with a session of this user."""
        return Client(self, user)

    def run(self, work: Callable[..., Awaitable[Any]], *args: Any, **more: Any) -> Any:
        """In the thread of a test: something of the scene, such as ``scene.call``."""
        return trio.from_thread.run(partial(work, *args, **more))

    def look(self, work: Callable[..., Any], *args: Any) -> Any:
        """The same for a function that does not wait, such as one of the store."""
        return trio.from_thread.run_sync(work, *args)

    def moid(self, entity: str) -> str:
        """The id of the managed object of an entity such as ``machine/db1``."""
        ref = self.look(self.endpoint.ref_of, entity)
        assert ref is not None, entity
        return str(ref.value)

    def call(self, method: str, caller: str = ADMINISTRATOR, **params: Any) -> Any:
        """One of vCenter's own calls."""
        return self.run(self.scene.call, method, caller, **params)


class _Connection:
    """What pyVmomi takes for an HTTP connection."""

    def __init__(self, web: WebScene) -> None:
        self._web = web
        self._answer: Answer | None = None

    def request(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> None:
        data = body.encode() if isinstance(body, str) else body
        self._answer = trio.from_thread.run(self._web.ask, method, path, headers, data)

    def getresponse(self) -> "_Response":
        assert self._answer is not None
        return _Response(self._answer)

    def close(self) -> None:
        self._answer = None


class _Response(io.BytesIO):
    reason = ""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.body)
        self.status = answer.status
        self._headers = answer.headers

    def getheader(self, name: str, default: str | None = None) -> str | None:
        return self._headers.get(name.lower(), default)


class _Stub(SoapStubAdapter):  # type: ignore[misc]  # pyVmomi has no types
    def __init__(self, web: WebScene, namespace: str, token: str) -> None:
        super().__init__(host=HOST, version=namespace)
        self._web = web
        self.cookie = f"vmware_soap_session={token}; Path=/; HttpOnly"

    def GetConnection(self) -> _Connection:
        return _Connection(self._web)

    def ReturnConnection(self, _connection: _Connection) -> None:
        return


class Client:
    """A user's pyVmomi objects, and REST requests."""

    def __init__(self, web: WebScene, user: str) -> None:
        self.web = web
        self.user = user
        begin = web.endpoint.sessions.begin
        self.token, _ = web.look(begin, user, "192.0.2.99", "test", "en")
        self.stub = _Stub(web, NAMESPACES[web.release], self.token)

    @property
    def key_manager(self) -> Any:
        """``CryptoManagerKmip``."""
        return vim.encryption.CryptoManagerKmip("CryptoManager", self.stub)

    def object(self, kind: Any, moid: str) -> Any:
        """A managed object by its id."""
        return kind(moid, self.stub)

    def result(self, task: Any) -> Any:
        """The result of a task when it has ended; raises its fault."""
        while task.info.state not in ("success", "error"):
            trio.from_thread.run(trio.sleep, 0)
        if task.info.state == "error":
            raise task.info.error
        return task.info.result

    def rest(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """A request of the REST API, as JSON, with the session unless it has other headers."""
        sent = headers or {"vmware-api-session-id": self.token}
        data = json.dumps(body).encode() if body is not None else b""
        answer: Answer = trio.from_thread.run(
            self.web.ask, method, path, {"host": HOST, **sent}, data
        )
        return answer


def provider(name: str) -> Any:
    """A ``KeyProviderId``."""
    return vim.encryption.KeyProviderId(id=name)


def talk(
    folder: Path,
    test: Callable[[WebScene], None],
    prepare: Callable[[Scene], Awaitable[None]] | None = None,
    release: str = DEFAULT_RELEASE,
) -> None:
    """Run a test as a client of a scene."""

    async def main(scene: Scene) -> None:
        if prepare is not None:
            await prepare(scene)
        web = WebScene(scene, release)
        async with trio.open_nursery() as nursery:
            await nursery.start(web.endpoint.run)
            for migrations in scene.migrations.values():
                nursery.start_soon(migrations.run)
            await trio.to_thread.run_sync(test, web)
            nursery.cancel_scope.cancel()

    play(folder, main).close()
