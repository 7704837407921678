"""A field that is there twice is named as such, even if the next required field is then out of place."""

import pytest
from kmipkit_client import calls, messages

from kmipkit.errors import Cause, RemoteProtocolError
from kmipkit.model.codec import to_tree
from kmipkit.model.envelope import decode_request
from kmipkit.spec.enums import CryptographicAlgorithm
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_4, V2_1, Version
from kmipkit.ttlv import binary
from kmipkit.ttlv.tree import Item


def doubled(item: Item, tag: Tag) -> Item:
    """A tree with each field of this tag twice."""
    if not isinstance(item.value, tuple):
        return item
    inner = (doubled(child, tag) for child in item.value for _ in range(1 + (child.tag == tag)))
    return Item(item.tag, item.type, tuple(inner))


@pytest.mark.parametrize("version", [V1_4, V2_1], ids=str)
def test_a_repeated_field_is_no_missing_one(version: Version) -> None:
    """ "The same field is contained in a [...] payload more than once": Invalid Message (1.4 §11.1)."""
    call = calls.create(CryptographicAlgorithm.AES, 128, CryptographicUsageMask.ENCRYPT)
    tree = to_tree(messages.request(version, [call]), version)
    with pytest.raises(RemoteProtocolError, match="ObjectType must not be repeated") as caught:
        decode_request(binary.encode(doubled(tree, Tag.OBJECT_TYPE)))
    assert caught.value.cause is Cause.REPEATED_FIELD
