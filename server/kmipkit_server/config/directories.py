"""Directories that the configuration names."""

import os
from pathlib import Path

from kmipkit_server.config.errors import ConfigError


def require_writable(directory: Path) -> None:
    """ConfigError if a directory does not exist and cannot be created, or cannot be written to."""
    existing = next(path for path in (directory, *directory.absolute().parents) if path.exists())
    if not existing.is_dir():
        raise ConfigError(f"{directory}: {existing} is not a directory")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise ConfigError(f"{directory}: no permission to write to {existing}")
