"""Addresses as users write them."""

import pytest
from kmipkit_client.endpoints import Endpoint, endpoint, endpoints
from kmipkit_client.errors import ClientError


@pytest.mark.parametrize(
    ("text", "expected", "shown"),
    [
        ("kms1", Endpoint("kms1", 5696), "kms1:5696"),
        ("kms2:5697", Endpoint("kms2", 5697), "kms2:5697"),
        ("::1", Endpoint("::1", 5696), "[::1]:5696"),
        ("[::1]:5697", Endpoint("::1", 5697), "[::1]:5697"),
        ("https://kms", Endpoint("kms", 443, "/kmip"), "https://kms:443/kmip"),
        ("https://[::1]:8443/a", Endpoint("::1", 8443, "/a"), "https://[::1]:8443/a"),
    ],
)
def test_an_address_is_read_and_shown(text: str, expected: Endpoint, shown: str) -> None:
    assert endpoint(text) == expected
    assert str(expected) == shown


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":5696",
        "kms:many",
        "kms:",
        "[::1]:",
        "kms:70000",
        "kms:0",
        "kms/kmip",
        "https://",
        "me@kms",
        "https://kms?a",
        "[kms",
        "a b",
        ".kms",
        "kms\n2",
        "\x1b[31m",
        "a]:1:2",
    ],
)
def test_what_is_no_address_is_named(text: str) -> None:
    with pytest.raises(ClientError, match="is not an address"):
        endpoint(text)


def test_several_addresses_share_a_port_and_are_asked_once() -> None:
    kms1, kms2 = Endpoint("kms1", 99), Endpoint("kms2", 5697)
    assert endpoints(["kms1", "kms2:5697", "kms1:99"], 99) == (kms1, kms2)
    with pytest.raises(ClientError, match="at least one"):
        endpoints([])
