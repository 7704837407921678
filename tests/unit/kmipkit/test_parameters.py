"""Parameters taken over from an object of another kind."""

from types import SimpleNamespace

from kmipkit.keys.parameters import Parameters
from kmipkit.spec.enums import BlockCipherMode


def test_fields_of_the_same_name_are_taken_and_others_left() -> None:
    source = SimpleNamespace(
        block_cipher_mode=BlockCipherMode.GCM, tag_length=12, key_role_type=3, random_iv=None
    )
    expected = Parameters(block_cipher_mode=BlockCipherMode.GCM, tag_length=12)
    assert Parameters.of(source) == expected
    assert Parameters.of(expected) == expected
    assert Parameters.of(None) == Parameters()
