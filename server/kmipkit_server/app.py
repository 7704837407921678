"""The running server: its parts put together, and the handling of signals.

A start reads the configuration, the certificates and the root key, opens the store and the sockets,
and only then prints the line that says so. A stop accepts no new connections, finishes the requests
that have begun, waits for the last commit, and closes the store.
"""

import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import trio
from kmipkit_certs.credentials import NO_PASSWORD
from kmipkit_certs.passwords import KeyPassword

from kmipkit import __version__
from kmipkit.spec.versions import VERSIONS
from kmipkit.ttlv.limits import DEFAULT_LIMITS, Limits
from kmipkit_server import config as configuration
from kmipkit_server import logs
from kmipkit_server.audit.service import Audit
from kmipkit_server.config import Config, ConfigError, address
from kmipkit_server.config.effective import (
    ADMIN,
    administrators,
    is_development,
    notified_accounts,
    share_of_connections,
)
from kmipkit_server.engine.asynchronous import DeferredRequest
from kmipkit_server.engine.budget import MessageLimits
from kmipkit_server.engine.clock import SteadyClock
from kmipkit_server.engine.computing import Computer, Executor
from kmipkit_server.engine.dispatcher import Dispatcher
from kmipkit_server.engine.hooks import Quotas, TicketRights
from kmipkit_server.engine.notifications import Notification, Notifications
from kmipkit_server.engine.request_log import RequestLog
from kmipkit_server.engine.seam import Hook, Seam
from kmipkit_server.engine.server import Server
from kmipkit_server.engine.settings import Clock, Settings
from kmipkit_server.engine.state import ServerState
from kmipkit_server.engine.workers import open_workers
from kmipkit_server.identity.accounts import Accounts
from kmipkit_server.identity.certificate import IdentityRule
from kmipkit_server.keys.certificate_authority import CLIENTS, stored_certificate
from kmipkit_server.metrics import monitoring
from kmipkit_server.metrics.operations import OperationCounters
from kmipkit_server.net.listener import ConnectionLimits, Listener, open_sockets
from kmipkit_server.net.notifier import Notifier
from kmipkit_server.net.open_files import permit_connections
from kmipkit_server.net.revocation import Revocations
from kmipkit_server.net.tls import TLSSettings
from kmipkit_server.operations.notify import NotificationHook, RequestSource
from kmipkit_server.operations.rotation import Rotation
from kmipkit_server.service.audit import open_audit, recorded_refusals
from kmipkit_server.service.checks import MISSING_TRACING, has_tracing
from kmipkit_server.service.registry import registry
from kmipkit_server.service.reload import Certificates, Reloader, Values
from kmipkit_server.service.tls_files import (
    CERTIFICATES,
    configured_files,
    revocation_files,
    tls_files,
)
from kmipkit_server.store.base import Store
from kmipkit_server.store.sqlite.database import has_content, lock_file
from kmipkit_server.store.sqlite.store import SQLiteStore
from kmipkit_server.vault.file import FileVault

log = logging.getLogger("kmipkit.server")

Announce = Callable[[str], None]
Read = Callable[[], configuration.Settings]

MIN_DEFERRED_INTERVAL = 0.25
"""Seconds between two checks for asynchronous requests that are due, at least."""
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def system_clock() -> datetime:
    """The time now, in UTC."""
    return datetime.now(UTC)


SWITCH_INTERVAL = 0.0002
"""Seconds after which a thread that computes lets the event loop go on; Python's default is 0.005."""

GARBAGE_THRESHOLD = 50_000
"""Objects after which Python collects cycles. A request makes many objects but hardly any cycles; with
Python's default of 700, the collections take a tenth of the time."""


def run(
    config: Config,
    announce: Announce,
    password: KeyPassword = NO_PASSWORD,
    read: Read | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT. ConfigError, StoreError or OSError if it cannot start.

    ``read`` reads the configuration again, for a reload; without it, it stays as it is.
    """
    logs.configure(config.log.level, form=config.log.format)
    gc.set_threshold(GARBAGE_THRESHOLD)
    sys.setswitchinterval(SWITCH_INTERVAL)
    permit_connections(config.limits.connections)
    gc.freeze()  # modules and classes stay forever: collections need not visit them
    trio.run(partial(serve, config, announce, password=password, read=read))


def lock(config: Config) -> Path:
    """The file that a server with this configuration locks while it runs."""
    return lock_file(config.database)


def unlock(config: Config, password: KeyPassword) -> None:
    """Ask for the password of the server's key now, if it is asked for at all."""
    if config.tls.cert is not None:
        configured_files(config, password).load()


async def serve(
    config: Config,
    announce: Announce,
    clock: Clock = system_clock,
    password: KeyPassword = NO_PASSWORD,
    read: Read | None = None,
) -> None:
    """Serve until cancelled or stopped by a signal; see :func:`run`."""
    async with open_workers() as workers:
        await _serve(
            config,
            announce,
            clock,
            password,
            workers,
            read or (lambda: configuration.Settings(config)),
        )
    log.info("stopped")


@dataclass(frozen=True, slots=True)
class _Parts:
    """An open server, which does not serve yet."""

    config: Config
    sockets: list[socket.socket]
    monitoring_sockets: list[socket.socket]
    monitored: monitoring.Parts
    request_source: RequestSource
    reloader: Reloader


async def _serve(
    config: Config,
    announce: Announce,
    clock: Clock,
    password: KeyPassword,
    workers: Executor,
    read: Read,
) -> None:
    config.store.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    files = tls_files(config, clock, password)
    tls = TLSSettings.load(files, revocation_files(config), clock)
    vault = FileVault.open(config.root_key, may_create=not has_content(config.database))
    with ExitStack() as cleanup:
        store = SQLiteStore.open(config.database, vault)
        cleanup.callback(store.close)
        clock = SteadyClock(clock, store.newest_time)
        tls.revocations.clock = clock  # a list that has expired stays so if the clock is put back
        sockets = _open_port(config.listen.host, config.listen.port, cleanup)
        audit = await open_audit(config, store, clock)
        queue = Notifications(frozenset(notified_accounts(config)))
        rule = IdentityRule(config.identity.source, config.identity.accounts)
        operations = OperationCounters()
        observers = (*((operations,) if config.metrics.listen else ()), *_tracing(config, cleanup))
        seam = _seam(config, queue, audit, observers)
        dispatcher = _dispatcher(config, store, tls, clock, seam, workers, rule)
        request_source = RequestSource(store, queue, clock, _record_of_sent(audit))
        listener = Listener(
            context=lambda: tls.context,
            responder=dispatcher,
            requests=request_source.requests,
            identity_rule=rule,
            revocations=tls.revocations,
            limits=_connection_limits(config),
            refusals=None if audit is None else recorded_refusals(audit),
        )

        def apply_values(new: Config) -> None:
            listener.change_limits(_connection_limits(new))
            _change_limits(dispatcher, new, tls)
            dispatcher.seam = _seam(new, queue, audit, observers)

        certificates = Certificates(tls, password, listener.end_revoked, is_development(config))
        watch = config.metrics.listen
        parts = _Parts(
            config,
            sockets,
            _open_port(*address(watch), cleanup) if watch else [],
            monitoring.Parts(store, dispatcher, listener, tls, queue, operations, clock, audit),
            request_source,
            # The certificates first: what clients may prove against follows from them.
            Reloader(config, read, (certificates, Values(apply_values))),
        )
        await _run(parts, announce)


async def _run(parts: _Parts, announce: Announce) -> None:
    """Serve with all parts until a signal, and then finish what has begun."""
    config, monitored = parts.config, parts.monitored
    store, listener, audit = monitored.store, monitored.listener, monitored.audit
    dispatcher, tls = monitored.dispatcher, monitored.tls
    with trio.open_signal_receiver(*SIGNALS) as signals:
        async with trio.open_nursery() as nursery:
            await nursery.start(store.serve)
            if audit is not None:
                nursery.start_soon(audit.send)
            await _restore(store, dispatcher, tls, monitored.clock)
            async with _monitored(parts), trio.open_nursery() as serving:
                if audit is not None:
                    await serving.start(audit.run, store)
                serving.start_soon(listener.serve, parts.sockets)
                serving.start_soon(tls.watch)
                serving.start_soon(_notifier(config, parts.request_source, tls).run)
                serving.start_soon(Rotation(dispatcher).run)
                serving.start_soon(_run_deferred, dispatcher, config.kmip.asynchronous_delay)
                announce(_ready_line(parts))
                await _handle_signals(signals, parts.reloader)
                log.info("stopping: finishing the requests that have begun")
                await listener.drain(config.listen.drain_seconds)
                serving.cancel_scope.cancel()
            if audit is not None:
                await audit.stop(store)
            await store.stop()


def _open_port(host: str, port: int, cleanup: ExitStack) -> list[socket.socket]:
    """Listening sockets, which are closed in the end."""
    sockets = open_sockets(host, port)
    for listening in sockets:
        cleanup.enter_context(listening)
    return sockets


@asynccontextmanager
async def _monitored(parts: _Parts) -> AsyncIterator[None]:
    """Serve the port for monitoring, also while the server finishes its last requests."""
    tls = parts.config.metrics.tls
    server = monitoring.server(
        parts.monitored, is_tls=tls != "off", needs_certificate=tls == "mutual"
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.serve, parts.monitoring_sockets)
        yield
        nursery.cancel_scope.cancel()


async def _restore(store: Store, dispatcher: Dispatcher, tls: TLSSettings, clock: Clock) -> None:
    """Restore what the server has in memory besides its configuration."""
    now = clock()
    authority = await store.run(lambda reader: stored_certificate(reader, CLIENTS, now))
    if authority is not None:
        tls.trust(authority)
    await dispatcher.restore()


def _dispatcher(
    config: Config,
    store: Store,
    tls: TLSSettings,
    clock: Clock,
    seam: Seam,
    workers: Executor,
    rule: IdentityRule,
) -> Dispatcher:
    server = Server(
        _settings(config, tls),
        registry(config),
        account_of=rule.account_of,
        trust=tls.trust,
    )
    return Dispatcher(
        store=store,
        server=server,
        accounts=_accounts(config, store, server.state, tls.revocations),
        clock=clock,
        seam=seam,
        limits=_message_limits(config),
        message_limits=_budgets(config),
        computer=Computer(workers, config.limits.workers, config.limits.computation_timeout),
        strict=config.kmip.strict,
        asynchronous_delay=timedelta(seconds=config.kmip.asynchronous_delay),
    )


def _budgets(config: Config) -> MessageLimits:
    limits = config.limits
    return MessageLimits(
        items=limits.batch_items, response=limits.max_response, cpu_seconds=limits.cpu_seconds
    )


def _change_limits(dispatcher: Dispatcher, config: Config, tls: TLSSettings) -> None:
    """Apply other limits to the requests that follow."""
    limits = config.limits
    permit_connections(limits.connections)
    dispatcher.limits = _message_limits(config)
    dispatcher.message_limits = _budgets(config)
    dispatcher.computer.change_limits(limits.workers, limits.computation_timeout)
    dispatcher.server = replace(dispatcher.server, settings=_settings(config, tls))


def _seam(
    config: Config, queue: Notifications, audit: Audit | None, observers: Sequence[Hook]
) -> Seam:
    """The hooks around each operation, in the order in which they run."""
    quotas = Quotas(config.limits.objects_per_account, config.limits.bytes_per_account)
    quota_hooks = () if quotas == Quotas() else (quotas,)
    notification_hooks = (NotificationHook(queue),) if queue.accounts else ()
    audit_hooks = () if audit is None else (audit.hook,)
    log_hooks = (RequestLog(),) if config.log.level == "DEBUG" else ()
    return Seam(
        (
            TicketRights(),
            *quota_hooks,
            *notification_hooks,
            *audit_hooks,
            *observers,
            *log_hooks,
        )
    )


def _tracing(config: Config, cleanup: ExitStack) -> tuple[Hook, ...]:
    """What makes traces, if they are configured."""
    if not config.tracing.endpoint:
        return ()
    if not has_tracing():
        raise ConfigError(MISSING_TRACING)
    from kmipkit_server.metrics.tracing import open_tracing

    return (cleanup.enter_context(open_tracing(config.tracing)),)


def _settings(config: Config, tls: TLSSettings) -> Settings:
    return Settings(
        vendor="kmipkit",
        server_name=config.kmip.server_name,
        software_version=__version__,
        random=os.urandom,
        versions=VERSIONS,
        unique_names=config.kmip.unique_names,
        lease_seconds=config.kmip.lease_seconds,
        max_attributes=config.limits.attributes,
        max_located=config.limits.locate_objects,
        anchors=tls.material.authorities(),
        revocation=tls.revocations.validity,
    )


def _accounts(
    config: Config, store: Store, state: ServerState, revocations: Revocations
) -> Accounts:
    unknown_credentials = config.identity.unknown_credentials
    return Accounts(
        store,
        frozenset(administrators(config)),
        ignores_unknown=unknown_credentials == "ignore",
        is_lenient=unknown_credentials is None and is_development(config),
        sessions=state.sessions,
        revocation=revocations.reason,
    )


def _record_of_sent(audit: Audit | None) -> Callable[[str, Notification], None]:
    return _ignore if audit is None else audit.sent


def _ignore(_account: str, _notification: Notification) -> None:
    """Without an audit log, what is sent is not recorded."""


def _notifier(config: Config, request_source: RequestSource, tls: TLSSettings) -> Notifier:
    addresses = notified_accounts(config)
    return Notifier(
        queue=request_source.queue,
        message=request_source.message,
        addresses={account: address(text) for account, text in addresses.items() if text},
        context=tls.client_context,
        revocations=tls.revocations,
        limits=_message_limits(config),
    )


async def _run_deferred(dispatcher: Dispatcher, delay: float) -> None:
    """Carry out asynchronous requests as they fall due."""
    async with trio.open_nursery() as nursery:
        while True:
            await trio.sleep(max(delay, MIN_DEFERRED_INTERVAL))
            # Each in a task of its own, so that one that takes long does not delay the others.
            for deferred in dispatcher.due():
                nursery.start_soon(_carry_out, dispatcher, deferred)


async def _carry_out(dispatcher: Dispatcher, deferred: DeferredRequest) -> None:
    try:
        await dispatcher.run_deferred([deferred])
    except Exception:
        # Only a defect of the server gets here, and background work never ends the server.
        log.exception("an asynchronous request ended by an internal error")


def _message_limits(config: Config) -> Limits:
    return replace(DEFAULT_LIMITS, max_message=config.limits.max_message)


def _connection_limits(config: Config) -> ConnectionLimits:
    limits = config.limits
    share = share_of_connections(config)
    return ConnectionLimits(
        handshake_timeout=limits.handshake_timeout,
        message_timeout=limits.message_timeout,
        send_timeout=limits.send_timeout,
        idle_timeout=limits.idle_timeout,
        connections=limits.connections,
        connections_per_address=limits.connections_per_address or share,
        connections_per_account=limits.connections_per_account or share,
        messages=_message_limits(config),
    )


def _ready_line(parts: _Parts) -> str:
    config = parts.config
    directory, authorities = config.store.directory, parts.monitored.tls.files.ca
    line = f"ready: listening on {_endpoint(parts.sockets)}, data in {directory}, CA {authorities}"
    if config.tls.cert is None:
        folder = directory / CERTIFICATES
        line += f", client certificate {folder / f'{ADMIN}.crt'} and key {folder / f'{ADMIN}.key'}"
    if parts.monitoring_sockets:
        scheme = "http" if config.metrics.tls == "off" else "https"
        line += f", metrics {scheme}://{_endpoint(parts.monitoring_sockets)}/metrics"
    return line


def _endpoint(sockets: Sequence[socket.socket]) -> str:
    host, port = sockets[0].getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def _handle_signals(signals: AsyncIterator[int], reloader: Reloader) -> None:
    """Return on SIGTERM or SIGINT; reload on SIGHUP."""
    async for number in signals:
        if number != signal.SIGHUP:
            return
        await reloader.reload()
