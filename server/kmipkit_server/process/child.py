"""A child process: it gets no signal before it can handle it, and does not outlive its parent."""

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

import trio

HELD = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
"""Signals that come to all processes of a server at the same time: a new one gets them when it asks for
them. Until then, Ctrl-C would end it in the middle of its imports, with a traceback for each."""


class Child:
    """A process that this one has started."""

    def __init__(
        self, command: Sequence[str], files: Sequence[int], environment: Mapping[str, str]
    ) -> None:
        """Start it with these open files, and a pipe for :mod:`kmipkit_server.engine.lifeline`, whose
        descriptor is the last argument. OSError if that fails."""
        end, self._lifeline = os.pipe()
        try:
            with _held():
                self._process = subprocess.Popen(  # noqa: S603 - our own program
                    [*command, str(end)],
                    pass_fds=(*files, end),
                    stdin=subprocess.DEVNULL,
                    env=environment,
                )
        except BaseException:
            os.close(self._lifeline)
            raise
        finally:
            os.close(end)

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Its exit status, negative for a signal; None until :meth:`wait` has returned."""
        return self._process.returncode

    async def wait(self) -> int:
        """Wait until it has ended; its exit status."""
        if self.returncode is None:
            # It stays a zombie until it is known here that its number belongs to nobody any longer.
            ended = partial(os.waitid, os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
            await trio.to_thread.run_sync(
                ended, abandon_on_cancel=True, limiter=trio.CapacityLimiter(1)
            )
            os.close(self._lifeline)
        return self._process.wait()

    def kill(self) -> None:
        """End it at once, if it has not ended."""
        self._process.kill()


@contextmanager
def _held() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, HELD)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
