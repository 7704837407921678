"""The client says which of its certificate files it cannot use."""

from pathlib import Path

import pytest
from kmipkit_client.errors import ClientError
from kmipkit_client.settings import tls_context
from servers import RunningServer

FILES = ("ca", "cert", "key")


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(server: RunningServer, tmp_path: Path, name: str) -> None:
    """Of three files one is mistyped: which?"""
    files = server.credentials() | {name: tmp_path / "mistyped.pem"}
    with pytest.raises(ClientError) as refused:
        tls_context(*(files[name] for name in FILES))
    assert str(refused.value) == f"no such file: {name} {tmp_path / 'mistyped.pem'}"


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_no_certificate_is_named(
    server: RunningServer, tmp_path: Path, name: str
) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not a certificate")
    files = server.credentials() | {name: text}
    with pytest.raises(ClientError, match=rf"{name} .*notes\.txt"):
        tls_context(*(files[name] for name in FILES))
