"""The URL of a database, and the file with its password: what is refused, and what nobody sees."""

from pathlib import Path

import pytest
from kmipkit_server.store.errors import StoreError

pytest.importorskip("psycopg", reason="psycopg is not installed")

from kmipkit_server.store.postgresql.target import Target


def test_passwords_are_not_in_urls(tmp_path: Path) -> None:
    """A URL is in the list of processes, in the environment, and in what kmipkit shows."""
    with pytest.raises(StoreError, match=r"store\.password_file") as error:
        Target.parse("postgresql://user:very-secret@host/db")
    assert "very-secret" not in str(error.value)
    file = tmp_path / "password"
    file.write_text("very-secret\n")
    target = Target.parse("postgresql://user@one,two:6000/db", file)
    assert target.parameters["password"] == "very-secret"
    assert "very-secret" not in repr(target) + target.name
    assert target.name == "PostgreSQL one,two:6000/db"


@pytest.mark.parametrize("url", ["host:5432/db:", "postgresql://host/\udcff", "="])
def test_what_is_no_url_is_refused(url: str) -> None:
    """Bytes of another encoding on the command line ended with a traceback."""
    with pytest.raises(StoreError, match=r"store\.url is not a URL of PostgreSQL"):
        Target.parse(url)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("postgresql://u@/db?sslpassword=very-secret", "has a password in it"),
        (
            "postgresql://u@/db?target_session_attrs=any",
            "a replica may not know yet what was revoked",
        ),
        ("postgresql://u@/db?target_session_attrs=standby", "a server uses the primary"),
        ("postgresql://u@/db?sslcert=/none.crt", "sslcert=/none.crt, and there is no such file"),
        ("postgresql://u@/db?sslkey=/none.key", "sslkey=/none.key, and there is no such file"),
    ],
)
def test_what_a_server_must_not_use_is_refused(url: str, text: str) -> None:
    """A key that was revoked on the primary may still be active in a replica."""
    with pytest.raises(StoreError, match=text) as error:
        Target.parse(url)
    assert "very-secret" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "text"),
    [(b"\xff\xfe", "not UTF-8"), (b"", "not a password"), (b"\nsecret", "not a password")],
)
def test_a_file_without_a_password_is_refused(tmp_path: Path, content: bytes, text: str) -> None:
    """One in another encoding ended with a traceback."""
    file = tmp_path / "password"
    file.write_bytes(content)
    with pytest.raises(StoreError, match=text):
        Target.parse("postgresql://u@/db", file)
