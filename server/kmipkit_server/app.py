"""The server as a program: it is prepared, opened, serves, and handles signals.

A start reads the configuration, the certificates and the root key, opens the store and the sockets,
and only then prints the line that says so. A stop accepts no new connections, finishes the requests
that have begun, waits for the last commit, and closes the store.
"""

import logging
import threading
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, ExitStack, nullcontext
from functools import partial
from pathlib import Path

import trio
from kmipkit_certs.credentials import NO_PASSWORD
from kmipkit_certs.passwords import KeyPassword

from kmipkit_server import config as configuration
from kmipkit_server import logs
from kmipkit_server.config import Config
from kmipkit_server.config.effective import workers
from kmipkit_server.engine.computing import Executor, ThreadExecutor
from kmipkit_server.engine.settings import Clock
from kmipkit_server.engine.workers import open_workers
from kmipkit_server.process import supervisor
from kmipkit_server.running import process, serving
from kmipkit_server.running.clock import system_clock
from kmipkit_server.running.parts import Read, open_parts
from kmipkit_server.running.serving import SIGNALS, Announce, StopBySignal
from kmipkit_server.service import stores
from kmipkit_server.service.tls_files import configured_files
from kmipkit_server.store.sqlite.database import lock_file
from kmipkit_server.test_mode.control import Control
from kmipkit_server.vault.kinds import read_secret

log = logging.getLogger("kmipkit.server")

TEST_MODE_WARNING = (
    "TEST MODE: tests can move the time and make answers wrong; store no keys of value"
)


def run(
    config: Config,
    announce: Announce,
    password: KeyPassword = NO_PASSWORD,
    read: Read | None = None,
    control: Control | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT. ConfigError, StoreError or OSError if it cannot start.

    ``read`` reads the configuration again, for a reload; without it, it stays as it is. ``control``
    is that of the test mode.
    """
    logs.configure(config.log.level, form=config.log.format)
    if control is not None:
        log.warning(TEST_MODE_WARNING)
    process.prepare(config)
    count = 1 if control is not None else workers(config)
    if count > 1:
        unlock(config, password)  # by the process that has the terminal
        trio.run(supervisor.serve, config, count, announce, password, read or _fixed(config))
        return
    trio.run(
        partial(serve, config, announce, password=password, read=read, control=control),
        clock=None if control is None else control.clock,
    )


def _fixed(config: Config) -> Read:
    """A configuration that stays as it is."""
    return lambda: configuration.Settings(config)


def lock(config: Config) -> Path:
    """The file that a server with this configuration locks while it runs."""
    return lock_file(config.database)


def unlock(config: Config, password: KeyPassword) -> None:
    """Ask for the passwords of the server's key and of its root key now, if they are asked for."""
    if config.tls.cert is not None:
        configured_files(config, password).load()
    read_secret(config.root_key, is_new=not stores.exists(config))


async def serve(
    config: Config,
    announce: Announce,
    clock: Clock = system_clock,
    password: KeyPassword = NO_PASSWORD,
    read: Read | None = None,
    control: Control | None = None,
) -> None:
    """Serve until cancelled or stopped by a signal; see :func:`run`.

    Only in the main thread of a process, signals are received. In any other thread, computations that
    take long run in threads, too.
    """
    async with _executor() as executor:
        with ExitStack() as cleanup:
            parts = await open_parts(
                config,
                clock if control is None else control.clock,
                password,
                executor,
                read or _fixed(config),
                cleanup,
                control,
            )
            with _signals(control) as signals:
                await serving.serve(parts, announce, StopBySignal(signals, parts))
    log.info("stopped")


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _executor() -> AbstractAsyncContextManager[Executor]:
    """Worker processes for a server that has a process; a program with a server in it has its own."""
    return open_workers() if _is_main_thread() else nullcontext(ThreadExecutor())


def _signals(control: Control | None) -> AbstractContextManager[AsyncIterator[int]]:
    """The signals of the process, which reach its main thread only; other threads use their control."""
    if _is_main_thread():
        return trio.open_signal_receiver(*SIGNALS)
    return nullcontext((Control() if control is None else control).signals)
