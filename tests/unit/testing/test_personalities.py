"""A server that behaves like another one: what a client meets elsewhere, without that server."""

import click
import pytest
from kmipkit_client import OperationFailed, material, secret_data
from kmipkit_server.cli import serve
from kmipkit_server.config import ConfigError
from kmipkit_server.test_mode.faults.file import personalities

from kmipkit.spec.enums import Operation, QueryFunction, ResultReason
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.versions import V1_0, V1_1, V1_4, V2_1, Version
from kmipkit.testing import key_server

BOTH = CryptographicUsageMask.ENCRYPT | CryptographicUsageMask.DECRYPT


@pytest.mark.parametrize(
    ("name", "newest"), [("commercial", V1_4), ("kmip-1.1", V1_1), ("vault", V1_4)]
)
def test_our_client_works_with_each(name: str, newest: Version) -> None:
    with key_server(personality=name) as kms, kms.client() as client:
        assert client.version() == newest
        key = client.create(name="backup")
        client.activate(key)
        assert client.locate(name="backup").ids == (key,)
        assert len(material(client.get(key))) == 32
        password = client.register(secret_data("x"), usage=BOTH)
        assert material(client.get(password)) == b"x"
        assert client.query().vendor_identification == "kmipkit (test mode)"


def test_each_is_tried() -> None:
    assert personalities() == ["commercial", "kmip-1.1", "vault"]
    [option] = [each for each in serve.params if each.name == "personality"]
    assert isinstance(option, click.Option)
    assert str(option.help).endswith("commercial, kmip-1.1 or vault.")


def test_a_server_of_1_1_has_nothing_later() -> None:
    with key_server(objects=["backup"], personality="kmip-1.1") as kms:
        with kms.client() as client:
            told = client.query(QueryFunction.QUERY_OPERATIONS).operations
            assert len(told) == 17
            assert Operation.ENCRYPT not in told
            with pytest.raises(OperationFailed) as caught:
                client.check(kms.ids["backup"])
            assert caught.value.reason is ResultReason.OPERATION_NOT_SUPPORTED
        later = kms.client(version=V2_1)
        with later as client, pytest.raises(OperationFailed, match=r"KMIP 2\.1 is not supported"):
            client.query()


def test_vault_wants_a_usage_mask() -> None:
    with key_server(personality="vault") as kms, kms.client() as client:
        with pytest.raises(
            OperationFailed, match="attribute Cryptographic Usage Mask is missing"
        ) as e:
            client.register(secret_data("x"))
        assert e.value.reason is ResultReason.INVALID_MESSAGE


def test_vault_sends_what_1_0_does_not_have() -> None:
    """Our client reads it; that of Percona did not."""
    with key_server(personality="vault") as kms, kms.client(version=V1_0) as client:
        assert client.register(secret_data("x"), usage=BOTH)
        applied = {each.name: each.applied for each in kms.faults}
        assert applied["server-correlation"] == 1
        assert applied["object-type"] == 1


def test_a_commercial_server_does_not_say_what_exists() -> None:
    server = key_server(objects=["backup"], personality="commercial")
    with server as kms, kms.client("app1") as client:
        for identifier in (kms.ids["backup"], "missing"):
            with pytest.raises(OperationFailed, match="or insufficient permissions") as caught:
                client.get(identifier)
            assert caught.value.reason is ResultReason.GENERAL_FAILURE


def test_an_unknown_personality_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown personality 'valt'; did you mean vault"):
        key_server(personality="valt")
