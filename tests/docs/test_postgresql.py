"""The page about PostgreSQL: its statements and commands, played as it has them."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import stores
from documents import PROJECT, blocks
from postgresql_server import PostgreSQLServer, running

from drill import programs

PAGE = "docs/postgresql.md"

_START = re.compile(
    r"^(KMIPKIT_STORE_NODE=kms(\d) kmipkit serve .*) --port \d+ --detach$", re.MULTILINE
)


def _with_any_port(found: re.Match[str]) -> str:
    """The command on any free port, which a variable has then."""
    port = r"s/.*listening on [^ ]*:\([0-9]*\),.*/\1/p"
    return f"PORT{found[2]}=$({found[1]} --port 0 --detach | sed -n '{port}')"


pytestmark = stores.needs_postgresql


@pytest.fixture
def database() -> Iterator[PostgreSQLServer]:
    with running() as server:
        yield server


def test_the_page_does_what_it_says(database: PostgreSQLServer, tmp_path: Path) -> None:
    """Two servers, one store: and the way back."""
    [statements] = blocks(PAGE, "sql")
    for statement in statements.split(";")[:-1]:
        database.sql(statement)
    database.sql("CREATE DATABASE moved OWNER kms_owner")
    [init, start, use, restore, move] = blocks(PAGE, "sh")
    [printed] = blocks(PAGE, "text")
    shell = [
        'kmipkit() { "$PYTHON" -m kmipkit "$@"; }',
        "set -e",
        init,
        start,
        use,
        restore.replace("postgres@", "owner@"),
        "kmipkit serve --data-dir kms1 --stop",
        "kmipkit serve --data-dir kms2 --stop",
        "unset KMIPKIT_STORE_URL",
        "export KMIPKIT_LISTEN_PORT=0",
        move,
    ]
    text = _START.sub(_with_any_port, "\n".join(shell))
    text = text.replace(":5696", ":$PORT1").replace(":5697", ":$PORT2")
    text = re.sub(
        r"(postgresql://\w+@)db\.example\.org(/\w+)",
        rf"'\1\2?host={database.directory}'",
        text,
    )
    done = subprocess.run(
        ["sh", "-c", text],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHON": sys.executable,
            "PATH": f"{programs.postgresql()}:{os.environ.get('PATH', '')}",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    said = printed.strip().removeprefix("PostgreSQL db.example.org/kms")
    assert said in done.stdout
    assert "the configuration is valid" in done.stdout, "with the restored database"
    assert (tmp_path / "backup.key").stat().st_size == 32
    assert done.stdout.count("verified: all rows are the same") == 2
    assert (tmp_path / "kms/objects.sqlite3").exists()


def test_the_page_names_what_it_is_about() -> None:
    page = (PROJECT / PAGE).read_text(encoding="utf-8")
    for each in ("url", "password_file", "node", "connections", "statement_timeout"):
        assert f"`store.{each}`" in page
