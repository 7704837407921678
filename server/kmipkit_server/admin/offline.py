"""The data directory of a server that does not run, as a command reads it.

The handlers of the API read it, too: a command shows the same whether it asks a server or reads its
directory. Nothing is changed, and nothing is recorded in the audit log.
"""

import os
from collections.abc import Callable, Iterator
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
from kmipkit_server.identity.identity import Identity
from kmipkit_server.service import stores
from kmipkit_server.store.base import Usage
from kmipkit_server.store.offline import OfflineStore
from kmipkit_server.store.slices import finish_in_thread
from kmipkit_server.store.sqlite.database import lock_file
from kmipkit_server.store.sqlite.inspection import holder


class DataDirectory:
    """Answers requests that read, as :class:`.connection.AdminConnection` does."""

    def __init__(self, config: Config) -> None:
        """KMIPError or ClickException if there is no data directory, or a server is using it."""
        require_database(config)
        process = holder(lock_file(config.database))
        if process is not None:
            raise click.ClickException(
                f"{config.store.directory} is in use by a server (process {process}): ask that server,"
                " without --data-dir and --config and with --server HOST:PORT"
            )
        vault = stores.open_root_key(config)
        self._store = stores.open_offline(config, vault)
        self._parts = Parts(_Reading(self._store), _now, lambda: config, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._store.__exit__(kind, error, trace)

    def get(self, path: str, **query: Any) -> Any:
        """The answer of the handler for a path."""
        pairs = {name: value for name, value in query.items() if value not in (None, (), False)}
        try:
            route, fields = ROUTES.find("GET", PREFIX + path)
            request = msgspec.convert({**pairs, **fields}, route.request, strict=False)
            answer = trio.run(self._run, route, request)
        except Refused as refused:
            raise click.ClickException(refused.detail) from None
        except msgspec.ValidationError as error:
            raise click.ClickException(str(error)) from None
        return msgspec.json.decode(msgspec.json.encode(answer))

    def pages(self, path: str, key: str, **query: Any) -> Iterator[Any]:
        """All elements of a list."""
        while True:
            page = self.get(path, **query)
            yield from page[key]
            if page["next"] is None:
                return
            query["after"] = page["next"]

    async def _run(self, route: AnyRoute, request: Any) -> Any:
        asked = AdminRequest(Identity(os.environ.get("USER", "")), _now(), route.name)
        return await route.handler(Context(Scope(), self._parts, asked), request)


class _Reading:
    """The store of a server that does not run."""

    def __init__(self, store: OfflineStore) -> None:
        self._store = store

    async def run(
        self,
        work: Callable[[Any], Any],
        *,
        writes: bool = False,  # noqa: ARG002 - no route that writes is called
        slow: bool = False,  # noqa: ARG002
        account: str = "",  # noqa: ARG002
        on_commit: Callable[[Any], None] | None = None,  # noqa: ARG002
    ) -> Any:
        """The result of the work, here: there is nobody else to wait for it."""
        return finish_in_thread(work(self._store.reader))

    async def usages(self) -> dict[str, Usage]:
        """How much each owner has, counted now."""
        return self._store.usages()


def _now() -> datetime:
    return datetime.now(UTC)
