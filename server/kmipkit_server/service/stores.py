"""Which store a configuration means: the embedded one in the data directory, or a PostgreSQL database.

The client of PostgreSQL is imported only for a configuration that needs it.
"""

import os
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from kmipkit_server.config import Config, ConfigError
from kmipkit_server.store.base import Store
from kmipkit_server.store.errors import StoreError
from kmipkit_server.store.lock import Share
from kmipkit_server.store.offline import OfflineStore
from kmipkit_server.store.root_keys import Entry, KeyWrapper, described
from kmipkit_server.store.sqlite import inspection
from kmipkit_server.store.sqlite.database import has_content, lock_file
from kmipkit_server.store.sqlite.offline import OfflineSQLite
from kmipkit_server.store.sqlite.store import SQLiteStore
from kmipkit_server.vault.base import Vault
from kmipkit_server.vault.errors import VaultError
from kmipkit_server.vault.kinds import open_vault

if TYPE_CHECKING:
    from kmipkit_server.store.postgresql.target import Target

MISSING_CLIENT = (
    "store.url needs packages that are not installed; run: pip install 'kmipkit[postgres]'"
)


def exists(config: Config) -> bool:
    """Whether the store has been used before, so that there must be a root key for it.

    StoreError if a database cannot be asked.
    """
    if config.store.url is None:
        return has_content(config.database)
    target = target_of(config)
    from kmipkit_server.store.postgresql import inspection as postgresql

    return postgresql.is_used(target)


def open_root_key(config: Config, *, may_create: bool = False) -> Vault:
    """The root key of the configuration, which may only be made for a store that has not been used.

    VaultError if that fails. If the store names another place, the text says which.
    """
    try:
        return open_vault(config.root_key, config.counter, may_create=may_create)
    except VaultError as error:
        known = {} if may_create else _root_keys(config)
        if not known or str(config.root_key) in {each.place for each in known.values()}:
            raise
        raise VaultError(f"{error}; {place_of(config)} needs {described(known)}") from error


def _root_keys(config: Config) -> Mapping[int, Entry]:
    try:
        if config.store.url is None:
            return inspection.root_keys(config.database)
        target = target_of(config)
        from kmipkit_server.store.postgresql import inspection as postgresql

        return postgresql.root_keys(target)
    except StoreError:  # a store that cannot be read is not what is wrong now
        return {}


def open_store(
    config: Config,
    key_wrapper: KeyWrapper,
    random: Callable[[int], bytes] = os.urandom,
    share: Share | None = None,
    worker: int = 1,
) -> Store:
    """Open the store of a server, or of one worker of it; ``share`` is for one of several.

    StoreError if that fails; ConfigError if its client is missing.
    """
    if config.store.url is None:
        return SQLiteStore.open(config.database, key_wrapper, random, share)
    target = target_of(config)
    from kmipkit_server.store.postgresql.store import PostgreSQLStore

    return PostgreSQLStore.open(
        target,
        key_wrapper,
        random,
        node=node_of(config, worker),
        connections=config.store.connections,
        lock=lock_file(config.database) if share is None else None,
    )


def open_offline(config: Config, key_wrapper: KeyWrapper) -> OfflineStore:
    """The store as a command reads it, also while a server uses it. StoreError if that fails."""
    if config.store.url is None:
        return OfflineSQLite.open(config.database, key_wrapper)
    target = target_of(config)
    from kmipkit_server.store.postgresql.offline import OfflinePostgreSQL

    return OfflinePostgreSQL.open(target, key_wrapper)


def place_of(config: Config) -> str:
    """Where the store is, for messages."""
    return str(config.database) if config.store.url is None else target_of(config).name


def examine(config: Config, key_wrapper: KeyWrapper) -> Iterator[str]:
    """What a start would do to a store that exists. StoreError if it would fail."""
    if config.store.url is None:
        yield from inspection.examine(config.database, key_wrapper)
        return
    target = target_of(config)
    from kmipkit_server.store.postgresql import inspection as postgresql

    yield from postgresql.examine(target, key_wrapper)


def target_of(config: Config) -> "Target":
    """The database that ``store.url`` names. StoreError or ConfigError if there cannot be one."""
    store = config.store
    return target_of_url(store.url or "", store.password_file, store.statement_timeout)


def target_of_url(url: str, password_file: Path | None, timeout: float = 30.0) -> "Target":
    """The database of a URL; see :meth:`.Target.parse`. ConfigError without a client of PostgreSQL."""
    try:
        from kmipkit_server.store.postgresql.target import Target
    except ImportError:
        raise ConfigError(MISSING_CLIENT) from None
    return Target.parse(url, password_file, timeout)


def node_of(config: Config, worker: int = 1) -> str:
    """The name of this server, or of a worker of it, among those with the same store."""
    node = config.store.node or socket.gethostname()
    return node if worker == 1 else f"{node}/worker-{worker}"
