"""A copier makes what ``replace`` makes."""

from kmipkit.model.messages import RequestBatchItem
from kmipkit.model.payloads.crypto import EncryptRequest
from kmipkit.model.structure import copier, field_names, setters
from kmipkit.spec.enums import Operation
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.tags import Tag
from kmipkit.ttlv.tree import Item

EXTENSION = Item(Tag.COMMENT, ItemType.TEXT_STRING, "a comment")
REQUEST = EncryptRequest(unique_identifier="key", data=b"data", extensions=(EXTENSION,))


def test_a_copy_is_the_structure_with_other_values() -> None:
    copy = copier(REQUEST, "data", "iv_counter_nonce")((b"other", b"iv"))
    assert copy == REQUEST.replace(data=b"other", iv_counter_nonce=b"iv")
    assert copy.extensions == (EXTENSION,)
    assert REQUEST.data == b"data"


def test_a_copy_of_an_item_has_another_payload() -> None:
    item = RequestBatchItem(operation=Operation.ENCRYPT, request_payload=REQUEST)
    assert copier(item, "request_payload")((REQUEST,)) == item


def test_there_is_a_setter_for_each_field() -> None:
    assert tuple(setters(EncryptRequest)) == field_names(EncryptRequest)
