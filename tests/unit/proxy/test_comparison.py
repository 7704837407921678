"""What two answers mean: servers may choose identifiers, times and keys, but must stand by them."""

from collections.abc import Iterable

import pytest
from kmipkit_proxy.comparison import Comparison

from kmipkit.spec.enums import Operation, ResultReason, ResultStatus, State
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.tags import Tag
from kmipkit.ttlv.tree import Item

MESSAGES = {Tag.REQUEST_PAYLOAD: Tag.REQUEST_MESSAGE, Tag.RESPONSE_PAYLOAD: Tag.RESPONSE_MESSAGE}


def structure(tag: Tag, *items: Item) -> Item:
    return Item(tag, ItemType.STRUCTURE, items)


def text(tag: Tag, value: str) -> Item:
    return Item(tag, ItemType.TEXT_STRING, value)


def number(tag: Tag, value: int) -> Item:
    return Item(tag, ItemType.ENUMERATION, int(value))


def date(tag: Tag, value: int) -> Item:
    return Item(tag, ItemType.DATE_TIME, value)


def identifiers(*values: str) -> list[Item]:
    return [text(Tag.UNIQUE_IDENTIFIER, value) for value in values]


def message(items: Iterable[Item], payload: Tag) -> Item:
    parts = [number(Tag.OPERATION, Operation.GET), structure(payload, *items)]
    return structure(MESSAGES[payload], structure(Tag.BATCH_ITEM, *parts))


def answer(*items: Item) -> Item:
    return message(items, Tag.RESPONSE_PAYLOAD)


def request(*items: Item) -> Item:
    return message(items, Tag.REQUEST_PAYLOAD)


def key(material: bytes) -> Item:
    value = structure(Tag.KEY_VALUE, Item(Tag.KEY_MATERIAL, ItemType.BYTE_STRING, material))
    return structure(Tag.SYMMETRIC_KEY, structure(Tag.KEY_BLOCK, value))


def named(name: str, *parts: Item) -> Item:
    return structure(Tag.ATTRIBUTE, text(Tag.ATTRIBUTE_NAME, name), *parts)


def shown(*pairs: tuple[Item, Item]) -> list[str]:
    """The differences of the last pair, after the others."""
    comparison = Comparison()
    last = [comparison.differences(*pair) for pair in pairs][-1]
    return [str(difference) for difference in last]


PATH = "BatchItem[0]/ResponsePayload"


def test_another_identifier_is_the_same_object_as_long_as_it_stays_the_same() -> None:
    first = answer(*identifiers("a")), answer(*identifiers("1"))
    assert shown(first) == []
    assert shown(first, first) == []
    assert shown(first, (answer(*identifiers("a")), answer(*identifiers("2")))) == [
        f"{PATH}/UniqueIdentifier: the same object as before -> another object"
    ]
    assert shown(first, (answer(*identifiers("b")), answer(*identifiers("1")))) == [
        f"{PATH}/UniqueIdentifier: another object than before -> an object of before"
    ]


def test_a_server_must_give_back_the_key_that_it_got() -> None:
    registered = request(key(b"k" * 16)), request(key(b"q" * 16))
    assert shown(registered, (answer(key(b"k" * 16)), answer(key(b"q" * 16)))) == []
    [found] = shown(registered, (answer(key(b"k" * 16)), answer(key(b"w" * 16))))
    assert found.endswith("KeyMaterial: the same value as before -> another value")


def test_a_new_key_may_be_any_of_its_length() -> None:
    assert shown((answer(key(b"k" * 16)), answer(key(b"q" * 16)))) == []
    [found] = shown((answer(key(b"k" * 16)), answer(key(b"q" * 32))))
    assert found.endswith("KeyMaterial: 16 bytes -> 32 bytes")


def test_a_time_is_free_unless_the_client_has_set_it() -> None:
    first, second = (answer(date(Tag.ACTIVATION_DATE, time)) for time in (1000, 2000))
    assert shown((first, second)) == []
    asked = request(date(Tag.ACTIVATION_DATE, 1000))
    assert shown((asked, asked), (first, first)) == []
    [found] = shown((asked, asked), (first, second))
    assert "ActivationDate: the time that the client has set -> 1970-01-01T00:33:20" in found
    other = answer(date(Tag.INITIAL_DATE, 1000)), answer(date(Tag.INITIAL_DATE, 2000))
    assert shown((asked, asked), other) == []


def test_the_order_of_what_locate_finds_counts() -> None:
    known = [(answer(*identifiers(a)), answer(*identifiers(b))) for a, b in ("a1", "b2")]
    found = answer(*identifiers("a", "b"))
    assert shown(*known, (found, answer(*identifiers("1", "2")))) == []
    assert shown(*known, (found, answer(*identifiers("2", "1")))) == [
        f"{PATH}/UniqueIdentifier: in this order -> in another order"
    ]
    assert shown(*known, (found, answer(*identifiers("1")))) == [
        f"{PATH}/UniqueIdentifier: 'b' -> nothing"
    ]


def test_the_order_of_attributes_does_not_count() -> None:
    state = named("State", number(Tag.ATTRIBUTE_VALUE, State.ACTIVE))
    owner = named("x-Owner", text(Tag.ATTRIBUTE_VALUE, "storage"))
    assert shown((answer(state, owner), answer(owner, state))) == []


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (
            named("State", number(Tag.ATTRIBUTE_VALUE, State.ACTIVE)),
            named("State", number(Tag.ATTRIBUTE_VALUE, State.COMPROMISED)),
            "/Attribute 'State'/AttributeValue: 0x00000002 -> 0x00000004",
        ),
        (
            number(Tag.STATE, State.ACTIVE),
            number(Tag.STATE, State.COMPROMISED),
            "/State: Active (0x00000002) -> Compromised (0x00000004)",
        ),
        (
            named("x-Owner", text(Tag.ATTRIBUTE_VALUE, "a")),
            named("x-Other", text(Tag.ATTRIBUTE_VALUE, "a")),
            "/Attribute 'x-Owner': x-Owner -> nothing",
        ),
        (text(Tag.NAME_VALUE, "a"), number(Tag.NAME_VALUE, 1), "/NameValue: TEXT_STRING -> ENUM"),
    ],
    ids=["value in 1.x", "value in 2.x", "attribute", "type"],
)
def test_a_value_that_differs_is_shown(first: Item, second: Item, expected: str) -> None:
    found = shown((answer(first), answer(second)))
    assert found[0].startswith(f"{PATH}{expected}")


def test_identifiers_in_attributes_of_1x_are_mapped() -> None:
    known = answer(*identifiers("a")), answer(*identifiers("1"))
    first, second = (
        answer(named("Unique Identifier", text(Tag.ATTRIBUTE_VALUE, value))) for value in "a1"
    )
    assert shown(known, (first, second)) == []
    assert len(shown(known, (first, answer(*identifiers("2"))))) == 2


def test_a_result_that_differs_is_all_that_is_said() -> None:
    failed = structure(
        Tag.RESPONSE_MESSAGE,
        structure(
            Tag.BATCH_ITEM,
            number(Tag.OPERATION, Operation.GET),
            number(Tag.RESULT_STATUS, ResultStatus.OPERATION_FAILED),
            number(Tag.RESULT_REASON, ResultReason.ITEM_NOT_FOUND),
            text(Tag.RESULT_MESSAGE, "there is no such object"),
        ),
    )
    assert shown((answer(key(b"k" * 16)), failed)) == [
        "BatchItem[0]/result:  -> OperationFailed ItemNotFound"
    ]


def test_a_secret_is_never_shown() -> None:
    password = [text(Tag.PASSWORD, value) for value in ("correct horse", "battery staple")]
    [found] = shown((request(password[0]), request()))
    assert found.endswith("Password: a secret -> nothing")
    assert shown((request(password[0]), request(password[1]))) == []
