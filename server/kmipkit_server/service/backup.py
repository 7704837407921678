"""The backups of a server, put together from its configuration; and the first start after a restore."""

import logging
from pathlib import Path

from kmipkit_server.audit.recovery import Restored
from kmipkit_server.audit.service import Audit
from kmipkit_server.backup.creation import Keys
from kmipkit_server.backup.notice import read_notice, remove_notice
from kmipkit_server.backup.schedule import Backups
from kmipkit_server.config import Config
from kmipkit_server.engine.settings import Clock
from kmipkit_server.store.base import Store
from kmipkit_server.store.sqlite.snapshot import remove_leftovers

log = logging.getLogger("kmipkit.server")


def restored_from(config: Config) -> Restored | None:
    """What the data directory was restored from, unless an earlier start has recorded it."""
    notice = read_notice(config.store.directory)
    if notice is None:
        return None
    log.warning(
        "the data directory was restored from backup %d of %s UTC; what has changed since then, such as"
        " revocations and new keys, is lost",
        notice.number,
        f"{notice.created:%Y-%m-%d %H:%M:%S}",
    )
    return Restored(notice.number, notice.created, notice.has_audit)


def settle(config: Config) -> None:
    """Note that the restore is recorded; and remove what a killed backup has left."""
    remove_notice(config.store.directory)
    remove_leftovers(config.store.directory)


def open_backups(
    config: Config, config_file: Path | None, store: Store, clock: Clock, audit: Audit | None
) -> Backups:
    """The backups of a running server. BackupError if its recipients are not usable."""
    keys = Keys.derive(store.derive_key)
    record = (lambda _: None) if audit is None else audit.log.owe
    return Backups(config, config_file, keys, clock, record)
