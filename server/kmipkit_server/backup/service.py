"""The backups of a configuration: what the section ``[backup]`` orders, and options that change it."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from kmipkit_server.backup.creation import Keys, Order, Progress
from kmipkit_server.backup.encryption import Recipients
from kmipkit_server.backup.encryption import recipients as parsed_recipients
from kmipkit_server.backup.errors import BackupError
from kmipkit_server.backup.root_key import open_root_key
from kmipkit_server.config import Config
from kmipkit_server.store.sqlite.offline import OfflineSQLite


@dataclass(frozen=True, slots=True)
class Plan:
    """What to back up, where to, and for whom."""

    config: Config
    config_file: Path | None
    directory: Path
    recipients: Recipients
    is_full: bool
    has_audit: bool
    keep: timedelta | None

    @classmethod
    def of(
        cls,
        config: Config,
        config_file: Path | None,
        *,
        directory: Path | None = None,
        recipients: tuple[str, ...] = (),
        is_full: bool = False,
        has_audit: bool | None = None,
        keep_days: float | None = None,
    ) -> "Plan":
        """A plan from the configuration and what is given instead.

        BackupError if something is missing.
        """
        section = config.backup
        if config.store.url is not None:
            raise BackupError(
                "the objects are in the database that store.url names: back that up with the tools of"
                " PostgreSQL (docs/postgresql.md), and keep the root key at another place"
            )
        place = directory or section.directory
        if place is None:
            raise BackupError(
                "no directory for the backup: give one, or set backup.directory in the configuration"
            )
        days = section.keep_days if keep_days is None else keep_days
        return cls(
            config,
            config_file,
            place,
            parsed_recipients(recipients)
            if recipients
            else parsed_recipients(section.recipients, _base(config_file)),
            is_full,
            section.audit if has_audit is None else has_audit,
            None if days is None else timedelta(days=days),
        )

    def order(self, progress: Progress) -> Order:
        """The order for a backup."""
        return Order(
            self.config,
            self.config_file,
            self.directory,
            self.recipients,
            is_full=self.is_full,
            has_audit=self.has_audit,
            chain_age=timedelta(hours=self.config.backup.full_hours),
            keep=self.keep,
            progress=progress,
        )


def _base(config_file: Path | None) -> Path:
    """Files that a configuration names are relative to its own."""
    return Path() if config_file is None else config_file.parent


def manual_keys(config: Config) -> Keys:
    """The keys of a server, from its data directory."""
    with OfflineSQLite.open(config.database, open_root_key(config)) as store:
        return Keys.derive(store.derive_key)
