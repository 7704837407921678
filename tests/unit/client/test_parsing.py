"""Values from the command line: what is not valid is a ClientError, never a traceback."""

from datetime import UTC, datetime
from typing import Any

import pytest
from kmipkit_client.errors import ClientError
from kmipkit_client.parsing import algorithm_of, attribute_value, usage_mask

from kmipkit.spec.enums import CryptographicAlgorithm, State
from kmipkit.spec.masks import CryptographicUsageMask


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("State", "active", State.ACTIVE),
        ("Cryptographic Length", "256", 256),
        ("Fresh", "Yes", True),
        ("Sensitive", "false", False),
        ("Activation Date", "2026-11-26", datetime(2026, 11, 26, tzinfo=UTC)),
        ("Cryptographic Usage Mask", "sign", CryptographicUsageMask.SIGN),
        ("Name", "disk1", "disk1"),
        ("x-Owner", "storage", "storage"),
    ],
)
def test_text_becomes_a_value_of_the_attributes_type(name: str, text: str, value: Any) -> None:
    assert attribute_value(name, text) == value


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("Fresh", "maybe", "'maybe' is not a valid value of Fresh"),
        ("Activation Date", "soon", "'soon' is not a valid value of Activation Date"),
        ("Cryptographic Length", "many", "'many' is not a valid value of Cryptographic Length"),
        ("State", "ALIVE", "'ALIVE' is not one of PRE_ACTIVE"),
        ("Cryptographic Usage Mask", "SIGN,FLY", "'FLY' is not one of SIGN"),
        ("Owner", "storage", "unknown attribute 'Owner'"),
        ("state", "ACTIVE", "did you mean State?"),
        ("Cryptographic Algorithm", "AEES", "did you mean AES?"),
    ],
)
def test_text_that_is_not_valid_is_refused(name: str, text: str, message: str) -> None:
    with pytest.raises(ClientError, match=message):
        attribute_value(name, text)


def test_names_are_read_in_any_spelling() -> None:
    assert algorithm_of("hmac-sha256") is CryptographicAlgorithm.HMAC_SHA256
    both = CryptographicUsageMask.WRAP_KEY | CryptographicUsageMask.UNWRAP_KEY
    assert usage_mask("wrap-key unwrap_key") == both
    assert usage_mask("Wrap Key, Unwrap Key,") == both


@pytest.mark.parametrize(
    ("text", "algorithm"),
    [
        ("3DES", CryptographicAlgorithm.DES3),
        ("Triple DES", CryptographicAlgorithm.DES3),
        ("ChaCha20Poly1305", CryptographicAlgorithm.CHACHA20POLY1305),
        ("HMAC-SHA3-256", CryptographicAlgorithm.HMAC_SHA3_256),
    ],
)
def test_an_algorithm_has_the_name_that_the_policy_takes(
    text: str, algorithm: CryptographicAlgorithm
) -> None:
    """The documents forbid "3DES", and the client did not know the name."""
    assert algorithm_of(text) is algorithm
