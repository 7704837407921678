"""A capture without keys: no secret is in it, all else is, and equal secrets are still equal."""

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st
from kmipkit_proxy.comparison import Comparison
from kmipkit_proxy.pseudonyms import Pseudonyms
from ttlv_strategies import VALUES, leaves, structure_of

from kmipkit.spec.item_types import ItemType
from kmipkit.spec.secrets import SECRET_TAGS
from kmipkit.spec.tags import Tag
from kmipkit.ttlv import binary
from kmipkit.ttlv.redaction import in_secret, is_secret
from kmipkit.ttlv.tree import Item

secrets = st.one_of(
    *(
        st.builds(Item, st.sampled_from(sorted(SECRET_TAGS)), st.just(item_type), values)
        for item_type, values in VALUES.items()
    )
)
enclosing = st.builds(
    Item,
    st.sampled_from([Tag.KEY_VALUE, Tag.KEY_MATERIAL]),
    st.just(ItemType.STRUCTURE),
    st.lists(st.one_of(leaves, secrets), max_size=4).map(tuple),
)
items = st.recursive(st.one_of(leaves, secrets, enclosing), structure_of, max_leaves=15)
messages = st.builds(
    lambda content: Item(Tag.RESPONSE_MESSAGE, ItemType.STRUCTURE, tuple(content)),
    st.lists(
        st.builds(
            lambda content: Item(Tag.BATCH_ITEM, ItemType.STRUCTURE, tuple(content)),
            st.lists(items, max_size=4),
        ),
        max_size=3,
    ),
)


def pairs(first: Item, second: Item, inside: bool = False) -> Iterator[tuple[Item, Item, bool]]:
    """The values of both trees side by side, and whether they are secret."""
    inside = in_secret(first.tag, inside)
    assert (first.tag, first.type) == (second.tag, second.type)
    if isinstance(first.value, tuple) and isinstance(second.value, tuple):
        assert len(first.value) == len(second.value)
        for pair in zip(first.value, second.value, strict=True):
            yield from pairs(*pair, inside)
    else:
        yield first, second, is_secret(first.tag, first.type, inside)


def size(item: Item) -> int:
    return len(item.value) if isinstance(item.value, bytes | str) else 0


@given(messages)
def test_secrets_are_replaced_and_nothing_else(message: Item) -> None:
    redacted, count = Pseudonyms().redacted(message)
    found = list(pairs(message, redacted))
    assert count == sum(secret for _, _, secret in found)
    for before, after, secret in found:
        if not secret:
            assert before == after
        elif size(before) >= 8:
            assert before.value != after.value
        if isinstance(before.value, bytes):
            assert size(before) == size(after)
    assert binary.decode(binary.encode(redacted)) == redacted


@given(messages)
def test_equal_secrets_have_equal_replacements_in_one_capture_only(message: Item) -> None:
    one, other = Pseudonyms(), Pseudonyms()
    assert one.redacted(message) == one.redacted(message)
    for first, second, secret in pairs(one.redacted(message)[0], other.redacted(message)[0]):
        if secret and isinstance(first.value, bytes) and len(first.value) >= 8:
            assert first.value != second.value


@given(messages)
def test_a_message_means_the_same_without_its_secrets(message: Item) -> None:
    redacted, _ = Pseudonyms().redacted(message)
    comparison = Comparison()
    assert comparison.differences(message, redacted) == []
    assert comparison.differences(message, redacted) == []
