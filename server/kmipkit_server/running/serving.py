"""Serving with all parts, until the server is asked to stop; then what has begun is finished."""

import logging
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Protocol

import trio

from kmipkit.errors import KMIPError
from kmipkit_server.engine.dispatcher import Dispatcher
from kmipkit_server.engine.peers import ALONE
from kmipkit_server.engine.settings import Clock
from kmipkit_server.identity import shared_sightings
from kmipkit_server.keys.certificate_authority import CLIENTS, stored_certificate
from kmipkit_server.metrics import monitoring
from kmipkit_server.net.tls import TLSSettings
from kmipkit_server.operations.rotation import Rotation
from kmipkit_server.running.background import notifier_of, notify, run_deferred
from kmipkit_server.running.parts import Parts
from kmipkit_server.service.audit import settle_others
from kmipkit_server.service.backup import settle
from kmipkit_server.service.client_certificates import watch_clients
from kmipkit_server.service.ready import Ready, ready
from kmipkit_server.store.base import Reader, Store
from kmipkit_server.store.parts import part_of

log = logging.getLogger("kmipkit.server")

Announce = Callable[[Ready], None]
"""Called when connections are accepted."""

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Stop(Protocol):
    """Who says when the server is to end."""

    async def asked(self) -> float:
        """Wait until it is; how many seconds it has for the requests that have begun."""

    async def hurried(self) -> None:
        """Wait until it is to end at once."""

    async def unneeded(self) -> None:
        """Wait, when all connections are closed, until no other process needs this one any more."""


@dataclass(slots=True)
class StopBySignal:
    """The signals of a server that is one process: SIGHUP reloads, the first other one stops it."""

    signals: AsyncIterator[int]
    parts: Parts

    async def asked(self) -> float:
        """See :class:`Stop`."""
        await self._next()
        log.info("stopping: finishing the requests that have begun")
        return self.parts.config.listen.drain_seconds

    async def hurried(self) -> None:
        """See :class:`Stop`."""
        if not await self._next():
            await trio.sleep_forever()
        log.info("stopping at once")

    async def unneeded(self) -> None:
        """See :class:`Stop`: there is no other process."""

    async def _next(self) -> bool:
        """Reload on SIGHUP until there is another signal; False if there will be none."""
        async for number in self.signals:
            if number != signal.SIGHUP:
                return True
            await self.parts.reloader.reload()
        return False


@contextmanager
def plain_errors() -> Iterator[None]:
    """Raise the error with which a user can do something, and not the groups of nurseries around it."""
    try:
        yield
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]
        if isinstance(error, KMIPError | OSError):
            raise error from None
        raise


async def serve(parts: Parts, announce: Announce, stop: Stop) -> None:
    """Serve with all parts until it is enough, and then finish what has begun.

    StoreError, AuditError or OSError if that cannot begin.
    """
    with plain_errors():
        await _serve(parts, announce, stop)


async def _serve(parts: Parts, announce: Announce, stop: Stop) -> None:
    config, monitored = parts.config, parts.monitored
    store, audit = monitored.store, monitored.audit
    async with trio.open_nursery() as nursery:
        await nursery.start(store.serve)
        if audit is not None:
            nursery.start_soon(audit.send)
        await _restore(store, monitored.dispatcher, monitored.tls, monitored.clock)
        if parts.is_first:
            await settle_others(config, store, monitored.clock, parts.count, parts.restored)
            settle(config)
            for line in await parts.reloader.store(config):
                log.info("%s", line)
        async with _monitored(parts), trio.open_nursery() as serving:
            await _start(parts, serving)
            announce(
                ready(
                    config,
                    monitored.tls.files.ca,
                    parts.sockets,
                    parts.monitoring_sockets,
                    is_test_mode=parts.control is not None,
                )
            )
            await _drain(parts, stop)
            serving.cancel_scope.cancel()
        if audit is not None:
            await audit.stop(store)
        await store.stop()


async def _drain(parts: Parts, stop: Stop) -> None:
    """Wait until the server is to end, and finish what has begun, if there is time for it."""
    seconds = await stop.asked()
    deadline = trio.current_time() + seconds
    async with trio.open_nursery() as nursery:

        async def hurry() -> None:
            await stop.hurried()
            nursery.cancel_scope.cancel()

        nursery.start_soon(hurry)
        await parts.monitored.listener.drain(seconds)
        with trio.move_on_at(deadline):
            await stop.unneeded()
        nursery.cancel_scope.cancel()


async def _start(parts: Parts, serving: trio.Nursery) -> None:
    """Start to accept connections, and all that is done in the background."""
    config, monitored = parts.config, parts.monitored
    dispatcher, tls, store = monitored.dispatcher, monitored.tls, monitored.store
    if monitored.audit is not None:
        await serving.start(monitored.audit.run, store)
    await serving.start(monitored.listener.serve, parts.sockets)
    if monitored.peers.number == 1:  # one process warns for all that have the same files
        serving.start_soon(tls.watch)
        serving.start_soon(watch_clients, dispatcher.server.state.sightings, monitored.clock)
        if parts.renewal is not None:
            serving.start_soon(parts.renewal.run)
    notifier = notifier_of(config, parts.request_source, tls)
    if notifier.addresses:
        sending = partial(notify, notifier, parts.request_source)
        serving.start_soon(store.run_alone, "notifications", sending)
    serving.start_soon(dispatcher.following.watch)
    if monitored.peers is not ALONE or store.is_shared:
        serving.start_soon(shared_sightings.share, store, dispatcher.server.state.sightings)
    serving.start_soon(store.run_alone, "rotation", Rotation(dispatcher).run)
    serving.start_soon(store.run_alone, "backups", monitored.backups.run)
    serving.start_soon(monitored.backups.watch)
    serving.start_soon(store.run_alone, "key-rotation", parts.rotator.run)
    serving.start_soon(run_deferred, dispatcher, config.kmip.asynchronous_delay)


@asynccontextmanager
async def _monitored(parts: Parts) -> AsyncIterator[None]:
    """Serve the port for monitoring, also while the server finishes its last requests."""
    tls = parts.config.metrics.tls
    server = monitoring.server(
        parts.monitored, is_tls=tls != "off", needs_certificate=tls == "mutual"
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.serve, parts.monitoring_sockets)
        yield
        server.stop()


async def _restore(store: Store, dispatcher: Dispatcher, tls: TLSSettings, clock: Clock) -> None:
    """Restore what the server has in memory besides its configuration."""

    async def trust_authorities() -> None:
        """Accept the client certificates that this server has given, in whichever process."""
        now = clock()
        for tenant in ("", *dispatcher.server.state.tenants.tenants):
            authority = await store.run(partial(_client_authority, tenant=tenant, now=now))
            if authority is not None:
                tls.trust(authority)

    dispatcher.following.on_change = trust_authorities
    await dispatcher.restore()


def _client_authority(reader: Reader, tenant: str, now: datetime) -> bytes | None:
    """The certificate of the authority of Re-Provision of a tenant, or of the server."""
    return stored_certificate(part_of(reader, tenant), CLIENTS, now, tenant)
