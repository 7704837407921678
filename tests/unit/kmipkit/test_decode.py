"""The command ``kmipkit decode``: every form of input and of output, and what it says of bad ones."""

import base64
import json as standard
from inspect import signature
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from kmipkit import decode as module
from kmipkit.cli import main
from kmipkit.decode import decode, read_messages
from kmipkit.errors import RemoteProtocolError
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.tags import Tag
from kmipkit.ttlv import json, xml
from kmipkit.ttlv.binary import encode
from kmipkit.ttlv.tree import Item

KEY = bytes.fromhex("00112233445566778899aabbccddeeff")
MATERIAL = Item(Tag.KEY_MATERIAL, ItemType.BYTE_STRING, KEY)
MESSAGE = Item(
    Tag.REQUEST_MESSAGE,
    ItemType.STRUCTURE,
    (
        Item(Tag.BATCH_COUNT, ItemType.INTEGER, 1),
        Item(Tag.KEY_VALUE, ItemType.STRUCTURE, (MATERIAL,)),
    ),
)
OTHER = Item(Tag.RESPONSE_MESSAGE, ItemType.STRUCTURE, (Item(Tag.OFFSET, ItemType.INTERVAL, 5),))
BINARY = encode(MESSAGE)
HEX = BINARY.hex()
TEXT = (
    "RequestMessage\n"
    "  BatchCount (Integer): 1\n"
    "  KeyValue\n"
    "    KeyMaterial (ByteString, 16 bytes): <redacted>\n"
)
APART = {"mix_stderr": False} if "mix_stderr" in signature(CliRunner).parameters else {}
"""Standard error apart from the output: on request before click 8.2, always since."""

OTHER_TEXT = "ResponseMessage\n  Offset (Interval): 5 s\n"


def run(*arguments: str, data: bytes | str = b"") -> Result:
    result = CliRunner(**APART).invoke(decode, arguments, input=data)
    # Anything else is a traceback.
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def shown(*arguments: str, data: bytes | str = b"") -> str:
    result = run(*arguments, data=data)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    return result.stdout


def complaint(*arguments: str, data: bytes | str = b"") -> str:
    """The one line that is said of an error."""
    result = run(*arguments, data=data)
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    assert KEY.hex() not in result.output
    return result.stderr.removeprefix("Error: ").rstrip("\n")


INPUTS: list[bytes] = [
    BINARY,
    HEX.encode(),
    HEX.upper().encode() + b"\r\n",
    b"\xef\xbb\xbf" + HEX.encode(),
    b"0x" + HEX.encode(),
    " ".join(f"0x{byte:02x}," for byte in BINARY).encode(),
    b"\n".join(HEX[at : at + 16].encode() for at in range(0, len(HEX), 16)),
    b"420078 | 01 | " + HEX[8:16].encode() + b" | " + HEX[16:].encode(),
    base64.b64encode(BINARY),
    base64.encodebytes(BINARY),
    base64.urlsafe_b64encode(BINARY),
    xml.dump(MESSAGE).encode(),
    b'\xef\xbb\xbf<?xml version="1.0" encoding="utf-8"?>\n' + xml.dump(MESSAGE).encode(),
    b"\n " + xml.dump(MESSAGE).encode(),
    json.dump(MESSAGE).encode(),
    b"\xef\xbb\xbf" + json.dump(MESSAGE).encode(),
]


@pytest.mark.parametrize("data", INPUTS)
def test_every_form_of_input(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "message"
    path.write_bytes(data)
    assert shown(str(path)) == TEXT
    assert shown(data=data) == TEXT
    assert shown("-", data=data) == TEXT


def test_output_as_json() -> None:
    for option in (("--json",), ("--to", "json")):
        output = shown(*option, data=BINARY)
        value = standard.loads(output)["value"]
        assert value[0] == {"tag": "BatchCount", "type": "Integer", "value": 1}
        assert value[1]["value"][0]["value"] == "<redacted>"
        assert json.parse(shown(*option, "--show-secrets", data=BINARY)) == MESSAGE


def test_json_and_another_form_exclude_each_other() -> None:
    result = run("--json", "--to", "xml", data=BINARY)
    assert result.exit_code == 2
    assert "--json" in result.stderr
    assert shown("--json", "--to", "json", data=BINARY) == shown("--json", data=BINARY)


def test_output_as_xml() -> None:
    output = shown("--to", "xml", data=BINARY)
    assert 'value="&lt;redacted&gt;"' in output
    assert KEY.hex() not in output
    assert xml.parse(shown("--to", "xml", "--show-secrets", data=BINARY)) == MESSAGE


def test_output_as_hexadecimal_needs_a_permission() -> None:
    assert shown("--to", "hex", "--show-secrets", data=xml.dump(MESSAGE)) == HEX + "\n"
    result = run("--to", "hex", data=BINARY)
    assert result.exit_code == 2
    assert "add --show-secrets" in result.stderr
    assert HEX not in result.output


def test_secrets_are_shown_on_request() -> None:
    assert f"(ByteString, 16 bytes): {KEY.hex()}\n" in shown("--show-secrets", data=BINARY)


TWO = BINARY + encode(OTHER)


@pytest.mark.parametrize(
    "data",
    [
        TWO,
        TWO.hex().encode(),
        f"{HEX}\n{encode(OTHER).hex()}\n".encode(),
        base64.b64encode(TWO),
        f"<KMIP>{xml.dump(MESSAGE)}{xml.dump(OTHER)}</KMIP>".encode(),
        f"[{json.dump(MESSAGE)},{json.dump(OTHER)}]".encode(),
        f"{json.dump(MESSAGE)}{json.dump(OTHER)}".encode(),
    ],
)
def test_several_messages(data: bytes) -> None:
    assert shown(data=data) == f"{TEXT}\n{OTHER_TEXT}"
    as_xml = shown("--to", "xml", "--show-secrets", data=data)
    as_json = shown("--json", "--show-secrets", data=data)
    assert xml.parse_all(as_xml) == json.parse_all(as_json) == [MESSAGE, OTHER]
    assert shown("--to", "hex", "--show-secrets", data=data) == f"{HEX}\n{encode(OTHER).hex()}\n"


def test_an_item_that_is_no_message() -> None:
    assert shown(data="42006A 02 00000004 00000001 00000000").endswith("(Integer): 1\n")


def test_what_was_read_before_an_error_is_shown() -> None:
    result = run(data=TWO[:-1])
    assert result.stdout == f"{TEXT}\nResponseMessage\n"
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: <stdin>: message 2: ")
    assert f"offset {len(BINARY)}" in result.stderr


def test_a_missing_file(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing.hex", tmp_path):
        result = run(str(path))
        assert result.exit_code == 2
        assert str(path) in result.stderr
        assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"\xef\xbb\xbf", "empty"),
        (b"<KMIP/>", "no message"),
        (b"[]", "no message"),
        (b"hello, world", "not hexadecimal"),
        (b"0x", "not hexadecimal"),
        (b"\x00\x01\x02", "not hexadecimal"),
        (b"\xff\xfe<\0", "not hexadecimal"),
        (HEX[:-1].encode(), "bytes, but only"),
        (HEX.encode() + b"4", "is odd"),
        (BINARY[:5], "at least 8 bytes"),
        (BINARY[:-1], "bytes"),
        (BINARY[:20], "bytes"),
        (b"00", "42 or 54"),
        (b"1603010200010001", "TLS handshake"),
        (b"\x42\x00\x78\x01\xff\xff\xff\xff", "multiple of 8"),
        (b"B\0\x78\x1f\0\0\0\0", "type 0x1F"),
        (b"<html><body/></html>", "'html'"),
        (b"<RequestMessage>", "not well-formed XML"),
        (b'<?xml version="1.0" encoding="nonsense"?><Attribute/>', "XML"),
        (b'{"tag": "RequestMessage"', "not well-formed JSON"),
        (b'{"answer": 42}', "'tag'"),
        (b'{"tag":"' + b'\\"' * 1_000_000, "not well-formed JSON"),
        (b"[" * 1_000_000, "more than 64 deep"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_garbage_gets_one_line(data: bytes, says: str) -> None:
    said = complaint(data=data)
    assert said.startswith("<stdin>: ")
    assert says in said
    assert len(said) < 250


def test_garbage_in_a_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "request.hex"
    path.write_text("nonsense!")
    assert complaint(str(path)).startswith(f"{path}: the input is not hexadecimal")


def test_text_that_the_other_form_cannot_carry() -> None:
    item = Item(Tag.NAME_VALUE, ItemType.TEXT_STRING, "\x1b[2J")
    assert "control character" in complaint("--to", "xml", data=encode(item))
    assert "\x1b" not in shown(data=encode(item))


def test_too_much_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_INPUT", 1 << 20)
    assert "more than 1 MiB" in complaint(data=b"0" * ((1 << 20) + 1))


def test_input_that_cannot_be_read(tmp_path: Path) -> None:
    """Such as a file on a disk that fails; here memory of this process that nobody has mapped."""
    said = complaint("/proc/self/mem")
    assert said.startswith("/proc/self/mem: ")


def test_reading_is_open_to_other_callers() -> None:
    assert list(read_messages(TWO)) == [MESSAGE, OTHER]
    with pytest.raises(RemoteProtocolError):
        list(read_messages(b""))


def test_it_is_a_command_of_kmipkit() -> None:
    result = CliRunner().invoke(main, ["decode", "--help"])
    assert result.exit_code == 0
    assert "kmipkit decode request.hex" in result.output
