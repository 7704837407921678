"""The root key as backups see it: a file that goes into them, or something that stays where it is.

Which one it is, the database says: a server whose root key was rotated may have a configuration that
still names the old one.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from kmipkit_server.backup.errors import BackupError
from kmipkit_server.config import Config
from kmipkit_server.store.root_keys import Entry, KeyWrapper
from kmipkit_server.store.sqlite.database import has_content
from kmipkit_server.vault.counter import DEFAULT_NAME, CounterFile, beside
from kmipkit_server.vault.file import FileVault
from kmipkit_server.vault.kinds import open_vault
from kmipkit_server.vault.software import parse_digits
from kmipkit_server.vault.uri import RootKeyURI

NAME = "root.key"
"""Its name in a backup and in a data directory."""
INCLUDED = "backup"
"""What a manifest says if the backup has the root key."""


class Place(NamedTuple):
    """Where the root key of a database is."""

    file: Path | None
    """The file with it; None if a backup cannot have it."""
    text: str
    """What a manifest says of it."""


def place_of(config: Config, entries: Sequence[Entry]) -> Place:
    """The place of a root key that opens a database with these entries, a file if there is one.

    While root keys are rotated there are two, and each opens everything. A database of an older version
    has no entries: then the configuration counts.
    """
    places = [RootKeyURI(entry.place) for entry in entries] or [config.root_key]
    for uri in reversed(places):
        if uri.path is not None and uri.path.exists():
            return Place(uri.path, INCLUDED)
    return Place(None, str(places[-1]))


def open_root_key(config: Config) -> KeyWrapper:
    """The root key of an existing server. BackupError or VaultError if there is none."""
    if not has_content(config.database):
        raise BackupError(
            f"{config.database} does not exist; --data-dir or --config says where the server has its"
            " data"
        )
    return open_named(config)


def open_named(config: Config) -> KeyWrapper:
    """The root key that a configuration names. VaultError if there is none."""
    return open_vault(config.root_key, config.counter)


def from_backup(data: bytes, path: Path) -> FileVault:
    """The root key that a backup has, as if it was in a file. VaultError if it is none."""
    return FileVault(parse_digits(data, f"the {NAME} of the backup"), path, is_new=False)


def save_counter(folder: Path, counter: int, *, has_root_key: bool) -> None:
    """Store the counter of a database where a server with this data directory looks for it."""
    file = beside(folder / NAME) if has_root_key else CounterFile(folder / DEFAULT_NAME)
    file.write(counter)
