"""A reload in a worker: the supervisor has read the configuration, and tells all workers each step."""

import pickle
from dataclasses import dataclass, field

import msgspec
import trio

from kmipkit_server import logs
from kmipkit_server.config import Config, ConfigError
from kmipkit_server.process.wire import Stored
from kmipkit_server.service.reload import Commit, Reloader
from kmipkit_server.store.errors import StoreError

_encode = msgspec.msgpack.encode


@dataclass(slots=True)
class Reloading:
    """The steps, each as the answer to a question."""

    reloader: Reloader
    _config: Config | None = None
    """What is prepared."""
    _commits: list[Commit] = field(default_factory=list)
    _preparing: trio.CancelScope | None = None
    _abandoned: int = 0
    """The number of the last reload that was given up."""

    async def prepare(self, body: bytes) -> bytes:
        """Read and check everything that is new; the faults."""
        number, config = pickle.loads(body)  # noqa: S301 - our own parent process has sent it
        faults = ["the reload was given up"]
        if number > self._abandoned:  # otherwise this process comes too late
            with trio.CancelScope() as self._preparing:
                faults = await self._prepare(config)
            self._preparing = None
        return _encode(faults)

    async def _prepare(self, config: Config) -> list[str]:
        await self.reloader.turn.acquire()
        try:
            self._commits = await trio.to_thread.run_sync(self.reloader.prepared, config)
            # Nobody comes to apply it if the supervisor has not waited.
            await trio.lowlevel.checkpoint_if_cancelled()
        except ConfigError as error:
            self.reloader.turn.release()
            return list(error.faults)
        except BaseException:
            self.reloader.turn.release()
            raise
        self._config = config
        return []

    async def store(self, body: bytes) -> bytes:
        """Store what the store has of the configuration."""
        try:
            lines = await self.reloader.store(pickle.loads(body))  # noqa: S301 - as above
        except (ConfigError, StoreError) as error:
            return _encode(Stored(fault=str(error)))
        return _encode(Stored(list(lines)))

    async def apply(self, _: bytes) -> bytes:
        """Use what is prepared; the lines say what has changed in files."""
        if self._config is None:
            return _encode([])
        self.reloader.config = self._config
        lines = [line for commit in self._commits for line in commit()]
        logs.set_level(self._config.log.level)
        self._end()
        return _encode(lines)

    async def abandon(self, body: bytes) -> bytes:
        """Keep what is in use: another worker has found a fault, or this one was not waited for."""
        self._abandoned = pickle.loads(body)  # noqa: S301 - as above
        if self._preparing is not None:
            self._preparing.cancel()
        elif self._config is not None:
            self._end()
        return b""

    def _end(self) -> None:
        self._config, self._commits = None, []
        self.reloader.turn.release()
