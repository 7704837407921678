"""Bytes of messages in the forms in which people paste them: dumps, literals and arrays.

Each form is a function from the text to the bytes in it, or None if the text does not have that form.
"""

import re
from binascii import unhexlify
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import NamedTuple

_SEPARATORS = re.compile(r"0[xX]|[\s|:,;]+")
_COMMENTS = re.compile(r"/\*.*?\*/|(?:#|//)[^\n]*", re.DOTALL)


def hexadecimal(text: str) -> str | None:
    """The digits of a text that has only those, separators, ``0x`` and comments.

    The number of digits is odd if the last byte is cut off.
    """
    plain = _COMMENTS.sub("", text).strip().rstrip(".…\\-")
    if re.fullmatch(r"(?:[0-9A-Fa-f]{2}-)+[0-9A-Fa-f]{1,2}", "".join(plain.split())):
        plain = plain.replace("-", "")
    digits = _SEPARATORS.sub("", plain)
    return digits if re.fullmatch("[0-9A-Fa-f]+", digits) else None


def embedded(text: str) -> bytes | None:
    """The bytes of literals, arrays, or messages in the lines of a log."""
    for form in _FORMS:
        data = form(text)
        if data:
            return data
    return None


# --- columns: xxd, hexdump -C, Wireshark, tcpdump -----------------------------------------------

_ROW = re.compile(r"\s*(?:0x)?([0-9A-Fa-f]{4,16})(:|(?=\s|$))[ \t]*(.*?)\s*$")
_MESSAGE = re.compile(rb"\x42\x00[\x78\x7B]\x01")


def columns(text: str) -> bytes | None:
    """A dump whose rows are an offset, bytes, and perhaps characters.

    The offsets must fit the bytes; a row of digits that only looks like an offset does not.
    """
    data = bytearray()
    before = b""
    rows = list(_rows(text))
    for row, following in pairwise([*rows, None]):
        assert row is not None
        if row.is_repeated and before:
            gap = row.offset - rows[0].offset - len(data)
            data += before * (gap // len(before))
        if row.offset - rows[0].offset != len(data):
            return None
        count = None if following is None else following.offset - row.offset
        is_followed_by_repeats = following is not None and following.is_repeated
        before = _row_bytes(row, None if is_followed_by_repeats else count)
        data += before
    if len(rows) == 1 and not rows[0].is_marked:
        return None
    # A capture has the headers of the network before the message.
    start = _MESSAGE.search(data) if not data.startswith((b"\x42", b"\x54")) else None
    return bytes(data[start.start() :] if start else data)


class _Row(NamedTuple):
    offset: int
    has_colon: bool
    """Whether a colon ends the offset, as with xxd and tcpdump."""
    rest: str
    is_repeated: bool
    """Whether rows that are equal to the one before are left out before this one."""

    @property
    def is_marked(self) -> bool:
        """Whether the row is one of a dump even if it is alone."""
        return self.has_colon or "|" in self.rest


def _rows(text: str) -> Iterator[_Row]:
    is_repeated = False
    for line in text.splitlines():
        row = _ROW.match(line)
        if row is not None:
            yield _Row(int(row[1], 16), row[2] == ":", row[3], is_repeated)
        is_repeated = line.strip() == "*"


def _row_bytes(row: _Row, count: int | None) -> bytes:
    """The bytes of a row; ``count`` is the distance to the next offset, if there is one."""
    column = row.rest.partition("|")[0]
    # hexdump has a wider gap after eight bytes; xxd and tcpdump only before the characters.
    column = re.split(r"\s{2,}" if row.has_colon else r"\s{3,}", column, maxsplit=1)[0]
    digits = ""
    for group in column.split():
        if not re.fullmatch(r"(?:[0-9A-Fa-f]{2})+", group):
            break
        digits += group
    data = unhexlify(digits)
    return data if count is None else data[:count]


# --- literals: b'...', "\x42...", strings of several lines --------------------------------------

_JOINT = r"""["'][\s\\+]*[bB]?["']"""
"""Between two parts of a string in a program."""
_DIGITS = re.compile(rf"""["']([0-9A-Fa-f][0-9A-Fa-f\s]{{7,}}(?:{_JOINT}[0-9A-Fa-f\s]+)*)""")
_BYTES = re.compile(
    r"""\b[bB](?:"((?:[^"\\\n]|\\.)*)|'((?:[^'\\\n]|\\.)*))(?:["']|$)""", re.MULTILINE
)
_STRINGS = re.compile(r"""(?:"((?:[^"\\\n]|\\.)*)|'((?:[^'\\\n]|\\.)*))(?:["']|$)""", re.MULTILINE)
# A string ends at the end of its line at the latest, so that every search is linear.
_ESCAPE = re.compile(rb"\\(?:x([0-9A-Fa-f]{2})|([0-7]{1,3})|(\r?\n)|(.))", re.DOTALL)
_NAMED = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"a": b"\a", b"b": b"\b", b"f": b"\f", b"v": b"\v"}


def _literals(text: str) -> bytes | None:
    """The strings of a program or of a log, joined. Their content is bytes or hexadecimal digits."""
    strings = (re.sub(_JOINT, "", string) for string in _DIGITS.findall(text))
    digits = "".join("".join(strings).split())
    if digits:
        return unhexlify(digits[: len(digits) // 2 * 2])
    for pattern in (_BYTES, _STRINGS):
        contents = [double or single for double, single in pattern.findall(text)]
        escaped = [content for content in contents if "\\" in content]
        if escaped:
            return b"".join(map(_unescape, escaped))
    return None


def _escapes(text: str) -> bytes | None:
    """Escapes without quotes."""
    plain = "".join(text.split())
    is_escaped = re.fullmatch(r"(?:\\x[0-9A-Fa-f]{2})+(?:\\x?[0-9A-Fa-f]?)?", plain)
    return _unescape(plain) if is_escaped else None


def _unescape(text: str) -> bytes:
    def value(match: "re.Match[bytes]") -> bytes:
        digits, octal, line_end, other = match.groups()
        if digits:
            return unhexlify(digits)
        if octal:
            return bytes([int(octal, 8) & 0xFF])
        return b"" if line_end else _NAMED.get(other, other)

    return _ESCAPE.sub(value, text.encode("latin-1", "replace"))


# --- arrays: { 0x42, 0x00 }, []byte{66, 0}, [66 0 120] ------------------------------------------

_ARRAY = re.compile(r"[{\[]([^{}\[\]]*)(?:[}\]]|\Z)")
_ELEMENT = re.compile(r"(?:\(\w+\)\s*)?(-?\d+|0[xX][0-9A-Fa-f]{1,2})(?:u8)?")


def _arrays(text: str) -> bytes | None:
    """The arrays of a program, joined: bytes in C, Go, Rust, Java or Python, or as Go prints them."""
    return b"".join(_array_bytes(_COMMENTS.sub("", text)))


def _array_bytes(text: str) -> Iterator[bytes]:
    for content in _ARRAY.findall(text):
        plain = content.strip().rstrip(",.… ")
        elements = plain.split(",") if "," in plain else plain.split()
        numbers = [match[1] for each in elements if (match := _ELEMENT.fullmatch(each.strip()))]
        if len(numbers) != len(elements) or len(numbers) < 2:
            continue
        values = [int(each, 0 if each[:2] in ("0x", "0X") else 10) for each in numbers]
        if all(-128 <= value <= 255 for value in values):
            yield bytes(value & 0xFF for value in values)


# --- logs ---------------------------------------------------------------------------------------

_RUN = re.compile(r"(?<![0-9A-Za-z])42[0-9A-Fa-f]{14,}")


def _runs(text: str) -> bytes | None:
    """Messages in hexadecimal within other text, such as the lines of a log."""
    return b"".join(unhexlify(run[: len(run) // 2 * 2]) for run in _RUN.findall(text))


_FORMS: tuple[Callable[[str], bytes | None], ...] = (
    _escapes,
    _literals,
    _arrays,
    _runs,
)
