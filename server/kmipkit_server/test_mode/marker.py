"""Data directories of the test mode, which no other server uses, and the reverse.

A server whose clock was put forward notes the time in its store; with the right time again, its objects
would have expired. A server with faults tells its clients what is not true. So neither is done to a
directory by accident.
"""

from pathlib import Path

from kmipkit_server.config import Config, ConfigError
from kmipkit_server.store.sqlite.database import has_content

NAME = "test-mode"
_TEXT = "The objects in this directory are those of a server in test mode.\n"


def require(config: Config, *, is_test_mode: bool) -> None:
    """ConfigError if the data directory is not one for this mode; a new directory is marked."""
    directory = config.store.directory
    marker = directory / NAME
    if marker.exists() and not is_test_mode:
        raise ConfigError(
            f"{directory} was used in test mode, in which tests move the time; choose another"
            " directory, or start with --test-mode"
        )
    if is_test_mode and not marker.exists():
        root_key = config.root_key.path
        if has_content(config.database) or (root_key is not None and root_key.exists()):
            raise ConfigError(
                f"{directory} has the objects of a server that is not in test mode; choose another"
                " directory, or use --ephemeral"
            )
        _mark(marker)


def _mark(marker: Path) -> None:
    try:
        marker.write_text(_TEXT, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{marker}: {error.strerror}") from None
