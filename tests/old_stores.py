"""Data directories that older versions have written; see tests/vectors/stores/README.md."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path

FOLDER = Path(__file__).parent / "vectors" / "stores"
FIRST = FOLDER / "schema-1.sql"
SECOND = FOLDER / "schema-2.sql"


def restore(source: Path, folder: Path) -> str:
    """Make a data directory for a laboratory; the identifier of the key named ``first``."""
    folder.mkdir(exist_ok=True)
    text = source.read_text()
    root_key, key = re.findall(r"^-- (?:root|first) key: (\S+)$", text, re.MULTILINE)
    (folder / "root.key").touch(0o600)
    (folder / "root.key").write_text(root_key)
    with closing(sqlite3.connect(folder / "db")) as connection:
        connection.executescript(text)
    return str(key)
