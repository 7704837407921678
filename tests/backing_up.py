"""Backups of a data directory without a server, for tests."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from kmipkit_client.values import symmetric_key
from kmipkit_server.backup import restoring
from kmipkit_server.backup.checking import Findings
from kmipkit_server.backup.creation import Made, Order, create, silent
from kmipkit_server.backup.directory import Part, chain_at, parts
from kmipkit_server.backup.encryption import load_identities, new_identity, recipients
from kmipkit_server.backup.restoring import Restored
from kmipkit_server.backup.service import manual_keys
from kmipkit_server.config import Config
from kmipkit_server.config.sections import StoreConfig
from kmipkit_server.objects.managed import pack_object
from stored_objects import SECRET, DataDirectory, insert, record

from kmipkit.model.attribute import Attributes

BEGIN = datetime(2026, 11, 29, 8, tzinfo=UTC)
MATERIAL = pack_object(symmetric_key(SECRET))


@dataclass
class Backups:
    """A data directory, a directory with its backups, and their recipient."""

    folder: Path
    now: datetime = BEGIN
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.data.path.mkdir(parents=True)
        self.recipient = new_identity(self.identity)
        self.store("first")

    @property
    def data(self) -> DataDirectory:
        return DataDirectory(self.folder / "kms")

    @property
    def directory(self) -> Path:
        return self.folder / "backups"

    @property
    def identity(self) -> Path:
        return self.folder / "identity"

    @property
    def config(self) -> Config:
        return Config(store=StoreConfig(self.data.path))

    @property
    def parts(self) -> list[Part]:
        return parts(self.directory)

    def store(self, *names: str) -> None:
        """Store objects of these names."""
        with self.data.opened() as database:
            insert(database, *(record(name, Attributes(()), MATERIAL) for name in names))

    def create(self, **options: Any) -> Made:
        """A backup, an hour after the one before."""
        self.now += timedelta(hours=1)
        order = Order(self.config, None, self.directory, recipients([self.recipient]))
        chosen = replace(order, **{**self.options, **options})
        return create(chosen, manual_keys(self.config), self.now)

    def verify(
        self, at: datetime | None = None, progress: Callable[[str, int, int], None] = silent
    ) -> Findings:
        chain = chain_at(self.directory, at)
        scratch = self.folder / "scratch"
        scratch.mkdir(exist_ok=True)
        opened = load_identities([self.identity])
        return restoring.verify(chain, opened, scratch, progress, is_newest=at is None)

    def restore(self, target: str = "restored", at: datetime | None = None) -> Restored:
        return restoring.restore(
            chain_at(self.directory, at),
            load_identities([self.identity]),
            self.folder / target,
            self.now,
            silent,
        )

    def restored(self, target: str = "restored") -> DataDirectory:
        return DataDirectory(self.folder / target)


def names(directory: DataDirectory) -> set[str]:
    """The objects in a data directory."""
    return {identifier for (identifier,) in directory.sql("SELECT id FROM objects")}
