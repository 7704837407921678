"""The engine of a running server: what the dispatcher gets, and the hooks around each operation."""

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta

from kmipkit import __version__
from kmipkit_server.audit.service import Audit
from kmipkit_server.config import Config, ConfigError
from kmipkit_server.config.effective import administrators, is_development, offered_versions
from kmipkit_server.engine import request_digest
from kmipkit_server.engine.computing import Computer, Executor
from kmipkit_server.engine.dispatcher import Dispatcher
from kmipkit_server.engine.hooks import Permissions, Quotas
from kmipkit_server.engine.notifications import Notifications
from kmipkit_server.engine.request_log import RequestLog
from kmipkit_server.engine.seam import Hook, Seam
from kmipkit_server.engine.server import Server
from kmipkit_server.engine.settings import Clock, Settings
from kmipkit_server.engine.state import ServerState
from kmipkit_server.identity.accounts import Accounts
from kmipkit_server.identity.certificate import IdentityRule
from kmipkit_server.identity.shared_guesses import SharedGuesses
from kmipkit_server.net.open_files import permit_connections
from kmipkit_server.net.revocation import Revocations
from kmipkit_server.net.tls import TLSSettings
from kmipkit_server.operations.notify import NotificationHook
from kmipkit_server.running.limits import budgets_of, sizes_of
from kmipkit_server.service.checks import MISSING_TRACING, has_tracing
from kmipkit_server.service.registry import offer, registry
from kmipkit_server.store.base import Store


def dispatcher_of(
    config: Config,
    store: Store,
    tls: TLSSettings,
    clock: Clock,
    seam: Seam,
    workers: Executor,
    rule: IdentityRule,
    computations: int,
) -> Dispatcher:
    """What answers requests; it has so many places for computations."""
    served = registry(config)
    server = Server(
        _settings(config, tls, store.derive_key(request_digest.PURPOSE)),
        served,
        *offer(config, served),
        account_of=rule.account_of,
        trust=tls.trust,
    )
    return Dispatcher(
        store=store,
        server=server,
        accounts=_accounts(config, store, server.state, tls.revocations, clock),
        clock=clock,
        seam=seam,
        limits=sizes_of(config),
        message_limits=budgets_of(config),
        computer=Computer(workers, computations, config.limits.computation_timeout),
        strict=config.kmip.strict,
        asynchronous_delay=timedelta(seconds=config.kmip.asynchronous_delay),
    )


def change_limits(
    dispatcher: Dispatcher, config: Config, tls: TLSSettings, computations: int
) -> None:
    """Apply other limits to the requests that follow."""
    limits = config.limits
    permit_connections(limits.connections)
    dispatcher.limits = sizes_of(config)
    dispatcher.message_limits = budgets_of(config)
    dispatcher.computer.change_limits(computations, limits.computation_timeout)
    old = dispatcher.server.settings
    settings = replace(_settings(config, tls, old.request_key), vendor=old.vendor)
    dispatcher.server = replace(dispatcher.server, settings=settings)


def seam_of(
    config: Config, queue: Notifications, audit: Audit | None, observers: Sequence[Hook]
) -> Seam:
    """The hooks around each operation, in the order in which they run."""
    quotas = Quotas(config.limits.objects_per_account, config.limits.bytes_per_account)
    notification_hooks = (NotificationHook(queue),) if queue.accounts else ()
    audit_hooks = () if audit is None else (audit.hook,)
    log_hooks = (RequestLog(),) if config.log.level == "DEBUG" else ()
    return Seam(
        (
            Permissions(),
            quotas,
            *notification_hooks,
            *audit_hooks,
            *observers,
            *log_hooks,
        )
    )


def tracing_of(config: Config, cleanup: ExitStack) -> tuple[Hook, ...]:
    """What makes traces, if they are configured."""
    if not config.tracing.endpoint:
        return ()
    if not has_tracing():
        raise ConfigError(MISSING_TRACING)
    from kmipkit_server.metrics.tracing import open_tracing

    return (cleanup.enter_context(open_tracing(config.tracing)),)


def _settings(config: Config, tls: TLSSettings, request_key: bytes) -> Settings:
    return Settings(
        vendor="kmipkit",
        server_name=config.kmip.server_name,
        software_version=__version__,
        random=os.urandom,
        versions=offered_versions(config),
        unique_names=config.kmip.unique_names,
        lease_seconds=config.kmip.lease_seconds,
        max_attributes=config.limits.attributes,
        max_located=config.limits.locate_objects,
        anchors=tls.material.authorities(),
        revocation=tls.revocations.validity,
        request_key=request_key,
    )


def _accounts(
    config: Config, store: Store, state: ServerState, revocations: Revocations, clock: Clock
) -> Accounts:
    unknown_credentials = config.identity.unknown_credentials
    return Accounts(
        store,
        frozenset(administrators(config)),
        ignores_unknown=unknown_credentials == "ignore",
        is_lenient=unknown_credentials is None and is_development(config),
        revocation=revocations.reason,
        guesses=SharedGuesses(clock=lambda: clock().timestamp(), store=store),
        tenants=lambda: state.tenants,
    )
