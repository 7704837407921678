"""What the tester says: sentences that name what was expected and what the server sent instead.

A vendor who reads a verdict must see from it alone what to look at, and never a key.
"""

import pytest
from case_texts import UID, attribute, item, request, response
from hypothesis import given
from kmipkit_conformance import placeholders, wording
from kmipkit_conformance.cases import Step
from kmipkit_conformance.compare import Comparison
from kmipkit_conformance.placeholders import Bindings
from ttlv_strategies import items

from kmipkit.spec.tags import Tag
from kmipkit.ttlv import xml
from kmipkit.ttlv.tree import Item

NOW = 1_790_000_000
REASON = '<ResultReason type="Enumeration" value="{}"/>'
MESSAGE = '<ResultMessage type="TextString" value="{}"/>'
OBJECT_TYPE = '<ObjectType type="Enumeration" value="{}"/>'
STATE = '<Attributes><State type="Enumeration" value="{}"/></Attributes>'


def tree(text: str) -> Item:
    [message] = xml.parse_all(text, placeholder=placeholders.read)
    return message


def differences(expected: str, actual: str, count: int = 1) -> list[str]:
    step = Step(tree(request("Activate", "")), tree(response(expected)))
    received = tree(response(actual, count, stamp="2026-11-23T12:00:00+00:00"))
    return Comparison(Bindings(now=NOW)).differences(step, received)


def failed(operation: str, reason: str, message: str = "") -> str:
    said = MESSAGE.format(message) if message else ""
    text = item(operation, "", "OperationFailed", REASON.format(reason) + said)
    return text.replace("<ResponsePayload></ResponsePayload>", "")


def named(value: str) -> str:
    return (
        f'<Attributes><Name><NameValue type="TextString" value="{value}"/>'
        '<NameType type="Enumeration" value="UninterpretedTextString"/></Name></Attributes>'
    )


KEY = (
    '<SymmetricKey><KeyBlock><KeyFormatType type="Enumeration" value="{}"/>'
    '<KeyValue><KeyMaterial type="ByteString" value="{}"/></KeyValue></KeyBlock></SymmetricKey>'
)

SENTENCES = {
    "a failure, with what the server said": (
        item("Encrypt", UID.format("a")),
        failed("Encrypt", "GeneralFailure", "Encryption algorithm is required"),
        "Encrypt: expected Success, got General Failure: 'Encryption algorithm is required'",
    ),
    "another reason": (
        failed("Get", "ItemNotFound"),
        failed("Get", "PermissionDenied", "no"),
        "Get: expected Item Not Found, got Permission Denied: 'no'",
    ),
    "a success": (
        failed("Re-key Key Pair", "KeyFormatTypeNotSupported"),
        item("ReKeyKeyPair", UID.format("a")),
        "Re-key Key Pair: expected Key Format Type Not Supported, got Success",
    ),
    "no reason": (
        item("Get", UID.format("a")),
        item("Get", "", "OperationFailed"),
        "Get: expected Success, got Operation Failed without a Result Reason",
    ),
    "a missing field": (
        item("Create", OBJECT_TYPE.format("SymmetricKey") + UID.format("$UNIQUE_IDENTIFIER_0")),
        item("Create", OBJECT_TYPE.format("SymmetricKey")),
        "Create: Unique Identifier is missing",
    ),
    "a field too much": (
        item("Activate", UID.format("a")),
        item("Activate", UID.format("a") + OBJECT_TYPE.format("SecretData")),
        "Activate: unexpected Object Type Secret Data",
    ),
    "fields in another order": (
        item("Create", OBJECT_TYPE.format("SymmetricKey") + UID.format("a")),
        item("Create", UID.format("a") + OBJECT_TYPE.format("SymmetricKey")),
        "Create: expected the order Object Type, Unique Identifier, got Unique Identifier, Object Type",
    ),
    "another value, by its name": (
        item("GetAttributes", UID.format("a") + STATE.format("Active")),
        item("GetAttributes", UID.format("a") + STATE.format("PreActive")),
        "Get Attributes: expected State Active, got Pre-Active",
    ),
    "the same in an attribute of 1.x": (
        item("GetAttributes", attribute("State", "Active", "Enumeration")),
        item("GetAttributes", attribute("State", "PreActive", "Enumeration")),
        "Get Attributes: expected State Active, got Pre-Active",
    ),
    "a missing boolean": (
        item("GetAttributes", attribute("Sensitive", "true", "Boolean")),
        item("GetAttributes", ""),
        "Get Attributes: Sensitive true is missing",
    ),
    "a mask": (
        item("GetAttributes", attribute("Cryptographic Usage Mask", "Encrypt Decrypt", "Integer")),
        item("GetAttributes", attribute("Cryptographic Usage Mask", "Encrypt", "Integer")),
        "Get Attributes: expected Cryptographic Usage Mask Encrypt | Decrypt, got Encrypt",
    ),
    "a structure's field": (
        item("GetAttributes", named("a")),
        item("GetAttributes", named("b")),
        "Get Attributes: expected Name Value 'a' in the Name, got 'b'",
    ),
    "another type": (
        item("GetAttributes", attribute("x-A", "1", "Integer")),
        item("GetAttributes", attribute("x-A", "1", "TextString")),
        "Get Attributes: expected 'x-A' of type Integer, got Text String",
    ),
    "a field deep inside, and no key": (
        item("Get", KEY.format("Raw", "00" * 16)),
        item("Get", KEY.format("PKCS_1", "00" * 16)),
        "Get: expected Key Format Type Raw in the Key Block, got PKCS#1",
    ),
    "a batch that was refused": (
        item("Create", UID.format("a")) + item("Activate", UID.format("a")),
        failed("Create", "InvalidMessage", "no"),
        "expected 2 batch items, got 1: Invalid Message: 'no'",
    ),
    "an item of a batch": (
        item("Create", UID.format("a")) + item("Activate", UID.format("a")),
        item("Create", UID.format("a")) + failed("Activate", "PermissionDenied"),
        "Activate, batch item 2: expected Success, got Permission Denied",
    ),
    "objects that were not found": (
        item("Locate", UID.format("a") + UID.format("b")),
        item("Locate", UID.format("a")),
        "Locate: expected 2 objects, got 1",
    ),
    "an operation that Query does not list": (
        item("Query", '<Operation type="Enumeration" value="Poll"/>'),
        item("Query", '<Operation type="Enumeration" value="Get"/>' * 2),
        "Query: Operation Poll is missing; the response has 2 others",
    ),
}


@pytest.mark.parametrize(("expected", "actual", "sentence"), SENTENCES.values(), ids=SENTENCES)
def test_a_difference_is_a_sentence_in_the_words_of_the_standard(
    expected: str, actual: str, sentence: str
) -> None:
    """One sentence, although a failed operation also lacks all the fields of a successful one."""
    count = expected.count("<BatchItem>")
    step = Step(tree(request("Activate", "")), tree(response(expected, count)))
    received = tree(response(actual, count, stamp="2026-11-23T12:00:00+00:00"))
    reasons = Comparison(Bindings(now=NOW)).differences(step, received)
    assert reasons == [sentence]


def test_a_long_or_hostile_message_is_quoted_and_cut() -> None:
    """A verdict stays a line, whatever the server said."""
    text = failed("Get", "GeneralFailure", "&#x9b;2J&#xA;passed" + "x" * 100_000)
    [reason] = differences(item("Get", UID.format("a")), text)
    assert len(reason) < 300
    assert reason.isprintable()
    assert r"\x9b2J\npassed" in reason


@given(items, items)
def test_whatever_is_compared_no_byte_of_it_is_shown(expected: Item, actual: Item) -> None:
    """Key material reaches no report."""
    place = wording.Place("Get", (Tag.SYMMETRIC_KEY, Tag.KEY_BLOCK, Tag.KEY_VALUE))
    shown = " ".join(
        [
            place.differs(expected, actual),
            place.other_type(expected, actual),
            place.missing(expected),
            *place.other_items([expected], [actual]),
        ]
    )
    for secret in (*secrets(expected), *secrets(actual)):
        assert secret not in shown


def secrets(item: Item) -> list[str]:
    """The texts and bytes of an item in a Key Value, as far as they could not occur by chance."""
    if isinstance(item.value, tuple):
        return [text for child in item.value for text in secrets(child)]
    found = item.value.hex() if isinstance(item.value, bytes) else item.value
    is_secret = isinstance(found, str) and len(found) > 8 and item.tag != Tag.ATTRIBUTE_NAME
    return [str(found)] if is_secret else []
