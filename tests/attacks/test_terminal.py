"""Output of the commands and the log: control characters of others reach no terminal.

Whoever chooses the name of a key, the message of an error or the subject of a certificate could clear
the screen of an operator, hide a line, forge another one, or make a text read backwards.
"""

import io
import json
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.serialization import Encoding
from kmipkit_certs.authority import Authority, Purpose
from kmipkit_client import Client
from kmipkit_conformance.cases import SUITE, load_all
from kmipkit_conformance.options import print_verdict
from kmipkit_conformance.player import Verdict
from kmipkit_conformance.report import make_report
from kmipkit_conformance.running import Run
from kmipkit_server import logs
from servers import RunningServer

from kmipkit.cli import main
from kmipkit.decode import decode
from kmipkit.reports import Outcome, as_html, as_json, junit
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.tags import Tag
from kmipkit.terminal import printable, printable_json, printable_xml
from kmipkit.ttlv import binary
from kmipkit.ttlv import json as ttlv_json
from kmipkit.ttlv import xml as ttlv_xml
from kmipkit.ttlv.tree import Item

CONTROLS = {
    "C0": "\x1b[2J\x07\r\x00",
    "DEL": "\x7f",
    "C1": "\x9b2J\x85",
    "bidirectional": "\u202e\u2066\u200f",
    "separators": "\u2028\u2029\n",
    "invisible": "\u200b\ufeff\u00ad",
}
HOSTILE = "key " + "".join(CONTROLS.values()) + " größe 鍵"
WITHOUT_C0 = "key \x9b2J\u202e\u2028 größe"


def require_printable(output: str) -> None:
    """Nothing but printable text and line ends."""
    unprintable = {char for line in output.split("\n") for char in line if not char.isprintable()}
    assert not unprintable


@pytest.mark.parametrize("name", CONTROLS)
def test_each_kind_of_control_character_is_escaped(name: str) -> None:
    """The screen of the operator does what a peer says."""
    assert printable(f"a{CONTROLS[name]}b").isprintable()
    assert printable("größe 鍵 $1") == "größe 鍵 $1"


def test_json_and_xml_keep_their_meaning() -> None:
    """The escape must not change what a program reads."""
    text = HOSTILE + "\U000e0001"
    shown = printable_json(json.dumps({text: [text]}, ensure_ascii=False, indent=1))
    require_printable(shown)
    assert json.loads(shown) == {text: [text]}
    item = Item(Tag.NAME_VALUE, ItemType.TEXT_STRING, WITHOUT_C0)
    shown = printable_xml(ttlv_xml.dump(item))
    require_printable(shown)
    assert ttlv_xml.parse(shown.encode()) == item


# --- kmipkit client ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def files(server: RunningServer) -> dict[str, Any]:
    return {"port": server.port, **server.credentials()}


def run_client(files: dict[str, Any], *arguments: str) -> str:
    options = ["--server", f"127.0.0.1:{files['port']}"]
    for name in ("ca", "cert", "key"):
        options += [f"--{name}", str(files[name])]
    result = CliRunner().invoke(main, ["client", *options, *arguments])
    return result.output


@pytest.fixture(scope="module")
def key(files: dict[str, Any]) -> str:
    """A key with a name and attributes that are hostile."""
    with Client(**files) as client:
        return client.create(name=HOSTILE, attributes={f"x-{HOSTILE}": HOSTILE})


@pytest.mark.parametrize("arguments", [("attributes",), ("attributes", "--json")])
def test_the_client_shows_attributes(
    files: dict[str, Any], key: str, arguments: tuple[str, ...]
) -> None:
    """An account shares a key with a hostile name."""
    output = run_client(files, *arguments, key)
    assert "größe" in output
    require_printable(output)


@pytest.mark.parametrize(
    "arguments",
    [("get", HOSTILE.replace("\0", "")), ("locate", "--attribute", "State=\x1b[2J"), ("\x9b2J",)],
)
def test_the_client_shows_errors(files: dict[str, Any], arguments: tuple[str, ...]) -> None:
    """A server repeats, or makes up, what is in the message of an error."""
    output = run_client(files, *arguments)
    assert "rror" in output
    require_printable(output)


# --- kmipkit decode ------------------------------------------------------------------------------

MESSAGE = Item(
    Tag.NAME,
    ItemType.STRUCTURE,
    (
        Item(Tag.NAME_VALUE, ItemType.TEXT_STRING, WITHOUT_C0),
        Item(Tag.NAME_TYPE, ItemType.ENUMERATION, 1),
    ),
)


@pytest.mark.parametrize("form", ["text", "json", "xml"])
def test_decode_shows_messages(form: str) -> None:
    """The captured message of an attacker is decoded."""
    data = binary.encode(MESSAGE)
    output = CliRunner().invoke(decode, ["--to", form], input=data).output
    assert "größe" in output
    require_printable(output)
    if form == "json":
        assert ttlv_json.parse(output.encode()) == MESSAGE
    if form == "xml":
        assert ttlv_xml.parse(output.encode()) == MESSAGE


def test_decode_shows_errors() -> None:
    """The same for a message that is malformed."""
    text = '{"tag": "Name\\u001b[2J\u202e", "value": []}'
    output = CliRunner().invoke(main, ["decode"], input=text.encode()).output
    assert "rror" in output
    require_printable(output)


# --- kmipkit conformance -------------------------------------------------------------------------


def test_conformance_shows_verdicts(capsys: pytest.CaptureFixture[str]) -> None:
    """The server under test puts control characters into its Result Messages."""
    [case, *_] = load_all((SUITE,), frozenset(), ())
    verdict = Verdict(case, Outcome.FAILED, (f"Result Message: {HOSTILE}",))
    print_verdict(verdict)
    output = capsys.readouterr().out
    assert "größe" in output
    require_printable(output)
    report = make_report(Run([verdict]))
    for text in (as_json(report), junit(report), as_html(report)):
        assert "größe" in text
        require_printable(text)


# --- kmipkit certs -------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_certs_shows_certificates(tmp_path: Path, options: tuple[str, ...]) -> None:
    """The certificate of a stranger is shown before it is trusted."""
    now = datetime.now(UTC)
    authority = Authority.create("ca", "ecdsa-p256", now)
    issued = authority.issue(WITHOUT_C0 + "\nissuer  forged", Purpose.CLIENT, now)
    file = tmp_path / "hostile.crt"
    file.write_bytes(issued.certificate.public_bytes(Encoding.PEM))
    output = CliRunner().invoke(main, ["certs", "show", *options, str(file)]).output
    assert "größe" in output or "gr\\u00f6\\u00dfe" in output
    assert not any(line.startswith("issuer  forged") for line in output.split("\n"))
    require_printable(output)


# --- the log -------------------------------------------------------------------------------------


def test_the_log_has_one_line_for_each_event() -> None:
    """The name of a client forges a line of the log, or hides one."""
    stream = io.StringIO()
    logs.configure("INFO", stream)
    log = logging.getLogger("kmipkit.server")
    try:
        log.info("%s: refused", HOSTILE)
        error = ValueError(f"{HOSTILE}\n2026-01-01 INFO forged")
        log.error("internal error of %s", HOSTILE, exc_info=error)
    finally:
        logger = logging.getLogger("kmipkit")
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(logging.NOTSET)
    output = stream.getvalue()
    assert output.count("größe") == 3
    require_printable(output)
    assert not any(line.startswith("2026-01-01 INFO") for line in output.split("\n"))
