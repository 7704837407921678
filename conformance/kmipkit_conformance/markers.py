"""Marks between the messages of a case: who sends the next one, and whether it is repeated.

In the cases of 1.0 to 1.2 they are text: ``# [Client-B]`` and ``# [REPEAT]``.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_MESSAGE = re.compile(r"<(/?)(RequestMessage|ResponseMessage)\b")
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_CLIENT = re.compile(r"# *\[(Client-[A-Z])\]")


@dataclass(frozen=True, slots=True)
class Marks:
    """The marks before a message."""

    client: str = ""
    repeated: bool = False


NO_MARKS = Marks()


def marks(text: str) -> Iterator[Marks]:
    """The marks of each message, in the order of the file."""
    text = _COMMENT.sub("", text)
    end = 0
    for tag in _MESSAGE.finditer(text):
        is_closing = bool(tag[1])
        if is_closing:
            end = tag.end()
        else:
            yield _marks(text[end : tag.start()])


def _marks(between: str) -> Marks:
    client = _CLIENT.search(between)
    return Marks(
        client=client[1] if client else "",
        repeated="[REPEAT]" in between,
    )
