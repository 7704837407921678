"""A key server for a test: in the process of the test, in a thread of its own, with files in memory."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Self

import anyio
from kmipkit_client import AsyncClient, Client
from kmipkit_server.config import Config, ConfigError
from kmipkit_server.config.effective import offered_versions
from kmipkit_server.config.sources import setting_types, with_options
from kmipkit_server.config.values import from_toml
from kmipkit_server.engine.dispatcher import Dispatcher
from kmipkit_server.engine.exchange import AdmitAgain
from kmipkit_server.identity.identity import Identity
from kmipkit_server.test_mode.control import Control, unrestricted
from kmipkit_server.test_mode.faults import file as fault_file
from kmipkit_server.test_mode.folders import temporary_folder
from kmipkit_server.test_mode.requests import RequestRecords
from kmipkit_server.toml.suggestion import suggestion

from kmipkit.spec.versions import V2_1, Version
from kmipkit_testing.direct import DirectClient
from kmipkit_testing.objects import Seed
from kmipkit_testing.pki import ADMIN, shared_pki
from kmipkit_testing.thread import ServerThread

HOST = "127.0.0.1"

DRAIN_SECONDS = 1.0
"""How long requests that have begun may take when a test ends."""

Respond = Callable[[bytes, str], Awaitable[bytes]]
"""The encoded response to a request of an account."""

Settings = Mapping[str, Mapping[str, Any]]
"""Settings of the server by section and key, as in its configuration file."""
NO_SETTINGS: Settings = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """With what a KMIP client of any kind connects."""

    host: str
    port: int
    ca: Path
    cert: Path
    key: Path


class Clock:
    """The time of a server, which a test puts forward."""

    def __init__(self, server: "KeyServer") -> None:
        self._server = server

    def now(self) -> datetime:
        """The time by which the server judges."""
        return self._server.control.clock()

    def advance(self, duration: timedelta | None = None, **parts: float) -> None:
        """Let time pass: ``advance(days=30)``, or a timedelta.

        States, leases, rotations and time-outs follow: connections that nobody uses for
        ``limits.idle_timeout`` are closed, as in a server that has waited. It returns when all that is
        due by then is done. ValueError if the time is negative.
        """
        self._server.advance((duration or timedelta(0)) + timedelta(**parts))


class KeyServer:
    """A key server, which serves within a ``with`` or ``async with`` block.

    Use :func:`key_server`. Without a block, call :meth:`start` and :meth:`stop`.
    """

    def __init__(
        self,
        objects: Iterable[Seed | str] = (),
        settings: Settings = NO_SETTINGS,
        *,
        listen: bool = True,
        personality: str | None = None,
    ) -> None:
        """See :func:`key_server`."""
        self.pki = shared_pki()
        """The certificates of this process: ``pki.client("app1")`` has the files of a further client."""
        self.requests = RequestRecords()
        """What clients have asked for, oldest first; seeding does not count."""
        self.ids: dict[str, str] = {}
        """The Unique Identifiers of the seeded objects, by Name."""
        self.clock = Clock(self)
        """The time of the server: ``kms.clock.advance(days=30)``."""
        other = () if personality is None else (fault_file.personality(personality),)
        self.control = Control(
            requests=self.requests, listens=listen, faults=fault_file.read(*other)
        )
        """What the server gives a test to control."""
        self.faults = self.control.faults
        """What the server does wrong on demand: ``kms.faults.add("drop", operations=["Get"])``."""
        self._objects = _seeds(objects)
        self._settings = _checked(settings)
        self._cleanup = ExitStack()
        self._thread: ServerThread | None = None

    def __repr__(self) -> str:
        address = self.control.address
        where = "without a port" if address is None else f"on {address[0]}:{address[1]}"
        return f"<KeyServer {where}, {len(self.requests)} requests>"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        await anyio.to_thread.run_sync(self.start)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self.stop)

    def start(self) -> None:
        """Start to serve, and store the objects. RuntimeError if it has served before."""
        if self._thread is not None:
            raise RuntimeError("a key server starts once; make another one with key_server()")
        with ExitStack() as cleanup:
            folder = cleanup.enter_context(temporary_folder())
            self._thread = thread = ServerThread(self._config(folder), self.control)
            thread.start()
            cleanup.callback(thread.stop)
            self.seed(*self._objects)
            self._cleanup = cleanup.pop_all()

    def stop(self) -> None:
        """End the server; all of its objects are gone."""
        self._cleanup.close()

    def _config(self, folder: Path) -> Config:
        files = self.pki.server()
        options: dict[str, dict[str, Any]] = {
            "store": {"directory": folder},
            "listen": {"host": HOST, "port": 0, "drain_seconds": DRAIN_SECONDS},
            "tls": {"cert": files.cert, "key": files.key, "ca": files.ca},
            "identity": {"administrators": (ADMIN,)},
            "audit": {"enabled": False},
            "kmip": dict(self.faults.settings),
        }
        for section, values in self._settings.items():
            options.setdefault(section, {}).update(values)
        return with_options(Config(), options)

    # --- what a test does with it ----------------------------------------------------------------

    @property
    def host(self) -> str:
        """The address on which it listens."""
        return self._address()[0]

    @property
    def port(self) -> int:
        """The port on which it listens."""
        return self._address()[1]

    def _address(self) -> tuple[str, int]:
        if self.control.address is None:
            raise RuntimeError(
                "the key server has no port"
                if self._thread is not None
                else "the key server does not run; use it in a with block"
            )
        return self.control.address

    @property
    def settings(self) -> ConnectionSettings:
        """With what the account ``admin`` connects, for a KMIP client of any kind."""
        return self.settings_of(ADMIN)

    def settings_of(self, account: str) -> ConnectionSettings:
        """With what this account connects; it gets a certificate if it has none."""
        files = self.pki.client(account)
        return ConnectionSettings(self.host, self.port, files.ca, files.cert, files.key)

    def client(self, account: str = ADMIN, **options: Any) -> Client:
        """A client, not connected yet; options as for :class:`kmipkit_client.Client`."""
        return Client(**{**_keywords(self.settings_of(account)), **options})

    def async_client(self, account: str = ADMIN, **options: Any) -> AsyncClient:
        """A client for trio and asyncio; options as for :class:`kmipkit_client.AsyncClient`."""
        return AsyncClient(**{**_keywords(self.settings_of(account)), **options})

    def direct(self, account: str = ADMIN, version: Version | None = None) -> DirectClient:
        """A client without port and TLS, for tests that are not about connections.

        Without ``version``, it uses the newest one, up to 2.1, that the server offers.
        """
        newest = max((each for each in self._versions if each <= V2_1), default=self._versions[0])
        respond = partial(_respond, self._dispatcher)
        return self._direct(respond, account, newest if version is None else version)

    def _direct(self, respond: Respond, account: str, version: Version) -> DirectClient:
        return DirectClient(lambda data: self._call(respond, data, account), version)

    @property
    def _versions(self) -> tuple[Version, ...]:
        """Those that the server offers, oldest first."""
        options = {**self.faults.settings, **self._settings.get("kmip", {})}
        return offered_versions(with_options(Config(), {"kmip": options}))

    def seed(self, *objects: Seed | str) -> list[str]:
        """Store objects; their Unique Identifiers. A string is the Name of a new AES key.

        OperationFailed if the server refuses one.
        """
        self.requests.is_paused = self.faults.is_paused = True
        try:
            return [self._plant(each) for each in _seeds(objects)]
        finally:
            self.requests.is_paused = self.faults.is_paused = False

    def _plant(self, seed: Seed) -> str:
        respond = partial(_respond, lambda: unrestricted(self._dispatcher()))
        client = self._direct(respond, seed.owner, V2_1)
        identifier = self.ids[seed.name] = seed.plant(client)
        return identifier

    def advance(self, duration: timedelta) -> None:
        """See :meth:`Clock.advance`."""
        self._call(self.control.advance, duration)

    # --- in the thread of the server -------------------------------------------------------------

    def _call(self, function: Any, *arguments: Any) -> Any:
        if self._thread is None:
            raise RuntimeError("the key server does not run; use it in a with block")
        return self._thread.call(function, *arguments)

    def _dispatcher(self) -> Dispatcher:
        assert self.control.dispatcher is not None, "it runs"
        return self.control.dispatcher


async def _respond(dispatcher: Callable[[], Dispatcher], data: bytes, account: str) -> bytes:
    running = dispatcher()
    while True:
        identity = await running.admit(Identity(account))
        with suppress(AdmitAgain):
            response = await running.respond(data, identity)
            return response.data


def key_server(
    objects: Iterable[Seed | str] = (),
    *,
    settings: Settings | None = None,
    listen: bool = True,
    personality: str | None = None,
) -> KeyServer:
    """A key server for a test, to be used with ``with`` or ``async with``.

    Args:
        objects: what it stores from the start; a string is the Name of an AES-256 key.
        settings: settings of the server by section and key, as in its configuration file:
            ``{"limits": {"idle_timeout": 5}}``.
        listen: whether it has a port. Without one, only :meth:`KeyServer.direct` reaches it.
        personality: another server to behave like: ``commercial``, ``kmip-1.1`` or ``vault``.

    Raises:
        ConfigError: a setting is not valid, or there is no such personality.
        TypeError: an object is neither a name nor a Seed.
    """
    return KeyServer(objects, settings or NO_SETTINGS, listen=listen, personality=personality)


def _keywords(settings: ConnectionSettings) -> dict[str, Any]:
    files = {"ca": settings.ca, "cert": settings.cert, "key": settings.key}
    return {"servers": settings.host, "port": settings.port, **files}


def _checked(settings: Settings) -> Settings:
    """The settings in their types. ConfigError if one is unknown, or has another type."""
    types = setting_types()
    checked: dict[str, dict[str, Any]] = {}
    for section, values in settings.items():
        if section not in types:
            raise ConfigError(f"unknown section {section!r}{suggestion(section, types)}")
        for key, value in values.items():
            if key not in types[section]:
                similar = suggestion(key, types[section])
                raise ConfigError(f"section {section!r}: unknown key {key!r}{similar}")
            of_file = _as_in_a_file(value)
            checked.setdefault(section, {})[key] = (
                None
                if value is None
                else from_toml(types[section][key], of_file, f"{section}.{key}", Path())
            )
    return checked


def _as_in_a_file(value: Any) -> Any:
    """A value as TOML has it: a path is a string there, and a tuple a list."""
    if isinstance(value, tuple | list):
        return [_as_in_a_file(each) for each in value]
    if isinstance(value, Mapping):
        return dict(value)
    return str(value) if isinstance(value, Path) else value


def _seeds(objects: Iterable[Seed | str]) -> tuple[Seed, ...]:
    """The objects as seeds. TypeError for what is none."""
    if isinstance(objects, str | Seed):
        raise TypeError(f"objects is a list of names and Seeds: write [{objects!r}]")
    seeds = tuple(Seed(each) if isinstance(each, str) else each for each in objects)
    for each in seeds:
        if not isinstance(each, Seed):
            raise TypeError(f"an object is a name or a Seed, not {each!r}")
    return seeds
