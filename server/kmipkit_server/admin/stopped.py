"""Changes of the data directory of a server that does not run, with their records in its audit log.

The handlers of the API make them, as in a server that runs.
"""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

import click
import msgspec
import trio

from kmipkit_server.admin.data_directory import require_database
from kmipkit_server.administration.context import Context, Parts, Scope
from kmipkit_server.administration.problems import Refused
from kmipkit_server.administration.routes import PREFIX, AnyRoute
from kmipkit_server.administration.table import ROUTES
from kmipkit_server.audit.administration import AdminRequest
from kmipkit_server.config import Config
from kmipkit_server.engine.clock import SteadyClock
from kmipkit_server.identity.identity import Identity
from kmipkit_server.service import stores
from kmipkit_server.service.audit import open_audit
from kmipkit_server.service.key_rotation import recorder
from kmipkit_server.store.key_rotator import KeyRotator


class StoppedServer:
    """Carries out requests that change something, as :class:`.connection.AdminConnection` does."""

    def __init__(self, config: Config) -> None:
        """ClickException if there is no data directory."""
        require_database(config)
        self._config = config
        self.progress: Callable[[Any], None] = lambda _: None
        """Called after each part of what takes long."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """There is nothing to close: each request opens the directory."""

    def send(self, method: str, path: str, **body: Any) -> Any:
        """The answer of the handler for a path. StoreError if a server is using the directory."""
        parameters = {name: value for name, value in body.items() if value is not None}
        try:
            route, fields = ROUTES.find(method, PREFIX + path)
            request = msgspec.convert({**parameters, **fields}, route.request, strict=False)
            answer = trio.run(self._run, route, request)
        except Refused as refused:
            raise click.ClickException(refused.detail) from None
        except msgspec.ValidationError as error:
            raise click.ClickException(str(error)) from None
        return msgspec.json.decode(msgspec.json.encode(answer))

    async def _run(self, route: AnyRoute, request: Any) -> Any:
        config = self._config
        vault = stores.open_root_key(config)
        store = stores.open_store(config, vault)
        try:
            clock = SteadyClock(_now, store.newest_time)
            audit = await open_audit(config, store, clock)
            asked = AdminRequest(Identity(_author()), clock(), route.name)
            rotator = KeyRotator(store, recorder(clock))
            parts = Parts(store, clock, lambda: config, None, rotator, self.progress)
            context = Context(Scope(), parts, asked)
            failed: Exception | None = None
            async with trio.open_nursery() as nursery:
                await nursery.start(store.serve)
                try:
                    answer = await route.handler(context, request)
                except (
                    Exception
                ) as error:  # of any kind: it is raised again, outside of the nursery
                    failed = error
                if audit is not None:
                    await audit.stop(store)
                await store.stop()
        finally:
            store.close()
        if failed is not None:
            raise failed
        return answer


def _author() -> str:
    """Who changes it, for the history: no client can have a name like this."""
    return f"{os.environ.get('USER') or os.getuid()} (on the server's machine)"


def _now() -> datetime:
    return datetime.now(UTC)
