"""Restoring: a chain becomes a new data directory, which is complete when it has its name.

All is made in a directory beside, checked, and then renamed. A process that is killed leaves a directory
``NAME.restoring-...``, which no server takes for a data directory, and which can be deleted.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec

from kmipkit_server.backup.assembly import Assembled, Progress, assemble
from kmipkit_server.backup.checking import Findings, check
from kmipkit_server.backup.contents import OUTSIDE, File
from kmipkit_server.backup.directory import Chain, sync
from kmipkit_server.backup.encryption import Identities
from kmipkit_server.backup.errors import BackupError
from kmipkit_server.backup.notice import NOTICE, Notice
from kmipkit_server.backup.root_key import NAME, from_backup, save_counter
from kmipkit_server.store.root_keys import KeyWrapper

Opener = Callable[[], KeyWrapper]
"""Opens the root key that a configuration names. VaultError if there is none."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored."""

    directory: Path
    findings: Findings
    outside: tuple[File, ...]
    """Files that were elsewhere on the old machine."""
    has_root_key: bool
    data_directory: str
    """The data directory on the old machine."""


@contextmanager
def workplace(parent: Path, prefix: str) -> Iterator[Path]:
    """A directory that only the user can read, which is removed at the end unless it was renamed."""
    try:
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    except OSError as error:
        raise BackupError(f"{parent}: {error.strerror}") from None
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def verify(
    chain: Chain,
    identities: Identities,
    scratch: Path,
    progress: Progress,
    root_key: Opener | None = None,
    *,
    is_newest: bool = False,
) -> Findings:
    """Open a chain fully, without restoring it; see :func:`.checking.check`.

    BackupError if it cannot be opened.
    """
    with workplace(scratch, "kmipkit-verify-") as folder:
        assembled = assemble(chain, identities, folder, progress)
        wrapper = _root_key(assembled, chain, root_key)
        return check(assembled, chain, progress, wrapper, is_newest=is_newest)


def restore(
    chain: Chain,
    identities: Identities,
    target: Path,
    moment: datetime,
    progress: Progress,
    root_key: Opener | None = None,
) -> Restored:
    """Restore a chain into a new directory. BackupError if it exists, or if anything is wrong.

    ``moment`` is the time now.
    """
    _require_absent(target)
    parent = target.absolute().parent
    if not parent.is_dir():
        raise BackupError(f"{parent} is not a directory; make it first")
    with workplace(parent, f"{target.name}.restoring-") as folder:
        try:
            assembled = assemble(chain, identities, folder, progress)
            wrapper = _root_key(assembled, chain, root_key)
            findings = check(assembled, chain, progress, wrapper)
            if findings.problems:
                raise BackupError(
                    "nothing is restored, because the backup is damaged: "
                    + "; ".join(findings.problems[:10])
                )
            _finish(assembled, chain, findings, moment)
            _sync_all(folder)
            _require_absent(target)
            folder.rename(target)
            sync(parent)
        except OSError as error:
            raise BackupError(f"{error.filename or target}: {error.strerror}") from None
    contents = assembled.contents
    return Restored(
        target,
        findings,
        tuple(file for file in contents.files if _was_outside(file, contents.data_directory)),
        NAME in assembled.files,
        contents.data_directory,
    )


def _was_outside(file: File, data_directory: str) -> bool:
    """Whether a file was not at its place in the data directory."""
    is_moved = file.name == NAME and file.original != str(Path(data_directory) / NAME)
    return is_moved or file.name.startswith(f"{OUTSIDE}/")


def _require_absent(target: Path) -> None:
    if os.path.lexists(target):
        raise BackupError(
            f"{target} exists already; it is not overwritten: move it away, or name another directory"
        )


def _root_key(assembled: Assembled, chain: Chain, opener: Opener | None) -> KeyWrapper:
    """The root key in the backup, or else the one that ``opener`` opens."""
    if NAME in assembled.files:
        return from_backup(assembled.files[NAME], assembled.directory / NAME)
    if opener is None:
        raise BackupError(
            f"the backup has no root key: {chain[-1].manifest.root_key} opens it; give the"
            " configuration that names it with --config"
        )
    return opener()


def _finish(assembled: Assembled, chain: Chain, findings: Findings, moment: datetime) -> None:
    """Write the small files, the counter that belongs to the database, and the notice for the start."""
    folder = assembled.directory
    for suffix in ("-wal", "-shm"):  # of the check
        assembled.database.with_name(assembled.database.name + suffix).unlink(missing_ok=True)
    for name, data in assembled.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _write(path, data)
    save_counter(folder, findings.counter, has_root_key=NAME in assembled.files)
    last = chain[-1].manifest
    notice = Notice(
        number=last.number,
        created=last.created,
        restored=moment,
        counter=last.counter,
        has_audit=assembled.contents.has_audit,
    )
    _write(folder / NOTICE, msgspec.json.encode(notice))


def _write(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:
        file.write(data)


def _sync_all(folder: Path) -> None:
    for place, _, names in os.walk(folder):
        for name in names:
            descriptor = os.open(Path(place, name), os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        sync(Path(place))
