"""Names with wildcards: ``*`` stands for any characters, ``?`` for one.

A rule that allows compares names exactly. A rule that denies compares them broadly: without regard to
upper and lower case, and to other forms of the same characters (NFKC), such as full-width letters. So
``PROD-1`` escapes no rule about ``prod-*``, and enters none.
"""

import re
import unicodedata
from dataclasses import dataclass, field
from functools import lru_cache


@lru_cache(maxsize=4096)
def folded(text: str) -> str:
    """The form in which texts are compared broadly."""
    if text.isascii():
        return text.lower()
    once = unicodedata.normalize("NFKC", text).casefold()
    return unicodedata.normalize("NFKC", once)


def has_wildcards(text: str) -> bool:
    """Whether a text is a pattern for several names."""
    return "*" in text or "?" in text


@dataclass(frozen=True, slots=True)
class Pattern:
    """A name, or a pattern for names."""

    text: str
    is_broad: bool = False
    _text: str = field(init=False, repr=False, compare=False)
    """The form that is compared."""
    _match: "re.Pattern[str] | None" = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        text = folded(self.text) if self.is_broad else self.text
        object.__setattr__(self, "_text", text)
        object.__setattr__(self, "_match", _compiled(text) if has_wildcards(text) else None)

    def matches(self, name: str) -> bool:
        """Whether a name is one of those that are meant."""
        if self.is_broad:
            name = folded(name)
        match = self._match
        return name == self._text if match is None else match.fullmatch(name) is not None


def _compiled(text: str) -> "re.Pattern[str]":
    """The regular expression, which takes a time that is linear in the name."""
    # "**" means no more than "*", and each part between two stars is found at its first place
    # (an atomic group), since a later one would only leave less for the rest.
    first, *parts = re.split(r"\*+", text)
    expression = _literal(first)
    for part in parts[:-1]:
        expression += f"(?>.*?{_literal(part)})"
    if parts:
        expression += f".*{_literal(parts[-1])}"
    return re.compile(expression, re.DOTALL)


def _literal(text: str) -> str:
    return "".join("." if char == "?" else re.escape(char) for char in text)
