"""Opening a server: its files, its sockets, and its parts with what each knows of the others."""

import socket
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from kmipkit_certs.passwords import KeyPassword

from kmipkit_server import config as configuration
from kmipkit_server.administration import context as administration
from kmipkit_server.administration.api import Api
from kmipkit_server.administration.routes import Routes
from kmipkit_server.administration.table import ROUTES
from kmipkit_server.audit.recovery import Restored
from kmipkit_server.audit.service import Audit
from kmipkit_server.config import Config, address
from kmipkit_server.config.effective import is_development, notified_accounts
from kmipkit_server.engine.clock import SteadyClock
from kmipkit_server.engine.computing import Executor
from kmipkit_server.engine.dispatcher import Dispatcher
from kmipkit_server.engine.notifications import Notification, Notifications
from kmipkit_server.engine.settings import Clock
from kmipkit_server.engine.sightings import AllSightings
from kmipkit_server.engine.warnings import Warnings
from kmipkit_server.identity.certificate import IdentityRule
from kmipkit_server.metrics import monitoring
from kmipkit_server.metrics.operations import OperationCounters
from kmipkit_server.net.events import ConnectionEvents
from kmipkit_server.net.listener import Listener
from kmipkit_server.net.sessions import Sessions
from kmipkit_server.net.sockets import open_sockets
from kmipkit_server.net.tls import TLSSettings
from kmipkit_server.net.validity import validities
from kmipkit_server.operations.notify import RequestSource
from kmipkit_server.running.engine import change_limits, dispatcher_of, seam_of, tracing_of
from kmipkit_server.running.limits import computations_of, connection_limits_of
from kmipkit_server.running.process import Process, peers_of
from kmipkit_server.service import stores
from kmipkit_server.service.audit import open_audit, recorded_refusals
from kmipkit_server.service.backup import open_backups, restored_from
from kmipkit_server.service.key_rotation import recorder
from kmipkit_server.service.policy import PolicyFile
from kmipkit_server.service.reload import Certificates, Reloader, Values
from kmipkit_server.service.renewal import Renewal
from kmipkit_server.service.tls_files import renewed_files, revocation_files, tls_files
from kmipkit_server.store.key_rotator import KeyRotator, announce_to_nobody
from kmipkit_server.test_mode import marker
from kmipkit_server.test_mode.control import Control

Read = Callable[[], configuration.Settings]
"""Reads the configuration again."""


@dataclass(frozen=True, slots=True)
class Parts:
    """An open server, which does not serve yet."""

    config: Config
    sockets: list[socket.socket]
    monitoring_sockets: list[socket.socket]
    monitored: monitoring.Parts
    request_source: RequestSource
    reloader: Reloader
    count: int
    """How many processes the server has."""
    is_first: bool
    """Whether it does what the start of a server has to do once."""
    restored: Restored | None
    """What the server was restored from before this start; only the first process is told."""
    renewal: Renewal | None
    """None for certificates that the server has not made itself; and in the test mode, whose time is
    not that of its clients."""
    rotator: KeyRotator
    control: Control | None


async def open_parts(
    config: Config,
    clock: Clock,
    password: KeyPassword,
    workers: Executor,
    read: Read,
    cleanup: ExitStack,
    control: Control | None = None,
    process: Process | None = None,
) -> Parts:
    """Open the files and sockets of a server, which ``cleanup`` closes; it does not serve yet.

    ``process`` says what a process shares with others of the same server, if there are several.
    """
    config.store.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    marker.require(config, is_test_mode=control is not None)
    count = 1 if process is None else process.count
    is_first = process is None or process.share.is_first
    files = tls_files(config, clock, password)
    number = peers_of(process).number
    tls = TLSSettings.load(files, revocation_files(config), clock, warns=number == 1)
    vault = stores.open_root_key(config, may_create=not stores.exists(config))
    store = stores.open_store(
        config,
        vault,
        share=None if process is None else process.share,
        worker=number,
    )
    cleanup.callback(store.close)
    clock = SteadyClock(clock, store.newest_time)
    tls.revocations.clock = clock  # a list that has expired stays so if the clock is put back
    listens = process is None and (control is None or control.listens)
    listen = config.listen
    sockets = open_port(listen.host, listen.port, cleanup) if listens else []
    restored = restored_from(config) if is_first else None
    audit = await open_audit(config, store, clock, number, count, restored)
    backups = open_backups(config, read().file, store, clock, audit)
    queue = Notifications(frozenset(notified_accounts(config)), is_stored=True)
    rule = IdentityRule(config.identity.source, config.identity.accounts)
    operations, warnings = OperationCounters(), Warnings()
    observers = (
        warnings,
        *((operations,) if config.metrics.listen else ()),
        *tracing_of(config, cleanup),
        *(() if control is None else control.hooks),
    )
    seam = seam_of(config, queue, audit, observers)
    computations = computations_of(config, count, number)
    dispatcher = dispatcher_of(config, store, tls, clock, seam, workers, rule, computations)
    if process is not None and process.computations is not None:
        dispatcher.computer.share(process.computations)
    dispatcher.peers = peers_of(process)
    dispatcher.node = stores.node_of(config)
    policies = dispatcher.server.state.policies
    request_source = RequestSource(store, queue, clock, policies, _record_of_sent(audit))
    listener = Listener(
        context=lambda: tls.context,
        responder=dispatcher,
        requests=request_source.requests,
        identity_rule=rule,
        revocations=tls.revocations,
        limits=connection_limits_of(config),
        events=_events(process, audit),
        outage=partial(_outage, dispatcher, audit) if store.is_shared else lambda: "",
    )
    if control is not None:
        control.attach(listener, dispatcher, tls, sockets)
    announce = announce_to_nobody if process is None else process.announce_root_key
    rotator = KeyRotator(store, recorder(clock), announce)
    current = [config]
    listener.application = Api(
        ROUTES if control is None else Routes((*ROUTES.rows, *control.routes)),
        administration.Parts(
            store,
            clock,
            lambda: current[0],
            administration.Live(
                dispatcher,
                Sessions(listener, peers_of(process)),
                AllSightings(dispatcher.server.state.sightings, peers_of(process), clock),
                partial(validities, tls),
                backups,
            ),
            rotator,
        ),
        None if audit is None else audit.administration,
    )

    def apply_values(new: Config) -> None:
        current[0] = new
        listener.change_limits(connection_limits_of(new))
        change_limits(dispatcher, new, tls, computations_of(new, count, number))
        dispatcher.seam = seam_of(new, queue, audit, observers)

    policy_file = PolicyFile(store, clock)
    if is_first:  # the file may have a fault later, which must not keep a worker from starting
        policy_file.prepare(config)
    certificates = Certificates(tls, password, listener.end_revoked, is_development(config))
    values = Values(apply_values)
    # The certificates first: what clients may prove against follows from them.
    reloader = Reloader(
        config, read, (certificates, policy_file, backups, values), policy_file.apply
    )
    renewal = None
    if is_development(config) and control is None:
        renew = partial(renewed_files, config, clock)
        renewal = Renewal(reloader, (certificates, values), renew, peers_of(process))
    if process is not None and process.occupancy is not None:
        listener.occupancy = process.occupancy
    return Parts(
        config,
        sockets,
        _monitoring_sockets(config, process, cleanup),
        monitoring.Parts(
            store,
            dispatcher,
            listener,
            tls,
            queue,
            operations,
            warnings,
            clock,
            backups,
            audit,
            peers_of(process),
        ),
        request_source,
        reloader,
        count,
        is_first,
        restored,
        renewal,
        rotator,
        control,
    )


def _outage(dispatcher: Dispatcher, audit: Audit | None) -> str:
    """Why the clients of one of several servers should use another one; empty if it works."""
    if audit is not None and audit.log.refusing_since is not None:
        return "the audit log cannot be written"
    return dispatcher.following.failure


def _events(process: Process | None, audit: Audit | None) -> ConnectionEvents:
    """What writes down what happens to connections."""
    if process is not None and process.events is not None:
        return process.events
    return ConnectionEvents(None if audit is None else recorded_refusals(audit))


def _monitoring_sockets(
    config: Config, process: Process | None, cleanup: ExitStack
) -> list[socket.socket]:
    if process is not None:
        return process.monitoring_sockets
    watch = config.metrics.listen
    return open_port(*address(watch), cleanup) if watch else []


def open_port(host: str, port: int, cleanup: ExitStack) -> list[socket.socket]:
    """Listening sockets, which are closed in the end."""
    sockets = open_sockets(host, port)
    for listening in sockets:
        cleanup.enter_context(listening)
    return sockets


def _record_of_sent(audit: Audit | None) -> Callable[[str, Notification], None]:
    return _ignore if audit is None else audit.sent


def _ignore(_account: str, _notification: Notification) -> None:
    """Without an audit log, what is sent is not recorded."""
