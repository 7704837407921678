"""A proxy in a thread of the test, in front of a key server of the test."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import trio
from kmipkit_certs.passwords import KeyPassword
from kmipkit_client.endpoints import Endpoint
from kmipkit_client.tls import tls_context
from kmipkit_proxy.endpoint import ServerFiles, Target
from kmipkit_proxy.live import Live
from kmipkit_proxy.proxying import Outcome, Settings, serve
from kmipkit_proxy.relay import RelayLimits

from kmipkit.captures import Entry, read
from kmipkit.testing import shared_pki

TIMEOUT = 60.0
"""Seconds until a test counts as hanging. The machine may be busy."""


@dataclass
class RunningProxy:
    port: int
    capture: Path
    outcome: Outcome | None = None

    def entries(self) -> list[Entry]:
        return entries(self.capture)

    def notes(self) -> str:
        return "\n".join(entry.note for entry in self.entries())


def entries(capture: Path) -> list[Entry]:
    with capture.open("rb") as file:
        return list(read(file))


def target_at(port: int, account: str = "admin") -> Target:
    files = shared_pki().client(account)
    context = tls_context(files.ca, files.cert, files.key)
    return Target(Endpoint("127.0.0.1", port), lambda: context, TIMEOUT)


def settings_for(
    port: int,
    capture: Path | None,
    *,
    keep_secrets: bool = False,
    limits: RelayLimits | None = None,
    max_capture: int = 1 << 30,
) -> Settings:
    own = shared_pki().server()
    files = ServerFiles(own.cert, own.key, own.ca, own.ca.parent)
    return Settings(
        listen=Endpoint("127.0.0.1", 0),
        contexts=files.contexts("127.0.0.1", KeyPassword()),
        target=target_at(port),
        live=Live(),
        capture=capture,
        keep_secrets=keep_secrets,
        max_capture=max_capture,
        limits=limits or RelayLimits(),
    )


@contextmanager
def proxy(settings: Settings) -> Iterator[RunningProxy]:
    """A proxy that ends with the block; then its outcome is known."""
    started = threading.Event()
    running = RunningProxy(0, settings.capture or Path())
    ends: list[tuple[trio.lowlevel.TrioToken, trio.Event]] = []

    async def main() -> None:
        stop = trio.Event()
        ends.append((trio.lowlevel.current_trio_token(), stop))

        def ready(_host: str, port: int) -> None:
            running.port = port
            started.set()

        running.outcome = await serve(settings, ready, stop)

    thread = threading.Thread(target=trio.run, args=[main])
    thread.start()
    try:
        assert started.wait(TIMEOUT)
        yield running
    finally:
        [(token, stop)] = ends
        token.run_sync_soon(stop.set)
        thread.join(TIMEOUT)
        assert not thread.is_alive()
