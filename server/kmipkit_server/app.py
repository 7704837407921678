"""The running server: its parts put together, and the handling of signals.

A start reads the configuration, the certificates and the root key, opens the store and the sockets,
and only then prints the line that says so. A stop accepts no new connections, finishes the requests
that have begun, waits for the last commit, and closes the store.
"""

import gc
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from pkgutil import resolve_name

import trio
from kmipkit_certs.credentials import NO_PASSWORD
from kmipkit_certs.development import RSA_SERVER, SERVER
from kmipkit_certs.directory import Directory
from kmipkit_certs.passwords import KeyPassword
from kmipkit_certs.revocation_files import RevocationFiles

from kmipkit import __version__
from kmipkit.spec.enums import Operation
from kmipkit.spec.versions import VERSIONS
from kmipkit.ttlv.limits import DEFAULT_LIMITS, Limits
from kmipkit_server import logs
from kmipkit_server.app_audit import open_audit, recorded_refusals
from kmipkit_server.audit.service import Audit
from kmipkit_server.config import Config, ConfigError, address
from kmipkit_server.engine.asynchronous import DeferredRequest
from kmipkit_server.engine.budget import MessageLimits
from kmipkit_server.engine.clock import SteadyClock
from kmipkit_server.engine.computing import Computer, Executor
from kmipkit_server.engine.dispatcher import Dispatcher
from kmipkit_server.engine.hooks import Quotas, TicketRights
from kmipkit_server.engine.notifications import Notification, Notifications
from kmipkit_server.engine.registry import Registry, ServedOperation
from kmipkit_server.engine.seam import Seam
from kmipkit_server.engine.server import Server
from kmipkit_server.engine.settings import Clock, Settings
from kmipkit_server.engine.state import ServerState
from kmipkit_server.engine.workers import open_workers
from kmipkit_server.identity.accounts import Accounts
from kmipkit_server.identity.certificate import IdentityRule
from kmipkit_server.keys.certificate_authority import CLIENTS, stored_certificate
from kmipkit_server.net.listener import ConnectionLimits, Listener, open_sockets
from kmipkit_server.net.notifier import Notifier
from kmipkit_server.net.open_files import permit_connections
from kmipkit_server.net.revocation import Revocations, load_lists
from kmipkit_server.net.tls import TLSFiles, TLSSettings
from kmipkit_server.operations.notify import NotificationHook, RequestSource
from kmipkit_server.operations.rotation import Rotation
from kmipkit_server.operations.table import STANDARD
from kmipkit_server.store.base import Store
from kmipkit_server.store.sqlite.database import has_content, lock_file
from kmipkit_server.store.sqlite.store import SQLiteStore
from kmipkit_server.vault.file import FileVault

log = logging.getLogger("kmipkit.server")

Announce = Callable[[str], None]

CERTIFICATES = "certs"
ADMIN = "admin"
DEVELOPMENT_ADMINISTRATORS = (ADMIN, "administrator")
"""The default administrators with development certificates; otherwise there are none."""
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


def run(config: Config, announce: Announce, password: KeyPassword = NO_PASSWORD) -> None:
    """Serve until SIGTERM or SIGINT. ConfigError, StoreError or OSError if it cannot start."""
    logs.configure(config.log.level)
    gc.set_threshold(GARBAGE_THRESHOLD)
    sys.setswitchinterval(SWITCH_INTERVAL)
    permit_connections(config.limits.connections)
    gc.freeze()  # modules and classes stay forever: collections need not visit them
    trio.run(partial(serve, config, announce, password=password))


def lock(config: Config) -> Path:
    """The file that a server with this configuration locks while it runs."""
    return lock_file(config.database)


def unlock(config: Config, password: KeyPassword) -> None:
    """Ask for the password of the server's key now, if it is asked for at all."""
    if config.tls.cert is not None:
        _configured_files(config, password).load()


def check(config: Config, password: KeyPassword = NO_PASSWORD) -> list[str]:
    """Check whether a start would succeed, without changing anything; errors as of :func:`run`.

    The result are the warnings that a start would log.
    """
    _registry(config)
    files = _existing_files(config, password)
    material = None if files is None else files.load()
    if material is not None:
        material.server_context()
    load_lists(_revocation_files(config), () if material is None else material.authorities())
    directory = config.store.directory
    existing = next(path for path in (directory, *directory.absolute().parents) if path.exists())
    if not existing.is_dir():
        raise ConfigError(f"{directory}: {existing} is not a directory")
    if not os.access(existing, os.W_OK):
        raise ConfigError(f"{directory}: no permission to write to {existing}")
    return [] if material is None else material.warnings(system_clock)


async def serve(
    config: Config,
    announce: Announce,
    clock: Clock = system_clock,
    password: KeyPassword = NO_PASSWORD,
) -> None:
    """Serve until cancelled or stopped by a signal; see :func:`run`."""
    async with open_workers() as workers:
        await _serve(config, announce, clock, password, workers)
    log.info("stopped")


async def _serve(
    config: Config, announce: Announce, clock: Clock, password: KeyPassword, workers: Executor
) -> None:
    config.store.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    files = _tls_files(config, clock, password)
    tls = TLSSettings.load(files, _revocation_files(config), clock)
    database = config.database
    vault = FileVault.open(config.root_key, may_create=not has_content(database))
    with ExitStack() as cleanup:
        store = SQLiteStore.open(database, vault)
        cleanup.callback(store.close)
        clock = SteadyClock(clock, store.newest_time)
        tls.revocations.clock = clock  # a list that has expired stays so if the clock is put back
        sockets = open_sockets(config.listen.host, config.listen.port)
        for listening in sockets:
            cleanup.enter_context(listening)
        audit = await open_audit(config, store, clock)
        queue = Notifications(frozenset(_notified_accounts(config)))
        request_source = RequestSource(store, queue, clock, _record_of_sent(audit))
        rule = IdentityRule(config.identity.source, config.identity.accounts)
        seam = _seam(config, queue, audit)
        dispatcher = _dispatcher(config, store, tls, clock, seam, workers, rule)
        listener = Listener(
            context=lambda: tls.context,
            responder=dispatcher,
            requests=request_source.requests,
            identity_rule=rule,
            revocations=tls.revocations,
            limits=_connection_limits(config),
            refusals=None if audit is None else recorded_refusals(audit),
        )
        with trio.open_signal_receiver(*SIGNALS) as signals:
            async with trio.open_nursery() as nursery:
                await nursery.start(store.serve)
                if audit is not None:
                    nursery.start_soon(audit.send)
                await _restore(store, dispatcher, tls, clock)
                async with trio.open_nursery() as serving:
                    if audit is not None:
                        await serving.start(audit.run, store)
                    serving.start_soon(listener.serve, sockets)
                    serving.start_soon(tls.watch)
                    serving.start_soon(_notifier(config, request_source, tls).run)
                    serving.start_soon(Rotation(dispatcher).run)
                    serving.start_soon(_run_deferred, dispatcher, config.kmip.asynchronous_delay)
                    announce(_ready_line(config, sockets[0].getsockname(), files))
                    await _handle_signals(signals, tls, listener)
                    log.info("stopping: finishing the requests that have begun")
                    await listener.drain(config.listen.drain_seconds)
                    serving.cancel_scope.cancel()
                if audit is not None:
                    await audit.stop(store)
                await store.stop()


async def _restore(store: Store, dispatcher: Dispatcher, tls: TLSSettings, clock: Clock) -> None:
    """Restore what the server has in memory besides its configuration."""
    now = clock()
    authority = await store.run(lambda reader: stored_certificate(reader, CLIENTS, now))
    if authority is not None:
        tls.trust(authority)
    await dispatcher.restore()


def _tls_files(config: Config, clock: Clock, password: KeyPassword) -> TLSFiles:
    if config.tls.cert is not None:
        return _configured_files(config, password)
    from kmipkit_certs.development import ensure

    certificates = ensure(
        config.store.directory / CERTIFICATES,
        hosts=tuple(dict.fromkeys((config.listen.host, "localhost", "127.0.0.1", "::1"))),
        clients=(ADMIN,),
        clock=clock,
    )
    pairs = (
        (certificates.server_cert, certificates.server_key),
        (certificates.rsa_cert, certificates.rsa_key),
    )
    return TLSFiles(pairs, certificates.ca)


def _configured_files(config: Config, password: KeyPassword) -> TLSFiles:
    tls = config.tls
    assert tls.cert is not None
    assert tls.ca is not None
    return TLSFiles(((tls.cert, tls.key),), tls.ca, password)


def _existing_files(config: Config, password: KeyPassword) -> TLSFiles | None:
    """The files that a start would use; None if it would first make those of the development PKI."""
    if config.tls.cert is not None:
        return _configured_files(config, password)
    directory = Directory(config.store.directory / CERTIFICATES)
    pairs = tuple(
        (files.cert, files.key)
        for files in map(directory.files, (SERVER, RSA_SERVER))
        if files.cert.exists()
    )
    return TLSFiles(pairs, directory.ca) if pairs and directory.ca.exists() else None


def _revocation_files(config: Config) -> RevocationFiles:
    tls = config.tls
    is_development = tls.cert is None
    return RevocationFiles(
        crls=tls.crl,
        revoked=tls.revoked,
        optional_crl=config.store.directory / CERTIFICATES / "ca.crl" if is_development else None,
        refuses_expired=tls.expired_crl == "refuse",
    )


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
        _registry(config),
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
        message_limits=MessageLimits(
            items=config.limits.batch_items,
            response=config.limits.max_response,
            cpu_seconds=config.limits.cpu_seconds,
        ),
        computer=Computer(workers, config.limits.workers, config.limits.computation_timeout),
        strict=config.kmip.strict,
        asynchronous_delay=timedelta(seconds=config.kmip.asynchronous_delay),
    )


def _registry(config: Config) -> Registry:
    excluded = frozenset() if _offers_interop(config) else frozenset({Operation.INTEROP})
    return Registry((*STANDARD, *_extra_operations(config)), excluded)


def _seam(config: Config, queue: Notifications, audit: Audit | None) -> Seam:
    """The hooks around each operation, in the order in which they run."""
    quotas = Quotas(config.limits.objects_per_account, config.limits.bytes_per_account)
    quota_hooks = () if quotas == Quotas() else (quotas,)
    notification_hooks = (NotificationHook(queue),) if queue.accounts else ()
    audit_hooks = () if audit is None else (audit.hook,)
    return Seam((TicketRights(), *quota_hooks, *notification_hooks, *audit_hooks))


def _extra_operations(config: Config) -> Iterator[ServedOperation]:
    """The rows of operations from other packages, which the configuration names."""
    for name in config.kmip.operations:
        try:
            rows = resolve_name(name)
        except (ImportError, AttributeError, ValueError) as error:
            raise ConfigError(f"kmip.operations: {name!r} cannot be imported: {error}") from None
        if not isinstance(rows, Iterable):
            raise ConfigError(
                f"kmip.operations: {name!r} must be a sequence of ServedOperation, not {rows!r}"
            )
        for row in rows:
            if not isinstance(row, ServedOperation):
                raise ConfigError(
                    f"kmip.operations: {name!r} must contain only ServedOperation, not {row!r}"
                )
            yield row


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
    identity, is_development = config.identity, config.tls.cert is None
    administrators = identity.administrators
    if administrators is None:
        administrators = DEVELOPMENT_ADMINISTRATORS if is_development else ()
    return Accounts(
        store,
        frozenset(administrators),
        ignores_unknown=identity.unknown_credentials == "ignore",
        is_lenient=identity.unknown_credentials is None and is_development,
        sessions=state.sessions,
        revocation=revocations.reason,
    )


def _notified_accounts(config: Config) -> Mapping[str, str]:
    """The accounts that are notified, with their addresses."""
    if config.notify.accounts is not None:
        return config.notify.accounts
    return dict.fromkeys(DEVELOPMENT_ADMINISTRATORS if config.tls.cert is None else (), "")


def _record_of_sent(audit: Audit | None) -> Callable[[str, Notification], None]:
    return _ignore if audit is None else audit.sent


def _ignore(_account: str, _notification: Notification) -> None:
    """Without an audit log, what is sent is not recorded."""


def _notifier(config: Config, request_source: RequestSource, tls: TLSSettings) -> Notifier:
    addresses = _notified_accounts(config)
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


def _offers_interop(config: Config) -> bool:
    configured = config.kmip.interop
    return config.tls.cert is None if configured is None else configured


def _message_limits(config: Config) -> Limits:
    return replace(DEFAULT_LIMITS, max_message=config.limits.max_message)


def _connection_limits(config: Config) -> ConnectionLimits:
    limits = config.limits
    share = max(1, limits.connections * 3 // 4)
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


def _ready_line(config: Config, address: tuple[str, int], files: TLSFiles) -> str:
    host, port = address[:2]
    endpoint = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    line = f"ready: listening on {endpoint}, data in {config.store.directory}, CA {files.ca}"
    if config.tls.cert is None:
        folder = config.store.directory / CERTIFICATES
        line += f", client certificate {folder / f'{ADMIN}.crt'} and key {folder / f'{ADMIN}.key'}"
    return line


async def _handle_signals(
    signals: AsyncIterator[int], tls: TLSSettings, listener: Listener
) -> None:
    """Return on SIGTERM or SIGINT; reload certificates and revocations on SIGHUP."""
    async for number in signals:
        if number != signal.SIGHUP:
            return
        try:
            await tls.reload()
            listener.end_revoked()
            log.info("certificates reloaded")
        except ConfigError as error:
            log.error("certificates not reloaded, the old ones stay in use: %s", error)
