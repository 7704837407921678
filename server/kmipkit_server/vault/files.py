"""Files of vaults: for the server's user only, and durable."""

import os
import stat
from pathlib import Path

from kmipkit_server.vault.errors import VaultError


def read_private(path: Path, size: int) -> bytes:
    """The first bytes of a file. VaultError if it cannot be read, or if others have access to it."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(size)
    except OSError as error:
        raise VaultError(f"{path}: {error.strerror}") from None
    if stat.S_IMODE(mode) & 0o077:
        raise VaultError(f"other users have access to {path}; run: chmod 600 {path}")
    return content


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_durably(path: Path, content: bytes) -> None:
    """Replace a file by a new one with mode 0600, which is on the disk when this returns."""
    # Of each process its own, since several may do this at the same time.
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    sync_directory(path.parent)
