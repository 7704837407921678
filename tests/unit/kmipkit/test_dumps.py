"""What people paste: every form of a dump gives the same bytes, whole or cut off."""

import base64
from collections.abc import Callable

import pytest
from click.testing import CliRunner

from kmipkit.decode import decode, read_messages
from kmipkit.errors import Cause, RemoteProtocolError
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.tags import Tag
from kmipkit.ttlv.binary import encode
from kmipkit.ttlv.limits import DEFAULT_LIMITS
from kmipkit.ttlv.partial import decode_available
from kmipkit.ttlv.tree import Item

MESSAGE = Item(
    Tag.REQUEST_MESSAGE,
    ItemType.STRUCTURE,
    (
        Item(Tag.REQUEST_HEADER, ItemType.STRUCTURE, (Item(Tag.BATCH_COUNT, ItemType.INTEGER, 1),)),
        Item(
            Tag.BATCH_ITEM,
            ItemType.STRUCTURE,
            (
                Item(Tag.OPERATION, ItemType.ENUMERATION, 24),
                Item(Tag.UNIQUE_BATCH_ITEM_ID, ItemType.BYTE_STRING, bytes(48) + b"'\"\\ 42 ab"),
                # In the columns of characters, this looks like bytes.
                Item(Tag.RESULT_MESSAGE, ItemType.TEXT_STRING, "deadbeef  cafe 00 |11| it's # //"),
            ),
        ),
    ),
)
DATA = encode(MESSAGE)


def characters(row: bytes) -> str:
    return "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)


def rows(data: bytes) -> list[tuple[int, bytes]]:
    return [(at, data[at : at + 16]) for at in range(0, len(data), 16)]


def words(row: bytes) -> str:
    return " ".join(row[at : at + 2].hex() for at in range(0, len(row), 2))


def xxd(data: bytes) -> str:
    return "".join(f"{at:08x}: {words(row):<39}  {characters(row)}\n" for at, row in rows(data))


def tcpdump(data: bytes) -> str:
    return "".join(
        f"\t0x{at:04x}:  {words(row):<39}  {characters(row)}\n" for at, row in rows(data)
    )


def tcpdump_without_characters(data: bytes) -> str:
    return "".join(f"\t0x{at:04x}:  {words(row)}\n" for at, row in rows(data))


def hexdump(data: bytes) -> str:
    lines: list[str] = []
    before, is_repeated = b"", False
    for at, row in rows(data):
        if row == before:
            if not is_repeated:
                lines.append("*")
            is_repeated = True
            continue
        before, is_repeated = row, False
        halves = f"{row[:8].hex(' '):<23}  {row[8:].hex(' '):<23}"
        lines.append(f"{at:08x}  {halves}  |{characters(row)}|")
    return "\n".join([*lines, f"{len(data):08x}"]) + "\n"


def wireshark(data: bytes) -> str:
    return "".join(f"{at:04x}   {row.hex(' '):<47}   {characters(row)}\n" for at, row in rows(data))


def wireshark_without_characters(data: bytes) -> str:
    return "".join(f"{at:04x}   {row.hex(' ')}\n" for at, row in rows(data))


def captured(data: bytes) -> str:
    """With the headers of Ethernet, IP and TCP before the message."""
    return tcpdump(bytes.fromhex("4500003c1c46") + bytes(34) + data)


def annotated(data: bytes) -> str:
    lines = [f"{data[at : at + 8].hex(' ')}  # bytes {at}" for at in range(0, len(data), 8)]
    return "# a request\n" + "\n".join(lines)


def c_array(data: bytes) -> str:
    inner = ", ".join(f"0x{byte:02X}" for byte in data)
    return f"/* [1] */ static const unsigned char request[] = {{ // {{2}}\n  {inner},\n}};\n"


def c_string(data: bytes) -> str:
    lines = [data[at : at + 16] for at in range(0, len(data), 16)]
    return "\n".join('"' + "".join(f"\\x{byte:02x}" for byte in line) + '"' for line in lines)


def c_octal_string(data: bytes) -> str:
    return 'char *request = "' + "".join(f"\\{byte:03o}" for byte in data) + '";'


def strings_of_digits(data: bytes) -> str:
    digits = data.hex()
    return "\n".join(f'"{digits[at : at + 37]}"' for at in range(0, len(digits), 37))


def log_line(data: bytes) -> str:
    return f"2026-11-28 12:00:00 - kmip.services - DEBUG - can't be: Request encoding: b'{data.hex()}'\n"


def java_array(data: bytes) -> str:
    signed = ", ".join(f"(byte) {byte - 256 if byte > 127 else byte}" for byte in data)
    return f"byte[] request = new byte[] {{ {signed} }};"


FORMS: list[Callable[[bytes], str]] = [
    xxd,
    tcpdump,
    tcpdump_without_characters,
    hexdump,
    wireshark,
    wireshark_without_characters,
    captured,
    annotated,
    c_array,
    c_string,
    c_octal_string,
    strings_of_digits,
    log_line,
    java_array,
    repr,
    lambda data: f"request = {data!r}",
    lambda data: f"b'{data.hex()}'",
    lambda data: data.hex("-"),
    lambda data: data.hex(":").upper(),
    lambda data: "".join(f"\\x{byte:02x}" for byte in data),
    lambda data: "[]byte{" + ", ".join(f"0x{byte:02x}" for byte in data) + "}",
    lambda data: "[" + " ".join(str(byte) for byte in data) + "]",
    lambda data: str(list(data)),
    lambda data: f"vec![{', '.join(f'{byte}u8' for byte in data)}]",
    lambda data: f"sent {data.hex()} to the server",
    lambda data: base64.b64encode(data).decode(),
]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_message(form: Callable[[bytes], str]) -> None:
    assert list(read_messages(form(DATA).encode())) == [MESSAGE]
    assert list(read_messages(form(DATA).replace("\n", "\r\n").encode())) == [MESSAGE]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("size", [24, 41, 70, len(DATA) - 1])
def test_of_a_message_that_is_cut_off_the_beginning_is_shown(
    form: Callable[[bytes], str], size: int
) -> None:
    with pytest.raises(RemoteProtocolError) as raised:
        list(read_messages(form(DATA[:size]).encode()))
    assert raised.value.cause is Cause.TRUNCATED
    part = getattr(raised.value, "part", None)
    assert part == decode_available(DATA[:size], DEFAULT_LIMITS)
    assert part is not None
    assert part.tag == Tag.REQUEST_MESSAGE


def items_in(item: Item) -> int:
    inner = item.value if isinstance(item.value, tuple) else ()
    return 1 + sum(map(items_in, inner))


def test_more_bytes_show_no_fewer_items() -> None:
    counts = []
    for size in range(len(DATA) + 1):
        part = decode_available(DATA[:size], DEFAULT_LIMITS)
        counts.append(0 if part is None else items_in(part))
    assert counts == sorted(counts)
    assert counts[7] == 0
    assert counts[8] == 1
    assert counts[-1] == items_in(MESSAGE)
    assert decode_available(DATA, DEFAULT_LIMITS) == MESSAGE


@pytest.mark.parametrize(
    "pasted", [DATA[:44], DATA[:44].hex()[:-1].encode(), xxd(DATA[:44]).encode()]
)
def test_the_command_shows_the_part_and_says_what_is_missing(pasted: bytes) -> None:
    result = CliRunner().invoke(decode, input=pasted)
    assert result.exit_code == 1
    assert "BatchCount (Integer): 1" in result.output
    assert "remain" in result.output


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{}",
        "it's not a dump",
        "{ 0x42, 300 }",
        "0000: nothing",
        "'" * 200_000,
        "b'\\" * 100_000,
        "[" * 200_000 + "1",
        "00000000: " * 50_000,
        "\\x42" * 50_000 + "'",
    ],
    ids=lambda text: text[:12],
)
def test_other_text_is_an_error_soon(text: str) -> None:
    result = CliRunner().invoke(decode, input=text.encode())
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
