"""What is in the encrypted data of a part, and where it comes from.

The data are a tar archive. Its first member, ``part.json``, says what the others are. Those of a full
part are named as in a data directory, so that ``age`` and ``tar`` restore it without kmipkit.
"""

import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated

import msgspec

from kmipkit_server.audit.files import complete_size
from kmipkit_server.audit.logs import logs_in
from kmipkit_server.backup import root_key
from kmipkit_server.backup.manifest import Kind
from kmipkit_server.config import Config

CONTENTS = "part.json"
DATABASE = "objects.sqlite3"
CHANGES = "objects.changes"
"""Those parts of the database that have changed, one after the other."""
AUDIT = "audit"
OUTSIDE = "outside"
"""The directory of files that the configuration names elsewhere."""
CERTIFICATES = "certs"
EXTENT = 16 * 1024
"""Bytes of the database that are compared, and stored, together."""


class File(msgspec.Struct, frozen=True):
    """A small file, which is in each part."""

    name: str
    """Its path in the archive, and in a restored data directory."""
    original: str
    """Its absolute path on the machine of the server."""
    size: int


class Tail(msgspec.Struct, frozen=True):
    """A file of the audit log, which only grows."""

    name: str
    start: int
    """Up to where earlier parts have it."""
    size: int
    """Up to where this part has it."""


class Contents(msgspec.Struct, frozen=True, kw_only=True):
    """The member ``part.json``."""

    number: int
    kind: Kind
    created: Annotated[datetime, msgspec.Meta(tz=True)]
    previous: str
    """As in the manifest: data that belong to another manifest are found out."""
    data_directory: str
    files: tuple[File, ...]
    audit: tuple[Tail, ...]
    has_audit: bool
    database: int
    """Bytes of the whole database."""
    extents: tuple[tuple[int, int], ...]
    """Numbers of changed extents: the first one, and how many."""


def sources(
    config: Config, config_file: Path | None, root_key_file: Path | None
) -> Iterator[tuple[str, Path]]:
    """All small files of a server: the name in the archive, and the path."""
    directory = config.store.directory
    if root_key_file is not None:
        yield root_key.NAME, root_key_file
    certificates = directory / CERTIFICATES
    for folder, _, names in sorted(os.walk(certificates)):
        for name in sorted(names):
            path = Path(folder, name)
            if path.is_file():
                yield str(Path(CERTIFICATES) / path.relative_to(certificates)), path
    outside = dict.fromkeys(each for each in _outside(config, config_file) if each is not None)
    for number, path in enumerate(outside):
        if path.is_file():
            yield f"{OUTSIDE}/{number:02d}-{path.name}", path


def _outside(config: Config, config_file: Path | None) -> Iterator[Path | None]:
    tls, audit = config.tls, config.audit
    yield config_file
    yield config.policy.file
    yield from (tls.cert, tls.key, tls.key_password_file, tls.ca, *tls.crl, tls.revoked)
    yield from (audit.syslog_ca, audit.syslog_cert, audit.syslog_key)


def audit_sizes(config: Config) -> dict[str, int]:
    """The sizes of the files of the audit log without what is just being written."""
    directory = config.audit_directory
    try:
        logs = logs_in(directory)
    except FileNotFoundError:
        return {}
    return {
        str(file.path.relative_to(directory)): complete_size(file.path)
        for log in logs
        for file in log.files
    }
