"""Messages in the encoding of the run, and a quick look at the responses.

Every response is judged. The quick look finds the first Result Status in it, which comes before anything
that the server chooses freely (KMIP 1.4 §7.2); only responses that do not report success are decoded.
"""

import re
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from kmipkit_client.settings import LIMITS

from kmipkit.errors import ProtocolError
from kmipkit.model.envelope import decode_response
from kmipkit.model.messages import ResponseMessage
from kmipkit.spec.enums import Operation, ResultStatus
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.tags import Tag
from kmipkit.spec.titles import title
from kmipkit.ttlv.media import JSON, MEDIA, TTLV, XML

ENCODINGS = {"ttlv": TTLV, "xml": XML, "json": JSON}
"""The media types of the encodings."""

_STATUS = bytes.fromhex("42007f0500000004")
_SUCCESS = _STATUS + bytes(8)
_TEXT_STATUS = re.compile(rb"ResultStatus\W+type\W+Enumeration\W+value\W+(\w+)")
_TEXT_OPERATION = re.compile(rb"\bOperation\W+type\W+Enumeration\W+value\W+(\w+)")
_SUCCESS_TEXTS = frozenset({b"Success", b"0x00000000"})

_IDENTIFIERS = {
    Tag.UNIQUE_IDENTIFIER: "UniqueIdentifier",
    Tag.PRIVATE_KEY_UNIQUE_IDENTIFIER: "PrivateKeyUniqueIdentifier",
    Tag.PUBLIC_KEY_UNIQUE_IDENTIFIER: "PublicKeyUniqueIdentifier",
}
_TEXT_STRING = 7

MALFORMED = "malformed response"
"""The reason if nobody knows what the server has done."""


class Failure(NamedTuple):
    """Why a request has failed."""

    reason: str
    """The same text for equal failures."""
    example: str = ""
    """What the server said this time."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """The encoding of all messages of a run."""

    media: str = TTLV

    def body(self, ttlv: bytes) -> bytes:
        """A message in this encoding."""
        return MEDIA[self.media].from_ttlv(ttlv, LIMITS)

    def decode(self, body: bytes) -> ResponseMessage:
        """A response. ProtocolError if it is not one."""
        message, _ = decode_response(
            MEDIA[self.media].to_ttlv(body, LIMITS), limits=LIMITS, tolerant=True
        )
        return message

    def failure(self, body: bytes, operation: Operation | None = None) -> Failure | None:
        """Why a request of an operation, if it is given, has failed; None if it succeeded."""
        if self._is_success(body, operation):
            return None
        try:
            items = self.decode(body).batch_items
        except ProtocolError as error:
            return Failure(MALFORMED, str(error))
        if not items:
            return Failure(MALFORMED, "the response has no batch item")
        item = items[0]
        if item.result_status is ResultStatus.SUCCESS:
            if operation in (None, item.operation):
                return None
            other = "no operation" if item.operation is None else title(item.operation)
            return Failure(MALFORMED, f"it is the response to {other}")
        reason = item.result_reason or item.result_status
        return Failure(title(reason), item.result_message or "")

    def _is_success(self, body: bytes, operation: Operation | None) -> bool:
        """Whether a quick look is enough to see it."""
        if self.media == TTLV:
            at = body.find(_STATUS)
            if at < 0 or not body.startswith(_SUCCESS, at):
                return False
            return operation is None or body.find(_operation(operation), 0, at) >= 0
        status = _TEXT_STATUS.search(body)
        if status is None or status[1] not in _SUCCESS_TEXTS:
            return False
        found = _TEXT_OPERATION.search(body, 0, status.start())
        return operation is None or (found is not None and found[1] == _text(operation))

    def identifiers(self, body: bytes) -> list[str]:
        """The Unique Identifiers in a successful response to Create or a similar operation."""
        if self.media == TTLV:
            found = [_text_after(body, _head(tag)) for tag in _IDENTIFIERS]
        else:
            ttlv = MEDIA[self.media].to_ttlv(body, LIMITS)
            found = [_text_after(ttlv, _head(tag)) for tag in _IDENTIFIERS]
        return [identifier for identifier in found if identifier]


@cache
def _operation(operation: Operation) -> bytes:
    """The item of an Operation."""
    head = (Tag.OPERATION << 8 | ItemType.ENUMERATION).to_bytes(4, "big")
    return head + (4).to_bytes(4, "big") + operation.to_bytes(4, "big")


@cache
def _text(operation: Operation) -> bytes:
    """Its name in XML and JSON: without spaces (KMIP Profiles 2.1 §5.4.1.1)."""
    return title(operation).replace(" ", "").encode()


def _head(tag: Tag) -> bytes:
    return tag.to_bytes(3, "big") + bytes([_TEXT_STRING])


def _text_after(body: bytes, head: bytes) -> str:
    at = body.find(head, max(body.find(_STATUS), 0))
    if at < 0:
        return ""
    size = int.from_bytes(body[at + 4 : at + 8], "big")
    return body[at + 8 : at + 8 + size].decode("utf-8", "replace")
