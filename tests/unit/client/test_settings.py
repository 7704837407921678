"""The client says which of its certificate files it cannot use."""

import ssl
from pathlib import Path
from typing import Any

import pytest
from kmipkit_client import AsyncClient, Client
from kmipkit_client.errors import ClientError
from kmipkit_client.tls import tls_context
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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"ca": "ca.crt"}, "context takes the place of ca, cert, key"),
        ({"key_password": "secret"}, "context takes the place of ca, cert, key"),
        ({"encoding": "xml"}, "the encoding xml is for HTTPS"),
    ],
)
def test_a_setting_that_has_no_effect_is_refused(arguments: dict[str, Any], message: str) -> None:
    """An authority beside a context was ignored: the program trusted others than it said."""
    with pytest.raises(ClientError, match=message):
        Client("kms", context=ssl.create_default_context(), **arguments)


def test_a_client_is_shown_with_its_servers() -> None:
    context = ssl.create_default_context()
    assert repr(Client(["kms1", "kms2:5697"], context=context)) == (
        "Client(['kms1:5696', 'kms2:5697'])"
    )
    assert repr(AsyncClient("https://kms", context=context)) == (
        "AsyncClient(['https://kms:443/kmip'])"
    )
