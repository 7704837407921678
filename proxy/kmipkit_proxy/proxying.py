"""A run of the proxy: from its settings to the end by a signal."""

import signal
import ssl
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import trio
from kmipkit_client.endpoints import Endpoint

from kmipkit.captures import Entry, Heading
from kmipkit.ttlv.tree import Item
from kmipkit_proxy.endpoint import Target, explain
from kmipkit_proxy.errors import ProxyError
from kmipkit_proxy.live import Live
from kmipkit_proxy.pseudonyms import Pseudonyms
from kmipkit_proxy.recorder import CaptureFile, timestamp
from kmipkit_proxy.relay import Relay, RelayLimits

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True, slots=True)
class Settings:
    """What a run needs."""

    listen: Endpoint
    contexts: Callable[[], ssl.SSLContext]
    """The TLS settings for the next client."""
    target: Target
    live: Live
    capture: Path | None = None
    keep_secrets: bool = False
    max_capture: int = 1 << 30
    """Bytes of the capture."""
    limits: RelayLimits = field(default_factory=RelayLimits)


@dataclass(slots=True)
class Outcome:
    """What was seen."""

    connections: int = 0
    messages: int = 0
    problem: str = ""
    """Why the capture is not complete, if it is not."""


async def serve(
    settings: Settings, ready: Callable[[str, int], None], stop: trio.Event | None = None
) -> Outcome:
    """Serve until a signal, or until ``stop`` is set. ProxyError if that cannot begin.

    ``ready`` is told the address, once clients can connect.
    """
    outcome = Outcome()
    with ExitStack() as stack:
        file = _file(settings, stack)

        def take(entry: Entry, message: Item | None) -> None:
            if file is not None:
                file.add(entry)
                outcome.problem = file.problem
            outcome.connections = max(outcome.connections, entry.connection)
            outcome.messages += bool(entry.message)
            settings.live.show(entry, message)

        pseudonyms = None if settings.keep_secrets else Pseudonyms()
        relay = Relay(settings.contexts, settings.target, take, settings.limits, pseudonyms)
        listeners = await _listen(settings.listen)
        host, port = listeners[0].socket.getsockname()[:2]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(relay.serve, listeners)
            ready(host, port)
            await _end(stop)
            nursery.cancel_scope.cancel()
    return outcome


def _file(settings: Settings, stack: ExitStack) -> CaptureFile | None:
    if settings.capture is None:
        return None
    heading = Heading(timestamp(), str(settings.target.endpoint), settings.keep_secrets)
    return stack.enter_context(CaptureFile(settings.capture, heading, settings.max_capture))


async def _listen(address: Endpoint) -> list[trio.SocketListener]:
    try:
        return await trio.open_tcp_listeners(address.port, host=address.host)
    except (OSError, UnicodeError) as error:
        raise ProxyError(f"cannot listen on {address}: {explain(error)}") from None


async def _end(stop: trio.Event | None) -> None:
    """Wait for a signal, where signals arrive, or for the event."""
    if stop is not None:
        await stop.wait()
    elif threading.current_thread() is threading.main_thread():
        with trio.open_signal_receiver(*SIGNALS) as signals:
            async for _ in signals:
                return
    else:
        await trio.sleep_forever()
