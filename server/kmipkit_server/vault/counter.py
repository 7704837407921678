"""A counter in a file: that of the database's transactions, when it was last stored here.

A database with a lower one is a copy from an earlier time. The file of a root key has it beside
itself; for all other kinds it is in the data directory, unless the setting ``store.counter`` names
another place: a token or an environment is no place for a number that changes every minute.
"""

from pathlib import Path

from kmipkit_server.vault.errors import VaultError
from kmipkit_server.vault.files import replace_durably
from kmipkit_server.vault.uri import RootKeyURI

DEFAULT_NAME = "root-key.counter"
"""The name of the file in the data directory."""


class CounterFile:
    """The counter in one file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> int | None:
        """The counter as it was last stored; None before the first time. VaultError if it is
        unreadable."""
        try:
            return int(self.path.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise VaultError(f"{self.path}: {error.strerror}") from None
        except ValueError:
            raise VaultError(
                f"{self.path} does not contain a number; delete it, and compare the database"
                " with a backup"
            ) from None

    def write(self, counter: int) -> None:
        """Store the counter durably. VaultError if that fails."""
        try:
            replace_durably(self.path, b"%d\n" % counter)
        except OSError as error:
            raise VaultError(f"{self.path}: {error.strerror}") from None


def beside(path: Path) -> CounterFile:
    """The counter beside the file of a root key."""
    return CounterFile(path.with_name(f"{path.name}.counter"))


def counter_of(uri: RootKeyURI, directory: Path) -> Path:
    """Where the counter of a root key is by default, if the data directory is this one."""
    path = uri.path
    return directory / DEFAULT_NAME if path is None else beside(path).path
