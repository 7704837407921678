"""Objects that have the same material, which shows in their Digest (KMIP 1.4 §3.17).

A sensitive key may leave the server wrapped. If the client registers the wrapped key again, the server
must not unwrap it: that would return in clear what it does not return in clear as the first object.
"""

from hashlib import sha256

from kmipkit.model.keyblock import KeyBlock
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.tags import Tag
from kmipkit.ttlv.tree import Item
from kmipkit_server.engine.call import Call
from kmipkit_server.objects.derived_attributes import digested_bytes
from kmipkit_server.objects.managed import Managed
from kmipkit_server.store.base import Criterion, LocateQuery


def objects_with_material(call: Call, block: KeyBlock) -> list[Managed]:
    """The client's objects whose material is the key in a key block."""
    data = digested_bytes(block)
    if data is None:
        return []
    value = Item(Tag.DIGEST_VALUE, ItemType.BYTE_STRING, sha256(data).digest())
    criterion = Criterion(Tag.DIGEST, Item(Tag.DIGEST, ItemType.STRUCTURE, (value,)))
    query = LocateQuery(owner=call.identity.name, criteria=(criterion,), now=call.now)
    records = map(call.store.get, call.store.locate(query).ids)
    return [Managed(record, call.now) for record in records if record is not None]
