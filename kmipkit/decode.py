"""``kmipkit decode``: shows messages in any encoding.

The first bytes of the input determine its encoding: XML and JSON begin with a bracket, binary TTLV has
a control character as fourth byte (the item type), and other input is hexadecimal if it consists of
hexadecimal digits, else base64 or one of the forms of :mod:`kmipkit.dumps`. Keys are redacted unless
requested. Of a capture of ``kmipkit proxy`` (:mod:`kmipkit.captures`) all messages are shown.
"""

import binascii
import re
from collections.abc import Callable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, BinaryIO

import click

from kmipkit.errors import RemoteProtocolError
from kmipkit.terminal import printable_json, printable_lines, printable_xml, write_escaped

if TYPE_CHECKING:
    from kmipkit.ttlv.limits import Limits
    from kmipkit.ttlv.tree import Item

MAX_INPUT = 64 << 20
"""The maximum input in bytes: more than any server accepts, but less than a core dump."""

_FORMS = "hexadecimal, a dump, an array or string of a program, base64, binary TTLV, XML or JSON"


@click.command(short_help="Show messages, without keys.")
@click.argument("file", type=click.File("rb"), default="-")
@click.option(
    "--to",
    "form",
    type=click.Choice(["text", "json", "xml", "hex"]),
    help="Output format.  [default: text]",
)
@click.option("--json", "as_json", is_flag=True, help="Same as --to json.")
@click.option("--show-secrets", is_flag=True, help="Do not redact key material and passwords.")
def decode(file: BinaryIO, form: str | None, as_json: bool, show_secrets: bool) -> None:
    """Show the KMIP messages in FILE, or in standard input.

    The input is hexadecimal (with blanks, line ends, 0x or comments after #), base64, binary TTLV, XML
    or JSON; a dump of xxd, hexdump -C, tcpdump or Wireshark; a string or an array of Python, C, Go,
    Rust or Java; a log with such strings; or a capture of kmipkit proxy. It may contain several
    messages. Of a message that is cut off, the part that is there is shown. Key material and passwords
    are shown as <redacted>.

    \b
    Examples:
      kmipkit decode request.hex
      kmipkit decode --to xml request.bin > request.xml
      echo 42006A 02 00000004 00000001 00000000 | kmipkit decode
    """
    if as_json and form not in (None, "json"):
        raise click.UsageError(f"--json cannot be combined with --to {form}")
    form = form or ("json" if as_json else "text")
    if form == "hex" and not show_secrets:
        raise click.UsageError(
            "hexadecimal output cannot redact keys; add --show-secrets to show them"
        )
    name = getattr(file, "name", "<stdin>")
    try:
        data = file.read(MAX_INPUT + 1)
    except OSError as error:
        raise click.ClickException(f"{name}: {error.strerror}") from None
    if len(data) > MAX_INPUT:
        raise click.ClickException(f"{name}: more than {MAX_INPUT >> 20} MiB of input")
    error_message = _show(data, form, show_secrets)
    if error_message is not None:
        raise click.ClickException(f"{name}: {error_message}")


def _show(data: bytes, form: str, show_secrets: bool) -> str | None:
    """Print the messages up to the first malformed one. The result is an error message, or None."""
    from kmipkit.errors import ProtocolError

    items: list[Item] = []
    failed: ProtocolError | None = None
    try:
        for item in read_messages(data):
            items.append(item)  # noqa: PERF402 - keeps the messages before an error
    except ProtocolError as error:
        failed = error
    number = len(items) + 1
    part = failed.part if isinstance(failed, Incomplete) else None
    if part is not None:
        items.append(part)
    try:
        if items:
            text = _ESCAPES[form](_WRITERS[form](items, show_secrets))
            write_escaped(text)
    except ProtocolError as error:
        return str(error)
    if failed is not None:
        return f"message {number}: {failed}" if number > 1 else str(failed)
    return None if items else "the input contains no message"


def read_messages(data: bytes) -> "Iterator[Item]":
    """The messages in ``data``, in any encoding.

    Raises RemoteProtocolError for a malformed message, after the messages before it. If the message is
    cut off, the error has the attribute ``part``: the items that are there.
    """
    from kmipkit import captures
    from kmipkit.errors import Cause
    from kmipkit.ttlv import json, xml
    from kmipkit.ttlv.limits import Limits

    limits = Limits(max_message=MAX_INPUT, max_depth=64, max_items=1 << 20)
    text = data.removeprefix(b"\xef\xbb\xbf").strip()
    if not text:
        raise RemoteProtocolError("the input is empty", cause=Cause.TRUNCATED)
    if text.startswith(b"<"):
        return iter(xml.parse_all(text, limits))
    if captures.is_capture(text):
        entries = captures.read(data.splitlines(keepends=True))
        return chain.from_iterable(_split(entry.message, limits) for entry in entries)
    if re.match(rb"[{\[]\s*[\"{]", text):
        return iter(json.parse_all(text, limits))
    if len(data) > 3 and data[0] in b"\x42\x54" and data[3] < 0x20:
        return _split(data, limits)
    return _read_text(text, limits)


def _read_text(text: bytes, limits: "Limits") -> "Iterator[Item]":
    """The messages in a text that is neither XML nor JSON."""
    from kmipkit.dumps import columns, embedded, hexadecimal
    from kmipkit.errors import Cause
    from kmipkit.ttlv import json

    characters = text.decode("utf-8", "replace")
    data = columns(characters)
    if data:
        return _split(data, limits)
    digits = hexadecimal(characters)
    if digits is not None:
        return _read_digits(digits, limits)
    try:
        # Both alphabets of base64: the standard one, and that for URLs.
        plain = b"".join(text.split()).translate(bytes.maketrans(b"-_", b"+/"))
        return _split(binascii.a2b_base64(plain, strict_mode=True), limits)
    except binascii.Error:
        pass
    data = embedded(characters)
    if data is not None:
        return _split(data, limits)
    if text.startswith((b"{", b"[")):
        return iter(json.parse_all(text, limits))
    raise RemoteProtocolError(f"the input is not {_FORMS}", cause=Cause.NOT_KMIP)


def _read_digits(digits: str, limits: "Limits") -> "Iterator[Item]":
    """The messages in hexadecimal digits, the last of which may be missing."""
    from kmipkit.errors import Cause

    yield from _split(binascii.unhexlify(digits[: len(digits) // 2 * 2]), limits)
    if len(digits) % 2:
        message = f"the number of hexadecimal digits ({len(digits)}) is odd"
        raise RemoteProtocolError(message, cause=Cause.NOT_KMIP)


class Incomplete(RemoteProtocolError):
    """A message that is cut off; ``part`` has what is there of it."""

    part: "Item | None" = None


def _split(data: bytes, limits: "Limits") -> "Iterator[Item]":
    """The items in binary form, one after the other."""
    from kmipkit.ttlv import binary, framing

    start = 0
    while start < len(data):
        length = int.from_bytes(data[start + 4 : start + 8], "big")
        stop = start + framing.HEADER_SIZE + (length + 7 & ~7)
        try:
            if data[start] not in framing.TAG_PREFIXES:
                framing.message_length(data[start : start + 8].ljust(8, b"\0"), limits)
            yield binary.decode(data[start:stop], limits)
        except RemoteProtocolError as error:
            if error.offset is not None:
                error.offset += start
            if stop > len(data):
                raise _incomplete(error, data[start:], limits) from None
            raise
        start = stop


def _incomplete(error: RemoteProtocolError, data: bytes, limits: "Limits") -> Incomplete:
    from kmipkit.ttlv.partial import decode_available

    incomplete = Incomplete(error.message, cause=error.cause, path=error.path, offset=error.offset)
    incomplete.part = decode_available(data, limits)
    return incomplete


def _to_text(items: "list[Item]", show_secrets: bool) -> str:
    from kmipkit.ttlv.printer import format_item

    return "\n".join(format_item(item, show_secrets=show_secrets) for item in items)


def _to_xml(items: "list[Item]", show_secrets: bool) -> str:
    from kmipkit.ttlv import xml

    text = "".join(xml.dump(item, redact=not show_secrets) for item in items)
    return text if len(items) == 1 else f"<KMIP>\n{text}</KMIP>\n"


def _to_json(items: "list[Item]", show_secrets: bool) -> str:
    from kmipkit.ttlv import json

    texts = [json.dump(item, redact=not show_secrets).rstrip("\n") for item in items]
    return f"{texts[0]}\n" if len(texts) == 1 else "[\n" + ",\n".join(texts) + "\n]\n"


def _to_hex(items: "list[Item]", _show_secrets: bool) -> str:
    from kmipkit.ttlv.binary import encode

    return "".join(f"{encode(item).hex()}\n" for item in items)


_WRITERS: "dict[str, Callable[[list[Item], bool], str]]" = {
    "text": _to_text,
    "json": _to_json,
    "xml": _to_xml,
    "hex": _to_hex,
}

_ESCAPES: "dict[str, Callable[[str], str]]" = {
    "text": printable_lines,
    "json": printable_json,
    "xml": printable_xml,
    "hex": printable_lines,
}
