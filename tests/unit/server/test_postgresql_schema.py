"""A database that an older version has filled gets the tables and indexes of this one, and keeps all."""

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import stores
from click.testing import CliRunner
from kmipkit_server.admin.store_commands import store as store_group
from kmipkit_server.store.errors import StoreError
from kmipkit_server.vault.file import FileVault
from stored_objects import OWNER_KEY, by_text, insert, is_same, numbered, record

pytestmark = stores.needs_postgresql

FIRST, NEWEST = 1, 3
"""Versions of the schema: the first one that was released, and that of this program."""


def opened(url: str, folder: Path) -> Any:
    """The database as a server opens it; its root key is in a folder."""
    from kmipkit_server.store.postgresql.database import PostgreSQLDatabase
    from kmipkit_server.store.postgresql.target import Target

    vault = FileVault.open(folder / "root.key")
    return closing(PostgreSQLDatabase.open(Target.parse(url), vault, node="test"))


def indexes(database: str) -> list[tuple[object, ...]]:
    """All indexes of the tables, with what they are."""
    sql = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'kmipkit' ORDER BY 1"
    return stores.server().sql(sql, database)


@pytest.mark.parametrize("version", range(FIRST, NEWEST))
def test_an_older_database_gets_the_indexes_of_a_new_one(
    version: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Locate among a million objects must not stay slow after an update."""
    from kmipkit_server.store.postgresql import schema

    server = stores.server()
    older, new = server.create("template0"), server.create("template0")
    url = server.url(older, stores.ROLE)
    objects = [record(f"id-{n}", numbered((OWNER_KEY, "all"))) for n in range(3)]
    with monkeypatch.context() as past:
        past.setattr(schema, "STEPS", schema.STEPS[:version])
        _initialized(server.url(older))
        with opened(url, tmp_path) as store:
            insert(store, *objects)
    assert len(schema.STEPS) == NEWEST
    with (
        pytest.raises(StoreError, match=f"has schema {version}.*needs schema {NEWEST}"),
        opened(url, tmp_path),
    ):
        pass
    assert f"migrated from schema {version}" in _initialized(server.url(older))
    _initialized(server.url(new))
    assert indexes(older) == indexes(new) != []
    with opened(url, tmp_path) as store:
        reader = store.open_reader()
        assert is_same(reader.get("id-1"), objects[1])
        assert set(reader.locate(by_text(OWNER_KEY, "all")).ids) == {each.id for each in objects}
        reader.sql.raw.close()


def _initialized(url: str) -> str:
    result = CliRunner().invoke(store_group, ["init", url, "--role", stores.ROLE])
    assert result.exit_code == 0, result.output
    return result.output
