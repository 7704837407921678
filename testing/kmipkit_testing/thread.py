"""A server in a thread of its own, with an event loop of its own."""

import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

import trio
from kmipkit_server import app
from kmipkit_server.config import Config
from kmipkit_server.test_mode.control import Control

T = TypeVar("T")


class ServerThread:
    """Runs one server; :meth:`start` returns when it serves, :meth:`stop` when it has ended."""

    def __init__(self, config: Config, control: Control) -> None:
        self._config = config
        self._control = control
        self._token: trio.lowlevel.TrioToken | None = None
        self._ready: Future[None] = Future()
        self._ended: Future[None] = Future()
        # A daemon, so that a test that forgets its server does not keep the process.
        self._thread = threading.Thread(target=self._run, name="kmipkit key server", daemon=True)

    def start(self) -> None:
        """Start to serve; the error of the server if it cannot."""
        self._thread.start()
        self._ready.result()

    def stop(self) -> None:
        """Finish the requests that have begun, and end; the error of a server that has ended before."""
        assert self._token is not None
        with suppress(trio.RunFinishedError):  # it has failed
            self._token.run_sync_soon(self._control.stop)
        self._thread.join()
        self._ended.result()

    def call(self, function: Callable[..., Awaitable[T]], *arguments: Any) -> T:
        """The result of an asynchronous function in the event loop of the server.

        The caller waits, also if it has an event loop of its own: what a test asks for is quick.
        RuntimeError if the server has ended.
        """
        assert self._token is not None
        outcome: Future[T] = Future()
        begin = partial(trio.lowlevel.spawn_system_task, _settle, outcome, function, arguments)
        try:
            self._token.run_sync_soon(begin)
        except trio.RunFinishedError:
            raise RuntimeError("the key server has ended") from None
        return outcome.result()

    def _run(self) -> None:
        try:
            trio.run(self._serve, clock=self._control.clock)
        except BaseException as error:
            # Whatever it is, it belongs to the thread that has started the server.
            (self._ended if self._ready.done() else self._ready).set_exception(error)
        else:
            self._ended.set_result(None)

    async def _serve(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        await app.serve(self._config, lambda _: self._ready.set_result(None), control=self._control)


async def _settle(
    outcome: "Future[T]", function: Callable[..., Awaitable[T]], arguments: tuple[Any, ...]
) -> None:
    try:
        outcome.set_result(await function(*arguments))
    except trio.Cancelled:
        outcome.set_exception(RuntimeError("the key server has ended"))
        raise
    except Exception as error:
        # Whatever it is, it belongs to the caller.
        outcome.set_exception(error)
