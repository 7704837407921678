"""Keys made from a blueprint: they are the same as those that are encoded one by one."""

import pytest
from kmipkit_server.objects.blueprint import Blueprint
from kmipkit_server.objects.derived_attributes import derived_attributes
from kmipkit_server.objects.managed import pack_object
from kmipkit_server.operations.create import raw_key

from kmipkit.keys.generate import LENGTHS
from kmipkit.model.objects import SymmetricKey
from kmipkit.spec.enums import CryptographicAlgorithm


@pytest.mark.parametrize("algorithm", LENGTHS, ids=lambda each: each.name)
def test_a_key_is_stored_as_if_it_were_encoded_by_itself(
    algorithm: CryptographicAlgorithm,
) -> None:
    """Otherwise clients would lose the key, or its digest would not be that of the key."""
    for bits in {LENGTHS[algorithm][0], LENGTHS[algorithm][-1]}:
        size = max(bits // 8, 8)

        def make(key: bytes, bits: int = bits) -> SymmetricKey:
            return SymmetricKey(key_block=raw_key(key, algorithm, bits))

        blueprint = Blueprint.of(make, size)
        # A key that resembles the bytes around it, and one whose bytes repeat.
        for key in (b"\x00\x42\x00\x43\x08\x00\x00\x00" * size, b"\xff\x00" * size):
            value = make(key[:size])
            assert blueprint.material(key[:size]) == pack_object(value)
            assert dict(blueprint.derived_with(key[:size])) == dict(derived_attributes(value))
