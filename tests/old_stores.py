"""Data directories that older versions have written; see tests/vectors/stores/README.md."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path

FOLDER = Path(__file__).parent / "vectors" / "stores"
FIRST = FOLDER / "schema-1.sql"
SECOND = FOLDER / "schema-2.sql"
ALL = sorted(FOLDER.glob("schema-*.sql"))
RICH = [path for path in ALL if path not in (FIRST, SECOND)]
"""Those with the content of ``schema-4.sql``."""


def version_of(source: Path) -> int:
    """The schema of a fixture."""
    [version] = re.findall(r"^PRAGMA user_version = (\d+);$", source.read_text(), re.MULTILINE)
    return int(version)


def restore(source: Path, folder: Path, name: str = "db") -> str:
    """Make a data directory; the identifier of the key named ``first``.

    ``name`` is that of the database: a laboratory has another one than a server.
    """
    folder.mkdir(exist_ok=True)
    text = source.read_text()
    root_key, key = re.findall(r"^-- (?:root|first) key: (\S+)$", text, re.MULTILINE)
    (folder / "root.key").touch(0o600)
    (folder / "root.key").write_text(root_key)
    with closing(sqlite3.connect(folder / name)) as connection:
        connection.executescript(text)
    return str(key)
